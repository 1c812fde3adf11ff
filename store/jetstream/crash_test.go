package jetstream_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// TestNoAcknowledgedEventIsLostWhenTheServerIsKilled kills a server process at random
// moments while many callers append, and looks whether the next one still has what was
// acknowledged.
func TestNoAcknowledgedEventIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acknowledged := map[string]uint64{}
	next := 0
	for range 4 {
		server, url := process(t, dir)
		log := connect(t, jetstream.Config{URL: url, Replicas: 1, Timeout: time.Second})
		require.NoError(t, log.Ensure(t.Context()))
		for _, e := range read(t, log, 0, 0) {
			require.NoError(t, e.Err)
			if sequence, ok := acknowledged[e.ID]; ok {
				require.Equal(t, sequence, e.Sequence)
			}
			delete(acknowledged, e.ID)
		}
		require.Empty(t, acknowledged, "acknowledged but gone")
		acknowledged, next = appendUntilKilled(t, log, server, next, 100+random.IntN(900))
	}
}

// appendUntilKilled appends events from next on, kills the server after so many were
// acknowledged, and returns all that were, by id, with the next unused number.
func appendUntilKilled(t *testing.T, log *jetstream.Log, server *exec.Cmd, next, after int) (map[string]uint64, int) {
	t.Helper()
	acknowledged := map[string]uint64{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for {
				mu.Lock()
				e := event(next)
				next++
				mu.Unlock()
				ack, err := log.Append(context.Background(), e)
				if err != nil {
					return
				}
				mu.Lock()
				acknowledged[e.ID] = ack.Sequence
				if len(acknowledged) == after {
					_ = server.Process.Kill() // it may have ended by itself: Wait says
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.ErrorContains(t, server.Wait(), "killed")
	require.GreaterOrEqual(t, len(acknowledged), after)
	return acknowledged, next
}

// process runs this test binary as a NATS server and returns the server's URL.
func process(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), fmt.Sprintf("%s=%s", serveDir, dir))
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill() }) // mostly killed already
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return server, strings.TrimSpace(url)
}

func TestAClusterGoesOnWithoutOneOfItsServers(t *testing.T) {
	t.Parallel()
	servers := natstest.Cluster(t)
	config := jetstream.Config{
		URL:        natstest.URLs(servers),
		MonitorURL: servers[0].MonitorURL() + "," + servers[1].MonitorURL() + "," + servers[2].MonitorURL(),
		MaxBytes:   10 << 20, RejectedMaxBytes: 1 << 20,
		Linger: 50 * time.Millisecond,
	}
	log := connect(t, config)
	require.Eventually(t, func() bool { return log.Ensure(t.Context()) == nil }, patience, 50*time.Millisecond)
	appendAtOnce(t, log, event(1), 50)
	fill(t, log, 2, 200)
	follower := follow(t, log)
	require.NoError(t, follower.Ack(fetch(t, follower, 200)))

	servers[0].Stop()
	for n := 201; n <= 210; n++ {
		require.Eventually(t, func() bool {
			_, err := log.Append(t.Context(), event(n))
			return err == nil
		}, patience, 20*time.Millisecond)
	}
	stored := read(t, log, 0, 0)
	seen := map[string]bool{}
	for _, e := range stored {
		require.False(t, seen[e.ID], "%s is stored twice", e.ID)
		seen[e.ID] = true
	}
	require.Len(t, seen, 210)
	followed := map[string]bool{}
	for len(followed) < 10 {
		for _, e := range fetch(t, follower, 1) {
			if e.Sequence > 200 {
				followed[e.ID] = true
			}
		}
	}
}

// appendAtOnce appends one event from many callers: the servers answer some of them
// that it is in flight, which is no acknowledgement; the others name one sequence.
func appendAtOnce(t *testing.T, log *jetstream.Log, e *store.Event, callers int) {
	t.Helper()
	acks := make([]store.Ack, callers)
	errs := make([]error, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() { acks[i], errs[i] = log.Append(t.Context(), e) })
	}
	group.Wait()
	first := 0
	for i, ack := range acks {
		if errs[i] != nil {
			require.ErrorIs(t, errs[i], jetstream.ErrUnavailable)
			continue
		}
		require.Equal(t, uint64(1), ack.Sequence)
		if !ack.Duplicate {
			first++
		}
	}
	require.Equal(t, 1, first)
}
