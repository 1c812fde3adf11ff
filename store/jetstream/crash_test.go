package jetstream_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/torturetest"
)

// Caught: a log that acknowledges what it has only sent.
func TestNoAcknowledgedEventIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	random := torturetest.Random(t)
	server := natstest.Processes(t, natstest.Options{}, t.TempDir())[0]
	log := connect(t, jetstream.Config{URL: server.URL(), Replicas: 1, Timeout: time.Second})
	require.NoError(t, log.Ensure(t.Context()))
	l := &load{append: appendTo(log)}
	l.start(t)
	for range 4 {
		l.after(t, 100+random.IntN(900))
		server.Kill()
		require.NoError(t, natstest.StartAll(server))
	}
	l.stop()
	l.requireKept(t, log)
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
