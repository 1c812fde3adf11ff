package requests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// Sources say whom a request concerns.
type Sources struct {
	Finder    projector.Finder
	Conflicts Conflicts
}

// Conflicts are values of people's that events have replaced.
type Conflicts interface {
	// Replaced is what a conflict has to be restored, and the referrals of whom it concerns. The
	// error is a [Refusal] where it cannot be.
	Replaced(ctx context.Context, conflict int64) (delius.Restore, store.CRN, []store.Referral, error)
}

// Effects are what is done in the database without a step, each in one transaction with what is
// written down of it.
type Effects interface {
	// RetryParked makes what is parked be tried at once.
	RetryParked(ctx context.Context, who projector.Selection, cause delius.Cause, order *projector.Order) error
	// Review settles a conflict as looked at.
	Review(ctx context.Context, conflict int64, order *projector.Order) error
	// Pause has the rebuild of everyone pause, or go on.
	Pause(ctx context.Context, paused bool, order *projector.Order) error
	// RebuiltBy says who rebuilds everyone, or began to; "" is nobody.
	RebuiltBy(ctx context.Context) (string, error)
}

// Rejected are the messages that ingest has rejected.
type Rejected interface {
	// Ask has ingest replay or dismiss one. What it answers is the outcome; asked twice it does
	// nothing more. The error is a [Refusal] where that cannot be.
	Ask(ctx context.Context, ask store.RejectedAsk) (string, error)
}

// Preview is what a request would write now.
type Preview struct {
	Decisions []projector.Decision
	Hash      string
}

// Look says what a request of some people's rows would write now: what whoever confirms it sees.
// The error is a [Refusal] where it cannot be done.
func Look(ctx context.Context, sources Sources, steps projector.Steps, r *Request) (Preview, error) {
	selection, err := selectionOf(ctx, sources, r, &projector.Order{})
	if err != nil {
		return Preview{}, err
	}
	decisions, err := projector.Look(ctx, steps, selection)
	if err != nil {
		return Preview{}, err
	}
	return Preview{decisions, inspect.HashPlan(decisions)}, refusedBy(decisions, selection.Order)
}

// selectionOf is whom a request concerns, and what is restored.
func selectionOf(ctx context.Context, sources Sources, r *Request, order *projector.Order) (projector.Selection, error) {
	selection := projector.Selection{Quiet: true, Repair: r.Kind == Repair, Order: order}
	if r.Kind == Restore {
		restore, crn, referrals, err := sources.Conflicts.Replaced(ctx, r.Target.Conflict)
		if err != nil {
			return selection, err
		}
		order.Restore, order.Settle, order.Entry.CRN, selection.Referrals = &restore, r.Target.Conflict, crn, referrals
		return selection, nil
	}
	var err error
	if selection.Referrals, err = sources.Finder.WithEvents(ctx, r.Target.Referrals); err != nil {
		return selection, err
	}
	if len(r.Target.CRNs) > 0 {
		naming, err := sources.Finder.ReferralsNaming(ctx, r.Target.CRNs)
		if err != nil {
			return selection, err
		}
		selection.Referrals = append(selection.Referrals, naming...)
	}
	slices.SortFunc(selection.Referrals, store.Referral.Compare)
	if selection.Referrals = slices.Compact(selection.Referrals); len(selection.Referrals) == 0 {
		return selection, Refuse("no event names any of these people")
	}
	return selection, nil
}

// refusedBy says why what was decided cannot be what was asked for; nil if it can.
func refusedBy(decisions []projector.Decision, order *projector.Order) error {
	restored := false
	for i := range decisions {
		d := &decisions[i]
		switch {
		case d.Outcome.Refused != "":
			return Refuse("%s", d.Outcome.Refused)
		case len(d.Outcome.Lost) > 0:
			return Refuse("the history of %s lacks events that were applied once: `projector verify` says which", d.Person.CRN)
		}
		restored = restored || d.Current.Restore != nil
	}
	if order.Restore != nil && !restored {
		return Refuse("the row of this conflict is nobody's any more, or its person is held")
	}
	return nil
}

