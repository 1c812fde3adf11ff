package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"casdelius/projector/retry"
	"casdelius/store"
)

const (
	// lockTarget is how long a chunk is meant to hold its locks: the number of people in
	// one follows from how long the last ones took. Whoever limits the rate wants live
	// events not to wait: chunks hold them for lockTargetLimited then, one at a time.
	lockTarget        = 75 * time.Millisecond
	lockTargetLimited = 20 * time.Millisecond
	firstChunk        = 20
	mostPeople        = 250 // of a chunk, which bounds memory where nothing has to be written
	previewRatio      = 4   // of so many people at most one needs anything while it is worth looking first
	ahead             = 4   // chunks a worker that may be done or waiting before the slowest is
	rebuildAttempts   = 8   // how often people whom somebody else has locked are asked for again
	longestPause      = 5   // doublings of a millisecond between these

	bookmarkInterval = 200 * time.Millisecond
)

// rebuilderParts is what a rebuild is made of.
type rebuilderParts struct {
	people     People
	finder     Finder
	locks      RebuildLocks
	mender     Mender
	due        Due
	filler     *filler
	reconciler *Reconciler
	retry      retry.Retrier
	config     *Config
}

// Rebuilder is a rebuild under way: it fills the inbox and then reconciles chunk after chunk
// of people, with several workers.
type Rebuilder struct {
	rebuilderParts
	o       Rebuild
	logger  *slog.Logger
	limiter *rate.Limiter // nil without a limit
	target  time.Duration // how long a chunk holds its locks
	load    int           // messages that are put into the inbox at once; 0 is as many as pay
	size    atomic.Int64  // people of the next chunk
	// few people need anything: it is worth looking before anybody is locked
	mostlyUnchanged atomic.Bool

	lock     RebuildLock // nil unless everyone is rebuilt
	bookmark Bookmark
	kept     time.Time // when the bookmark was kept last
	progress Progress
	tally    Tally
	counting sync.Mutex // while the inbox is filled
}

func newRebuilder(o Rebuild, parts rebuilderParts) *Rebuilder {
	r := &Rebuilder{rebuilderParts: parts, o: o, logger: parts.config.Logger, target: lockTarget}
	r.size.Store(firstChunk)
	r.mostlyUnchanged.Store(!o.DryRun)
	if o.Rate > 0 {
		r.target = lockTargetLimited
		burst := max(1, o.Rate/20)
		r.limiter, r.load = rate.NewLimiter(rate.Limit(o.Rate), burst), min(burst, loadMessages)
	}
	return r
}

// run rebuilds; see [Projector.Rebuild].
func (r *Rebuilder) run(ctx context.Context) (Tally, error) {
	if r.o.Everyone() && !r.o.DryRun {
		if err := r.takeLock(ctx); err != nil {
			return r.tally, err
		}
		defer r.lock.Release()
	}
	if err := r.fillInbox(ctx); err != nil {
		r.keepLast(ctx)
		return r.tally, fmt.Errorf("filling the inbox: %w", err)
	}
	if !r.o.Everyone() {
		referrals, err := r.selected(ctx)
		if err != nil {
			return r.tally, err
		}
		if err := r.mendSelected(ctx, referrals); err != nil {
			return r.tally, fmt.Errorf("mending the inbox: %w", err)
		}
		r.begin(ctx, Progress{Phase: Reconciling, Total: len(referrals)})
		return r.tally, r.reconcileReferrals(ctx, referrals)
	}
	return r.tally, r.everyone(ctx)
}

// takeLock takes the rebuild lock, and goes on where the last rebuild was.
func (r *Rebuilder) takeLock(ctx context.Context) error {
	if err := r.waitForLock(ctx); err != nil {
		return err
	}
	// Who failed or was left is due, and taken again.
	r.bookmark.Tally.Failed, r.bookmark.Tally.Left, r.bookmark.Tally.Lost = nil, 0, 0
	if r.tally = r.bookmark.Tally; r.bookmark.People > 0 {
		r.logger.DebugContext(ctx, "going on with the rebuild where it was", "started", r.bookmark.Started, "people", r.bookmark.People, "after", r.bookmark.Person)
		if r.o.Resumed != nil {
			r.o.Resumed(r.bookmark)
		}
	}
	return nil
}

