//go:build torture

package jetstream_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/torturetest"
)

// kills is how often the whole torture kills servers, in so many clusters at once: most of the
// time they only wait for a new leader.
const kills, clusters = 60, 4

// TestTortureKillsOfACluster kills one to three of three servers at once, again and again, with
// many acknowledgements in flight: half of it as ingest appends, whose circuit breaker lets one
// try again at a time, and half with everybody at once.
func TestTortureKillsOfACluster(t *testing.T) {
	t.Parallel()
	for n := range clusters {
		name, probing := "with the breaker's leave", true
		if n%2 == 0 {
			name, probing = "without the breaker's leave", false
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, natstest.Options{}, 3, t.TempDir(), t.TempDir(), t.TempDir())
			l := &load{append: appendTo(c.log), probing: probing}
			random := torturetest.Random(t)
			rounds := torturetest.Part(t, kills/clusters)
			c.kill(t, l, random, rounds, func() int { return 1 + random.IntN(len(c.servers)) })
			torturetest.Figure(t, "kills of one to three servers", rounds)
			torturetest.Figure(t, "acknowledged", len(l.acknowledged))
			torturetest.Figure(t, "appended again after an unknown end", l.retried)
			l.requireKept(t, c.log)
		})
	}
}

// TestTortureControlKillsCatchWhatWasOnlySent: a log that takes for acknowledged what a
// server has only received.
func TestTortureControlKillsCatchWhatWasOnlySent(t *testing.T) {
	t.Parallel()
	torturetest.RequireCaught(t, "acknowledged but gone", func(tb testing.TB) {
		c := startCluster(tb, natstest.Options{}, 3, tb.TempDir(), tb.TempDir(), tb.TempDir())
		conn, _ := raw(tb, c.urls)
		l := &load{append: sendTo(conn)}
		c.kill(tb, l, torturetest.Random(tb), 2, func() int { return len(c.servers) })
		l.requireKept(tb, c.log)
	})
}

// sendTo publishes and waits for no acknowledgement, only until a server has it.
func sendTo(conn *nats.Conn) func(context.Context, *store.Event) (uint64, error) {
	return func(ctx context.Context, e *store.Event) (uint64, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		header := nats.Header(e.Header())
		header.Set(js.MsgIDHeader, e.Key().MessageID())
		if err := conn.PublishMsg(&nats.Msg{Subject: e.Key().Subject(), Header: header, Data: e.Body}); err != nil {
			return 0, err
		}
		return 0, conn.FlushWithContext(ctx)
	}
}

// cluster is three servers in processes of their own, and a log on them.
type cluster struct {
	servers []*natstest.Process
	urls    string
	log     *jetstream.Log
}

func startCluster(tb testing.TB, o natstest.Options, replicas int, dirs ...string) cluster {
	tb.Helper()
	c := cluster{servers: natstest.Processes(tb, o, dirs...)}
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.URL())
	}
	c.urls = strings.Join(urls, ",")
	c.log = connect(tb, jetstream.Config{URL: c.urls, Replicas: replicas, Timeout: 2 * time.Second})
	c.ensure(tb)
	return c
}

// ensure waits until the cluster has a leader and the log its streams.
func (c cluster) ensure(tb testing.TB) {
	tb.Helper()
	require.Eventually(tb, func() bool { return c.log.Ensure(context.Background()) == nil }, 4*patience, 50*time.Millisecond)
}

// kill appends, kills as many of the servers as are chosen and starts them again, so many
// times.
func (c cluster) kill(tb testing.TB, l *load, random *rand.Rand, rounds int, choose func() int) {
	tb.Helper()
	l.start(tb)
	for range rounds {
		l.after(tb, inFlight+random.IntN(10*inFlight))
		var some []*natstest.Process
		for _, i := range random.Perm(len(c.servers))[:choose()] {
			some = append(some, c.servers[i])
		}
		killAll(some)
		if len(some) == 1 && random.IntN(2) == 0 {
			l.after(tb, inFlight) // two go on
		}
		require.NoError(tb, natstest.StartAll(some...))
	}
	l.after(tb, inFlight)
	l.stop()
}

// killAll kills servers at once.
func killAll(servers []*natstest.Process) {
	gone := make(chan struct{})
	for _, s := range servers {
		go func() { s.Kill(); gone <- struct{}{} }()
	}
	for range servers {
		<-gone
	}
}
