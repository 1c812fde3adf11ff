package command_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
)

// healthcheck runs the command as a program does.
func healthcheck(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var cli struct {
		Healthcheck command.Healthcheck `cmd:""`
	}
	var out, errs bytes.Buffer
	code = command.Main(t.Context(), "name", "", &cli, append([]string{"healthcheck"}, args...), &out, &errs,
		func(_ context.Context, k *kong.Context, _, _ *command.Output) error { return k.Run() })
	return code, out.String(), errs.String()
}

// Catches one that only looks whether the port is open, and one that asks for liveness: both say
// that a service is well which is still starting.
func TestTheHealthcheckTellsWhetherTheServiceIsReady(t *testing.T) {
	t.Parallel()
	e, err := service.Serve("name", command.HTTP{Address: ":0"}.At(), service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	_, port, err := net.SplitHostPort(e.Address())
	require.NoError(t, err)

	code, _, stderr := healthcheck(t, "--http-address", ":"+port)
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stderr, "the service is starting")

	e.Started(service.Check{Name: "database", Serving: true, Run: func(context.Context) error { return nil }})
	for _, address := range []string{":" + port, "0.0.0.0:" + port, "[::]:" + port, "localhost:" + port} {
		code, stdout, stderr := healthcheck(t, "--http-address", address)
		require.Equal(t, service.ExitOK, code, stderr)
		require.Contains(t, stdout, `"database":{"status":"UP"}`)
	}

	e.Started(service.Check{Name: "database", Serving: true, Run: func(context.Context) error { return errors.New("connection lost") }})
	code, _, stderr = healthcheck(t, "--http-address", ":"+port)
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stderr, "connection lost")

	e.Close()
	code, _, stderr = healthcheck(t, "--http-address", ":"+port)
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stderr, "is it running?")
}
