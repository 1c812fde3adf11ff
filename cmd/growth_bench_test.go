package cmd_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// BenchmarkLiveBesideRebuild measures how long live events take from the stream to
// their commit, 99 of 100 of them, while rebuilds follow one another at half the speed
// that they reach alone, against none running: the median of five runs of each, in turn.
func BenchmarkLiveBesideRebuild(b *testing.B) {
	live := 1000
	if testing.Short() {
		live = 100
	}
	bySize(b, func(b *testing.B, program string, events int) {
		for b.Loop() {
			measureBeside(b, program, events, live)
		}
	})
}

func measureBeside(b *testing.B, program string, size, live int) {
	b.Helper()
	l := newLarge(b, program, size)
	l.rebuild(b)
	rate := float64(size) / l.rebuild(b).took.Seconds() / 2
	l.project(b, l.raise(b, live), 0) // the new consumer has all that is old to pass
	var alone, beside []time.Duration
	for range 5 {
		took, _ := l.project(b, l.raise(b, live), 100)
		alone = append(alone, p99(took))
		rebuilding, stop := context.WithCancel(ctx)
		var group sync.WaitGroup
		group.Go(func() {
			for rebuilding.Err() == nil {
				_ = l.command(rebuilding, "rebuild", fmt.Sprintf("--rate=%.0f", rate), "--restart").Run() // it is killed at the end
			}
		})
		took, _ = l.project(b, l.raise(b, live), 100)
		beside = append(beside, p99(took))
		stop()
		group.Wait()
	}
	b.Logf("alone %s, beside %s", alone, beside)
	b.ReportMetric(float64(median(alone).Microseconds())/1000, "alone-p99-ms")
	b.ReportMetric(float64(median(beside).Microseconds())/1000, "beside-p99-ms")
	b.ReportMetric(float64(median(beside))/float64(median(alone)), "times-alone")
}

// BenchmarkLiveGrowth measures what a live event costs where the stream and the tables
// are large, as large as any of the sizes, against where they are small: the median of
// five runs on each, in turn.
func BenchmarkLiveGrowth(b *testing.B) {
	small, big, live := 10_000, slices.Max(streamSizes(b)), 5000
	if testing.Short() {
		small, live = 1000, 500
	}
	program := buildProjector(b)
	for b.Loop() {
		var took [2][]time.Duration
		var sizes [2]*large
		for i, events := range []int{small, big} {
			sizes[i] = newLarge(b, program, events)
			sizes[i].rebuild(b)
			sizes[i].exec(b, "vacuum analyze") // as in tables that have stood for a while
			sizes[i].exec(b, "checkpoint")
			sizes[i].project(b, sizes[i].raise(b, live), 0) // as in a service that has run for a while; the new consumer has all that is old to pass
		}
		for range 5 {
			for i, l := range sizes {
				_, each := l.project(b, l.raise(b, live), 0)
				took[i] = append(took[i], each)
			}
		}
		b.Logf("small %s, big %s", took[0], took[1])
		b.ReportMetric(float64(median(took[0]).Microseconds()), "small-µs/event")
		b.ReportMetric(float64(median(took[1]).Microseconds()), "big-µs/event")
		b.ReportMetric(float64(median(took[1]))/float64(median(took[0])), "times-small")
	}
}

// raise gives events of people whom no event named before, in the order in which they
// are emitted.
func (l *large) raise(b *testing.B, n int) (events []store.Event) {
	b.Helper()
	l.raised++
	var people []postgrestest.Person
	for h := range storetest.Generate(storetest.Options{Seed: 1000 + uint64(l.raised), First: 1_000_000 * l.raised, People: n / 10}) {
		people = append(people, inDelius(h.Person))
		for _, e := range h.Events {
			events = append(events, e.Event)
		}
	}
	require.NoError(b, postgrestest.Delius{Pool: l.pool}.AddPeople(ctx, people))
	slices.SortStableFunc(events, func(a, b store.Event) int { return a.Emitted.Compare(b.Emitted) })
	return events[:min(n, len(events))]
}

func median(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}

// project projects events live. With a rate, so many are published a second once it runs,
// and it gives how long each that it applied took from the stream to its commit. Without
// they are all in the stream when it begins to follow, and it gives the time for each.
func (l *large) project(b *testing.B, events []store.Event, rate int) (took []time.Duration, each time.Duration) {
	b.Helper()
	asShipped(b)
	running, stop := context.WithCancel(ctx)
	defer stop()
	db, err := postgres.New(ctx, l.live, postgres.Config{})
	require.NoError(b, err)
	var mu sync.Mutex
	var last time.Time
	before, err := l.log.Info(ctx)
	require.NoError(b, err)
	first := events
	if rate > 0 {
		first = events[:min(20, len(events)/2)] // until it runs
	}
	stream := &backlog{Log: projection.NewLog(l.log), fill: func() { publishAll(b, l.log, slices.Values(first)) }}
	p, err := projector.New(stream, db.Ports(), projector.Config{Logger: slog.New(slog.DiscardHandler), Committed: func(a projector.Applied, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		last = at
		for _, d := range a.People {
			for _, f := range d.Applied {
				took = append(took, at.Sub(f.Stored))
			}
		}
	}})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(running) }()
	applied := func(n int) { // a rebuild beside takes some of the events
		require.Eventually(b, func() bool {
			is := 0
			err := l.pool.QueryRow(ctx, "select count(*) from projection.applied where sequence > $1", before.LastSequence).Scan(&is)
			return err == nil && is == n
		}, 10*time.Minute, 20*time.Millisecond)
	}
	applied(len(first))
	mu.Lock()
	each = last.Sub(stream.followed) / time.Duration(len(first))
	if rate > 0 {
		took = nil
	}
	mu.Unlock()
	if rate > 0 {
		publishAll(b, l.log, paced(events[len(first):], rate))
		applied(len(events))
	}
	stop()
	require.NoError(b, <-done)
	return took, each
}

// paced gives so many events a second.
func paced(events []store.Event, rate int) iter.Seq[store.Event] {
	return func(yield func(store.Event) bool) {
		pace := time.NewTicker(time.Second / time.Duration(rate))
		defer pace.Stop()
		for _, e := range events {
			if <-pace.C; !yield(e) {
				return
			}
		}
	}
}

// p99 is what 99 of 100 stay below.
func p99(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)*99/100]
}
