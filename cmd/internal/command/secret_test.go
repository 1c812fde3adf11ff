package command_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/command"
)

// Whoever lists processes reads the command line. Catches a flag that takes a secret, and a text
// about it that repeats it.
func TestSecretsAreRefusedOnTheCommandLine(t *testing.T) {
	t.Parallel()
	var cli struct {
		Secret   string   `env:"T_SECRET" secret:"all"`
		Bases    []string `env:"T_BASES" secret:"user"`
		Servers  string   `env:"T_SERVERS" secret:"user"`
		Database string   `env:"T_DATABASE" secret:"password"`
	}
	code := func(arg string) (int, string) {
		var out, errs bytes.Buffer
		code := command.Main(t.Context(), "program", "", &cli, []string{arg}, &out, &errs, func(context.Context, *kong.Context, *command.Output, *command.Output) error { return nil })
		return code, errs.String()
	}
	for arg, variable := range map[string]string{
		"--secret=hidden": "T_SECRET",
		"--bases=https://cas,https://me:hidden@cas":           "T_BASES",
		"--bases=https://hidden@cas":                          "T_BASES",
		"--servers=nats://one:4222,nats://hidden@two:4222":    "T_SERVERS",
		"--servers=nats://me:hid%zzden@two:4222":              "T_SERVERS",
		"--servers=me:hidden@two":                             "T_SERVERS",
		"--database=postgres://me:hidden@host/db":             "T_DATABASE",
		"--database=postgres://me@host/db?password=hidden":    "T_DATABASE",
		"--database=postgres://me@host/db?sslpassword=hidden": "T_DATABASE",
		"--database=host=localhost user=me PASSWORD=hidden":   "T_DATABASE",
		"--database=postgres://me:hid%zzden@host/db":          "T_DATABASE",
	} {
		got, said := code(arg)
		require.Equal(t, 1, got, arg)
		require.Contains(t, said, "set "+variable+" instead", arg)
		require.NotContains(t, said, "hid", arg)
	}
	for _, arg := range []string{"--bases=https://cas", "--servers=nats://one:4222,tls://two:4222", "--database=postgres://me@host/db?passfile=/secret/file", "--database=host=localhost user=me"} {
		got, said := code(arg)
		require.Zero(t, got, "%s: %s", arg, said)
	}
}
