package projector

import (
	"context"
	"time"

	"casdelius/store"
)

// Severity says what a finding of [Projector.Verify] means.
type Severity string

// A row that somebody edited is as it should be: it is listed so that everybody knows.
// Damage is what neither a person nor an event explains.
const (
	Edited  Severity = "edited"
	Damaged Severity = "damaged"
)

// Place is where something was found.
type Place string

// The places.
const (
	InInbox     Place = "inbox"
	InContacts  Place = "contact"
	InAddresses Place = "address"
)

// Problem is what was found.
type Problem string

// The problems. Those of the inbox are missing, extra, altered, unapplied, unnamed and
// unwritten; those of rows edited, altered, gone, twice, unsealed and lost.
const (
	Missing   Problem = "missing"   // a message of the stream that the inbox lacks
	Extra     Problem = "extra"     // an event of the inbox that the stream has not
	Altered   Problem = "altered"   // not what the stream says, or not what the projector left
	Unapplied Problem = "unapplied" // an event that was never applied, and nobody means to
	Unnamed   Problem = "unnamed"   // whom an event names was forgotten
	Unwritten Problem = "unwritten" // events that were applied, but the ledger has no contact of them
	HandMade  Problem = "edited"    // by a person, or another application
	Gone      Problem = "gone"      // the row is not there any more
	Twice     Problem = "twice"     // a second live row of the same
	Unsealed  Problem = "unsealed"  // nobody knows how the row was left
	Lost      Problem = "lost"      // the row was made of an event that the stream has not, so nothing is written
)

// Finding is one thing that Verify found. What does not apply is zero.
type Finding struct {
	Severity Severity
	Place    Place
	Problem  Problem

	Sequence uint64
	Event    store.Key
	Referral store.Referral
	CRN      string
	URN      string
	Row      int64 // contact_id or offender_address_id
	Offender int64 // on whom the row stands, or stood

	By          string    // who edited it, as Delius tells
	At          time.Time // when
	Differences []Difference
}

// Difference is one column of a damaged row, as the projector left it and as it is, or
// one attribute of an event, as the stream has it and as the inbox has.
type Difference struct{ Field, Was, Is string }

// Held is what the inbox holds under one sequence of the stream: an event, without its
// body, or the note that there is none of its own.
type Held struct {
	store.Event
	Sequence uint64
	Stored   time.Time
	Sum      string // of the body, in hex, as it was when it was stored
	Intact   bool   // the body still has it
	Other    bool   // a duplicate, or no event
}

// Scope limits what is looked at to some people; nil is everybody.
type Scope struct {
	Referrals []store.Referral
	Offenders []int64
}

// Inspector is what Verify asks of the database. Every look sees one moment.
type Inspector interface {
	// Held lists what the inbox holds of a range of sequences, in their order.
	Held(ctx context.Context, r Range) ([]Held, error)
	// First gives the sequences under which the inbox holds events.
	First(ctx context.Context, keys []store.Key) (map[store.Key]uint64, error)
	// Outside lists events that the inbox holds beyond the ends of the stream.
	Outside(ctx context.Context, last uint64) ([]Finding, error)
	// Restore makes the inbox hold messages as the stream has them.
	Restore(ctx context.Context, messages []store.Stored) error
	// Neglected lists what the inbox knows to be left undone, for some referrals, or all
	// if there are none.
	Neglected(ctx context.Context, referrals []store.Referral) ([]Finding, error)
	// MarkForgotten sees to it that what was neglected is looked at.
	MarkForgotten(ctx context.Context) (int, error)

	// Rows counts the rows of a place that the ledger knows.
	Rows(ctx context.Context, place Place, scope *Scope) (int, error)
	// Chunk counts the next of them after a row, up to a limit, and says which is last.
	Chunk(ctx context.Context, place Place, scope *Scope, after int64, limit int) (last int64, rows int, err error)
	// Check holds those after a row, up to the last one, against Delius.
	Check(ctx context.Context, place Place, scope *Scope, after, last int64) ([]Finding, error)
	// Lost lists those of them that were made of events that the inbox does not hold.
	Lost(ctx context.Context, place Place, scope *Scope, after, last int64) ([]Finding, error)
	// Forget makes the ledger forget the events of referrals that the inbox does not hold.
	Forget(ctx context.Context, referrals []store.Referral) error

	// Scope finds people by their CRN.
	Scope(ctx context.Context, crns []store.CRN) (Scope, error)
	// Sequences lists the sequences of the referrals' events.
	Sequences(ctx context.Context, referrals []store.Referral) ([]uint64, error)
}
