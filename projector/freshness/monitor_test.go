package freshness_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything that a monitor reads, in memory and in virtual time.
type world struct {
	mu      sync.Mutex
	stream  []time.Time // when each message was stored; zero: a hole
	inbox   map[uint64]bool
	waiting freshness.Message
	asked   int // how many sequences the inbox was asked for
	broken  error
	hung    bool
	paused  error
	moved   time.Time
	trouble error
	failing []store.Referral
	except  []store.Referral
}

func (w *world) fault(ctx context.Context) error {
	w.mu.Lock()
	hung, broken := w.hung, w.broken
	w.mu.Unlock()
	if hung {
		<-ctx.Done()
		return ctx.Err()
	}
	return broken
}

func (w *world) Stream(ctx context.Context) (projector.Stream, error) {
	if err := w.fault(ctx); err != nil {
		return projector.Stream{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return projector.Stream{Created: time.Now(), LastSequence: uint64(len(w.stream)), Bytes: uint64(len(w.stream)) * 100, MaxBytes: 1000}, nil
}

func (w *world) From(_ context.Context, sequence uint64) (freshness.Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; sequence <= uint64(len(w.stream)); sequence++ {
		if stored := w.stream[sequence-1]; !stored.IsZero() {
			return freshness.Message{Sequence: sequence, Stored: stored}, nil
		}
	}
	return freshness.Message{}, nil
}

func (w *world) Delivers(context.Context) error { return w.paused }

func (w *world) Lacks(_ context.Context, after, to uint64) (is freshness.Recorded, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.inbox {
		is.Last = max(is.Last, s)
	}
	for s := after + 1; s <= to; s++ {
		w.asked++
		if !w.inbox[s] {
			is.Gap = s
			break
		}
	}
	return is, nil
}

func (w *world) Waiting(_ context.Context, except []store.Referral) (freshness.Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.except = except
	return w.waiting, nil
}

func (w *world) Backlog(ctx context.Context) (freshness.Backlog, error) {
	return freshness.Backlog{Due: 3}, w.fault(ctx)
}

func (w *world) Moved() time.Time          { w.mu.Lock(); defer w.mu.Unlock(); return w.moved }
func (w *world) Troubles() error           { return w.trouble }
func (w *world) Failing() []store.Referral { return w.failing }
func (w *world) set(change func(*world))   { w.mu.Lock(); defer w.mu.Unlock(); change(w) }
func (w *world) store(n int) {
	w.set(func(w *world) { w.stream = append(w.stream, slices.Repeat([]time.Time{time.Now()}, n)...) })
}

func (w *world) take(sequences ...uint64) {
	w.set(func(w *world) {
		for _, s := range sequences {
			w.inbox[s] = true
		}
	})
}

func (w *world) wait(sequence uint64) {
	w.set(func(w *world) { w.waiting = freshness.Message{Sequence: sequence, Stored: time.Now()} })
}

// watched runs a monitor of a world in a bubble while in runs.
func watched(t *testing.T, config freshness.Config, in func(t *testing.T, w *world, m *freshness.Monitor, gauge func(string) float64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{inbox: map[uint64]bool{}}
		registry := prometheus.NewRegistry()
		config.Logger, config.Registry = slog.New(slog.DiscardHandler), registry
		m := freshness.New(w, w, w, config)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		defer func() {
			cancel()
			require.NoError(t, <-ended)
		}()
		in(t, w, m, func(name string) float64 { return gaugeOf(t, registry, name) })
	})
}

// gaugeOf is a gauge's value, of the first where there are several.
func gaugeOf(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

const age = "projector_oldest_unapplied_seconds"

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Catches an age that comes from the inbox alone: with a consumer that delivers nothing it is 0
// for ever, and all is well.
func TestWhatTheInboxLacksIsNotFresh(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{}, func(t *testing.T, w *world, m *freshness.Monitor, gauge func(string) float64) {
		pass(time.Minute)
		require.Zero(t, gauge(age))
		require.NoError(t, m.Intake(t.Context()))
		w.store(1)
		pass(10 * time.Second)
		require.InDelta(t, 10, gauge(age), 0.001)
		require.NoError(t, m.Intake(t.Context()), "not for long")
		w.set(func(w *world) { w.paused = errors.New("it is paused") })
		pass(20 * time.Second)
		require.InDelta(t, 30, gauge(age), 0.001)
		require.ErrorContains(t, m.Intake(t.Context()), "it is paused")
		require.NoError(t, m.Steps(t.Context()))
		require.NoError(t, m.Readable(t.Context()))
		w.take(1)
		pass(10 * time.Second)
		require.Zero(t, gauge(age))
		require.NoError(t, m.Intake(t.Context()))
	})
}

// Catches a service that is not ready because there is always something that it has not taken
// in yet: a stream under load, or one message that somebody else has.
func TestWhoGoesOnTakingInStandsNotStill(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{}, func(t *testing.T, w *world, m *freshness.Monitor, gauge func(string) float64) {
		w.store(1000)
		for s := uint64(2); s < 100; s++ { // message 1 is in somebody else's hands
			w.take(s)
			pass(5 * time.Second)
			require.NoError(t, m.Intake(t.Context()))
		}
		require.InDelta(t, 98*5, gauge(age), 0.001, "the first is still missing")
	})
}

