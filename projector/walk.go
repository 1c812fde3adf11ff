package projector

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"casdelius/store"
)

const (
	// holding is how long a chunk is meant to hold its locks: the number of people in
	// one follows from how long the last ones took. Whoever limits the rate wants live
	// events not to wait: chunks are held briefly then, one at a time.
	holding    = 75 * time.Millisecond
	briefly    = 20 * time.Millisecond
	firstChunk = 20
	mostPeople = 250 // of a chunk, which bounds memory where nothing has to be written
	few        = 4   // of so many people at most one needs anything while it is worth looking first
	ahead      = 4   // chunks a worker that may be done or waiting before the slowest is
)

// walk is a rebuild that is under way.
type walk struct {
	*Projector
	o       *Rebuild
	roll    Roll
	limiter *rate.Limiter
	holding time.Duration
	load    int          // messages that are put into the inbox at once
	size    atomic.Int64 // people of the next chunk
	calm    atomic.Bool  // few people need anything: it is worth looking before anybody is locked

	held     Claim
	place    Bookmark
	kept     time.Time // when the place was kept last
	progress Progress
	tally    Tally
}

func newWalk(p *Projector, o *Rebuild) *walk {
	w := &walk{Projector: p, o: o, roll: p.db, holding: holding, load: loadMessages}
	w.size.Store(firstChunk)
	w.calm.Store(!o.DryRun)
	if o.Rate > 0 {
		w.holding = briefly
		burst := max(1, o.Rate/20)
		w.limiter, w.load = rate.NewLimiter(rate.Limit(o.Rate), burst), min(burst, loadMessages)
	}
	return w
}

// atOnce is how many of so many workers may work: where the rate is limited the other
// processors are for live events.
func (w *walk) atOnce(workers int) int {
	if w.limiter != nil {
		return 1
	}
	return workers
}

// pay waits until so many events are within the rate.
func (w *walk) pay(ctx context.Context, events int) error {
	for w.limiter != nil && events > 0 {
		n := min(events, w.limiter.Burst())
		if err := w.limiter.WaitN(ctx, n); err != nil {
			return err
		}
		events -= n
	}
	return ctx.Err()
}

func (w *walk) tell() {
	if w.o.Progress != nil {
		w.o.Progress(w.progress)
	}
}

// chunk is what is reconciled in one step.
type chunk struct {
	last      int64 // offender; 0 for referrals
	n         int   // people, or referrals
	referrals func(context.Context) ([]store.Referral, error)
	done      chan result
}

// result is what a chunk came to.
type result struct {
	tally Tally
	plan  []Decision // of a dry run
}

// people reconciles offenders in order.
func (w *walk) people(ctx context.Context, offenders []int64) error {
	return w.each(ctx, func() *chunk {
		if len(offenders) == 0 {
			return nil
		}
		n := min(len(offenders), int(w.size.Load()))
		these := offenders[:n]
		offenders = offenders[n:]
		return &chunk{last: these[n-1], n: n, referrals: func(ctx context.Context) ([]store.Referral, error) {
			return w.roll.ReferralsOf(ctx, these)
		}}
	})
}

// rest reconciles referrals by themselves.
func (w *walk) rest(ctx context.Context, referrals []store.Referral) error {
	return w.each(ctx, func() *chunk {
		if len(referrals) == 0 {
			return nil
		}
		n := min(len(referrals), int(w.size.Load()))
		these := referrals[:n]
		referrals = referrals[n:]
		return &chunk{n: n, referrals: func(context.Context) ([]store.Referral, error) { return these, nil }}
	})
}

