package delius

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"casdelius/store"
)

// Damage is what is wrong with the rows of one person's ledger, for a repair. A row that
// somebody edited is not damaged, and is not in here.
type Damage struct {
	// Rows that are others than we left them though their version and time are the same: as
	// we left them, and as they are, by their numbers.
	Contacts  map[int64]Damaged[ContactRow]
	Addresses map[int64]Damaged[AddressRow]
	// Addresses that stand on this person by such an alteration and are another's: their own
	// person's repair brings them back.
	MisplacedAddresses []int64
	// Live second rows that nobody but a service or a copy can have made: of which row of ours.
	CopiedContacts  []Copied[ContactRow]
	CopiedAddresses []Copied[AddressRow]
	// What the ledger knows and Delius has not any more.
	GoneContacts  []string // URNs
	GoneAddresses []int64  // rows of stays, and others whose status and end were written
	// Rows of which nobody knows how they were left: they count as left as they are.
	UnknownContacts, UnknownAddresses []int64
}

// Damaged is a row as we left it and as it is.
type Damaged[Row any] struct {
	Kind     *Kind // of a contact, as the ledger says
	Left, Is Row
}

// Copied is a second row, and the row of ours whose copy it is.
type Copied[Row any] struct {
	Row Row
	Of  int64
}

// Repaired is what a repair moves of the ledger.
type Repaired struct {
	ForgottenContacts  []string // URNs whose entry is dropped: their row is gone
	ForgottenAddresses []int64  // rows of which everything that is remembered is dropped
	KnownContacts      []int64  // rows that count as left as they stand
	KnownAddresses     []int64
}

func (r *Repaired) empty() bool {
	return len(r.ForgottenContacts)+len(r.ForgottenAddresses)+len(r.KnownContacts)+len(r.KnownAddresses) == 0
}

// mend makes what stands what the projector left, so that what follows compares events with
// what people made of the rows and with nothing else. It changes copies only.
func (d *differ) mend() {
	damage := d.have.Damage
	if damage == nil {
		return
	}
	d.have.Addresses = slices.DeleteFunc(slices.Clone(d.have.Addresses), func(r AddressRow) bool { return slices.Contains(damage.MisplacedAddresses, r.ID) })
	for _, c := range damage.CopiedContacts {
		c.Row.Deleted = true
		d.have.Contacts = substitute(d.have.Contacts, c.Row, func(r *ContactRow) int64 { return r.ID })
	}
	for _, a := range damage.CopiedAddresses {
		a.Row.Deleted = true
		d.have.Addresses = substitute(d.have.Addresses, a.Row, func(r *AddressRow) int64 { return r.ID })
	}
	for _, id := range slices.Sorted(maps.Keys(damage.Contacts)) {
		d.have.Contacts = substitute(d.have.Contacts, damage.Contacts[id].Left, func(r *ContactRow) int64 { return r.ID })
	}
	for _, id := range slices.Sorted(maps.Keys(damage.Addresses)) {
		d.have.Addresses = substitute(d.have.Addresses, damage.Addresses[id].Left, func(r *AddressRow) int64 { return r.ID })
	}
	d.have.AppliedContacts = maps.Clone(d.have.AppliedContacts)
	for _, urn := range damage.GoneContacts {
		delete(d.have.AppliedContacts, urn)
	}
	d.have.AppliedAddresses, d.have.AppliedTerms = maps.Clone(d.have.AppliedAddresses), maps.Clone(d.have.AppliedTerms)
	for _, id := range damage.GoneAddresses {
		delete(d.have.AppliedTerms, id)
		maps.DeleteFunc(d.have.AppliedAddresses, func(_ store.Referral, l AppliedAddress) bool { return l.AddressID == id })
	}
}

// substitute gives the rows with one in the place of that with its number, or beside them.
func substitute[Row any](rows []Row, row Row, number func(*Row) int64) []Row {
	rows = slices.Clone(rows)
	at := slices.IndexFunc(rows, func(r Row) bool { return number(&r) == number(&row) })
	if at < 0 {
		return append(rows, row)
	}
	rows[at] = row
	return rows
}

// repair adds what puts the damage right to what was decided of the mended rows.
func (d *differ) repair() {
	damage := d.have.Damage
	if damage == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(damage.Contacts)) {
		d.repairContact(damage.Contacts[id])
	}
	for _, id := range slices.Sorted(maps.Keys(damage.Addresses)) {
		d.repairAddress(damage.Addresses[id])
	}
	for _, c := range damage.CopiedContacts {
		row, kind := c.Row, KindOfURN(c.Row.URN)
		row.Deleted, row.UpdatedBy = true, d.refs.Users[kind.Service]
		d.out.Changes = append(d.out.Changes, &UpdateContact{Kind: kind, Row: row, Was: c.Row, Fields: copied("contact", c.Of), Repair: true})
	}
	for _, a := range damage.CopiedAddresses {
		row := a.Row
		row.Deleted, row.UpdatedBy = true, d.refs.Users[store.CAS3]
		d.out.Changes = append(d.out.Changes, &UpdateAddress{Row: row, Was: a.Row, Fields: copied("address", a.Of), Repair: true})
	}
	d.out.Repaired = Repaired{
		ForgottenContacts: damage.GoneContacts, ForgottenAddresses: damage.GoneAddresses,
		KnownContacts: damage.UnknownContacts, KnownAddresses: damage.UnknownAddresses,
	}
}

