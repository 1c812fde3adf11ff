package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"casdelius/projector/retry"
	"casdelius/projector/trace"
	"casdelius/store"
	"casdelius/store/failpoint"
)

// Live follows the stream.
//
// It is one intake and several lanes. The intake fetches batches, puts them into the inbox,
// and partitions their referrals by whom they name, so that a person is always in the same
// lane and no two lanes want the same locks. A lane reconciles what has piled up for it in
// one step: whoever came several times is looked at once. A batch is acknowledged when every
// lane is done with its share.
//
// What comes while little waits takes a shorter way: a step of its own for each person puts it
// into the inbox, reconciles and commits. Where that fails, or has to leave somebody out, all is
// as it was, and the events take the way of the others.
//
// Beside them a sweep looks at whoever is due, and a search for gaps at what the inbox lacks.
type Live struct {
	log        Log
	due        Due
	mender     Mender
	filler     *filler
	reconciler *Reconciler
	retry      retry.Retrier
	metrics    *metrics
	config     Config
	wake       chan struct{} // holds a token when there is reason to sweep at once
	searched   atomic.Uint64 // up to here the inbox had everything when gaps were last searched for
}

// stepsAtOnce is for how many people at once a step of their own is run, and up to how many events
// are little.
const stepsAtOnce = 4

// Run projects until the context ends; see [Projector.Run]. While a newer fold has written it
// stands back: what it has in hand goes to other projectors, and it waits.
func (l *Live) Run(ctx context.Context) error {
	for {
		err := l.standBack(ctx)
		if err == nil {
			err = l.run(ctx)
		}
		if !errors.Is(err, ErrOlder) {
			return nilIfStopped(ctx, err)
		}
	}
}

// standBack waits for as long as this program may not write; on hold it never does.
func (l *Live) standBack(ctx context.Context) error {
	if l.config.Hold {
		return nil
	}
	waiting := l.retry.While(func(err error) bool { return errors.Is(err, ErrOlder) || isNotRefused(err) })
	return waiting.Do(ctx, "waiting until this program may write", func() error { return l.reconciler.steps.MayWrite(ctx) })
}

func (l *Live) run(ctx context.Context) error {
	follower, err := l.start(ctx)
	if err != nil {
		return nilIfStopped(ctx, err)
	}
	// Steps in hand may finish after the stop, but not for ever.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(l.config.Grace, func() { cancel(errStopped) })
	})
	defer stop()
	group, running := errgroup.WithContext(ctx)
	l.follow(running, work, group, follower)
	group.Go(func() error { return l.sweep(running, work) })
	group.Go(func() error { return l.keepSearching(running) })
	err = group.Wait()
	if closed := follower.Close(); closed != nil {
		l.config.Logger.WarnContext(ctx, "events in hand could not be released: they are redelivered after their wait", "error", closed)
	}
	return nilIfStopped(ctx, err)
}

// start fills the gaps and starts to follow the stream, again for as long as database or
// stream are not there.
func (l *Live) start(ctx context.Context) (follower Follower, err error) {
	err = l.retry.Do(ctx, "starting to project", func() error {
		if _, err := l.fillGaps(ctx, 0); err != nil {
			return err
		}
		if follower, err = l.log.Follow(ctx); err != nil {
			return fmt.Errorf("following the stream: %w", err)
		}
		return nil
	})
	return follower, err
}

// nilIfStopped turns the error of a run that was told to stop into none.
func nilIfStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// batch is what was fetched at once, until all lanes are done with it.
type batch struct {
	events []store.Stored
	left   atomic.Int32 // shares that are not reconciled yet
}

// share is the share of a batch that falls to one lane.
type share struct {
	of        *batch
	referrals []store.Referral // that are left
	traces    []oteltrace.Link
	attempts  int // that were made at them
}

// follow starts the intake and the lanes. They end when ctx does; what is in hand then
// is finished with the context work.
func (l *Live) follow(ctx, work context.Context, group *errgroup.Group, follower Follower) {
	lanes := make([]chan share, l.config.Workers)
	for i := range lanes {
		lanes[i] = make(chan share, 4)
		group.Go(func() error { return (&lane{Live: l, follower: follower}).run(work, lanes[i]) })
	}
	group.Go(func() error {
		defer func() {
			for _, lane := range lanes {
				close(lane)
			}
		}()
		return l.intake(ctx, work, lanes, follower)
	})
}

