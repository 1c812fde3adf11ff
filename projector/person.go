package projector

import (
	"context"
	"errors"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// ErrRetry marks an error after which the same step can simply be run again: a
// lock or a statement that took too long, a deadlock, a lost connection, a write that
// somebody else was faster with. Nothing was written and nobody is parked.
var ErrRetry = errors.New("try again")

// ErrUnavailable marks an error of the log that passes by itself.
var ErrUnavailable = errors.New("the stream is unavailable")

// Pick says whom a step looks at.
type Pick struct {
	Referrals []store.Referral // the people of these
	Due       bool             // only of those that are due
	DryRun    bool             // look only: lock nobody, write nothing
	Quiet     bool             // raise no telemetry: a rebuild
	PutBack   time.Time        // if not zero: put damaged rows back first, as of then
}

// Person is one person in a step: locked, with the whole history. A referral whose
// person is not in Delius is a Person of its own, with Missing set.
type Person struct {
	OffenderID int64
	CRN        string
	Missing    delius.Cause
	Referrals  []store.Referral
	Events     []*delius.Event
	Fresh      []Fresh // those of Events that were never applied
	Waits      bool    // is due, or, where one only looks, has something parked
}

// Fresh is an event that was not yet applied.
type Fresh struct {
	Key      store.Key
	Sequence uint64
	Stored   time.Time // when the log took it
	Known    bool      // the ledger was folded from it: the inbox was lost and filled again
}

// Decision is what a step writes for one person.
type Decision struct {
	Person  Person
	Outcome delius.Outcome
	Applied []Fresh // events that are applied once the step commits
}

// Applied is what a step did.
type Applied struct {
	People  []Decision // written, or found to need nothing
	PutOff  int        // people of whom somebody else holds or has changed something: still due
	Skipped bool       // somebody was locked by another: there is more to do
}

// Step is one transaction over a batch of people: they are locked until it ends.
type Step interface {
	// People are the people that could be locked, whole.
	People() []Person
	// Standing loads what stands in Delius and in the ledger for what is desired of
	// each of People, in their order.
	Standing(ctx context.Context, desired []delius.Desired) ([]delius.Current, delius.References, error)
	// Apply writes what was decided, clears the marks of who was due, and commits.
	Apply(ctx context.Context, decisions []Decision, now time.Time) (Applied, error)
	// Rollback ends a step that was not applied. After Apply it does nothing.
	Rollback(ctx context.Context)
}
