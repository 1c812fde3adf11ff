package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/service"
	"casdelius/cmd/internal/terminaltest"
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

// Catches a list that is as wide as its longest problem, and one that is cut where it is no
// terminal.
func TestRejectedMessagesFitTheTerminal(t *testing.T) {
	t.Parallel()
	w := setup(t)
	problem := strings.TrimSpace(strings.Repeat("the detail answers with a status that is no success ", 4))
	require.NoError(t, w.log.Reject(t.Context(), store.Rejection{Reason: store.DetailRefused, Problem: problem, MessageID: "0b8a3f6e-5d0c-4a53-9c1f-2f4a4c1e7d11", ReceiveCount: 10, Body: []byte("{}")}))
	for columns, begin := range map[uint16]string{60: "SEQ      1\nSTORED   ", 80: "SEQ  STORED  ", 160: "SEQ  STORED  "} {
		for _, command := range []string{"list", "show"} {
			terminal := terminaltest.New(t, columns, 24)
			args := []string{"rejected", command, "--nats-url", w.nats.URL(), "--stream-replicas=1"}
			if command == "show" {
				args = append(args, "1")
			}
			require.Zero(t, run(t.Context(), args, terminal.File, io.Discard))
			screen := terminaltest.Plain(terminal.Close())
			terminaltest.RequireFits(t, screen, int(columns))
			if command == "list" {
				require.True(t, strings.HasPrefix(screen, begin), screen)
			}
			require.Regexp(t, `\d+ \w+ 20\d\d \d\d:\d\d(:\d\d)? (GMT|BST)`, screen)
			require.NotContains(t, screen, problem)
		}
	}
	code, stdout, stderr := w.tool(t, "rejected", "list")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "  RECEIVES  ")
	require.Contains(t, stdout, problem)
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