// waitForLock takes the rebuild lock. A process that has it may have been killed: only one
// that renews its lease is running.
func (r *Rebuilder) waitForLock(ctx context.Context) error {
	var met *RebuildRunning
	for {
		var err error
		r.lock, r.bookmark, err = r.locks.LockRebuild(ctx, r.o.By, r.o.Restart, r.config.Now())
		running, ok := errors.AsType[*RebuildRunning](err)
		if !ok || met != nil && running.End.After(met.End) {
			return err
		}
		if met == nil {
			r.logger.InfoContext(ctx, "another rebuild has the lease, and may have been killed: waiting for it to be renewed, or to end", "by", running.By, "since", running.Since, "left", running.Left)
		}
		met = running
		if err := retry.Pause(ctx, min(time.Second, running.Left)); err != nil {
			return err
		}
	}
}

// fence is the number of the rebuild's lease; 0 where it has none.
func (r *Rebuilder) fence() int64 {
	if r.lock == nil {
		return 0
	}
	return r.lock.Fence()
}

// fillInbox reads what the inbox lacks, up to the stream's last sequence as it is now. Where
// everyone is rebuilt it reads what the inbox has altered as well, and restores whom its
// events name; that takes a look at all of it. Where every sequence is recorded the stream is
// not read.
func (r *Rebuilder) fillInbox(ctx context.Context) error {
	stream, err := r.filler.stream(ctx, false)
	if err != nil {
		return err
	}
	gaps, err := r.filler.inbox.Missing(ctx, stream.LastSequence)
	if err != nil {
		return err
	}
	corrupt, err := r.mendInbox(ctx)
	if err != nil {
		return err
	}
	messages := Length(gaps) + Length(corrupt)
	if messages == 0 {
		return nil
	}
	all := int(stream.LastSequence) //nolint:gosec // fewer than 2^63
	r.logger.DebugContext(ctx, "filling the inbox", "missing", Length(gaps), "altered", Length(corrupt), "last", stream.LastSequence)
	r.begin(ctx, Progress{Phase: FillingInbox, Done: all - messages, Total: all})
	if err := r.read(ctx, gaps, r.filler.inbox.Load); err != nil {
		return err
	}
	return r.read(ctx, corrupt, r.mender.Restore)
}

// read reads ranges of the stream and writes them to the inbox.
func (r *Rebuilder) read(ctx context.Context, ranges []Range, write func(context.Context, []store.Stored) error) error {
	return r.filler.fill(ctx, fill{
		ranges: ranges, write: write, chunk: r.load, writers: r.atOnce(loaders),
		written: func(ctx context.Context, messages int) error {
			if err := r.countMessages(ctx, messages); err != nil {
				return err
			}
			return r.throttle(ctx, messages)
		},
		progress: func(messages int) {
			r.counting.Lock()
			defer r.counting.Unlock()
			r.progress.Done += messages
			r.reportProgress()
		},
	})
}

// countMessages counts messages that were written to the inbox, and keeps that beside the
// bookmark.
func (r *Rebuilder) countMessages(ctx context.Context, messages int) error {
	r.counting.Lock()
	defer r.counting.Unlock()
	r.tally.Messages += messages
	r.bookmark.Tally.Messages = r.tally.Messages
	return r.keep(ctx, false)
}

// mendSelected reads again what the inbox has altered of some referrals.
func (r *Rebuilder) mendSelected(ctx context.Context, referrals []store.Referral) error {
	corrupt, err := r.mender.CorruptSequences(ctx, referrals)
	if err != nil || len(corrupt) == 0 {
		return err
	}
	r.begin(ctx, Progress{Phase: FillingInbox, Total: len(corrupt)})
	return r.read(ctx, RangesOf(corrupt), r.mender.Restore)
}

