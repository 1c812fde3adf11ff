package projector

import (
	"errors"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// ErrNoHistory marks that the inbox has no event of whom was asked for.
var ErrNoHistory = errors.New("the inbox has no event")

// History is everything known about one person's events, and how they stand in Delius.
type History struct {
	CRN       store.CRN    // "" if the person is not in Delius
	Missing   delius.Cause // why not
	Referrals []store.Referral
	Events    []Recorded // of unknown types too; in no order
	Case      delius.Current
	Outcome   delius.Outcome // what a look now would decide
	Due       bool           // that look is yet to come
	Conflicts []Conflict
}

// Recorded is an event and the times at which it passed. Its Received is when it was
// taken off the queue.
type Recorded struct {
	*delius.Event
	Stored  time.Time // when the log took it
	Applied time.Time // when it was first applied to Delius; zero if it was not
}

// Timeless is the events alone.
func (h *History) Timeless() []*delius.Event {
	events := make([]*delius.Event, len(h.Events))
	for i := range h.Events {
		events[i] = h.Events[i].Event
	}
	return events
}

// Conflict is a value of a person's that was replaced by events.
type Conflict struct {
	Number int64
	At     time.Time
	CRN    store.CRN
	delius.Conflict
	EventIDs []string // that replaced it; Events is empty
}

// Parked is something parked as it is listed.
type Parked struct {
	CRN  store.CRN  // of the latest event of the referral that names one
	NOMS store.NOMS // likewise
	delius.Parked
	Since   time.Time
	Tries   int
	RetryAt time.Time // zero if it is not tried again
}

// Filter picks what is listed: zero fields pick everything.
type Filter struct {
	CRN   store.CRN
	Cause delius.Cause // of parked
	Since time.Time    // of conflicts
}
