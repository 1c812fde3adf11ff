package deliustest

import (
	"cmp"
	"slices"
	"time"

	"casdelius/store"
)

// entry is the ledger of one contact: the row that is ours and what was applied to it.
type entry struct {
	row     int64
	applied shown
	codes   codes // what the row shows while its officer is the one applied
	unbased bool  // the row was adopted while no base event was known
	deleted bool  // the row was soft-deleted when it was last looked at
	placed  placed
}

// placed is how a contact came to where it stands: known of the ledger's row.
func (t *Twin) placedContact(row *Contact) placed {
	if ledger := t.ledger[row.URN]; ledger.row == row.ID {
		return ledger.placed
	}
	return placed{}
}

// contact brings the contact under one URN to what its events say, or returns the
// cause that it is parked for.
func (t *Twin) contact(person Offender, urn string, events []*event) (cause string) {
	if t.standsElsewhere(person, urn) {
		return PersonChanged
	}
	row, ledger := t.ours(person, urn)
	late := row != nil && ledger.unbased && based(events)
	if late {
		ledger = entry{} // the same row is adopted afresh
	}
	want := fold(events)
	switch {
	case row == nil && t.staysDeleted(urn, want):
		return ""
	case row == nil:
		returns := t.goneDeleted(urn)
		if cause = t.insert(person, urn, events); cause == "" && returns {
			t.conflict(urn, "deleted", "yes")
		}
		return cause
	case ledger.row == 0:
		ledger = adoption(row, events)
		// What we appended before the base event was known lacks the lines that say
		// that an update is one.
		if plain := plainNotes(events); late && ledger.applied.notes == want.notes && indexLines(lines(row.Notes), lines(plain)) >= 0 {
			ledger.applied.notes = plain
		}
	}
	if ledger.unbased {
		want.officer = officer{kind: standing}
	}
	return t.update(person, row, ledger, want, kinds[events[0].Type].user)
}

// staysDeleted says whether the row is gone that a practitioner had deleted, while the
// events want the same of it.
func (t *Twin) staysDeleted(urn string, want shown) bool {
	ledger := t.ledger[urn]
	if ledger.unbased {
		want.officer = officer{kind: standing}
	}
	return t.goneDeleted(urn) && want.equal(ledger.applied)
}

// goneDeleted says whether a practitioner had deleted the row that is gone.
func (t *Twin) goneDeleted(urn string) bool {
	ledger := t.ledger[urn]
	for _, row := range t.byURN[urn] {
		if row.ID == ledger.row {
			return false
		}
	}
	return ledger.deleted
}

// standsElsewhere says whether somebody else has a live row under the URN.
func (t *Twin) standsElsewhere(person Offender, urn string) bool {
	for _, row := range t.byURN[urn] {
		if !row.Deleted && !t.theirs(person, row.CRN, t.placedContact(row)) {
			return true
		}
	}
	return false
}

// ours finds the person's row under the URN that is ours: the one in the ledger, else
// the one to adopt (without a ledger entry), live before deleted, by number. A contact
// that is in the ledger with a row that this person does not have has moved, or its row
// was taken away: then only live rows are looked at.
func (t *Twin) ours(person Offender, urn string) (*Contact, entry) {
	ledger, moved := t.ledger[urn]
	var live, deleted []*Contact
	for _, row := range t.byURN[urn] {
		switch {
		case !t.theirs(person, row.CRN, t.placedContact(row)):
		case moved && row.ID == ledger.row:
			return row, ledger
		case row.Deleted:
			deleted = append(deleted, row)
		default:
			live = append(live, row)
		}
	}
	candidates := live
	if len(live) == 0 && !moved {
		candidates = deleted
	}
	if len(candidates) == 0 {
		return nil, entry{}
	}
	return slices.MinFunc(candidates, func(a, b *Contact) int { return cmp.Compare(a.ID, b.ID) }), entry{}
}

