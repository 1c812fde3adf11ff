package main

import (
	"testing"

	"casdelius/cmd/internal/schematest"
	"casdelius/projector/audit"
	"casdelius/projector/inspect"
)

// printed are the lines of each command with --json. Whatever a test of this package has printed is
// held against them.
var printed = schematest.Commands{
	"plan":           {inspect.PlanRow{}, inspect.Total{}},
	"rebuild":        {inspect.PlanRow{}, inspect.Total{}},
	"status":         {inspect.Status{}},
	"verify":         {inspect.FindingLine{}, inspect.VerdictLine{}},
	"history":        {inspect.EventLine{}, inspect.StateLine{}, inspect.ExplainedLine{}},
	"parked list":    {inspect.ParkedLine{}},
	"conflicts list": {inspect.Conflict{}},
	"audit":          {audit.Entry{}},
	"notices":        {inspect.NoticeLine{}},
	"adopt-stream":   {adoption{}},
}

// Catches a field that is renamed or added without its schema: somebody's program reads it.
func TestSchemasSayWhatIsPrinted(t *testing.T) {
	t.Parallel()
	printed.Check(t, "projector", &cli{}, *update)
}
