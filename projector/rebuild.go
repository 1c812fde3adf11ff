package projector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// Rebuild says who is to be made what the stream says, and how. The zero value is
// everyone.
type Rebuild struct {
	CRNs      []store.CRN      // these people
	Referrals []store.Referral // and the people of these
	DryRun    bool             // plan only: the inbox is filled, nothing else is written
	Restart   bool             // begin anew, also where a rebuild of everyone was interrupted
	Rate      int              // events a second, in each of the two phases; 0: as fast as can be
	By        string           // who runs it, for whoever wants to run another

	// Progress is told how far it is, often.
	Progress func(Progress)
	// Resumed is told where a rebuild that was interrupted is taken up.
	Resumed func(Bookmark)
	// Planned is told, in a dry run, what would be written for each person in turn.
	Planned func(Decision) error
}

// everyone says whether nobody is named.
func (r *Rebuild) everyone() bool { return len(r.CRNs)+len(r.Referrals) == 0 }

// Phase is a part of a rebuild.
type Phase string

// The phases of a rebuild.
const (
	FillingInbox Phase = "inbox"  // counts messages of the stream
	Reconciling  Phase = "people" // counts people, then referrals that are nobody's
)

// Progress is how far a rebuild is.
type Progress struct {
	Phase       Phase
	Done, Total int
	Changed     int // people
}

// Tally is what a rebuild came to since it was started or taken up.
type Tally struct {
	Messages int // of the stream, that the inbox lacked or held altered
	People   int // looked at; a referral of nobody's counts as one
	Events   int // that their histories hold
	Changed  int // people with a change
	Rows     int // written, or to be written
	Fields   int // of these rows

	Conflicts, AdoptedDiffers, Parked int

	Left   int // referrals whose people somebody else had in hand: left due
	Lost   int // people whose history lacks events
	Failed []store.Referral
}

// add counts what a reconcile came to.
func (t *Tally) add(r *Report) {
	t.Events += r.Events
	t.Rows += r.Changes
	t.Lost += r.Lost
	t.Failed = append(t.Failed, r.Failed...)
	for _, decisions := range [][]Decision{r.People, r.Plan} {
		for i := range decisions {
			t.decision(&decisions[i].Outcome)
		}
	}
}

func (t *Tally) decision(o *delius.Outcome) {
	t.People++
	if len(o.Changes) > 0 {
		t.Changed++
	}
	for _, c := range o.Changes {
		t.Fields += len(c.Why())
	}
	t.Conflicts += len(o.Conflicts)
	t.Parked += len(o.Parked)
	for _, n := range o.Observations {
		if n.Kind == delius.AdoptedDiffers {
			t.AdoptedDiffers++
		}
	}
}

// plus adds what another tally counted.
func (t *Tally) plus(o *Tally) {
	t.Messages += o.Messages
	t.People += o.People
	t.Events += o.Events
	t.Changed += o.Changed
	t.Rows += o.Rows
	t.Fields += o.Fields
	t.Conflicts += o.Conflicts
	t.AdoptedDiffers += o.AdoptedDiffers
	t.Parked += o.Parked
	t.Left += o.Left
	t.Lost += o.Lost
	t.Failed = append(t.Failed, o.Failed...)
}

// Bookmark is how far a rebuild of everyone has come.
type Bookmark struct {
	Started time.Time // when it was begun, by whichever process
	Person  int64     // everyone up to this offender is done
	People  int       // how many that are
	Changed int       // how many of them were changed
}

// ErrClaimed is the error of a rebuild of everyone while another one runs. The error
// says who runs it and since when.
var ErrClaimed = errors.New("another rebuild is running")

// Claim is the right to rebuild everyone, which one process has at a time.
type Claim interface {
	// Reached keeps the place. It fails with [ErrClaimed] if the claim was lost.
	Reached(ctx context.Context, place Bookmark) error
	// Finish forgets the place: the next rebuild begins at the beginning.
	Finish(ctx context.Context) error
	// Release gives the right back, and leaves the place to whoever goes on.
	Release()
}

