// Package verify finds damage and repairs it.
//
// [Verifier.Run] holds the stream against the inbox, and every row of the ledger against what
// the projector left there. A row whose version or time has moved since was edited; one that
// changed without that, is gone, or stands twice is damaged. A repair restores the inbox, and
// then has the people concerned reconciled as always, with their damaged rows written back as
// they were left. What people had written into a row comes back with it. Only damage counts: a
// row that was edited after the projector left it is not touched. Events that the ledger was
// folded from and that not even the stream has any more are let go, so that their people are
// not left alone for ever.
package verify

import (
	"context"
	"iter"
	"time"

	"casdelius/projector"
	"casdelius/store"
)

// Severity says what a finding means.
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
	InStream    Place = "stream"
	InInbox     Place = "inbox"
	InContacts  Place = "contact"
	InAddresses Place = "address"
)

// Problem is what was found.
type Problem string

// The problems. Those of the inbox are missing, extra, altered, unapplied, unnamed and
// unwritten; those of rows edited, altered, gone, twice, unknown and lost.
const (
	Missing      Problem = "missing"   // a message of the stream that the inbox lacks
	Extra        Problem = "extra"     // an event of the inbox that the stream has not
	Altered      Problem = "altered"   // not what the stream says, or not what the projector left
	Unapplied    Problem = "unapplied" // an event that was never applied, and nobody means to
	Unnamed      Problem = "unnamed"   // whom an event names was forgotten
	Unwritten    Problem = "unwritten" // events that were applied, but the ledger has no contact of them
	EditedByHand Problem = "edited"    // by a person, or another application
	Corrupt      Problem = "corrupt"   // a message of the stream whose body is not what its checksum says
	Gone         Problem = "gone"      // the row, or the message of the stream, is not there any more
	Twice        Problem = "twice"     // a second live row of the same
	Unknown      Problem = "unknown"   // there is no fingerprint of how the row was left
	Lost         Problem = "lost"      // the row was made of an event that the stream has not, so nothing is written
)

// Finding is one thing that a verification found. What does not apply is zero.
type Finding struct {
	Severity Severity
	Place    Place
	Problem  Problem

	Sequence uint64
	Event    store.Key
	Person   store.PersonKey // where it is a person event
	Referral store.Referral
	CRN      string
	URN      string
	Row      int64 // contact_id or offender_address_id
	Offender int64 // on whom the row stands, or stood
	StandsOn int64 // on whom an address stands that was left on another

	By          string    // who edited it, as Delius tells
	At          time.Time // when
	Differences []Difference
}

// Difference is one column of a damaged row, as the projector left it and as it is, or
// one attribute of an event, as the stream has it and as the inbox has.
type Difference struct{ Field, Was, Is string }

// Entry is what the inbox has under one sequence of the stream: an event, without its
// body, or the note that there is none of its own, which is all it has of a person event.
type Entry struct {
	store.Event
	Sequence uint64
	Stored   time.Time
	Sum      string // of the body, in hex, as it was when it was stored
	Intact   bool   // the body still has it
	Other    bool   // a duplicate, a person event, or neither
	Accepted bool   // it is known that the stream has lost it, or its body, and was accepted
}

// Inbox is what a verification asks of the inbox. Every look sees one moment.
type Inbox interface {
	// Entries lists what the inbox has of a range of sequences, in their order.
	Entries(ctx context.Context, r projector.Range) ([]Entry, error)
	// FirstSequences gives the sequences under which the inbox has events.
	FirstSequences(ctx context.Context, keys []store.Key) (map[store.Key]uint64, error)
	// BeyondStream lists events that the inbox has beyond the ends of the stream.
	BeyondStream(ctx context.Context, last uint64) ([]Finding, error)
	// Sequences lists the sequences of the referrals' events.
	Sequences(ctx context.Context, referrals []store.Referral) ([]uint64, error)
	// Missing are the gaps in the sequences that are recorded, up to one.
	Missing(ctx context.Context, to uint64) ([]projector.Range, error)
}

// Mender finds and puts right what the inbox knows to be wrong with itself.
type Mender interface {
	// Unprocessed lists what the inbox knows to be left undone, for some referrals, or all
	// if there are none.
	Unprocessed(ctx context.Context, referrals []store.Referral) ([]Finding, error)
	// MarkForgotten sees to it that what was left undone is looked at.
	MarkForgotten(ctx context.Context) (int, error)
	// Restore makes the inbox have messages as the stream has them.
	Restore(ctx context.Context, messages []store.Stored) error
	// Put notes messages of the stream that are damaged: whoever they are of is held.
	Put(ctx context.Context, messages []store.Stored) error
	// AcceptLoss lets those go on who are held for damaged messages.
	AcceptLoss(ctx context.Context, sequences []uint64) error
}

// Finder finds whom a selection means.
type Finder interface {
	// ReferralsMentioning are the referrals whose events mention any of these CRNs or the
	// numbers of the people whose they are, whatever else was lost.
	ReferralsMentioning(ctx context.Context, crns []store.CRN) ([]store.Referral, error)
	// OffendersOf are the people of Delius who have these CRNs.
	OffendersOf(ctx context.Context, crns []store.CRN) ([]int64, error)
	// ReferralsOf are the referrals whose events name any of these offenders.
	ReferralsOf(ctx context.Context, offenders []int64) ([]store.Referral, error)
}

// Ledger is what a verification asks of the ledger, place by place. A selection that is nil is
// everyone; of one the referrals and offenders count.
type Ledger interface {
	// Rows counts the rows of a place that the ledger knows.
	Rows(ctx context.Context, place Place, selection *projector.Selection) (int, error)
	// Chunk counts the next of them after a row, up to a limit, and says which is last.
	Chunk(ctx context.Context, place Place, selection *projector.Selection, after int64, limit int) (last int64, rows int, err error)
	// Check holds those after a row, up to the last one, against Delius.
	Check(ctx context.Context, place Place, selection *projector.Selection, after, last int64) ([]Finding, error)
	// Lost lists those of them that were made of events that the inbox does not have.
	Lost(ctx context.Context, place Place, selection *projector.Selection, after, last int64) ([]Finding, error)
	// Forget makes the ledger forget the events of referrals that the inbox does not have.
	Forget(ctx context.Context, referrals []store.Referral) error
}

// Log is the stream, as it is verified.
type Log interface {
	Stream(ctx context.Context) (projector.Stream, error)
	Read(ctx context.Context, from, to uint64) iter.Seq2[store.Stored, error]
}

// Reconciler is the way into Delius.
type Reconciler interface {
	// Reconcile reconciles the people of the selected referrals.
	Reconcile(ctx context.Context, selection projector.Selection) (projector.Report, error)
	// VerifyStream holds the inbox against the stream and gives its state.
	VerifyStream(ctx context.Context) (projector.Stream, error)
	// Wait pauses before something is asked for again, longer after each attempt.
	Wait(ctx context.Context, attempt int) error
	// Retry runs something until it meets no transient error.
	Retry(ctx context.Context, doing string, f func() error) error
}
