package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/referrals"
	"casdelius/projector/retry"
	"casdelius/store"
)

// Report is what a reconcile came to.
type Report struct {
	Applied
	Looked  int        // people looked at
	Events  int        // that their histories hold
	Plan    []Decision // of a dry run: what would be written
	Failed  []Failure  // they stay due
	Lost    int        // people whose history lacks events
	Changes int        // rows written, or to be written
}

// add adds what another reconcile came to.
func (r *Report) add(o *Report) {
	r.People = append(r.People, o.People...)
	r.Plan = append(r.Plan, o.Plan...)
	r.Failed = append(r.Failed, o.Failed...)
	r.Looked += o.Looked
	r.Events += o.Events
	r.Deferred += o.Deferred
	r.Lost += o.Lost
	r.Changes += o.Changes
	r.Skipped = r.Skipped || o.Skipped
}

// Reconciler makes what stands of some people what their events say. It is the one way into
// Delius: of live projection, the sweep, a rebuild, a repair and every dry run.
type Reconciler struct {
	steps     Steps
	retry     retry.Retrier
	logger    *slog.Logger
	metrics   *metrics
	now       func() time.Time
	committed func(Applied, time.Time) // may be nil
	pauses    *referrals.Pauses
	losses    referrals.Losses
	search    chan struct{} // holds a token when a history was found to lack events
	denied    atomic.Pointer[denial]
	strays    referrals.Strays
	last      atomic.Pointer[time.Time] // when a step last committed
}

func newReconciler(steps Steps, retry retry.Retrier, metrics *metrics, config *Config) *Reconciler {
	return &Reconciler{
		steps: steps, retry: retry, logger: config.Logger, metrics: metrics, now: config.Now, committed: config.Committed,
		pauses: referrals.NewPauses(config.Retry),
		search: make(chan struct{}, 1),
	}
}

// denial is what every step since the last that committed was denied by.
type denial struct {
	since time.Time
	last  error
}

// deny notes an error of a step that others meet alike. One of a person's own is no ill
// health of the service.
func (r *Reconciler) deny(err error) {
	if !errors.Is(err, ErrDenied) {
		return
	}
	is := &denial{since: r.now(), last: err}
	if was := r.denied.Load(); was != nil {
		is.since = was.since
	}
	r.denied.Store(is)
}

// healthy is nil unless every step of late was denied, or failed by errors that look like
// people's own.
func (r *Reconciler) healthy() error {
	if d := r.denied.Load(); d != nil {
		return fmt.Errorf("every step since %s was denied: %w", d.since.UTC().Format(time.RFC3339), d.last)
	}
	return r.strays.Err()
}

// commits notes that a step has committed.
func (r *Reconciler) commits() {
	now := r.now()
	r.last.Store(&now)
}

// moved is when a step last committed; zero if none has.
func (r *Reconciler) moved() time.Time {
	if last := r.last.Load(); last != nil {
		return *last
	}
	return time.Time{}
}

// failing are the referrals that fail again and again by themselves: where every step is
// denied, nobody does.
func (r *Reconciler) failing() []store.Referral {
	if r.denied.Load() != nil {
		return nil
	}
	return r.pauses.Persistent()
}

// Reconcile reconciles the people of the selected referrals; see [Projector.Reconcile].
func (r *Reconciler) Reconcile(ctx context.Context, selection Selection) (Report, error) {
	if len(selection.Referrals) == 0 {
		return Report{}, nil
	}
	var report Report
	err := r.retry.While(worthTrying(len(selection.Referrals))).Do(ctx, "reconciling", func() (err error) {
		report, err = r.reconcileOnce(ctx, selection)
		return err
	})
	switch {
	case err == nil:
		r.succeeds(ctx, &selection, report)
		return report, nil
	case ctx.Err() != nil:
		return report, context.Cause(ctx)
	case errors.Is(err, ErrRebuildRunning), errors.Is(err, ErrOlder), selection.Order != nil:
		return report, err
	case len(selection.Referrals) > 1 && errors.Is(err, ErrTooSlow):
		r.logger.WarnContext(ctx, "too slow: reconciling half as many at once", "referrals", len(selection.Referrals), "error", err)
		return r.split(ctx, selection, (len(selection.Referrals)+1)/2)
	case len(selection.Referrals) > 1:
		r.logger.ErrorContext(ctx, "reconciling one referral after another", "referrals", len(selection.Referrals), "error", err)
		return r.split(ctx, selection, 1)
	default:
		return r.failed(ctx, selection, err)
	}
}