// each reconciles chunks with several workers and counts them in their order, so that
// the place is one up to which everything is done.
func (w *walk) each(ctx context.Context, next func() *chunk) error {
	group, running := errgroup.WithContext(ctx)
	chunks := make(chan *chunk)
	order := make(chan *chunk, ahead*w.config.Workers)
	group.Go(func() error {
		defer close(chunks)
		defer close(order)
		for c := next(); c != nil; c = next() {
			c.done = make(chan result, 1)
			for _, queue := range []chan *chunk{order, chunks} {
				select {
				case queue <- c:
				case <-running.Done():
					return context.Cause(running)
				}
			}
		}
		return nil
	})
	for range w.atOnce(w.config.Workers) {
		group.Go(func() error {
			for c := range chunks {
				r, err := w.take(running, c)
				if err != nil {
					return err
				}
				c.done <- r
			}
			return nil
		})
	}
	group.Go(func() error {
		for c := range order {
			select {
			case r := <-c.done:
				if err := w.count(running, c, &r); err != nil {
					return err
				}
			case <-running.Done():
				return context.Cause(running)
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		w.keepLast()
		return err
	}
	return w.keep(ctx, true)
}

// take reconciles a chunk. People whom somebody else has in hand are asked for again
// for as long as that usually takes, then left due.
func (w *walk) take(ctx context.Context, c *chunk) (result, error) {
	var r result
	var referrals, due []store.Referral
	busy := 0
	err := again(ctx, w.Projector, func() (err error) {
		referrals, err = c.referrals(ctx)
		return err
	})
	if err != nil {
		return r, err
	}
	begun := time.Now()
	looks := w.calm.Load()
	if looks {
		if referrals, err = w.look(ctx, referrals, &r.tally); err != nil {
			return r, err
		}
		w.resize(c.n, time.Since(begun))
	}
	for attempt := 0; len(referrals) > 0; attempt++ {
		report, err := w.Reconcile(ctx, Pick{Referrals: referrals, DryRun: w.o.DryRun, Quiet: true})
		if err != nil {
			return r, err
		}
		if attempt == 0 && !looks {
			w.resize(c.n, time.Since(begun))
		}
		r.tally.add(&report)
		for i := range report.People {
			if !idle(report.People[i]) {
				busy++
			}
		}
		r.plan = append(r.plan, report.Plan...)
		if w.o.DryRun {
			break
		}
		due = append(due, unfinished(&report)...)
		if report.PutOff == 0 && !report.Skipped {
			break
		}
		referrals = without(referrals, &report)
		if attempt == patience {
			r.tally.Left = len(referrals)
			due = append(due, referrals...)
			break
		}
		if err := wait(ctx, time.Millisecond, attempt); err != nil {
			return r, err
		}
	}
	w.calm.Store(!w.o.DryRun && busy*few <= r.tally.People)
	if len(due) > 0 {
		if err := again(ctx, w.Projector, func() error { return w.roll.MarkDue(ctx, due) }); err != nil {
			return r, err
		}
	}
	return r, w.pay(ctx, r.tally.Events)
}

// look counts the people of a chunk for whom nothing is to be written, and gives the
// referrals of the others. It locks nobody: whoever is as desired at one moment is done.
func (w *walk) look(ctx context.Context, referrals []store.Referral, t *Tally) ([]store.Referral, error) {
	report, err := w.Reconcile(ctx, Pick{Referrals: referrals, DryRun: true, Quiet: true})
	if err != nil {
		return nil, err
	}
	done := Report{Plan: slices.DeleteFunc(report.Plan, func(d Decision) bool { return !idle(d) })}
	for i := range done.Plan {
		done.Events += len(done.Plan[i].Person.Events)
	}
	t.add(&done)
	return without(referrals, &done), nil
}

// idle says that nothing is to be written for a person: nobody need lock them.
func idle(d Decision) bool {
	return !d.Person.Waits && len(d.Applied) == 0 && d.Outcome.Idle()
}

// resize makes the next chunks as large as one that takes as long as locks may be held.
func (w *walk) resize(people int, took time.Duration) {
	fits := int64(float64(people) * float64(w.holding) / float64(max(took, time.Millisecond)))
	size := w.size.Load()
	w.size.Store(min(max(fits, size/2, 1), size*2, mostPeople))
}

// without are the referrals that a reconcile has not seen.
func without(referrals []store.Referral, r *Report) []store.Referral {
	seen := map[store.Referral]bool{}
	for _, decisions := range [][]Decision{r.People, r.Plan} {
		for i := range decisions {
			for _, referral := range decisions[i].Person.Referrals {
				seen[referral] = true
			}
		}
	}
	for _, referral := range r.Failed {
		seen[referral] = true
	}
	return slices.DeleteFunc(slices.Clone(referrals), func(referral store.Referral) bool { return seen[referral] })
}

// unfinished are the referrals of people whose history lacks events, and those that
// met an unexpected error.
func unfinished(r *Report) []store.Referral {
	referrals := r.Failed
	for i := range r.People {
		if len(r.People[i].Outcome.Lost) > 0 {
			referrals = append(referrals, r.People[i].Person.Referrals...)
		}
	}
	return referrals
}

// count counts a chunk that is done, and hands on what it would write.
func (w *walk) count(ctx context.Context, c *chunk, r *result) error {
	w.tally.plus(&r.tally)
	if w.o.Planned != nil {
		for i := range r.plan {
			if err := w.o.Planned(r.plan[i]); err != nil {
				return err
			}
		}
	}
	w.progress.Done += c.n
	w.progress.Changed += r.tally.Changed
	w.tell()
	w.place.Changed += r.tally.Changed
	if c.last == 0 {
		return nil
	}
	w.place.Person, w.place.People = c.last, w.place.People+c.n
	return w.keep(ctx, false)
}

// keep keeps the place, now or if it was not for a while: who was done since is only
// looked at again.
func (w *walk) keep(ctx context.Context, now bool) error {
	if w.held == nil || !now && time.Since(w.kept) < keeping {
		return nil
	}
	w.kept = time.Now()
	return again(ctx, w.Projector, func() error {
		// What has begun is finished: a connection that is cut in the middle may keep the
		// claim for a while.
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return w.held.Reached(writing, w.place)
	})
}

// keepLast keeps the place when the walk was interrupted, if it can be.
func (w *walk) keepLast() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.keep(ctx, true); err != nil {
		w.logger.Warn("the place of the rebuild could not be kept: some people will be looked at again", "error", err)
	}
}

const keeping = 200 * time.Millisecond

// again calls f until the moment is not bad.
func again(ctx context.Context, p *Projector, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, ErrRetry) && !errors.Is(err, ErrUnavailable):
			return err
		}
		p.metrics.retries.Inc()
		p.logger.Warn("trying again", "attempt", attempt+1, "error", err)
		if err := wait(ctx, p.config.Retry, attempt); err != nil {
			return err
		}
	}
}
