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

// ContactRow is a row of contact, whole. An id of 0, a text of "" and a zero time are null.
// Times may be any that PostgreSQL can hold, see [Infinity].
type ContactRow struct {
	ID          int64 // 0 until it is inserted
	OffenderID  int64
	URN         string // external_reference
	TypeID      int64
	Description string
	Date        time.Time // midnight UTC
	Start       time.Time
	Posting     Posting
	TrustTeamID int64
	Notes       string
	Sensitive   string // Y or N
	Deleted     bool

	Version              int64
	Created, Updated     time.Time
	CreatedBy, UpdatedBy int64  // users
	PartitionArea        *int64 // nil is null
	TrustFlag            *int64 // nil is null
}

// What PostgreSQL calls infinity, as dates and times of rows: before and after everything
// that it can hold besides.
var (
	Infinity         = time.Date(10_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
	NegativeInfinity = time.Date(-10_000_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// AddressRow is a row of offender_address, whole, with null as in a [ContactRow].
type AddressRow struct {
	ID         int64 // 0 until it is inserted
	OffenderID int64
	TypeID     int64
	A17        bool // TypeID is that of CAS3 stays
	StatusID   int64
	Status     string // the code of StatusID: MainStatus, PreviousStatus, ProposedStatus, another, or "" for null
	Lines      Lines
	Number     string // address_number
	Telephone  string
	NoFixed    string    // no_fixed_abode: Y or N
	Verified   string    // type_verified: Y or N
	Start      time.Time // midnight UTC
	End        time.Time // midnight UTC
	Deleted    bool

	Created, Updated     time.Time
	CreatedBy, UpdatedBy int64  // users
	ByCAS3               bool   // UpdatedBy is the CAS3 service's user
	PartitionArea        *int64 // nil is null
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

// AppliedContact is what was last applied to a contact row, field by field. A field that
// events decide goes its whole way by name: [Event] and its reader, [Contact] and foldContact,
// [ContactRow] and here; in Diff adopt, stayedDeleted, insertContact, updateContact with its
// merger, equal and differing; values and explainContact, which show it; [LeftContact], which
// repairs it; the column lists of package rows; and a migration.
type AppliedContact struct {
	URN       string
	Referral  store.Referral
	ContactID int64 // 0 until the row is inserted, and if it was deleted and then lost

	Notes       string
	Description string
	At          time.Time // zero if nothing was applied yet
	Officer     Officer
	Posting     Posting // codes that the officer stood for

	Placed   Placed  // how the row came to its person, if over a merge
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

	Placed      Placed  // how the row came to its person, if over a merge
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

// References are the rows that contacts and addresses refer to, by their codes.
type References struct {
	Types     map[string]ContactType
	Providers map[string]int64
	Teams     map[string][]Team
	Staff     map[string]int64
	InTeam    map[[2]int64]bool // {staff, team}

	Users          map[store.Service]int64 // by whom the services' rows are written
	A17            int64                   // the address type of CAS3 stays
	Main, Previous int64                   // the address statuses that are written
}

// status is the id of an address status that is written.
func (r *References) status(code string) int64 {
	if code == MainStatus {
		return r.Main
	}
	return r.Previous
}

// Current is everything that stands in Delius and in the ledger about the person whose
// events are folded.
type Current struct {
	Ownership
	Manager *Posting // the person's active manager; nil if there is none

	Merged []Offender                   // who were merged into this person
	Via    map[store.Referral]store.CRN // what the events of a referral name, where that is one of these

	Contacts  []ContactRow // under the URN of any of the person's contacts, on whomever
	Addresses []AddressRow // of the person, and those that the ledger names for the person's bookings

	AppliedContacts  map[string]AppliedContact         // by URN, of the person's referrals
	AppliedAddresses map[store.Referral]AppliedAddress // of the person's bookings and of the owners of Addresses
	Lost             []string                          // bookings that own one of Addresses, of which no event is left
	AppliedTerms     map[int64]AppliedTerm             // by address row

	Damage  *Damage  // what a repair is to put right; nil where nothing is repaired
	Restore *Restore // whose value is to be written back; nil for nobody's
}