// attempt reconciles the selected people once. After an error nothing was written.
func (r *Reconciler) attempt(ctx context.Context, selection Selection) (Report, error) {
	report, err := r.reconcileOnce(ctx, selection)
	if err == nil {
		r.succeeds(ctx, &selection, report)
	}
	return report, err
}

// succeeds notes that a step came to its end, and tells of it.
func (r *Reconciler) succeeds(ctx context.Context, selection *Selection, report Report) {
	r.denied.Store(nil)
	if !selection.DryRun {
		r.commits()
		if report.Changes > 0 {
			r.strays.Forget()
		}
	}
	r.publish(ctx, report, selection.Quiet)
}

// reconcileOnce looks at the selected people once: history → fold → diff → apply, in one
// transaction.
func (r *Reconciler) reconcileOnce(ctx context.Context, selection Selection) (Report, error) {
	step, err := r.steps.Begin(ctx, selection)
	if err != nil {
		return Report{}, err
	}
	defer step.Rollback(ctx)
	decisions, err := decideAll(ctx, step, selection.Order)
	if err != nil {
		return Report{}, err
	}
	report := Report{Looked: len(decisions)}
	for i := range decisions {
		person := &decisions[i].Person
		report.Events += len(person.Events)
		report.Changes += len(decisions[i].Outcome.Changes)
		if lost := decisions[i].Outcome.Lost; len(lost) > 0 {
			report.Lost++
			r.logger.WarnContext(ctx, "the history lacks events that the ledger was folded from: nothing is written", "crn", person.CRN, "of", lost)
		}
	}
	if selection.DryRun {
		report.Plan = decisions
		return report, nil
	}
	if o := selection.Order; o != nil {
		if err := o.Confirm(decisions); err != nil {
			return report, err
		}
	}
	report.Applied, err = step.Apply(ctx, decisions, r.now())
	return report, err
}

// decideAll decides about the people of a step. A value that is to be restored is that of
// whoever has the row.
func decideAll(ctx context.Context, step Step, order *Order) ([]Decision, error) {
	people := step.People()
	subjects := make([]Subject, len(people))
	for i := range people {
		subjects[i] = Subject{Person: people[i], Desired: delius.Fold(people[i].Events)}
	}
	refs, err := step.LoadCurrent(ctx, subjects)
	if err != nil {
		return nil, err
	}
	decisions := make([]Decision, len(subjects))
	for i := range subjects {
		if order != nil && order.Restore != nil && subjects[i].Current.Has(order.Restore) {
			subjects[i].Current.Restore = order.Restore
		}
		decisions[i] = decide(subjects[i], refs)
	}
	return decisions, nil
}

// Look decides about the people of the selected referrals and writes nothing: what would be
// written for them now.
func Look(ctx context.Context, steps Steps, selection Selection) ([]Decision, error) {
	selection.DryRun = true
	step, err := steps.Begin(ctx, selection)
	if err != nil {
		return nil, err
	}
	defer step.Rollback(ctx)
	return decideAll(ctx, step, selection.Order)
}

// decide compares what one person's events want with what stands.
func decide(s Subject, refs delius.References) Decision {
	if s.Person.Hold != nil {
		return Decision{Subject: s, Outcome: s.Person.Hold.Outcome(s.Person.Referrals)}
	}
	outcome := delius.Diff(s.Desired, s.Current, refs)
	markKnown(s.Person.Fresh, s.Current.AppliedContacts)
	return Decision{Subject: s, Outcome: outcome, Applied: applied(s.Person.Fresh, outcome)}
}

// applied are the fresh events that are in Delius once the outcome is: all but those
// that are parked themselves and those whose contact is.
func applied(fresh []Fresh, outcome delius.Outcome) []Fresh {
	if len(outcome.Lost) > 0 {
		return nil
	}
	contacts, events := map[string]bool{}, map[store.Key]bool{}
	for _, parked := range outcome.Parked {
		switch {
		case parked.Cause == delius.BadDetail:
			for _, k := range parked.Events {
				events[k] = true
			}
		case parked.Cause.Retried() && !parked.Address:
			contacts[parked.URN] = true
		}
	}
	out := make([]Fresh, 0, len(fresh))
	for _, f := range fresh {
		kind := delius.KindOf(f.Key.Type)
		if kind == nil || !events[f.Key] && !contacts[kind.URN(f.Key.Referral)] {
			out = append(out, f)
		}
	}
	return out
}