// intake fills the inbox and the lanes.
func (l *Live) intake(ctx, work context.Context, lanes []chan share, follower Follower) error {
	steps, running := errgroup.WithContext(ctx)
	steps.SetLimit(stepsAtOnce)
	in := &intake{Live: l, work: work, lanes: lanes, follower: follower, turn: make(chan struct{}, 1)}
	return errors.Join(in.run(running, steps), steps.Wait())
}

// intake is where events go that were fetched.
type intake struct {
	*Live
	work     context.Context //nolint:containedctx // of what is finished after a stop
	lanes    []chan share
	follower Follower
	turn     chan struct{} // to put events into the inbox by themselves: what waits longest comes first
}

func (l *intake) run(ctx context.Context, steps *errgroup.Group) error {
	for attempt := 0; ; {
		events, err := l.follower.Fetch(ctx, l.config.Batch)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			l.config.Logger.WarnContext(ctx, "no events from the stream", "error", err)
			if l.retry.Wait(ctx, attempt) != nil {
				return nil
			}
			attempt++
			continue
		}
		attempt = 0
		if events, err = l.pass(ctx, events); err != nil {
			return err
		}
		if err := l.put(ctx, l.begin(ctx, steps, events)); err != nil {
			return err
		}
	}
}

// pass acknowledges the events that the inbox has: of a new consumer all that filled it before. Those
// that are due the sweep takes, or on hold a lane. The others it returns: whatever has happened to
// the inbox meanwhile, what it has not is put there.
func (l *intake) pass(ctx context.Context, events []store.Stored) ([]store.Stored, error) {
	searched := l.searched.Load()
	if !slices.ContainsFunc(events, func(e store.Stored) bool { return e.Sequence <= searched }) {
		return events, nil
	}
	var known map[uint64]bool
	err := l.retry.Do(l.work, "asking what the inbox has", func() (err error) {
		known, err = l.due.Known(l.work, events)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, l.follower.Release(events))
	}
	var done, due, others []store.Stored
	for i := range events {
		switch isDue, has := known[events[i].Sequence]; {
		case !has:
			others = append(others, events[i])
		case isDue && l.config.Hold:
			due = append(due, events[i])
		default:
			done = append(done, events[i])
		}
	}
	l.filler.received(slices.Concat(done, due))
	l.ack(ctx, l.follower, done)
	l.spread(ctx, due, nil)
	return others, nil
}

// begin begins steps for events that come while little waits, and returns the others.
func (l *intake) begin(ctx context.Context, steps *errgroup.Group, events []store.Stored) []store.Stored {
	if l.config.Hold || len(events) > stepsAtOnce {
		return events
	}
	var others []store.Stored
	of := map[string][]store.Stored{}
	for i := range events {
		if e := &events[i]; e.IsEvent() {
			of[nameOf(e)] = append(of[nameOf(e)], *e)
		} else {
			others = append(others, *e)
		}
	}
	for _, events := range of {
		if !steps.TryGo(func() error { return l.step(ctx, events) }) {
			others = append(others, events...)
		}
	}
	return others
}

// step puts a person's events into the inbox and reconciles them in one transaction, if it can.
func (l *intake) step(ctx context.Context, events []store.Stored) error {
	var referrals []store.Referral
	for i := range events {
		referrals = append(referrals, events[i].Referral)
	}
	traced, end := trace.Span(l.work, trace.Links(events), len(referrals))
	report, err := l.reconciler.attempt(traced, Selection{Referrals: referrals, Messages: events, Due: true})
	end.End()
	if err != nil {
		l.metrics.retries.Inc()
		l.config.Logger.WarnContext(ctx, "a step could not take its events into the inbox: they are put there first", "events", len(events), "error", err)
		return l.put(ctx, events)
	}
	l.filler.received(events)
	if report.Locked() {
		l.spread(ctx, events, nil)
		return nil
	}
	l.ack(ctx, l.follower, events)
	return nil
}

// put puts events into the inbox, and then into the lanes.
func (l *intake) put(ctx context.Context, events []store.Stored) error {
	if len(events) == 0 {
		return nil
	}
	l.turn <- struct{}{}
	err := l.filler.put(l.work, events)
	<-l.turn
	if err != nil {
		return errors.Join(err, l.follower.Release(events))
	}
	woken, err := l.filler.woken(l.work, events)
	if err != nil {
		return errors.Join(err, l.follower.Release(events))
	}
	l.spread(ctx, events, woken)
	return nil
}

