package ingest

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store/torturetest"
)

// outages are the parts that ingest cannot do without, each with what it says while it is down.
var outages = map[string]func(*fake){
	"SQS":     func(f *fake) { f.queue = func() error { return ErrUnavailable } },
	"CAS API": func(f *fake) { f.fetch = unavailable },
	"token": func(f *fake) {
		f.fetch = func(string) error { return &DetailError{Fault: TokenUnavailable, Err: errors.New("500")} }
	},
	"NATS":        func(f *fake) { f.append = func() error { return ErrUnavailable } },
	"CAS and SQS": func(f *fake) { f.fetch, f.queue = unavailable, func() error { return ErrUnavailable } },
}

// inHand is how many messages the service has in hand.
func (s *Service) inHand() int {
	s.extender.mu.Lock()
	defer s.extender.mu.Unlock()
	return len(s.extender.jobs)
}

// day lets a part fail for a day, that began under load, while messages come, and lets the
// service have an hour for what has piled up. It gives the most messages that were in hand at
// any time of the outage.
func (f *fake) day(s *Service, down func(*fake)) (most int) {
	f.slow = time.Second
	f.send(600)
	pass(time.Minute)
	f.set(down)
	f.send(1000)
	pass(time.Minute)
	for range 24 * 6 {
		f.send(1)
		pass(10 * time.Minute)
		most = max(most, s.inHand())
	}
	f.set(func(f *fake) { f.fetch, f.append, f.queue = nil, nil, nil })
	pass(time.Hour)
	return most
}

// forADay is as in production, but that fewer than the backlog are in hand at once.
func forADay() Config {
	cfg := DefaultConfig()
	cfg.InHand = 128
	return cfg
}

// requireNothingGivenUp holds that every message was stored, and none received so often that
// the queue would have dead-lettered it.
func (f *fake) requireNothingGivenUp(t testing.TB) {
	t.Helper()
	inQueue, stored, rejected := f.left()
	require.Zero(t, rejected, "a message was given up")
	require.LessOrEqual(t, f.worn, f.limits.MaxReceiveCount, "a message was given up: it would be among the dead letters")
	require.Zero(t, inQueue)
	require.Equal(t, f.raised, stored)
}

// requireFew holds that no more was in hand during the outage than while the breaker is open.
func requireFew(t testing.TB, most int) {
	t.Helper()
	require.LessOrEqual(t, most, maxKept, "messages pile up in memory")
}

// requireOldestFirst holds that no message was stored much later than one that came after it: less
// than it takes to make up for the whole backlog, 64 details at once, each in a second.
func (f *fake) requireOldestFirst(t testing.TB) {
	t.Helper()
	var first time.Time // of those that came later
	for number := f.raised - 1; number >= 600; number-- {
		at := f.times[number]
		if first.IsZero() || at.Before(first) {
			first = at
		}
		require.LessOrEqual(t, at.Sub(first), 10*time.Second, "an old message was overtaken: number %d", number)
	}
}

// Catches, as the controls show, a service without a circuit breaker: it wears messages out and
// has hundreds in hand. And an order in which what waits longest does not come first.
func TestADayWithoutAPartGivesUpNothingFillsNoMemoryAndIsMadeUpForOldestFirst(t *testing.T) {
	t.Parallel()
	for name, down := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.run(t, forADay(), func(t *testing.T, s *Service) {
				requireFew(t, f.day(s, down))
				f.requireNothingGivenUp(t)
				f.requireOldestFirst(t)
				require.NoError(t, s.Ready(t.Context()))
			})
		})
	}
}

func TestTheControlsOfADayWithoutAPartAreCaught(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		part, saying string
	}{
		"no breaker, and details that fail": {"CAS API", "was given up"},
		"no breaker, and no token":          {"token", "pile up in memory"},
		"any order":                         {"NATS", "was overtaken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, cfg := newFake(), forADay()
			if f.mixed = name == "any order"; !f.mixed {
				cfg.BreakerLimit = math.MaxInt
			}
			f.run(t, cfg, func(t *testing.T, s *Service) {
				most := f.day(s, outages[c.part])
				torturetest.RequireCaught(t, c.saying, func(tb testing.TB) {
					requireFew(tb, most)
					f.requireNothingGivenUp(tb)
					f.requireOldestFirst(tb)
				})
			})
		})
	}
}