// Roll knows whom there is to reconcile.
type Roll interface {
	// Claim claims the right to rebuild everyone, and says where to go on.
	Claim(ctx context.Context, by string, restart bool, now time.Time) (Claim, Bookmark, error)
	// People are the offenders after one whom any event names, in order.
	People(ctx context.Context, after int64) ([]int64, error)
	// Behind are the referrals that are due and whose events name an offender up to one, in
	// the order of these.
	Behind(ctx context.Context, last int64) ([]store.Referral, error)
	// ReferralsOf are the referrals whose events name any of these offenders.
	ReferralsOf(ctx context.Context, offenders []int64) ([]store.Referral, error)
	// Unowned are the referrals whose events name nobody whom Delius knows.
	Unowned(ctx context.Context) ([]store.Referral, error)
	// Named are the referrals whose events name a CRN, or the person whose it is.
	Named(ctx context.Context, crn store.CRN) ([]store.Referral, error)
	// Stored says which of the referrals the inbox has events of.
	Stored(ctx context.Context, referrals []store.Referral) ([]store.Referral, error)
	// MarkDue leaves referrals to the next sweep.
	MarkDue(ctx context.Context, referrals []store.Referral) error
}

// Rebuild fills the inbox from the stream and then reconciles whom r names, while
// live projection goes on. When it is interrupted, or the process is killed, the next
// rebuild of everyone goes on where this one was.
//
// It raises no telemetry. People whom somebody else holds for longer than a moment
// are left due, as are those that met an unexpected error.
func (p *Projector) Rebuild(ctx context.Context, r Rebuild) (Tally, error) {
	w := newWalk(p, &r)
	if r.everyone() && !r.DryRun {
		if err := w.claim(ctx); err != nil {
			return w.tally, err
		}
		defer w.held.Release()
	}
	if err := w.fill(ctx); err != nil {
		return w.tally, fmt.Errorf("filling the inbox: %w", err)
	}
	if !r.everyone() {
		referrals, err := w.named(ctx)
		if err != nil {
			return w.tally, err
		}
		return w.tally, w.referrals(ctx, referrals)
	}
	return w.tally, w.everyone(ctx)
}

// claim claims the right to rebuild everyone.
func (w *walk) claim(ctx context.Context) error {
	var err error
	w.held, w.place, err = w.roll.Claim(ctx, w.o.By, w.o.Restart, w.config.Now())
	if err != nil {
		return err
	}
	if w.place.People > 0 {
		w.logger.Debug("going on with the rebuild where it was", "started", w.place.Started, "people", w.place.People, "after", w.place.Person)
		if w.o.Resumed != nil {
			w.o.Resumed(w.place)
		}
	}
	return nil
}

// named are the referrals of whom the rebuild names.
func (w *walk) named(ctx context.Context) ([]store.Referral, error) {
	stored, err := w.roll.Stored(ctx, w.o.Referrals)
	if err != nil {
		return nil, err
	}
	has := map[store.Referral]bool{}
	for _, referral := range stored {
		has[referral] = true
	}
	all := make([]store.Referral, 0, len(w.o.Referrals))
	for _, referral := range w.o.Referrals {
		if !has[referral] {
			return nil, fmt.Errorf("no event of referral %s is in the stream", referral)
		}
		all = append(all, referral)
	}
	for _, crn := range w.o.CRNs {
		named, err := w.roll.Named(ctx, crn)
		if err != nil {
			return nil, err
		}
		if len(named) == 0 {
			return nil, fmt.Errorf("no event in the stream names %s", crn)
		}
		for _, referral := range named {
			if !has[referral] {
				has[referral] = true
				all = append(all, referral)
			}
		}
	}
	return all, nil
}

// everyone reconciles everyone from where the rebuild was, then what is nobody's. Those
// before that place who are due come first: the inbox may hold more of them than it did
// when they were passed. Who becomes due from now on is live's.
func (w *walk) everyone(ctx context.Context) error {
	var behind []store.Referral
	var err error
	if w.place.Person > 0 {
		if behind, err = w.roll.Behind(ctx, w.place.Person); err != nil {
			return err
		}
	}
	people, err := w.roll.People(ctx, w.place.Person)
	if err != nil {
		return err
	}
	unowned, err := w.roll.Unowned(ctx)
	if err != nil {
		return err
	}
	all := w.place.People + len(behind) + len(people) + len(unowned)
	w.progress = Progress{Phase: Reconciling, Done: w.place.People, Total: all, Changed: w.place.Changed}
	w.tell()
	if len(behind) > 0 {
		if err := w.rest(ctx, behind); err != nil {
			return err
		}
	}
	if err := w.people(ctx, people); err != nil {
		return err
	}
	if err := w.rest(ctx, unowned); err != nil {
		return err
	}
	if w.held != nil {
		return w.held.Finish(ctx)
	}
	return nil
}

// referrals reconciles the people of referrals.
func (w *walk) referrals(ctx context.Context, referrals []store.Referral) error {
	w.progress = Progress{Phase: Reconciling, Total: len(referrals)}
	w.tell()
	return w.rest(ctx, referrals)
}
