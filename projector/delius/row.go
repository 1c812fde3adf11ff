package delius

import (
	"strings"
	"time"

	"casdelius/store"
)

// Posting is the provider, team and staff member of a contact row: codes for people
// and for comparing, ids for writing. The team is also its trust provider's team.
type Posting struct {
	Provider, Team, Staff       string
	ProviderID, TeamID, StaffID int64
}

// same compares the codes, which is what the ledger remembers.
func (p Posting) same(o Posting) bool {
	return p.Provider == o.Provider && p.Team == o.Team && p.Staff == o.Staff
}

func (p Posting) String() string { return p.Provider + "/" + p.Team + "/" + p.Staff }

// ContactRow is a row of contact: what we write of it, and what guards the write.
type ContactRow struct {
	ID          int64 // 0 until it is inserted
	OffenderID  int64
	URN         string
	Description string    // "" is null
	Date        time.Time // midnight UTC; zero is null
	Start       time.Time // zero is null; any time that PostgreSQL can hold, see Infinity
	Posting     Posting
	Notes       string // "" is null
	Deleted     bool

	Version int64
	Updated time.Time
}

// What PostgreSQL calls infinity, as dates and times of rows: before and after everything
// that it can hold besides.
var (
	Infinity         = time.Date(10_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
	NegativeInfinity = time.Date(-10_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// AddressRow is a row of offender_address.
type AddressRow struct {
	ID         int64 // 0 until it is inserted
	OffenderID int64
	A17        bool   // its type is that of CAS3 stays
	Status     string // code; MainStatus, PreviousStatus, ProposedStatus, another, or "" for null
	Lines      Lines
	Start      time.Time // midnight UTC; zero is null
	End        time.Time // midnight UTC; zero is null
	Deleted    bool

	Created time.Time
	Updated time.Time
	ByCAS3  bool // the CAS3 service's user updated it last
}

// The codes of the address statuses that the projector knows. It writes the first two.
const (
	MainStatus     = "M"
	PreviousStatus = "P"
	ProposedStatus = "PR" // somebody means the person to live there
)

// term is the status and end date of an address row: they change together.
type term struct {
	Status string
	End    time.Time
}

func (r *AddressRow) term() term { return term{r.Status, r.End} }

func (t term) equal(o term) bool { return t.Status == o.Status && t.End.Equal(o.End) }

func (t term) String() string { return strings.TrimRight(t.Status+" "+dateString(t.End), " ") }

// AppliedContact is what was last applied to a contact row, field by field.
type AppliedContact struct {
	URN       string
	Referral  store.Referral
	ContactID int64 // 0 until the row is inserted, and if it was deleted and then lost

	Notes       string
	Description string
	At          time.Time // zero if nothing was applied yet
	Officer     Officer
	Posting     Posting // codes that the officer stood for

	Baseless bool    // adopted while no base event of the contact had come
	Deleted  bool    // the row was soft-deleted when it was last looked at
	Events   []int64 // hashes of the events it was folded from, sorted
}

// AppliedAddress is what was last applied to the address row of a stay.
type AppliedAddress struct {
	Booking   store.Referral
	AddressID int64 // 0 until the row is inserted

	Lines     Lines
	Start     time.Time
	Departure time.Time // the stay's own; zero is none

	Provisional bool    // adopted for a booking whose base arrival had not come
	Events      []int64 // hashes of the events it was folded from, sorted
}

// AppliedTerm is the status and end date that we last wrote to an address row, ours or not.
type AppliedTerm struct {
	AddressID int64
	Booking   store.Referral // of a row that is being inserted, while AddressID is 0
	Status    string
	End       time.Time
	OwnEnd    bool // the end was the row's own: we wrote the status only
	Open      bool // the row had no end before we first wrote one
}

// ContactType is a row of r_contact_type.
type ContactType struct {
	ID        int64
	Sensitive bool
}

// Team is a row of team.
type Team struct{ ID, ProviderID int64 }

// References are the rows that contacts refer to, by their codes.
type References struct {
	Types     map[string]ContactType
	Providers map[string]int64
	Teams     map[string][]Team
	Staff     map[string]int64
	InTeam    map[[2]int64]bool // {staff, team}
}

// Current is everything that stands in Delius and in the ledger about the person whose
// events are folded.
type Current struct {
	OffenderID int64    // 0 if the person was not found
	Missing    Cause    // why not: PersonNotFound or PersonAmbiguous
	Manager    *Posting // the person's active manager; nil if there is none

	Contacts  []ContactRow // under the URN of any of the person's contacts, on whomever
	Addresses []AddressRow // of the person, and those that the ledger names for the person's bookings

	AppliedContacts  map[string]AppliedContact         // by URN, of the person's referrals
	AppliedAddresses map[store.Referral]AppliedAddress // of the person's bookings and of the owners of Addresses
	Lost             []string                          // bookings that own one of Addresses, of which no event is left
	AppliedTerms     map[int64]AppliedTerm             // by address row
}
