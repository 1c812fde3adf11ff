package inspect

import (
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// Event names one event.
type Event struct {
	Type     store.Type `json:"type"`
	Referral string     `json:"referral"`
	ID       string     `json:"id"`
}

// EventsOf names events.
func EventsOf(keys []store.Key) []Event {
	events := make([]Event, len(keys))
	for i, k := range keys {
		events[i] = Event{k.Type, k.Referral.String(), k.ID}
	}
	return events
}

// Conflict is a value of a person's that was replaced by events.
type Conflict struct {
	Number    int64     `json:"conflict"`
	At        time.Time `json:"at"`
	CRN       store.CRN `json:"crn"`
	URN       string    `json:"urn,omitempty"` // of a contact
	AddressID int64     `json:"addressId,omitempty"`
	Field     string    `json:"field"`
	Replaced  string    `json:"replaced"`
	With      string    `json:"with"`
	EventIDs  []string  `json:"events"` // that replaced it

	EditedBy   string    `json:"editedBy,omitempty"`  // the user whose value it was; "" is not known
	EditedAt   time.Time `json:"editedAt,omitzero"`   // when the row was last changed before
	Restorable bool      `json:"restorable"`          // the value was kept whole, and is not restored yet
	Settled    time.Time `json:"settledAt,omitzero"`  // when somebody looked at it, or restored the value
	SettledAs  string    `json:"settledAs,omitempty"` // reviewed or restored
	SettledBy  string    `json:"settledBy,omitempty"`
	SettledWhy string    `json:"settledWhy,omitempty"`
}

// Parked is something parked.
type Parked struct {
	Owner delius.Ownership // of its referral, or whom its events name
	delius.Parked
	Since   time.Time
	Tries   int
	RetryAt time.Time // zero if it is not tried again
}

// Kind is what is parked: a contact, an address or an event; a referral that fails or is held, or
// a message of the stream of which nobody knows whose it is.
func (p *Parked) Kind() string {
	switch {
	case p.Referral == store.Referral{}:
		return "message"
	case p.URN == "":
		return "referral"
	case len(p.Events) > 0:
		return "event"
	case p.Address:
		return "address"
	}
	return "contact"
}

// ParkedLine is something parked, for machines.
type ParkedLine struct {
	CRN      store.CRN    `json:"crn,omitempty"`
	NOMS     store.NOMS   `json:"noms,omitempty"`
	Referral string       `json:"referral,omitempty"`
	Kind     string       `json:"kind"` // contact, address, event, referral or message
	URN      string       `json:"urn"`
	Event    *Event       `json:"event,omitempty"`
	Cause    delius.Cause `json:"cause"`
	Problem  string       `json:"problem"`
	Remedy   string       `json:"remedy"`
	Since    time.Time    `json:"since"`
	Age      int64        `json:"ageSeconds"`
	Tries    int          `json:"tries"`
	RetryAt  time.Time    `json:"retryAt,omitzero"`
}

// Line tells of it as of a time.
func (p *Parked) Line(now time.Time) ParkedLine {
	line := ParkedLine{
		CRN: p.Owner.CRN, NOMS: p.Owner.NOMS, Referral: p.Referral.String(), Kind: p.Kind(), URN: p.URN, Cause: p.Cause, Problem: p.Problem,
		Remedy: p.Cause.Remedy(), Since: p.Since, Age: int64(now.Sub(p.Since).Seconds()), Tries: p.Tries, RetryAt: p.RetryAt,
	}
	if p.Referral == (store.Referral{}) {
		line.Referral = ""
	}
	if len(p.Events) > 0 {
		line.Event = &EventsOf(p.Events)[0]
	}
	return line
}

// Failing is a referral whose person met an unexpected error.
type Failing struct {
	Referral store.Referral
	Problem  string // the last error, without what it says of anybody
	Since    time.Time
	Tries    int
	NextTry  time.Time
}

// Parked is how it is listed with what is parked.
func (f *Failing) Parked() Parked {
	return Parked{
		Parked: delius.Parked{Cause: delius.Failing, Referral: f.Referral, Problem: f.Problem},
		Since:  f.Since.UTC(), Tries: f.Tries, RetryAt: f.NextTry.UTC(),
	}
}

// Causes are all that things are listed for with what is parked.
func Causes() []delius.Cause { return append(delius.Causes(), delius.Failing) }
