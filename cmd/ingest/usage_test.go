package main

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/service"
	"casdelius/store"
	"casdelius/store/jetstream/natstest"
)

func TestBlankValuesAreWrongUsage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, blank := range []string{"", " "} {
		for _, args := range [][]string{
			{"rejected", "list", "--reason"},
			{"rejected", "replay", "--reason"},
			{"rejected", "replay"},
			{"rejected", "show"},
			{"import"},
			{"run", "--messaging-consumer-queue"},
			{"run", "--http-address"},
			{"rejected", "list", "--nats-creds"},
		} {
			code, stdout, stderr := w.tool(t, append(args, blank)...)
			require.Equal(t, service.ExitError, code, "%q %q: %s", args, blank, stdout)
			require.Contains(t, stderr, fmt.Sprintf("%q", blank), "%q", args)
		}
	}
}

func TestAnOddIntervalOfCanariesIsNamed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, interval := range []string{"-1s", "10ms"} {
		code, _, stderr := w.tool(t, "run", "--canary-interval="+interval)
		require.Equal(t, service.ExitError, code)
		require.Contains(t, stderr, "CANARY_INTERVAL is "+interval)
	}
}

func TestRejectedMessagesDoNotSteerATerminal(t *testing.T) {
	t.Parallel()
	w := setup(t)
	require.NoError(t, w.log.Reject(t.Context(), store.Rejection{
		Reason: store.Malformed, Problem: "no\tJSON:\n\x1b[2J", MessageID: "a\u202eb", ReceiveCount: 1, Body: []byte("\x1b]0;title\a\nsecond line"),
	}))
	code, stdout, stderr := w.tool(t, "rejected", "list")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `no\tJSON:\n\x1b[2J`)
	code, stdout, stderr = w.tool(t, "rejected", "show", "1")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `a\u202eb`)
	require.Contains(t, stdout, "\\x1b]0;title\\x07\nsecond line\n")
	require.NotContains(t, stdout, "\x1b")
}

func TestTheServiceSaysAtOnceThatOneServerCannotReplicate(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	s := &session{cli: &cli{}, logger: slog.New(slog.DiscardHandler)}
	s.NATS.URL, s.NATS.MonitorURL, s.Stream.Replicas = server.URL(), "http://"+freeAddress(t), 3
	log, err := s.awaitLog(t.Context(), nil)
	require.Nil(t, log)
	require.ErrorContains(t, err, "STREAM_REPLICAS: have 3, but no cluster")
	require.ErrorContains(t, err, server.URL())
}