// carryOut does what was asked for. An end without a state is one that was written down with
// what was done.
func (e *Executor) carryOut(ctx context.Context, r *Request, order *projector.Order) (End, error) {
	if err := r.Validate(); err != nil {
		return End{}, Refuse("%s", err)
	}
	who := projector.Selection{CRNs: r.Target.CRNs, Referrals: r.Target.Referrals}
	switch r.Kind {
	case Retry:
		return End{}, e.ports.Effects.RetryParked(ctx, who, r.Target.Cause, order)
	case Reviewed:
		return End{}, e.ports.Effects.Review(ctx, r.Target.Conflict, order)
	case Pause, Resume:
		return End{}, e.ports.Effects.Pause(ctx, r.Kind == Pause, order)
	case Replay, Dismiss:
		answer, err := e.ports.Rejected.Ask(ctx, store.RejectedAsk{Sequence: r.Target.Rejected, Dismiss: r.Kind == Dismiss, Who: r.Who, Why: r.Why})
		return End{State: Done, Outcome: answer}, err
	case Plan:
		return e.plan(ctx)
	case Rebuild:
		if r.Target.All {
			return e.rebuild(ctx, r)
		}
	}
	return End{}, e.reconcile(ctx, r, order)
}

// reconcile reconciles some people in one step, if what it would write is what was confirmed.
func (e *Executor) reconcile(ctx context.Context, r *Request, order *projector.Order) error {
	selection, err := selectionOf(ctx, e.ports.Sources, r, order)
	if err != nil {
		return err
	}
	order.Confirm = func(decisions []projector.Decision) error {
		if err := refusedBy(decisions, order); err != nil {
			return err
		}
		if hash := inspect.HashPlan(decisions); hash != r.PlanHash {
			return errChanged
		}
		rows, people := 0, 0
		for i := range decisions {
			if n := len(decisions[i].Outcome.Changes); n > 0 {
				rows, people = rows+n, people+1
			}
		}
		order.Outcome = fmt.Sprintf("%d rows of %d people written", rows, people)
		return nil
	}
	_, err = e.ports.Projector.Reconcile(ctx, selection)
	return err
}

var errChanged = Refuse("what would be written is something else by now than what was confirmed: look at the plan again")

// plan looks at everyone.
func (e *Executor) plan(ctx context.Context) (End, error) {
	result, err := e.planned(ctx)
	if err != nil {
		return End{}, err
	}
	text, err := json.Marshal(result)
	return End{State: Done, Result: text, Outcome: fmt.Sprintf("%d people looked at: %d rows of %d people would be written", result.People, result.Rows, result.Changed)}, err
}

func (e *Executor) planned(ctx context.Context) (PlanResult, error) {
	var hash inspect.PlanHash
	tally, err := e.ports.Projector.Rebuild(ctx, projector.Rebuild{
		Selection: projector.Selection{DryRun: true},
		Planned: func(d projector.Decision) error {
			hash.Add(&d)
			return nil
		},
	})
	return PlanResult{hash.String(), tally.People, tally.Changed, tally.Rows, tally.Fields, tally.Conflicts, tally.Parked, len(tally.Failed)}, err
}

// rebuild rebuilds everyone, or goes on with the rebuild of the same request that another
// process began.
func (e *Executor) rebuild(ctx context.Context, r *Request) (End, error) {
	by := "request " + r.ID.String()
	is, err := e.ports.Effects.RebuiltBy(ctx)
	if err != nil {
		return End{}, err
	}
	if is != by {
		result, err := e.planned(ctx)
		if err != nil {
			return End{}, err
		}
		if result.Hash != r.PlanHash {
			return End{}, errChanged
		}
	}
	tally, err := e.ports.Projector.Rebuild(ctx, projector.Rebuild{By: by, Rate: r.Target.Rate, Restart: r.Target.Restart && is != by})
	if running, ok := errors.AsType[*projector.RebuildRunning](err); ok {
		return End{}, Refuse("another rebuild is running: %s runs it", running.By)
	}
	if err != nil {
		return End{}, err
	}
	end := End{State: Done, Outcome: fmt.Sprintf("%d people checked, %d changed: %d rows written", tally.People, tally.Changed, tally.Rows)}
	if n := len(tally.Failed); n > 0 {
		end.State, end.Outcome = Failed, fmt.Sprintf("%s; %d referrals could not be rebuilt and stay due", end.Outcome, n)
	}
	return end, nil
}