// Catches gauges that are measured where the steps are run, so that they stand still with them,
// and a readiness that only knows of errors.
func TestStepsThatDoNotCommitAreSeen(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{}, func(t *testing.T, w *world, m *freshness.Monitor, gauge func(string) float64) {
		w.store(1)
		w.take(1)
		w.wait(1)
		w.set(func(w *world) { w.trouble = errors.New("lock timeout") })
		pass(10 * time.Second)
		require.NoError(t, m.Steps(t.Context()))
		pass(15 * time.Second)
		require.InDelta(t, 25, gauge(age), 0.001)
		require.ErrorContains(t, m.Steps(t.Context()), "message 1")
		require.ErrorContains(t, m.Steps(t.Context()), "lock timeout")
		require.NoError(t, m.Intake(t.Context()))
		w.set(func(w *world) { w.moved = time.Now() }) // of others: this one stays
		pass(10 * time.Second)
		require.NoError(t, m.Steps(t.Context()))
		require.InDelta(t, 35, gauge(age), 0.001)
		pass(10 * time.Second)
		require.Error(t, m.Steps(t.Context()))
		w.set(func(w *world) { w.waiting = freshness.Message{} })
		pass(10 * time.Second)
		require.NoError(t, m.Steps(t.Context()), "nothing waits")
		pass(time.Hour)
		w.wait(1)
		pass(10 * time.Second)
		require.NoError(t, m.Steps(t.Context()), "it has waited for a moment only")
	})
}

// Catches a projector on hold that is never ready.
func TestOnHoldNoStepHasToCommit(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{Hold: true}, func(t *testing.T, w *world, m *freshness.Monitor, gauge func(string) float64) {
		w.store(1)
		w.take(1)
		w.wait(1)
		pass(time.Hour)
		require.NoError(t, m.Steps(t.Context()))
		require.InDelta(t, 3600, gauge(age), 0.001)
		w.store(1)
		pass(time.Minute)
		require.Error(t, m.Intake(t.Context()), "the inbox is filled all the same")
	})
}

// Catches gauges that keep their last value while nothing can be read, whether that fails or
// hangs; and one reading that hangs and is the last.
func TestAnAgeThatCannotBeReadGrows(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*world){
		"fails": func(w *world) { w.broken = errors.New("no connection") },
		"hangs": func(w *world) { w.hung = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watched(t, freshness.Config{}, func(t *testing.T, w *world, m *freshness.Monitor, gauge func(string) float64) {
				pass(time.Minute)
				w.set(fault)
				last := gauge("projector_measured_timestamp_seconds")
				pass(time.Minute)
				require.InDelta(t, 60, gauge(age), 3.1, "something may have come just after the last reading")
				require.ErrorContains(t, m.Readable(t.Context()), "worked out")
				require.InDelta(t, last, gauge("projector_measured_timestamp_seconds"), 3.1)
				w.set(func(w *world) { w.broken, w.hung = nil, false })
				pass(10 * time.Second)
				require.NoError(t, m.Readable(t.Context()))
				require.Zero(t, gauge(age))

				w.store(1)
				pass(10 * time.Second)
				w.set(fault)
				pass(time.Minute)
				require.InDelta(t, 70, gauge(age), 0.001, "from the oldest that is known")
			})
		})
	}
}

