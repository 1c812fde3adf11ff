package main

import (
	"bytes"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/deploytest"
)

// Catches a variable of the charts that the command does not read: it would be without what it says.
func TestTheChartsSetOnlyVariablesThatTheHelpNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ command, part, generic, has string }{
		{"run", "projector", "values-projector.yaml", "MESSAGING_PRODUCER_TOPIC"},
		{"console", "console", "values-console.yaml", "CONSOLE_WRITER_DATABASE_URL"},
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

// Catches a console that the charts give too little to start with, such as a sign-in without the
// database of its sessions: the one that has no sign-in serves nobody beyond its own container.
func TestTheChartsConsoleSignsUsersIn(t *testing.T) {
	t.Parallel()
	set := deploytest.Values(t, "../../deploy", "console")
	given := func(f *kong.Flag) string {
		for _, variable := range f.Envs {
			if value := set[variable]; value != "" {
				return value
			}
		}
		return ""
	}
	var c consoleCommand
	parser, err := kong.New(&c, kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		if value := given(f); value != "" {
			return value, nil
		}
		return nil, nil //nolint:nilnil // the default
	})))
	require.NoError(t, err)
	_, err = parser.Parse(nil)
	require.NoError(t, err)
	require.Equal(t, ":8080", c.Address)
	require.NoError(t, c.Faults())
	require.NotNil(t, c.signIn())

	c.Writer = ""
	require.ErrorContains(t, c.Faults(), "CONSOLE_WRITER_DATABASE_URL")
}
