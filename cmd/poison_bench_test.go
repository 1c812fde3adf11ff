package cmd_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// BenchmarkPoison measures how long events that come at 100 a second take from the stream to their
// commit, 99 of 100 of them, where another one of a hundred is poison that cannot be applied, some
// of each kind, against none: the median of five runs of each, in turn. What is poison stays so:
// what came in one run is still tried again in the next.
func BenchmarkPoison(b *testing.B) {
	asShipped(b)
	live, rounds := 2000, 5
	if testing.Short() {
		live, rounds = 200, 1
	}
	for b.Loop() {
		var without, with []time.Duration
		clean, poisoned := newSteady(b, live, rounds), newSteady(b, live, rounds)
		clean.poison = nil
		for range rounds {
			without = append(without, p99(clean.project(b)))
			with = append(with, p99(poisoned.project(b)))
		}
		clean.end()
		poisoned.end()
		b.Logf("without %s, with %s", without, with)
		b.ReportMetric(float64(median(without).Microseconds())/1000, "without-p99-ms")
		b.ReportMetric(float64(median(with).Microseconds())/1000, "with-p99-ms")
		b.ReportMetric(float64(median(with))/float64(median(without)), "times-without")
	}
}

// steady is a stream into which events come at a steady rate, and a Delius where what is poison
// stays so until its end.
type steady struct {
	pool   *pgxpool.Pool
	log    *jetstream.Log
	live   int           // events of one run
	events []store.Event // still to come
	poison []store.Event // still to come
	end    func()
}

// newSteady makes up the events of some runs.
func newSteady(b *testing.B, live, rounds int) *steady {
	b.Helper()
	all, bad := asEmitted(rounds*live/10), newPoison(rounds*live/100/poisons+1)
	s := &steady{
		pool: durableDelius(b, slices.Concat(all.people, bad.inDelius())), log: connect(b, natstest.Start(b)),
		live: live, events: all.events, poison: bad.events,
	}
	require.NoError(b, s.log.Ensure(ctx))
	s.end = bad.stand(b, s.pool)
	return s
}

// project projects the events of one run, and gives how long each took that is not poison.
func (s *steady) project(b *testing.B) []time.Duration {
	b.Helper()
	running, stop := context.WithCancel(ctx)
	defer stop()
	db, err := postgres.New(ctx, s.pool, postgres.Config{})
	require.NoError(b, err)
	var good awaited
	first := s.next(20)
	good.await(first)
	stream := &backlog{Log: projection.NewLog(s.log), fill: func() { publishAll(b, s.log, slices.Values(first)) }}
	p, err := projector.New(stream, db.Ports(), projector.Config{Logger: slog.New(slog.DiscardHandler), Committed: good.committed})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(running) }()
	good.over() // it runs
	events := s.next(s.live - len(first))
	good.await(events)
	publishAll(b, s.log, paced(s.spoilt(events), 100))
	took := good.over()
	stop()
	require.NoError(b, <-done)
	return took
}

// next are so many of the events still to come.
func (s *steady) next(n int) []store.Event {
	events := slices.Clone(s.events[:n])
	s.events = s.events[n:]
	return events
}

// spoilt are events with poison among them, one to a hundred of these, for as long as there is any.
func (s *steady) spoilt(events []store.Event) (mixed []store.Event) {
	for i := range events {
		if i%100 == 50 && len(s.poison) > 0 {
			mixed = append(mixed, s.poison[0])
			s.poison = s.poison[1:]
		}
		mixed = append(mixed, events[i])
	}
	return mixed
}

// awaited are events of which it is looked how long each takes.
type awaited struct {
	mu   sync.Mutex
	left map[store.Key]bool
	took []time.Duration
	all  chan struct{} // closed when none is left
}

// await has these events be waited for.
func (a *awaited) await(events []store.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left, a.took, a.all = map[store.Key]bool{}, nil, make(chan struct{})
	for i := range events {
		a.left[events[i].Key()] = true
	}
}

func (a *awaited) committed(applied projector.Applied, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range applied.People {
		for _, f := range d.Applied {
			if !a.left[f.Key] {
				continue
			}
			a.took = append(a.took, at.Sub(f.Stored))
			if delete(a.left, f.Key); len(a.left) == 0 {
				close(a.all)
			}
		}
	}
}

// over waits until none is left, and gives how long each took.
func (a *awaited) over() []time.Duration {
	<-a.all
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.took
}
