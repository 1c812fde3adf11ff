package delius

import (
	"time"

	"casdelius/store"
)

// Change is one row to be written: [InsertContact], [UpdateContact], [InsertAddress]
// or [UpdateAddress]. There is no other, and none removes a row.
type Change interface {
	// Why says what the change is for, field by field.
	Why() []Field
}

// Field is one field that a change writes: from what, to what, and because of which
// events.
type Field struct {
	Name     string
	From, To string
	Reason   string
	Conflict bool // a person's value is replaced
	Events   []store.Key
}

// InsertContact inserts a contact.
type InsertContact struct {
	Kind    *Kind
	Row     ContactRow
	Applied AppliedContact
	Fields  []Field
}

// UpdateContact writes Row over Was, if Was still stands there.
type UpdateContact struct {
	Kind     *Kind
	Row, Was ContactRow
	Fields   []Field
	Whole    bool // every column is written, to put damage right
	Repair   bool // damage is put right and nothing else: it says itself who wrote the row last, and is left for the next time where somebody has locked the row
}

// InsertAddress inserts the address row of a stay.
type InsertAddress struct {
	Row     AddressRow
	Applied AppliedAddress
	Fields  []Field
}

// UpdateAddress writes Row over Was, if Was still stands there. Of a row that is no
// stay's only status and end date differ.
type UpdateAddress struct {
	Row, Was AddressRow
	Fields   []Field
	Whole    bool // as of a contact
	Repair   bool // likewise
}

// Why implements Change.
func (c *InsertContact) Why() []Field { return c.Fields }

// Why implements Change.
func (c *UpdateContact) Why() []Field { return c.Fields }

// Why implements Change.
func (c *InsertAddress) Why() []Field { return c.Fields }

// Why implements Change.
func (c *UpdateAddress) Why() []Field { return c.Fields }

// Conflict is a value of a person's that the events have replaced.
type Conflict struct {
	URN       string // of a contact; "" for an address
	AddressID int64
	Field     string
	Replaced  string
	With      string
	Events    []store.Key

	Value    Kept      // that was replaced, as it can be written back
	EditedBy int64     // the user who had last changed the row; 0 is not known
	EditedAt time.Time // when that was
}

// Cause says why an event or a contact is parked.
type Cause string

// The causes of parking. The first two are of events, the last two of people, the others of
// contacts.
const (
	BadDetail           Cause = "bad-detail"
	BadAddress          Cause = "bad-address"
	PersonNotFound      Cause = "person-not-found"
	PersonAmbiguous     Cause = "person-ambiguous"
	PersonChanged       Cause = "person-changed"
	ManagerNotFound     Cause = "manager-not-found"
	ProviderNotFound    Cause = "provider-not-found"
	TeamNotFound        Cause = "team-not-found"
	StaffNotFound       Cause = "staff-not-found"
	ContactTypeNotFound Cause = "contact-type-not-found"

	// Of a person who is held: see [Hold].
	MessageCorrupt Cause = "message-corrupt"
	MessageGone    Cause = "message-gone"
)

// Failing is listed with what is parked, and is no outcome: looking at the person, or writing,
// met an unexpected error.
const Failing Cause = "failing"

// Retried says whether time can heal the cause. A detail never changes.
func (c Cause) Retried() bool { return c != BadDetail && c != BadAddress }

// Parked is an event or a contact that is left out for now.
type Parked struct {
	Cause    Cause
	Referral store.Referral
	URN      string      // of the contact
	Address  bool        // it is the stay's address that waits, not the contact
	Events   []store.Key // of an event: which one
	Problem  string      // for a person: what is missing, with its value
}

// ObservationKind is something to tell about a row that is no failure.
type ObservationKind string

// The kinds of observation.
const (
	ContactAlreadyExists ObservationKind = "ContactAlreadyExists" // another live row under the URN
	StaffNotInTeam       ObservationKind = "StaffNotInTeam"       // used all the same
	AdoptedDiffers       ObservationKind = "AdoptedDiffers"       // an adopted row that says otherwise
)

// Observation tells about one row.
type Observation struct {
	Kind      ObservationKind
	URN       string
	AddressID int64
	Text      string
	Fields    []Field // of an adopted row: From is what stands, To what its events say
}

// Outcome is what [Diff] decides for one person.
type Outcome struct {
	Changes      []Change
	Conflicts    []Conflict
	Parked       []Parked
	Observations []Observation

	// The ledger's own moves: entries of rows that stand, changed or not. Those of
	// rows to be inserted are with their changes.
	AppliedContacts  []AppliedContact
	AppliedAddresses []AppliedAddress
	AppliedTerms     []AppliedTerm
	Released         []store.Referral // bookings whose address entry is dropped

	Repaired Repaired // what a repair moves of the ledger besides

	// Refused says why a value cannot be restored. If it is set nothing else is.
	Refused string

	// Lost names contacts and bookings whose ledger was folded from events that the
	// history lacks. If there are any nothing else is set: nothing may be written.
	Lost []string
}

// Idle says whether there is nothing to write, park or ask about.
func (o *Outcome) Idle() bool {
	return len(o.Changes)+len(o.Conflicts)+len(o.Parked)+len(o.AppliedContacts)+len(o.AppliedAddresses)+
		len(o.AppliedTerms)+len(o.Released)+len(o.Lost) == 0 && o.Repaired.empty()
}

func dateString(t time.Time) string { return format(t, time.DateOnly) }

// timeString is a time in London, with its zone in the hour that comes twice in autumn.
func timeString(t time.Time) string {
	const layout = "2006-01-02 15:04:05.999999"
	local := t.In(store.London())
	text := format(local, layout)
	if !t.IsZero() && (format(local.Add(time.Hour), layout) == text || format(local.Add(-time.Hour), layout) == text) {
		text += local.Format(" MST")
	}
	return text
}

// format writes a time of a row for a person.
func format(t time.Time, layout string) string {
	switch {
	case t.IsZero():
		return ""
	case t.Equal(Infinity):
		return "infinity"
	case t.Equal(NegativeInfinity):
		return "-infinity"
	}
	return t.Format(layout)
}