// mendInbox restores whom the inbox's events name, and says which bodies it has altered. It
// does neither for some people alone.
func (r *Rebuilder) mendInbox(ctx context.Context) ([]Range, error) {
	if !r.o.Everyone() {
		return nil, nil
	}
	var corrupt []uint64
	group, looking := errgroup.WithContext(ctx) // beside one another they read the inbox from the disk once
	group.SetLimit(r.atOnce(2))
	group.Go(func() (err error) {
		corrupt, err = r.mender.CorruptSequences(looking, nil)
		return err
	})
	group.Go(func() error {
		return r.retry.Do(looking, "restoring whom events name", func() error { return r.mender.RestoreIdentities(looking) })
	})
	err := group.Wait()
	return RangesOf(corrupt), err
}

// atOnce is how many of so many workers may work: where the rate is limited the other
// processors are for live events.
func (r *Rebuilder) atOnce(workers int) int {
	if r.limiter != nil {
		return 1
	}
	return workers
}

// begin begins a phase. That is kept at once, where it can be, and so is what is done first.
func (r *Rebuilder) begin(ctx context.Context, phase Progress) {
	r.progress = phase
	r.bookmark.Since, r.bookmark.From, r.bookmark.Rate = r.config.Now(), phase.Done, r.o.Rate
	r.reportProgress()
	r.keepLast(ctx)
	r.kept = time.Time{}
}

// pausedInterval is how often a rebuild that pauses asks whether to go on.
const pausedInterval = 500 * time.Millisecond

// throttle waits until so many events are within the rate, and while the rebuild is to pause.
func (r *Rebuilder) throttle(ctx context.Context, events int) error {
	for r.lock != nil {
		paused := false
		err := r.retry.Do(ctx, "asking whether the rebuild is to pause", func() (err error) {
			paused, err = r.lock.Paused(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if !paused {
			break
		}
		if err := retry.Pause(ctx, pausedInterval); err != nil {
			return err
		}
	}
	for r.limiter != nil && events > 0 {
		n := min(events, r.limiter.Burst())
		if err := r.limiter.WaitN(ctx, n); err != nil {
			return err
		}
		events -= n
	}
	return ctx.Err()
}

func (r *Rebuilder) reportProgress() {
	if r.o.Progress != nil {
		r.o.Progress(r.progress)
	}
}

// selected are the referrals of whom the rebuild selects.
func (r *Rebuilder) selected(ctx context.Context) ([]store.Referral, error) {
	known, err := r.finder.WithEvents(ctx, r.o.Referrals)
	if err != nil {
		return nil, err
	}
	for _, referral := range r.o.Referrals {
		if !slices.Contains(known, referral) {
			return nil, fmt.Errorf("no event of referral %s is in the stream", referral)
		}
	}
	all := slices.Clone(r.o.Referrals)
	for _, crn := range r.o.CRNs {
		naming, err := r.finder.ReferralsNaming(ctx, []store.CRN{crn})
		if err != nil {
			return nil, err
		}
		if len(naming) == 0 {
			return nil, fmt.Errorf("no event in the stream names %s", crn)
		}
		all = append(all, naming...)
	}
	slices.SortFunc(all, store.Referral.Compare)
	return slices.Compact(all), nil
}

// everyone reconciles everyone from the bookmark on, then what is nobody's. Those before it
// who are due come first: the inbox may have more of them than it did when they were passed.
// Who becomes due from now on is live's.
func (r *Rebuilder) everyone(ctx context.Context) error {
	var passed []store.Referral
	var err error
	if r.bookmark.Person > 0 {
		if passed, err = r.people.DueUpTo(ctx, r.bookmark.Person); err != nil {
			return err
		}
	}
	people, err := r.people.OffendersAfter(ctx, r.bookmark.Person)
	if err != nil {
		return err
	}
	unowned, err := r.people.Unowned(ctx)
	if err != nil {
		return err
	}
	all := r.bookmark.People + len(passed) + len(people) + len(unowned)
	r.begin(ctx, Progress{Phase: Reconciling, Done: r.bookmark.People, Total: all, Changed: r.tally.Changed})
	if len(passed) > 0 {
		if err := r.reconcileReferrals(ctx, passed); err != nil {
			return err
		}
	}
	if err := r.reconcilePeople(ctx, people); err != nil {
		return err
	}
	if err := r.reconcileReferrals(ctx, unowned); err != nil {
		return err
	}
	if r.lock != nil {
		return r.lock.Finish(ctx)
	}
	return nil
}
