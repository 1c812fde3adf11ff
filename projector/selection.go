package projector

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"casdelius/projector/audit"
	"casdelius/projector/delius"
	"casdelius/store"
)

// Selection says who is meant: the people of some referrals, people by their CRN, people by
// their number in Delius. One that names nobody is everyone, but for a step, which looks at
// the people of its referrals only.
type Selection struct {
	CRNs      []store.CRN
	Referrals []store.Referral
	Offenders []int64

	Messages []store.Stored // events of the referrals that the step puts into the inbox itself, whatever else it can do

	Due    bool // of the referrals only those that are due
	DryRun bool // look only: lock nobody, write nothing
	Quiet  bool // raise no telemetry: a rebuild
	Repair bool // put damaged rows right as well

	Order *Order // that it is carried out for; nil for none

	Fence int64 // number of the rebuild's lease: another one's ends it, with nothing written; 0 outside a rebuild of everyone
}

// Order is what somebody asked for. A step that carries it out writes all of it or nothing, and
// in its transaction the audit entry, and that the request is done.
type Order struct {
	Request uuid.UUID // zero for none
	Holder  string    // that has taken the request
	Entry   audit.Entry
	Outcome string          // that is written down
	Restore *delius.Restore // a person's value that is written back
	Settle  int64           // the conflict that is settled by it; 0 for none

	// Confirm is asked of what was decided, with everybody locked who is concerned. An error
	// ends the step with nothing written.
	Confirm func([]Decision) error
}

// ErrTaken is the error of a step for a request that is done, or another process's by now.
var ErrTaken = errors.New("the request is not this process's any more")

// Everyone says whether nobody is named.
func (s *Selection) Everyone() bool { return len(s.CRNs)+len(s.Referrals)+len(s.Offenders) == 0 }

// Person is one person in a step: locked, with the whole history. A referral whose owner is
// nobody in Delius is a Person of its own, with a Cause.
type Person struct {
	delius.Ownership
	Merged    []delius.Offender            // who were merged into this person
	Via       map[store.Referral]store.CRN // what the events of a referral name, where that is one of these
	Referrals []store.Referral
	Events    []*delius.Event
	Fresh     []Fresh // those of Events that were never applied
	Marks     []int64 // of the referrals that are due, as they were before the history was read
	Hold      *delius.Hold
	Waits     bool // is due, or, where one only looks, has something parked
}

// Fresh is an event that was not yet applied.
type Fresh struct {
	Key      store.Key
	Sequence uint64
	Stored   time.Time // when the log took it
	Known    bool      // the ledger was folded from it: the inbox was lost and filled again
}

// Subject is a person with what their events want and what stands.
type Subject struct {
	Person  Person
	Desired delius.Desired
	Current delius.Current
}

// Decision is what a step writes for one person.
type Decision struct {
	Subject
	Outcome delius.Outcome
	Applied []Fresh // events that are applied once the step commits
}

// Applied is what a step did.
type Applied struct {
	People   []Decision // written, or found to need nothing
	Deferred int        // people of whom somebody else has locked or changed something: still due
	Skipped  bool       // somebody was locked by another: there is more to do
	Inserted []Inserted
	Notices  int // of address rows, kept in the outbox
}

// Inserted is a row that a step inserted, with the number that it got: the contact of a URN,
// or the address row of a booking.
type Inserted struct {
	URN     string
	Booking store.Referral
	ID      int64
}

// Failure is a referral whose person met an unexpected error.
type Failure struct {
	Referral store.Referral
	Problem  string // the error, without what it says of anybody
	Tries    int    // that failed until now, where it is kept
}

// Steps begins steps.
type Steps interface {
	// Begin begins a step over the people of the selection's referrals.
	Begin(ctx context.Context, selection Selection) (Step, error)
	// MayWrite is [ErrOlder] while a newer fold than this program's has written.
	MayWrite(ctx context.Context) error
	// Fail tells what may be told of an unexpected error that a referral's person met alone. If
	// it is to be kept, the referral is left alone for a pause that grows, until a step of that
	// person commits.
	Fail(ctx context.Context, referral store.Referral, err error, keep bool, now time.Time) (Failure, error)
}

// Step is one transaction over a batch of people: they are locked until it ends. It keeps
// nothing of what it is handed, and changes nothing of it but what it says.
type Step interface {
	// People are the people that could be locked, whole.
	People() []Person
	// LoadCurrent fills in Current of each subject: what stands in Delius and was last
	// applied, of what its Desired wants. It returns the rows that both may refer to.
	LoadCurrent(ctx context.Context, subjects []Subject) (delius.References, error)
	// Apply writes what was decided, clears the marks of who was due, and commits.
	Apply(ctx context.Context, decisions []Decision, now time.Time) (Applied, error)
	// Rollback ends a step that was not applied. After Apply it does nothing.
	Rollback(ctx context.Context)
}
