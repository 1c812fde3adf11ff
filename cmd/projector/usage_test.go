package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/service"
	"casdelius/projector/audit"
	"casdelius/projector/delius"
)

// Catches an error that leads to the help of all commands, or to that of a command which nobody
// typed because it is the default.
func TestWrongUsageLeadsToTheCommandsHelp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for tried, help := range map[string]string{
		"histroy":                                  "projector",
		"--hurry":                                  "projector",
		"run --hurry":                              "projector run",
		"parked --hurry":                           "projector parked",
		"parked list --cause bad-luck":             "projector parked list",
		"parked --cause bad-luck":                  "projector parked",
		"parked retry":                             "projector parked retry",
		"conflicts restore":                        "projector conflicts restore",
		"conflicts restore seventeen":              "projector conflicts restore",
		"history nobody":                           "projector history",
		"migrate --notices=maybe":                  "projector migrate",
		"verify --accept-loss 2 --nats-url nats:x": "projector verify",
		"audit --limit 0":                          "projector audit",
	} {
		code, _, stderr := w.tool(strings.Fields(tried)...)
		require.Equal(t, 1, code, tried)
		require.True(t, strings.HasSuffix(stderr, "\nTry "+help+" --help.\n"), "%s: %s", tried, stderr)
	}
	code, _, stderr := w.tool("verify", "--nats-url", "nats://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.NotContains(t, stderr, "--help", "nobody mistyped anything")
}

// Catches a health check that needs what only the service does: in a container without the
// database's URL, or with one that is wrong, it would say that the service is not ready.
func TestTheHealthcheckNeedsNothingButTheAddress(t *testing.T) {
	t.Parallel()
	e, err := service.Serve("projector", service.Address{Value: "127.0.0.1:0"}, service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	e.Started()
	code, stdout, stderr := tool(t, "healthcheck", "--http-address", e.Address(), "--nats-url", "http://none")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `"UP"`)
}

// Catches errors of the console that name the variable of the service's database.
func TestTheConsolesErrorsNameItsOwnVariables(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const nowhere = "postgres://127.0.0.1:1/elsewhere?sslmode=disable"
	for says, args := range map[string][]string{
		"at 127.0.0.1:1 (CONSOLE_DATABASE_URL)":                        {"--database-url", nowhere},
		"CONSOLE_DATABASE_URL is no database URL: want postgres":       {"--database-url", "postgres://user@:::"},
		"at 127.0.0.1:1 (CONSOLE_WRITER_DATABASE_URL)":                 {"--writer-database-url", nowhere},
		"CONSOLE_WRITER_DATABASE_URL is no database URL":               {"--writer-database-url", "postgres://user@:::"},
		"CONSOLE_OIDC_CLIENT_SECRET_FILE: open /none/of/it: no such f": {"--oidc-client-secret-file", "/none/of/it"},
	} {
		code, _, stderr := w.tool(append([]string{"console", "--address", "127.0.0.1:0"}, args...)...)
		require.Equal(t, 1, code, says)
		require.Contains(t, stderr, says)
		require.NotContains(t, stderr, "DELIUS_DATABASE_URL)")
	}
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("hidden\n"), 0o600))
	c := consoleCommand{Address: "127.0.0.1:0", File: file, Issuer: "https://issuer"}
	require.Error(t, c.Faults(), "the others are missing")
	require.Equal(t, "hidden", c.signIn().ClientSecret)
}

// Catches a migration that turns something for everybody, and nobody knows who did.
func TestMigrateLeavesAnEntryOfWhatItTurns(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, args := range [][]string{{"--notices=on"}, {"--notices=on"}, {"--allow-older"}, {}} {
		code, _, stderr := w.tool(append([]string{"migrate", "--nats-url", "nats://127.0.0.1:1", "--as", "jane.smith", "--why", "the switch-over"}, args...)...)
		require.Zero(t, code, stderr)
	}
	code, stdout, stderr := w.tool("audit", "--json", "--by", "jane.smith")
	require.Zero(t, code, stderr)
	var told []string
	for d := json.NewDecoder(strings.NewReader(stdout)); d.More(); {
		var e audit.Entry
		require.NoError(t, d.Decode(&e))
		require.Equal(t, "the switch-over", e.Why)
		told = append(told, e.What+" "+string(e.Detail))
	}
	require.Equal(t, []string{
		fmt.Sprintf(`allow-older {"outcome":"done","foldVersion":%d}`, delius.FoldVersion),
		`notices {"keep":"on","outcome":"was so already"}`,
		`notices {"keep":"on","outcome":"done"}`,
	}, told)
}
