package projector_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/store"
	"casdelius/store/storetest"
)

// fed is a stream of which a projector is given what a test gives it, so many at once.
type fed struct {
	comes chan []store.Stored

	mu    sync.Mutex
	acked int
}

func newFed() *fed { return &fed{comes: make(chan []store.Stored)} }

func (f *fed) Stream(context.Context) (projector.Stream, error) {
	return projector.Stream{Created: created}, nil
}

func (f *fed) Read(context.Context, uint64, uint64) iter.Seq2[store.Stored, error] {
	panic("nothing is missing in these tests")
}

func (f *fed) Follow(context.Context) (projector.Follower, error) { return f, nil }

func (f *fed) Fetch(ctx context.Context, _ int) ([]store.Stored, error) {
	select {
	case events := <-f.comes:
		return events, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fed) Ack(events []store.Stored) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked += len(events)
	return nil
}

func (f *fed) Release([]store.Stored) error { return nil }
func (f *fed) Close() error                 { return nil }

func (f *fed) hasAcked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked
}

// feeds runs a projector with other steps until the function that comes with it is called. Nobody
// but a sweep every so often looks at who is due.
func (r *rig) feeds(t require.TestingT, steps projector.Steps, sweep time.Duration) (f *fed, stop func()) {
	f = newFed()
	ports := r.db.Ports()
	ports.Steps = steps
	p, err := projector.New(f, ports, projector.Config{Sweep: sweep, Search: time.Hour, Retry: time.Millisecond, Grace: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	return f, func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

// Broken variant: what comes alone is put into the inbox by a transaction of its own.
func TestAnEventThatComesAloneIsOneTransaction(t *testing.T) {
	t.Parallel()
	r := populated(t)
	f, stop := r.feeds(t, r.db.Steps, time.Hour)
	defer stop()
	f.comes <- r.stream.add(moved(1, someone, 0))
	require.Eventually(t, func() bool { return f.hasAcked() == 1 }, 8*time.Second, time.Millisecond)
	require.Equal(t, []int64{1}, r.ids(t, `
		select count(distinct x) from (
			select xmin::text x from projection.event union all select xmin::text from delius.contact
			union all select xmin::text from delius.offender_address union all select xmin::text from projection.applied) t`))
	require.Empty(t, r.due(t))
}

// Broken variant: events whose step fails are acknowledged, and never come into the inbox.
func TestEventsWhoseStepFailsAreInTheInboxAndDue(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.poison(t, string(someone))
	f, stop := r.feeds(t, r.db.Steps, time.Hour)
	defer stop()
	f.comes <- r.stream.add(moved(1, someone, 0), moved(2, another, 0))
	require.Eventually(t, func() bool { return f.hasAcked() == 2 }, 8*time.Second, time.Millisecond)
	require.Equal(t, []int64{1, 2}, r.ids(t, "select sequence from projection.event order by 1"))
	require.Equal(t, []int64{1}, r.due(t))
	require.Equal(t, 1, r.contacts(t))
}

// Broken variant: a step that could lock nobody ends without a commit, so that what it has put into
// the inbox is gone.
func TestEventsOfSomebodyWhomAnotherHasLockedAreInTheInboxAndDue(t *testing.T) {
	t.Parallel()
	r := populated(t)
	practitioner, err := r.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = practitioner.Rollback(ctx) }()
	_, err = practitioner.Exec(ctx, "select from delius.offender where crn = $1 for update", someone)
	require.NoError(t, err)
	f, stop := r.feeds(t, r.db.Steps, 5*time.Millisecond)
	defer stop()
	f.comes <- r.stream.add(moved(1, someone, 0))
	require.Eventually(t, func() bool { return f.hasAcked() == 1 }, 8*time.Second, time.Millisecond)
	require.Equal(t, []int64{1}, r.ids(t, "select sequence from projection.event"))
	require.Equal(t, []int64{1}, r.due(t))
	require.NoError(t, practitioner.Rollback(ctx))
	require.Eventually(t, func() bool { return r.contacts(t) == 1 }, 8*time.Second, time.Millisecond)
}

// stuck are steps of which those that take somebody's events into the inbox hang until the end.
type stuck struct {
	projector.Steps
	crn store.CRN
}

func (s stuck) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	if slices.ContainsFunc(selection.Messages, func(m store.Stored) bool { return m.CRN == s.crn }) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return s.Steps.Begin(ctx, selection)
}

// Broken variants: the intake runs such steps itself, or waits for one of them to end: then nothing
// more is fetched. Or one step has the events of several people.
func TestAStepThatHangsHoldsUpNobodyElsesInbox(t *testing.T) {
	t.Parallel()
	r := populated(t)
	f, stop := r.feeds(t, stuck{r.db.Steps, someone}, time.Hour)
	defer stop()
	f.comes <- r.stream.add(moved(1, someone, 0), moved(2, another, 0))
	for n := byte(3); n < 10; n++ {
		f.comes <- r.stream.add(moved(n, someone, 0))
		f.comes <- r.stream.add(moved(100+n, another, 0))
	}
	require.Eventually(t, func() bool {
		n := r.ids(t, "select count(*) from delius.contact c join delius.offender o using (offender_id) where o.crn = '"+string(another)+"'")
		return n[0] == 8
	}, 8*time.Second, time.Millisecond)
}

// flaky are steps that fail now and then, before they begin, before they commit, and after that.
type flaky struct {
	projector.Steps
	fails func() bool
}

var errFlaky = errors.New("flaky")

func (f flaky) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	if f.fails() {
		return nil, errFlaky
	}
	step, err := f.Steps.Begin(ctx, selection)
	return flakyStep{step, f}, err
}