// spread puts the referrals of events that the inbox has, and those that were woken, into the
// lanes. After a stop it does not: they are due.
func (l *intake) spread(ctx context.Context, events []store.Stored, woken []Woken) {
	if len(events) == 0 {
		return
	}
	for i, next := range partition(events, woken, len(l.lanes)) {
		select {
		case l.lanes[i] <- next:
		case <-ctx.Done():
			return
		}
	}
}

// nameOf is by whom an event goes to a lane.
func nameOf(e *store.Stored) string { return cmp.Or(string(e.CRN), string(e.NOMS)) }

var seed = maphash.MakeSeed()

// partition divides a batch, and the referrals that its person events have woken, among the
// lanes, by whom their events name.
func partition(events []store.Stored, woken []Woken, lanes int) []share {
	all := &batch{events: events}
	all.left.Store(int32(lanes)) //nolint:gosec // a handful
	shares := make([]share, lanes)
	seen := map[store.Referral]bool{}
	add := func(referral store.Referral, name string) {
		if seen[referral] {
			return
		}
		seen[referral] = true
		lane := &shares[maphash.String(seed, name)%uint64(lanes)] //nolint:gosec // a handful
		lane.referrals = append(lane.referrals, referral)
	}
	for i := range events {
		if e := &events[i]; e.IsEvent() {
			add(e.Referral, nameOf(e))
		}
	}
	for _, w := range woken {
		add(w.Referral, w.Name)
	}
	traces := trace.Links(events)
	for i := range shares {
		shares[i].of, shares[i].traces = all, traces
	}
	return shares
}

// ack acknowledges events whose effect is committed.
func (l *Live) ack(ctx context.Context, follower Follower, events []store.Stored) {
	if len(events) == 0 {
		return
	}
	if err := failpoint.Around(ctx, failpoint.Ack, func() error { return follower.Ack(events) }); err != nil {
		l.config.Logger.WarnContext(ctx, "events could not be acknowledged: they will be redelivered", "error", err)
	}
}

// sweep reconciles whoever has been due for a while or is parked, on a schedule and
// after gaps were filled. What became due just now is in the hands of the lanes, but for what was
// due before these began.
func (l *Live) sweep(ctx, work context.Context) error {
	ticker := time.NewTicker(l.config.Sweep)
	defer ticker.Stop()
	for before := l.config.Now(); ; before = l.config.Now().Add(-l.config.Sweep) {
		if !l.config.Hold {
			if err := l.sweepOnce(ctx, work, before); err != nil {
				return nilIfStopped(ctx, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-l.wake:
		}
	}
}

// sweepOnce goes on while there is somebody due since before a time who is not locked by another.
// Whoever is stays for the next sweep, and in nobody's way.
func (l *Live) sweepOnce(ctx, work context.Context, before time.Time) error {
	var missed []store.Referral
	for ctx.Err() == nil {
		now := l.config.Now()
		due, err := l.due.Due(work, now, before, l.config.Batch, slices.Concat(l.reconciler.pauses.Resting(now), missed))
		if err != nil {
			l.metrics.retries.Inc()
			l.config.Logger.WarnContext(ctx, "who is due could not be read: the next sweep asks again", "error", err)
		}
		if err != nil || len(due) == 0 {
			return nil //nolint:nilerr // the next sweep asks again
		}
		left, err := l.reconcileParts(work, due)
		if err != nil {
			return err
		}
		missed = append(missed, left...)
	}
	return nil
}

// reconcileParts reconciles the people of referrals, some in each of several steps at once, and
// gives the referrals that are left: of people whom somebody else has locked, another of these
// steps too.
func (l *Live) reconcileParts(ctx context.Context, due []store.Referral) (left []store.Referral, err error) {
	parts := slices.Collect(slices.Chunk(due, max(l.config.Batch/l.config.Workers, 1)))
	lefts := make([][]store.Referral, len(parts))
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(l.config.Workers)
	for i, part := range parts {
		group.Go(func() error {
			report, err := l.reconciler.Reconcile(running, Selection{Referrals: part})
			lefts[i] = without(part, &report)
			return err
		})
	}
	err = group.Wait()
	return slices.Concat(lefts...), err
}

// signal leaves a token, unless one is there already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
