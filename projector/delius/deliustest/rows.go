package deliustest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"casdelius/store"
)

// Users who write rows.
const (
	CAS2User     = "Cas2AndDelius"
	CAS3User     = "Cas3AndDelius"
	Practitioner = "Practitioner"
)

// Contact is a row of contact as a person sees it, with codes for ids. A test that
// acts as a practitioner changes its fields in place and then says so with
// [Twin.Edited]; ID, CRN and URN stay as they are.
type Contact struct {
	ID                     int64
	CRN                    store.CRN
	URN, Type, Description string
	Date, Start            time.Time // the London date at midnight UTC, and the instant in UTC
	Provider, Team, Staff  string
	Notes                  string
	Sensitive, Deleted     bool
	Version                int
	CreatedBy, UpdatedBy   string
}

// Address is a row of offender_address as a person sees it, with codes for ids and
// "" or the zero time for null. ID and CRN stay as they are.
type Address struct {
	ID                              int64
	CRN                             store.CRN
	Type, Status                    string
	Building, Street, District      string
	Town, County, Postcode          string
	Start, End                      time.Time // dates at midnight UTC
	NoFixedAbode, Verified, Deleted bool
	CreatedBy, UpdatedBy            string
	Created, Updated                time.Time
}

// Codes of addresses.
const (
	CAS3Address = "A17"
	Main        = "M"
	Previous    = "P"
	Proposed    = "PR"
)

// Row is a *[Contact] or an *[Address].
type Row interface{ edited(now time.Time) }

func (c *Contact) edited(time.Time) {
	c.Version++
	c.UpdatedBy = Practitioner
}

func (a *Address) edited(now time.Time) { a.Updated, a.UpdatedBy = now, Practitioner }

// Edited says that a practitioner has just changed the row.
func (t *Twin) Edited(row Row, now time.Time) { row.edited(now) }

// InsertContact adds a row by hand. It gets an id if it has none, and is a
// practitioner's unless it says otherwise.
func (t *Twin) InsertContact(c Contact) *Contact {
	c.ID = t.number(c.ID)
	c.CreatedBy = cmp.Or(c.CreatedBy, Practitioner)
	c.UpdatedBy = cmp.Or(c.UpdatedBy, c.CreatedBy)
	t.contacts[c.ID] = &c
	t.byURN[c.URN] = append(t.byURN[c.URN], &c)
	return &c
}

// InsertAddress adds a row by hand. It gets an id if it has none, and is a
// practitioner's of this instant unless it says otherwise.
func (t *Twin) InsertAddress(a Address, now time.Time) *Address {
	a.ID = t.number(a.ID)
	a.CreatedBy = cmp.Or(a.CreatedBy, Practitioner)
	a.UpdatedBy = cmp.Or(a.UpdatedBy, a.CreatedBy)
	if a.Created.IsZero() {
		a.Created = now
	}
	if a.Updated.IsZero() {
		a.Updated = a.Created
	}
	t.addresses[a.ID] = &a
	t.byPerson[a.CRN] = append(t.byPerson[a.CRN], &a)
	return &a
}

// Remove takes a row out of the table altogether.
func (t *Twin) Remove(row Row) {
	switch r := row.(type) {
	case *Contact:
		delete(t.contacts, r.ID)
		t.byURN[r.URN] = slices.DeleteFunc(t.byURN[r.URN], func(o *Contact) bool { return o == r })
	case *Address:
		delete(t.addresses, r.ID)
		t.byPerson[r.CRN] = slices.DeleteFunc(t.byPerson[r.CRN], func(o *Address) bool { return o == r })
	}
}

// Contacts lists every contact row, soft-deleted ones too, by id.
func (t *Twin) Contacts() []*Contact { return byID(t.contacts) }

// Addresses lists every address row, soft-deleted ones too, by id.
func (t *Twin) Addresses() []*Address { return byID(t.addresses) }

func byID[R any](rows map[int64]R) []R {
	all := make([]R, 0, len(rows))
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		all = append(all, rows[id])
	}
	return all
}

// number gives out row numbers, always above every one that was asked for.
func (t *Twin) number(wanted int64) int64 {
	if wanted == 0 {
		wanted = t.lastRow + 1
	}
	t.lastRow = max(t.lastRow, wanted)
	return wanted
}