func copied(what string, of int64) []Field {
	return []Field{{Name: "deleted", From: "no", To: "yes", Reason: fmt.Sprintf("a copy of %s %d, which is ours", what, of)}}
}

// writtenBack says of a row why all of it is written.
var writtenBack = Field{Name: "row", Reason: "it was changed without a trace: it is written back as it was left"}

func (d *differ) repairContact(of Damaged[ContactRow]) {
	for _, c := range d.out.Changes {
		if up, ok := c.(*UpdateContact); ok && up.Row.ID == of.Is.ID {
			up.Was, up.Fields, up.Whole = of.Is, append(up.Fields, writtenBack), true
			return
		}
	}
	d.out.Changes = append(d.out.Changes, &UpdateContact{Kind: of.Kind, Row: of.Left, Was: of.Is, Fields: []Field{writtenBack}, Whole: true, Repair: true})
}

func (d *differ) repairAddress(of Damaged[AddressRow]) {
	for _, c := range d.out.Changes {
		if up, ok := c.(*UpdateAddress); ok && up.Row.ID == of.Is.ID {
			up.Was, up.Fields, up.Whole = of.Is, append(up.Fields, writtenBack), true
			return
		}
	}
	d.out.Changes = append(d.out.Changes, &UpdateAddress{Row: of.Left, Was: of.Is, Fields: []Field{writtenBack}, Whole: true, Repair: true})
}

// Left is what is known of how a row was left: whose it was, and its version.
type Left struct {
	OffenderID int64
	Version    int64
}

// LeftContact is a row that we inserted as we left it, made of what was applied to it. What
// the ledger does not know of it, it has as it is.
func LeftContact(l *AppliedContact, left Left, is ContactRow, refs *References) ContactRow {
	row := is
	kind := KindOfURN(l.URN)
	if t, known := refs.Types[kind.Code]; known {
		row.TypeID, row.Sensitive = t.ID, yesNo(t.Sensitive)
	}
	row.OffenderID, row.URN, row.Description, row.Notes, row.Deleted = left.OffenderID, l.URN, l.Description, l.Notes, false
	row.Date, row.Start = store.Date(l.At), l.At
	row.PartitionArea, row.TrustFlag = new(int64), new(int64)
	row.Posting = refs.posting(l.Posting, is.Posting)
	if id := refs.team(l.Posting.Provider, l.Posting.Team); id != 0 {
		row.TrustTeamID = id
	}
	if left.Version == 0 {
		row.Created = is.Updated
	}
	row.CreatedBy, row.UpdatedBy = refs.Users[kind.Service], refs.Users[kind.Service]
	return row
}

// posting has the ids of the codes that are applied, and those of the row where a code is
// not there any more.
func (r *References) posting(applied, row Posting) Posting {
	applied.ProviderID = cmp.Or(r.Providers[applied.Provider], row.ProviderID)
	applied.TeamID = cmp.Or(r.team(applied.Provider, applied.Team), row.TeamID)
	applied.StaffID = cmp.Or(r.Staff[applied.Staff], row.StaffID)
	return applied
}

// team is the id of a provider's team, 0 if there is none.
func (r *References) team(provider, code string) int64 {
	for _, t := range r.Teams[code] {
		if t.ProviderID == r.Providers[provider] {
			return t.ID
		}
	}
	return 0
}

// LeftAddress is an address row as we left it, made of what was applied to it as a stay's, if
// it is one's, and of its status and end, if we wrote these.
func LeftAddress(l *AppliedAddress, term *AppliedTerm, left Left, is AddressRow, refs *References) AddressRow {
	row := is
	if l != nil {
		row.OffenderID, row.TypeID, row.A17, row.Lines, row.Start, row.Deleted = left.OffenderID, refs.A17, true, l.Lines, l.Start, false
		row.Number, row.Telephone, row.NoFixed, row.Verified, row.PartitionArea = "", "", "N", "N", new(int64)
		row.CreatedBy, row.UpdatedBy, row.ByCAS3 = refs.Users[store.CAS3], refs.Users[store.CAS3], true
	}
	if term != nil {
		if term.Status == MainStatus || term.Status == PreviousStatus {
			row.Status, row.StatusID = term.Status, refs.status(term.Status)
		}
		row.End = term.End
	}
	return row
}

// KindOfURN is the kind of contact that a URN names; nil if none does.
func KindOfURN(urn string) *Kind {
	for _, k := range kinds {
		if len(urn) > len(k.urn) && urn[:len(k.urn)] == k.urn {
			return k
		}
	}
	return nil
}
