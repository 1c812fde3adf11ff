package cmd_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// BenchmarkLive measures how many events a second are projected, and what CPU each takes of this
// process and of PostgreSQL together, from a stream that is filled to the commit in a database
// that waits for its disk:
//
//   - live: all comes while the projector follows
//   - catching up: all is there before it starts for the first time
//   - what would be written in its place, each handler as lean as its author would write it:
//     one event after the other, 16 workers by person, and batches of 64 by four workers, these
//     also pipelined. None of them has an inbox, a ledger, edits that survive, or the same rows in
//     any order
//   - the limit: every row that live has written, written anew in sets with nothing decided
//
// Events of different people follow one another as they do in life. NATS is a process of its own.
// An iteration is one round, in which all come in turn; what is told is the medians of rounds.
func BenchmarkLive(b *testing.B) {
	sizes := []int{20_000, 100_000}
	if testing.Short() {
		sizes = []int{500}
	}
	for _, events := range sizes {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			s := newStage(b, emittedEvents(events))
			s.publish(b)
			all := figures{}
			for b.Loop() {
				s.round(b, all)
			}
			all.report(b)
		})
	}
}

// round measures everything once, the unhurried on fewer events.
func (s *stage) round(b *testing.B, all figures) {
	b.Helper()
	all.add("live", s.measure(b, len(s.events), live))
	all.add("limit", s.limit(b))
	all.add("catching-up", s.measure(b, len(s.events), catchUp))
	all.add("batches", s.measure(b, len(s.events), lean(4, 64, false)))
	all.add("pipelined", s.measure(b, len(s.events), lean(4, 64, true)))
	all.add("workers", s.measure(b, min(len(s.events), 10_000), lean(16, 1, false)))
	all.add("serial", s.measure(b, min(len(s.events), 4000), lean(1, 1, false)))
	for _, ours := range []string{"live", "catching-up"} {
		for _, other := range []string{"batches", "pipelined", "workers", "serial"} {
			all.add(ours+"-times-"+other, figure{rate: all.last(ours).rate / all.last(other).rate})
		}
		all.add(ours+"-of-limit", figure{rate: all.last(ours).rate / all.last("limit").rate})
	}
}

// BenchmarkFreshness measures how long each of the events that come at 200 a second takes from
// the stream to its commit, of the projector and of handlers with one transaction an event, as in
// [BenchmarkLive]. An iteration is one round, in which all come in turn.
func BenchmarkFreshness(b *testing.B) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	s := newStage(b, emittedEvents(n))
	all := figures{}
	for b.Loop() {
		for name, run := range map[string]runner{"live": live, "workers": lean(16, 1, false), "serial": lean(1, 1, false), "pipelined": lean(16, 1, true)} {
			took := s.pace(b, 200, run)
			all.add(name+"-p50-ms", figure{rate: milliseconds(took, 50)})
			all.add(name+"-p99-ms", figure{rate: milliseconds(took, 99)})
		}
		for _, p := range []string{"p50", "p99"} {
			for _, other := range []string{"workers", "pipelined"} {
				all.add(p+"-times-"+other, figure{rate: all.last("live-"+p+"-ms").rate / all.last(other+"-"+p+"-ms").rate})
			}
		}
	}
	all.report(b)
}

// emitted is many people with their events, in the order in which these were emitted.
type emitted struct {
	people []storetest.Person
	events []store.Event
}

func asEmitted(people int) (all emitted) {
	for h := range storetest.Generate(storetest.Options{Seed: 1, People: people}) {
		all.people = append(all.people, h.Person)
		for _, e := range h.Events {
			all.events = append(all.events, e.Event)
		}
	}
	slices.SortStableFunc(all.events, func(a, b store.Event) int { return a.Emitted.Compare(b.Emitted) })
	return all
}

// emittedEvents is so many events, of as many people as it takes.
func emittedEvents(n int) emitted {
	all := asEmitted(n/8 + 1)
	all.events = all.events[:n]
	return all
}

// durableDelius is a database that waits for its disk, with these people. Events may name
// somebody by the one number or the other, so they do not tell who has both.
func durableDelius(b *testing.B, who []storetest.Person) *pgxpool.Pool {
	b.Helper()
	ctx := context.Background()
	cluster, err := postgrestest.Run(ctx, postgrestest.Options{Fsync: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, cluster.Stop()) })
	pool, err := projection.Delius(cluster.URL("postgres")).Connect(ctx, 4)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	require.NoError(b, postgrestest.CreateDelius(ctx, pool))
	require.NoError(b, postgres.Migrate(ctx, pool))
	d := postgrestest.Delius{Pool: pool}
	for _, region := range storetest.Regions() {
		for _, code := range storetest.Staff(region)[2:] {
			_, err := d.AddStaff(ctx, code)
			require.NoError(b, err)
		}
	}
	var people []postgrestest.Person
	for _, p := range who {
		people = append(people, postgrestest.Person{CRN: p.CRN, NOMS: p.NOMS, Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}})
	}
	require.NoError(b, d.AddPeople(ctx, people))
	return pool
}

// projectLiveOn gives the events a second that the projector manages on a database; committed is
// told of every step, if it is set.
func projectLiveOn(b *testing.B, events []store.Event, pool *pgxpool.Pool, committed func(projector.Applied)) float64 {
	b.Helper()
	asShipped(b)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	quiet := slog.New(slog.DiscardHandler)
	server := natstest.Start(b, natstest.Options{Lazy: true})
	log, err := jetstream.Connect(ctx, jetstream.Config{URL: server.URL(), Replicas: 1, Name: "bench"}, quiet)
	require.NoError(b, err)
	defer func() { require.NoError(b, log.Close()) }()
	require.NoError(b, log.Ensure(ctx))
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(b, err)
	var applied atomic.Int64
	all := make(chan struct{})
	applyAll := sync.OnceFunc(func() { close(all) }) // a step may find nothing more to apply after that
	stream := &backlog{Log: projection.NewLog(log), fill: func() { publishAll(b, log, slices.Values(events)) }}
	p, err := projector.New(stream, db.Ports(), projector.Config{Logger: quiet, Committed: func(a projector.Applied, _ time.Time) {
		if committed != nil {
			committed(a)
		}
		n := int64(0)
		for _, d := range a.People {
			n += int64(len(d.Applied))
		}
		if applied.Add(n) == int64(len(events)) {
			applyAll()
		}
	}})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-all
	took := time.Since(stream.followed)
	stop()
	require.NoError(b, <-done)
	return float64(len(events)) / took.Seconds()
}

// asShipped makes the garbage collector run as seldom as it does in the program.
func asShipped(b *testing.B) {
	b.Helper()
	percent := debug.SetGCPercent(300)
	b.Cleanup(func() { debug.SetGCPercent(percent) })
}

// backlog is a stream that is filled when the inbox has been held against it, so that all
// that it holds comes live.
type backlog struct {
	projector.Log
	fill     func()
	followed time.Time
}

// Follow implements projector.Log.
func (l *backlog) Follow(ctx context.Context) (projector.Follower, error) {
	l.fill()
	l.followed = time.Now()
	return l.Log.Follow(ctx)
}
