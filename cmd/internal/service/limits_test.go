package service_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/service"
)

// patience is for what has to happen.
const patience = 60 * time.Second

func serve(t *testing.T, limits service.Limits) *service.Endpoints {
	t.Helper()
	e, err := service.Serve("name", at("127.0.0.1:0"), service.Registry(), slog.New(slog.DiscardHandler), limits)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

// Catches checks that share one time limit, or that are run in turn: those after one that hangs
// are then said to be down, too; and an answer that waits for a check that heeds no context.
func TestChecksThatHangLeaveTheOthersUp(t *testing.T) {
	t.Parallel()
	e := serve(t, service.Limits{Check: time.Second})
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	well := func(ctx context.Context) error { return ctx.Err() }
	e.Started(
		service.Check{Name: "heedless", Serving: true, Run: func(context.Context) error { <-release; return nil }},
		service.Check{Name: "patient", Serving: true, Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		service.Check{Name: "queue", Serving: true, Run: well},
		service.Check{Name: "database", Run: well},
	)
	for range 2 {
		code, body := get(t, e, "/health")
		require.Equal(t, http.StatusServiceUnavailable, code)
		var answer struct {
			Components map[string]struct{ Status string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		parts := map[string]string{}
		for name, part := range answer.Components {
			parts[name] = part.Status
		}
		require.Equal(t, map[string]string{"heedless": "DOWN", "patient": "DOWN", "queue": "UP", "database": "UP"}, parts, body)
		require.Contains(t, body, "no answer within 1s")
	}
}

// Catches a new goroutine for every probe of a part that hangs, so that probes use up memory
// for as long as the part does.
func TestACheckThatHangsIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	e := serve(t, service.Limits{Check: time.Millisecond})
	release, begun := make(chan struct{}), make(chan struct{}, 100)
	t.Cleanup(func() { close(release) })
	e.Started(service.Check{Name: "heedless", Serving: true, Run: func(context.Context) error {
		begun <- struct{}{}
		<-release
		return nil
	}})
	for range 10 {
		code, _ := get(t, e, "/health/readiness")
		require.Equal(t, http.StatusServiceUnavailable, code)
	}
	require.Len(t, begun, 1)
}

// idle opens connections: half of them never ask anything, the others ask once and keep theirs.
func idle(t *testing.T, address string, n int) {
	t.Helper()
	for i := range n {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		if i%2 == 0 {
			_, err := fmt.Fprint(conn, "GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
		}
	}
}

// Catches connections that are not bounded, each of which costs a goroutine and its buffers,
// and idle ones that are never closed: then nobody else is ever answered.
func TestIdleConnectionsAreBoundedAndMakeRoom(t *testing.T) {
	t.Parallel()
	const most, many = 10, 300
	e := serve(t, service.Limits{Connections: most, ReadHeader: 100 * time.Millisecond, Read: 100 * time.Millisecond, Idle: 100 * time.Millisecond})
	idle(t, e.Address(), many)
	require.Eventually(t, func() bool {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + e.Address() + "/health/liveness")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, patience, 10*time.Millisecond)
	require.LessOrEqual(t, serving(), 2*most, "goroutines that serve connections")
}

// serving counts the goroutines that serve a connection of any server in this process; the
// tests beside this one have a handful.
func serving() (n int) {
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	const serve = "net/http.(*conn).serve("
	for i := 0; i+len(serve) <= len(stacks); i++ {
		if string(stacks[i:i+len(serve)]) == serve {
			n++
		}
	}
	return n
}

// Catches a server without time limits by default: a connection that sends half a request, or
// none, stays for ever.
func TestAConnectionThatSendsNothingIsClosed(t *testing.T) {
	t.Parallel()
	e := serve(t, service.Limits{ReadHeader: 20 * time.Millisecond, Read: 20 * time.Millisecond})
	for _, begins := range []string{"", "GET /health HTTP/1.1\r\nHost: x\r\n"} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", e.Address())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprint(conn, begins)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		reader := bufio.NewReader(conn)
		for err == nil {
			_, err = reader.ReadByte()
		}
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it was not closed")
	}
}
