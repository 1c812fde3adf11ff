package projector

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"casdelius/store"
)

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

// reconcilePeople reconciles offenders in order.
func (r *Rebuilder) reconcilePeople(ctx context.Context, offenders []int64) error {
	return r.reconcileChunks(ctx, func() *chunk {
		if len(offenders) == 0 {
			return nil
		}
		n := min(len(offenders), int(r.size.Load()))
		these := offenders[:n]
		offenders = offenders[n:]
		return &chunk{last: these[n-1], n: n, referrals: func(ctx context.Context) ([]store.Referral, error) {
			return r.people.ReferralsOf(ctx, these)
		}}
	})
}

// reconcileReferrals reconciles the people of referrals.
func (r *Rebuilder) reconcileReferrals(ctx context.Context, referrals []store.Referral) error {
	return r.reconcileChunks(ctx, func() *chunk {
		if len(referrals) == 0 {
			return nil
		}
		n := min(len(referrals), int(r.size.Load()))
		these := referrals[:n]
		referrals = referrals[n:]
		return &chunk{n: n, referrals: func(context.Context) ([]store.Referral, error) { return these, nil }}
	})
}

// finishTime is how long the chunks in hand may take when a rebuild is interrupted.
const finishTime = 5 * time.Second

// reconcileChunks reconciles chunks with several workers and counts them in their order, so
// that the bookmark is a place up to which everything is done. When it is interrupted the
// chunks in hand are finished, and count.
func (r *Rebuilder) reconcileChunks(ctx context.Context, next func() *chunk) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finishTime, func() { cancel(errStopped) }) })
	defer stop()
	group, running := errgroup.WithContext(ctx)
	// Where one worker has failed for good nobody waits for the others.
	failed := context.AfterFunc(running, func() {
		if ctx.Err() == nil {
			cancel(context.Cause(running))
		}
	})
	defer failed()
	chunks := make(chan *chunk)
	order := make(chan *chunk, ahead*r.config.Workers)
	group.Go(func() error {
		defer close(chunks)
		defer close(order)
		return handOut(running, next, order, chunks)
	})
	for range r.atOnce(r.config.Workers) {
		group.Go(func() error {
			for c := range chunks {
				result, err := r.reconcileChunk(work, c)
				if err != nil {
					return err
				}
				c.done <- result
				if err := r.throttle(running, result.tally.Events); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var counting *chunk // that is to be counted
	group.Go(func() error {
		for c := range order {
			counting = c
			select {
			case result := <-c.done:
				if err := r.record(running, c, &result); err != nil {
					return err
				}
				counting = nil
			case <-running.Done():
				return context.Cause(running)
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		r.recordDone(counting, order)
		r.keepLast(ctx)
		return err
	}
	return r.keep(ctx, true)
}

// handOut gives every chunk to whoever counts them and then to a worker.
func handOut(ctx context.Context, next func() *chunk, order, chunks chan<- *chunk) error {
	for c := next(); c != nil; c = next() {
		c.done = make(chan result, 1)
		for _, queue := range []chan<- *chunk{order, chunks} {
			select {
			case queue <- c:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// recordDone records, where the rebuild is interrupted, what was done and not counted yet: up
// to the first chunk that is not.
func (r *Rebuilder) recordDone(c *chunk, order <-chan *chunk) {
	for {
		if c == nil {
			var open bool
			if c, open = <-order; !open {
				return
			}
		}
		select {
		case result := <-c.done:
			r.count(c, &result)
		default:
			return
		}
		c = nil
	}
}

// reconcileChunk reconciles a chunk. People whom somebody else has locked are asked for again
// for as long as that usually takes, then left due.
func (r *Rebuilder) reconcileChunk(ctx context.Context, c *chunk) (result, error) {
	var out result
	var referrals []store.Referral
	err := r.retry.Do(ctx, "listing the referrals of people", func() (err error) {
		referrals, err = c.referrals(ctx)
		return err
	})
	if err != nil {
		return out, err
	}
	begun, resized := time.Now(), false
	resize := func() {
		if !resized {
			r.resize(c.n, time.Since(begun))
			resized = true
		}
	}
	if r.mostlyUnchanged.Load() {
		if referrals, err = r.skipUnchanged(ctx, referrals, &out.tally); err != nil {
			return out, err
		}
		resize()
	}
	changed := 0
	var due []store.Referral
	left, err := r.reconciler.reconcileUntilFree(ctx, Selection{Referrals: referrals, DryRun: r.o.DryRun, Quiet: true, Fence: r.fence()}, rebuildAttempts, longestPause, func(report *Report) {
		resize()
		out.tally.add(report)
		out.plan = append(out.plan, report.Plan...)
		for i := range report.People {
			if !unchanged(&report.People[i]) {
				changed++
			}
		}
		if !r.o.DryRun {
			due = append(due, unfinished(report)...)
		}
	})
	if err != nil {
		return out, err
	}
	out.tally.Left = len(left)
	r.mostlyUnchanged.Store(!r.o.DryRun && changed*previewRatio <= out.tally.People)
	if due = append(due, left...); len(due) > 0 {
		if err := r.retry.Do(ctx, "marking referrals as due", func() error { return r.due.MarkDue(ctx, due) }); err != nil {
			return out, err
		}
	}
	return out, nil
}

// skipUnchanged counts the people of a chunk for whom nothing is to be written, and gives the
// referrals of the others. It locks nobody: whoever is as desired at one moment is done.
func (r *Rebuilder) skipUnchanged(ctx context.Context, referrals []store.Referral, t *Tally) ([]store.Referral, error) {
	report, err := r.reconciler.Reconcile(ctx, Selection{Referrals: referrals, DryRun: true, Quiet: true})
	if err != nil {
		return nil, err
	}
	done := Report{Plan: slices.DeleteFunc(report.Plan, func(d Decision) bool { return !unchanged(&d) })}
	for i := range done.Plan {
		done.Events += len(done.Plan[i].Person.Events)
	}
	t.add(&done)
	return without(referrals, &done), nil
}

// unchanged says that nothing is to be written for a person: nobody need lock them.
func unchanged(d *Decision) bool {
	return !d.Person.Waits && len(d.Applied) == 0 && d.Outcome.Idle()
}

// resize makes the next chunks as large as one that takes as long as locks may be held.
func (r *Rebuilder) resize(people int, took time.Duration) {
	fits := int64(float64(people) * float64(r.target) / float64(max(took, time.Millisecond)))
	size := r.size.Load()
	r.size.Store(min(max(fits, size/2, 1), size*2, mostPeople))
}

// unfinished are the referrals of people whose history lacks events, and those that
// met an unexpected error.
func unfinished(report *Report) []store.Referral {
	var referrals []store.Referral
	for _, f := range report.Failed {
		referrals = append(referrals, f.Referral)
	}
	for i := range report.People {
		if len(report.People[i].Outcome.Lost) > 0 {
			referrals = append(referrals, report.People[i].Person.Referrals...)
		}
	}
	return referrals
}

// record counts a chunk that is done, hands on what it would write, and keeps the bookmark if
// it was not for a while.
func (r *Rebuilder) record(ctx context.Context, c *chunk, result *result) error {
	r.count(c, result)
	if r.o.Planned != nil {
		for i := range result.plan {
			if err := r.o.Planned(result.plan[i]); err != nil {
				return err
			}
		}
	}
	if c.last == 0 {
		return nil
	}
	return r.keep(ctx, false)
}

// count counts a chunk that is done.
func (r *Rebuilder) count(c *chunk, result *result) {
	r.tally.plus(&result.tally)
	if c.last != 0 {
		r.bookmark.Tally.plus(&result.tally)
	}
	r.progress.Done += c.n
	r.progress.Changed += result.tally.Changed
	r.reportProgress()
	if c.last != 0 {
		r.bookmark.Person, r.bookmark.People = c.last, r.bookmark.People+c.n
	}
}

// keep keeps the bookmark, now or if it was not for a while: who was done since is only
// looked at again.
func (r *Rebuilder) keep(ctx context.Context, now bool) error {
	if r.lock == nil || !now && time.Since(r.kept) < bookmarkInterval {
		return nil
	}
	r.kept, r.bookmark.Progress = time.Now(), r.progress
	return r.retry.Do(ctx, "keeping the rebuild's bookmark", func() error {
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return r.lock.Reached(writing, r.bookmark)
	})
}

// keepLast keeps the bookmark when the rebuild was interrupted, if it can be.
func (r *Rebuilder) keepLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := r.keep(ctx, true); err != nil {
		r.logger.WarnContext(ctx, "the rebuild's bookmark could not be kept: some people will be looked at again", "error", err)
	}
}