type flakyStep struct {
	projector.Step
	flaky
}

func (f flakyStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	if f.fails() {
		return projector.Applied{}, errFlaky
	}
	applied, err := f.Step.Apply(ctx, decisions, now)
	if err == nil && f.fails() {
		err = errFlaky
	}
	return applied, err
}

// Whatever comes a few at a time, in any order, twice, and with steps that fail: every event is in
// the inbox under its first sequence and every row is the twin's.
//
// Broken variant: events are acknowledged of which the step has failed.
func TestEventsThatComeAFewAtATimeConverge(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := slices.Collect(storetest.Generate(storetest.Options{ // nothing is parked: what was written before would stay
			Seed: rapid.Uint64().Draw(r, "seed"), People: rapid.IntRange(1, 3).Draw(r, "people"), Regions: []string{"N50", "N58"},
		}))
		rig.begin(r, histories)
		var events []store.Event
		for _, h := range histories {
			for _, e := range h.Events {
				events = append(events, e.Event)
				if rapid.IntRange(0, 4).Draw(r, "twice") == 0 {
					again := e.Event
					again.Source = "https://cas.example/again"
					events = append(events, again)
				}
			}
		}
		for _, e := range events {
			rig.twin.Store(e)
		}
		messages := rapid.Permutation(slices.Clone(rig.stream.add(events...))).Draw(r, "order")
		left := rapid.IntRange(0, 10).Draw(r, "failures")
		var mu sync.Mutex
		f, stop := rig.feeds(r, flaky{rig.db.Steps, func() bool {
			mu.Lock()
			defer mu.Unlock()
			left--
			return left >= 0 && left%3 == 0
		}}, 2*time.Millisecond)
		for rest := messages; len(rest) > 0; {
			n := min(len(rest), rapid.IntRange(1, 5).Draw(r, "at once"))
			f.comes <- rest[:n]
			rest = rest[n:]
		}
		require.Eventually(r, func() bool { return f.hasAcked() == len(messages) && len(rig.due(r)) == 0 }, 8*time.Second, time.Millisecond)
		stop()
		rig.twin.Project(time.Now())
		rig.requireTwin(r)
		rig.requireAudited(r)
		first := map[store.Key]int64{}
		for _, m := range slices.Backward(rig.stream.messages) {
			first[m.Key()] = int64(m.Sequence)
		}
		bodies, _ := rig.inbox(r)
		for key, sequence := range first {
			require.Contains(r, bodies, sequence, key)
		}
		require.Len(r, bodies, len(first))
	})
}
