package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/deploytest"
)

// Catches a variable of the charts that the program does not read: it would be without what it says.
func TestTheChartsSetOnlyVariablesThatTheHelpNames(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	for _, args := range [][]string{{"--help"}, {"run", "--help"}} {
		require.Zero(t, run(t.Context(), args, &out, &errs))
	}
	known := deploytest.Known(out.String())
	require.True(t, known["MESSAGING_CONSUMER_QUEUE"], out.String())
	set := deploytest.Variables(t, "../../deploy", "values-ingest.yaml", "ingest")
	require.Contains(t, set, "MESSAGING_CONSUMER_QUEUE")
	for variable, where := range set {
		require.True(t, known[variable], "%s sets %s, which ingest --help does not name", where, variable)
	}
}