// markKnown marks the fresh events that the ledger was folded from.
func markKnown(fresh []Fresh, ledger map[string]delius.AppliedContact) {
	for i := range fresh {
		key := fresh[i].Key
		if kind := delius.KindOf(key.Type); kind != nil {
			_, fresh[i].Known = slices.BinarySearch(ledger[kind.URN(key.Referral)].Events, delius.HashOf(key))
		}
	}
}

const (
	slowTries = 3  // of one person alone that is too slow
	mostTries = 10 // that meet another transient error, which may be one person's after all
)

// worthTrying says of so many referrals whether the same is to be run again after an error:
// for as long as stream or database are not there; otherwise so often that nobody's error is
// in everybody's way. What is too slow together is not tried together again.
func worthTrying(referrals int) func(error) bool {
	tries := 0
	return func(err error) bool {
		if errors.Is(err, ErrUnavailable) {
			return true
		}
		if tries++; errors.Is(err, ErrTooSlow) {
			return referrals == 1 && tries < slowTries
		}
		return isTransient(err) && tries < mostTries
	}
}

// split reconciles the referrals of a batch, so many at once, and everybody once.
func (r *Reconciler) split(ctx context.Context, selection Selection, size int) (Report, error) {
	var all Report
	for rest := selection.Referrals; len(rest) > 0; {
		part := selection
		part.Referrals = rest[:min(size, len(rest))]
		report, err := r.Reconcile(ctx, part)
		if err != nil {
			return all, err
		}
		all.add(&report)
		rest = without(rest[len(part.Referrals):], &report)
	}
	return all, nil
}

// failed reports a referral whose person met an error alone, whatever that is: it stays due,
// and is left alone for a pause that grows. It is kept, but for an error that everybody meets
// alike; where it cannot be, the process remembers it.
func (r *Reconciler) failed(ctx context.Context, selection Selection, err error) (Report, error) {
	r.metrics.failures.Inc()
	r.deny(err)
	referral, keep := selection.Referrals[0], !selection.DryRun && !errors.Is(err, ErrDenied)
	failure, unkept := r.steps.Fail(ctx, referral, err, keep, r.now())
	if !keep || unkept != nil {
		r.pauses.Fail(selection.Referrals, r.now())
	}
	if failure.Tries == 1 {
		r.strays.Add(failure.Problem, r.now())
	}
	r.logger.ErrorContext(ctx, "a referral cannot be reconciled: it stays due", "referral", referral.String(), "error", errors.Join(err, unkept))
	return Report{Failed: []Failure{failure}}, nil
}

// reconcileUntilFree reconciles the people of referrals, and asks again for those whom
// somebody else has locked, so many times at most and with growing pauses of a millisecond and
// more. It calls each with every report, and returns the referrals that are left.
func (r *Reconciler) reconcileUntilFree(ctx context.Context, selection Selection, attempts, longest int, each func(*Report)) ([]store.Referral, error) {
	for attempt := 0; len(selection.Referrals) > 0; attempt++ {
		var err error
		if selection.Referrals, err = r.reconcileFree(ctx, selection, each); err != nil || len(selection.Referrals) == 0 || attempt == attempts {
			return selection.Referrals, err
		}
		if err := retry.Wait(ctx, time.Millisecond, min(attempt, longest)); err != nil {
			return selection.Referrals, err
		}
	}
	return nil, nil
}

// reconcileFree reconciles the people of referrals who are free, calls each with the report, and
// returns the referrals that are left because somebody else has locked their people.
func (r *Reconciler) reconcileFree(ctx context.Context, selection Selection, each func(*Report)) ([]store.Referral, error) {
	report, err := r.Reconcile(ctx, selection)
	if err != nil {
		return selection.Referrals, err
	}
	each(&report)
	if selection.DryRun || !report.Locked() {
		return nil, nil
	}
	return without(selection.Referrals, &report), nil
}

// Locked says that somebody else has locked some of the people.
func (r *Report) Locked() bool { return r.Deferred > 0 || r.Skipped }

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
	for _, f := range r.Failed {
		seen[f.Referral] = true
	}
	return slices.DeleteFunc(slices.Clone(referrals), func(referral store.Referral) bool { return seen[referral] })
}

// errStopped is the cause of a context that ends what took too long after a stop.
var errStopped = errors.New("stopped: what was in hand took too long")