// insert adds the contact.
func (t *Twin) insert(person Offender, urn string, events []*event) (cause string) {
	want, kind := fold(events), kinds[events[0].Type]
	kindOf, ok := t.world.contactTypes[kind.code]
	if !ok {
		return ContactTypeNotFound
	}
	who, cause := t.world.officer(want.officer, person)
	if cause != "" {
		return cause
	}
	row := t.InsertContact(Contact{
		CRN: person.CRN, URN: urn, Type: kind.code, Description: want.description,
		Date: store.Date(want.at), Start: want.at,
		Provider: who.provider, Team: who.team, Staff: who.staff,
		Notes: want.notes, Sensitive: kindOf.Sensitive,
		CreatedBy: kind.user, UpdatedBy: kind.user,
	})
	t.ledger[urn] = entry{row: row.ID, applied: want, codes: who, placed: t.inserted(person, events[0].Referral)}
	return ""
}

// adoption makes a ledger entry for a row that has none.
func adoption(row *Contact, events []*event) entry {
	applied := adopted(row, events)
	shows := codes{row.Provider, row.Team, row.Staff}
	if applied.officer.kind == recorder {
		shows = applied.officer.codes()
	}
	return entry{row: row.ID, applied: applied, codes: shows, unbased: !based(events)}
}

// update is the three-way merge: a field whose desired value is the applied one is
// left alone, whatever a practitioner made of it.
func (t *Twin) update(person Offender, row *Contact, ledger entry, want shown, user string) (cause string) {
	if want.equal(ledger.applied) {
		ledger.deleted = row.Deleted
		if !row.Deleted {
			ledger.placed = t.home(person, row.CRN, ledger.placed)
			if row.CRN != person.CRN {
				row.CRN, row.UpdatedBy = person.CRN, user
				row.Version++
			}
		}
		t.ledger[row.URN] = ledger
		return ""
	}
	who := ledger.codes
	if want.officer != ledger.applied.officer {
		if who, cause = t.world.officer(want.officer, person); cause != "" {
			return cause
		}
	}
	next := *row
	if row.Deleted {
		t.conflict(row.URN, "deleted", "yes")
	}
	next.Deleted, next.CRN = false, person.CRN
	if want.notes != ledger.applied.notes {
		next.Notes = changedNotes(row.Notes, ledger.applied.notes, want.notes)
	}
	if want.description != ledger.applied.description {
		t.changeDescription(&next, ledger.applied.description, want.description)
	}
	if !want.at.Equal(ledger.applied.at) {
		t.changeTime(&next, ledger.applied.at, want.at)
	}
	if want.officer != ledger.applied.officer {
		t.changeOfficer(&next, ledger, who)
	}
	at := t.home(person, row.CRN, ledger.placed)
	if next != *row {
		next.Version++
		next.UpdatedBy = user
		*row = next
	}
	t.ledger[row.URN] = entry{row: row.ID, applied: want, codes: who, unbased: ledger.unbased, placed: at}
	return ""
}

func changedNotes(row, applied, want string) string {
	switch text := normalise(row); text {
	case want:
		return row
	case applied:
		return want
	default:
		if merged := mergeNotes(text, applied, want); merged != text {
			return merged
		}
		return row
	}
}

func (t *Twin) changeDescription(next *Contact, applied, want string) {
	text := normalise(next.Description)
	if text == want {
		return
	}
	if text != applied {
		t.conflict(next.URN, "description", next.Description)
	}
	next.Description = want
}

func (t *Twin) changeTime(next *Contact, applied, want time.Time) {
	if standsAt(next, want) {
		return
	}
	if applied.IsZero() || !standsAt(next, applied) {
		t.conflict(next.URN, "at", next.Date.Format(time.DateOnly)+" "+next.Start.UTC().Format(time.RFC3339Nano))
	}
	next.Date, next.Start = store.Date(want), want
}

func standsAt(row *Contact, at time.Time) bool {
	return row.Date.Equal(store.Date(at)) && row.Start.Truncate(time.Microsecond).Equal(at)
}

func (t *Twin) changeOfficer(next *Contact, ledger entry, want codes) {
	stands := codes{next.Provider, next.Team, next.Staff}
	if stands == want {
		return
	}
	if ledger.applied.officer.kind != standing && stands != ledger.codes {
		t.conflict(next.URN, "officer", stands.String())
	}
	next.Provider, next.Team, next.Staff = want.provider, want.team, want.staff
}
