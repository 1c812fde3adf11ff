package projector

import (
	"context"
	"errors"
	"slices"

	"casdelius/projector/delius"
	"casdelius/store"
)

// Report is what a reconcile came to.
type Report struct {
	Applied
	Looked  int              // people looked at
	Events  int              // that their histories hold
	Plan    []Decision       // of a dry run: what would be written
	Failed  []store.Referral // whose people met an unexpected error; they stay due
	Lost    int              // people whose history lacks events
	Changes int              // rows written, or to be written
}

// reconcile looks at the picked people once: history → fold → diff → apply, in one
// transaction. It is the one path of live, rebuild and dry run.
func (p *Projector) reconcile(ctx context.Context, pick Pick) (Report, error) {
	step, err := p.db.Begin(ctx, pick)
	if err != nil {
		return Report{}, err
	}
	defer step.Rollback(ctx)
	people := step.People()
	desired := make([]delius.Desired, len(people))
	for i := range people {
		desired[i] = delius.Fold(people[i].Events)
	}
	cases, refs, err := step.Standing(ctx, desired)
	if err != nil {
		return Report{}, err
	}
	report := Report{Looked: len(people)}
	decisions := make([]Decision, len(people))
	for i := range people {
		outcome := delius.Diff(desired[i], cases[i], refs)
		recognise(people[i].Fresh, cases[i].AppliedContacts)
		report.Events += len(people[i].Events)
		decisions[i] = Decision{Person: people[i], Outcome: outcome, Applied: applied(people[i].Fresh, outcome)}
		report.Changes += len(outcome.Changes)
		if len(outcome.Lost) > 0 {
			report.Lost++
			p.logger.Warn("the history lacks events that the ledger was folded from: nothing is written", "crn", people[i].CRN, "of", outcome.Lost)
		}
	}
	if pick.DryRun {
		report.Plan = decisions
		return report, nil
	}
	report.Applied, err = step.Apply(ctx, decisions, p.config.Now())
	return report, err
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

// recognise marks the fresh events that the ledger was folded from.
func recognise(fresh []Fresh, ledger map[string]delius.AppliedContact) {
	for i := range fresh {
		key := fresh[i].Key
		if kind := delius.KindOf(key.Type); kind != nil {
			_, fresh[i].Known = slices.BinarySearch(ledger[kind.URN(key.Referral)].Events, delius.HashOf(key))
		}
	}
}

// Reconcile reconciles the picked people: again where the moment was bad, and one
// referral after another where the batch met an unexpected error, so that nobody is
// in anybody's way.
func (p *Projector) Reconcile(ctx context.Context, pick Pick) (Report, error) {
	if len(pick.Referrals) == 0 {
		return Report{}, nil
	}
	for attempt := 0; ; attempt++ {
		report, err := p.reconcile(ctx, pick)
		switch {
		case err == nil:
			p.tell(report, pick.Quiet)
			return report, nil
		case ctx.Err() != nil:
			return report, context.Cause(ctx)
		case errors.Is(err, ErrRetry):
			p.metrics.retries.Inc()
			p.logger.Warn("reconciling again", "attempt", attempt+1, "error", err)
			if err := wait(ctx, p.config.Retry, attempt); err != nil {
				return report, err
			}
		case len(pick.Referrals) > 1:
			p.logger.Error("reconciling one referral after another", "referrals", len(pick.Referrals), "error", err)
			return p.split(ctx, pick)
		default:
			return p.failed(pick, err)
		}
	}
}

// split reconciles the referrals of a batch one by one.
func (p *Projector) split(ctx context.Context, pick Pick) (Report, error) {
	var all Report
	for _, referral := range pick.Referrals {
		one := pick
		one.Referrals = []store.Referral{referral}
		report, err := p.Reconcile(ctx, one)
		if err != nil {
			return all, err
		}
		all.People = append(all.People, report.People...)
		all.Plan = append(all.Plan, report.Plan...)
		all.Failed = append(all.Failed, report.Failed...)
		all.Looked += report.Looked
		all.Events += report.Events
		all.PutOff += report.PutOff
		all.Lost += report.Lost
		all.Changes += report.Changes
		all.Skipped = all.Skipped || report.Skipped
	}
	return all, nil
}

// failed reports a referral that cannot be reconciled: it stays due, and is left
// alone for a pause that grows.
func (p *Projector) failed(pick Pick, err error) (Report, error) {
	p.metrics.failures.Inc()
	p.pauses.fail(pick.Referrals, p.config.Now())
	p.logger.Error("a referral cannot be reconciled: it stays due", "referral", pick.Referrals[0].String(), "error", err)
	return Report{Failed: pick.Referrals}, nil
}
