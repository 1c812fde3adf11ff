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
	Selection        // whom; DryRun: plan only, the inbox is filled, nothing else is written
	Restart   bool   // begin anew, also where a rebuild of everyone was interrupted
	Rate      int    // events a second, in each of the two phases; 0: as fast as can be
	By        string // who runs it, for whoever wants to run another

	// Progress is told how far it is, often.
	Progress func(Progress)
	// Resumed is told where a rebuild that was interrupted is taken up.
	Resumed func(Bookmark)
	// Planned is told, in a dry run, what would be written for each person in turn.
	Planned func(Decision) error
}

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

// Tally is what a rebuild came to since it was begun, by whichever process.
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
	Failed []Failure
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
	Tally   Tally     // what it came to up to here

	// How far it is, for whoever looks.
	Progress Progress
	Since    time.Time // when this process began the phase
	From     int       // what was done then
	Rate     int       // events a second at most; 0 is no limit
}

// ErrRebuildRunning is the error of a rebuild of everyone while another one runs, or that
// another one has overtaken.
var ErrRebuildRunning = errors.New("another rebuild is running")

// RebuildRunning is an [ErrRebuildRunning] that says whose lease it met.
type RebuildRunning struct {
	By    string
	Since time.Time
	End   time.Time     // of the lease, by the database's clock, unless it is renewed
	Left  time.Duration // until then
}

// Error implements error.
func (e *RebuildRunning) Error() string {
	return fmt.Sprintf("%s: %s runs it since %s", ErrRebuildRunning, e.By, e.Since.UTC().Format(time.DateTime+" MST"))
}

// Unwrap makes it an [ErrRebuildRunning].
func (e *RebuildRunning) Unwrap() error { return ErrRebuildRunning }

// RebuildLock is the exclusive right to rebuild everyone: a lease that is renewed until it is
// released, and that ends by itself where the process does. Each one has a number higher than
// those before it.
type RebuildLock interface {
	// Fence is the lease's number, which goes with every [Selection] of the rebuild.
	Fence() int64
	// Reached keeps the bookmark. It fails with [ErrRebuildRunning] if the lock was lost.
	Reached(ctx context.Context, at Bookmark) error
	// Paused says whether the rebuild is to pause. It fails likewise.
	Paused(ctx context.Context) (bool, error)
	// Finish drops the bookmark: the next rebuild begins at the beginning.
	Finish(ctx context.Context) error
	// Release gives the lock back, and leaves the bookmark to whoever goes on.
	Release()
}

// RebuildLocks gives the rebuild lock.
type RebuildLocks interface {
	// LockRebuild takes the lock, and says where to go on. Where another process has it the
	// error is a [RebuildRunning].
	LockRebuild(ctx context.Context, by string, restart bool, now time.Time) (RebuildLock, Bookmark, error)
}

// People is who there is to reconcile.
type People interface {
	// OffendersAfter are the offenders after one whom any event names, in order.
	OffendersAfter(ctx context.Context, after int64) ([]int64, error)
	// DueUpTo are the referrals that are due and whose events name an offender up to one, in
	// the order of these.
	DueUpTo(ctx context.Context, last int64) ([]store.Referral, error)
	// ReferralsOf are the referrals whose events name any of these offenders.
	ReferralsOf(ctx context.Context, offenders []int64) ([]store.Referral, error)
	// Unowned are the referrals whose events name nobody whom Delius knows.
	Unowned(ctx context.Context) ([]store.Referral, error)
}

// Finder finds whom a selection means.
type Finder interface {
	// ReferralsNaming are the referrals whose events name any of these CRNs, or the person
	// whose it is.
	ReferralsNaming(ctx context.Context, crns []store.CRN) ([]store.Referral, error)
	// WithEvents says which of the referrals the inbox has events of.
	WithEvents(ctx context.Context, referrals []store.Referral) ([]store.Referral, error)
}