// Catches bytes of the stream that are those at the start.
func TestTheStreamIsMeasuredAgain(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{}, func(t *testing.T, w *world, _ *freshness.Monitor, gauge func(string) float64) {
		pass(10 * time.Second)
		require.Zero(t, gauge("projector_stream_bytes"))
		w.store(3)
		pass(10 * time.Second)
		require.InDelta(t, 300, gauge("projector_stream_bytes"), 0)
		require.InDelta(t, 700, gauge("projector_stream_left_bytes"), 0)
		require.InDelta(t, 3, gauge("projector_due_referrals"), 0)
	})
}

// Catches a monitor that goes through the whole inbox each time, and one that takes a hole in
// the stream for something that is to come.
func TestWhatIsCompleteIsNotAskedForAgainAndHolesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{}, func(t *testing.T, w *world, _ *freshness.Monitor, gauge func(string) float64) {
		w.store(100_000)
		w.set(func(w *world) {
			for s := range uint64(99_999) {
				w.inbox[s+1] = true
			}
			delete(w.inbox, 70_000)
			w.stream[69_999] = time.Time{}
		})
		pass(4 * time.Second)
		require.Positive(t, gauge(age), "the last one is missing")
		w.take(100_000)
		pass(4 * time.Second)
		require.Zero(t, gauge(age))
		w.set(func(w *world) { w.asked = 0 })
		pass(time.Minute)
		require.Zero(t, w.asked)
		w.set(func(w *world) { delete(w.inbox, 5) })
		pass(6 * time.Minute)
		require.Positive(t, gauge(age), "a row was lost")
	})
}

// Catches people who fail for a reason of their own and make the age grow for ever.
func TestWhoFailsAgainAndAgainIsLeftOut(t *testing.T) {
	t.Parallel()
	watched(t, freshness.Config{}, func(t *testing.T, w *world, _ *freshness.Monitor, _ func(string) float64) {
		w.set(func(w *world) { w.failing = []store.Referral{{1}} })
		pass(4 * time.Second)
		require.Equal(t, []store.Referral{{1}}, w.except)
	})
}

// Catches an age of the canary that is its way's, or stands still; and an old one, redelivered,
// that makes the way look long.
func TestACanaryTellsTheLegsOfItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		c := freshness.NewCanaries(registry, time.Now)
		<-time.After(time.Minute)
		require.InDelta(t, 60, gaugeOf(t, registry, "projector_canary_age_seconds"), 0.001, "none has come yet")
		now := time.Now()
		canary := store.Stored{
			Canary: &store.Canary{Sent: now.Add(-10 * time.Second), Received: now.Add(-6 * time.Second)},
			Stored: now.Add(-3 * time.Second),
		}
		c.Committed([]store.Stored{{}, canary})
		<-time.After(time.Minute)
		old := canary
		old.Canary = &store.Canary{Sent: now.Add(-time.Hour), Received: now}
		c.Committed([]store.Stored{old})
		require.InDelta(t, 70, gaugeOf(t, registry, "projector_canary_age_seconds"), 0.001)
		families, err := registry.Gather()
		require.NoError(t, err)
		legs := map[string]float64{}
		for _, family := range families {
			if family.GetName() == "projector_canary_leg_seconds" {
				for _, metric := range family.GetMetric() {
					legs[metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
				}
			}
		}
		require.Equal(t, map[string]float64{"queue": 4, "stream": 3, "inbox": 3}, legs)
	})
}
