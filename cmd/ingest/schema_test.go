package main

import (
	"flag"
	"testing"

	"casdelius/cmd/internal/schematest"
)

var update = flag.Bool("update", false, "rewrite the schemas of what is printed")

// printed are the lines of each command with --json. Whatever a test of this package has printed is
// held against them.
var printed = schematest.Commands{
	"rejected list": {rejectedMessage{}},
	"rejected show": {rejectedMessage{}},
}

// Catches a field that is renamed or added without its schema: somebody's program reads it.
func TestSchemasSayWhatIsPrinted(t *testing.T) {
	t.Parallel()
	printed.Check(t, "ingest", &cli{}, *update)
}
