package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/deploytest"
)

// Catches a variable of the charts that the command does not read: it would be without what it says.
func TestTheChartsSetOnlyVariablesThatTheHelpNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ command, part, generic, has string }{
		{"run", "projector", "values-projector.yaml", "MESSAGING_PRODUCER_TOPIC"},
		{"migrate", "migrate", "", "DELIUS_DATABASE_URL"},
	} {
		var out, errs bytes.Buffer
		for _, args := range [][]string{{"--help"}, {c.command, "--help"}} {
			require.Zero(t, run(t.Context(), args, &out, &errs))
		}
		known := deploytest.Known(out.String())
		require.True(t, known[c.has], out.String())
		set := deploytest.Variables(t, "../../deploy", c.generic, c.part)
		require.Contains(t, set, c.has)
		for variable, where := range set {
			require.True(t, known[variable], "%s sets %s, which projector %s --help does not name", where, variable, c.command)
		}
	}
}
