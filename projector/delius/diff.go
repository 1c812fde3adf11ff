package delius

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"casdelius/store"
)

// Diff compares what the events of a person want with what stands and with what was
// last applied, and decides what to write. It has no notion of removing a row. The
// outcome of comparing again after the writes is empty.
func Diff(want Desired, have Current, refs References) Outcome {
	d := differ{have: have, refs: refs}
	d.out.Parked = want.Parked
	d.mend()
	if d.findLost(want); len(d.out.Lost) > 0 {
		return Outcome{Lost: d.out.Lost}
	}
	r, refused := d.beginRestore()
	if refused == "" {
		d.decide(want)
		d.repair()
		refused = d.endRestore(r)
	}
	if refused != "" {
		return Outcome{Refused: refused}
	}
	return d.out
}

// decide decides about everything that events want.
func (d *differ) decide(want Desired) {
	if d.have.OffenderID == 0 {
		for i := range want.Contacts {
			d.park(&want.Contacts[i], d.have.Cause, d.have.Reason)
		}
		return
	}
	rows := map[string][]*ContactRow{}
	for i := range d.have.Contacts {
		row := &d.have.Contacts[i]
		rows[row.URN] = append(rows[row.URN], row)
	}
	for i := range want.Contacts {
		d.contact(&want.Contacts[i], rows[want.Contacts[i].URN])
	}
	d.addresses(want.Stays)
}

type differ struct {
	have Current
	refs References
	out  Outcome
}

// findLost names what was folded from more than the history now holds. Folding what
// is left would write as if the rest had never come.
func (d *differ) findLost(want Desired) {
	contacts, stays := map[string][]int64{}, map[store.Referral][]int64{}
	// An event that was usable once is not lost because it is not any more: its body
	// gave way to an earlier one, or is read more strictly than it was.
	holdsAll := func(history, hashes []int64) bool {
		return !slices.ContainsFunc(hashes, func(h int64) bool {
			_, there := slices.BinarySearch(history, h)
			return !there && !slices.Contains(want.unusable, h)
		})
	}
	for i := range want.Contacts {
		contacts[want.Contacts[i].URN] = want.Contacts[i].Hashes
	}
	for i := range want.Stays {
		stays[want.Stays[i].Booking] = want.Stays[i].Hashes
	}
	d.out.Lost = slices.Clone(d.have.Lost)
	for urn, entry := range d.have.AppliedContacts {
		if !holdsAll(contacts[urn], entry.Events) {
			d.out.Lost = append(d.out.Lost, urn)
		}
	}
	for booking, entry := range d.have.AppliedAddresses {
		_, ours := slices.BinarySearchFunc(want.Referrals, booking, store.Referral.Compare)
		if ours && !holdsAll(stays[booking], entry.Events) {
			d.out.Lost = append(d.out.Lost, "stay of booking "+booking.String())
		}
	}
	slices.Sort(d.out.Lost)
}

func (d *differ) park(c *Contact, cause Cause, problem string) {
	d.out.Parked = append(d.out.Parked, Parked{Cause: cause, Referral: c.Referral, URN: c.URN, Problem: problem})
}

func (d *differ) observe(kind ObservationKind, urn, text string) {
	d.out.Observations = append(d.out.Observations, Observation{Kind: kind, URN: urn, Text: text})
}

// adoptedDiffers tells of a row that was adopted, if it says otherwise than its events.
func (d *differ) adoptedDiffers(urn string, address int64, fields []Field) {
	if len(fields) == 0 {
		return
	}
	const text = "the adopted row says otherwise than its events: it stands as a person's"
	for i := range fields {
		fields[i].Reason = text
	}
	d.out.Observations = append(d.out.Observations, Observation{AdoptedDiffers, urn, address, text, fields})
}

// contact decides about one contact, given every row under its URN.
func (d *differ) contact(c *Contact, rows []*ContactRow) {
	entry, known := d.have.AppliedContacts[c.URN]
	for _, row := range rows {
		if !row.Deleted && !d.belongs(row, &entry) {
			d.park(c, PersonChanged, "a live contact under this URN stands on another person: it has to be deleted there first")
			return
		}
	}
	row := d.own(rows, &entry)
	if row == nil {
		switch {
		case known && entry.stayedDeleted(c, rows):
			d.keepDeleted(c, entry)
		case d.insertContact(c) && entry.lostDeleted(rows):
			d.conflicts(c.URN, 0, []Field{returned(c.latest())}, &ContactRow{Deleted: true})
		}
		return
	}
	for _, other := range rows {
		if other != row && !other.Deleted {
			d.observe(ContactAlreadyExists, c.URN, fmt.Sprintf("contact %d stands live under this URN beside ours, %d: one of them is to be deleted", other.ID, row.ID))
		}
	}
	fresh := !known || entry.ContactID != row.ID || entry.Baseless && c.HasBase
	if fresh {
		late := known && entry.Baseless && entry.ContactID == row.ID
		if entry = adopt(c, row); late && entry.Notes == c.Notes && wholeLines(Normalise(row.Notes), c.plain()) >= 0 {
			entry.Notes = c.plain() // what we appended before the base event was known
		}
	}
	d.updateContact(c, row, entry, fresh)
}

// belongs says whether a contact is this person's; see [Current.belongs].
func (d *differ) belongs(row *ContactRow, entry *AppliedContact) bool {
	placed := entry.Placed
	if row.ID != entry.ContactID {
		placed = Placed{}
	}
	return d.have.belongs(row.OffenderID, placed)
}

// own picks our row: the ledger's, if it is the right person's; else their first live
// one. The first deleted one will do only where the ledger has no entry: what was deleted
// here while ours was another row says nothing about this contact.
func (d *differ) own(rows []*ContactRow, entry *AppliedContact) *ContactRow {
	var best *ContactRow
	for _, row := range rows {
		switch {
		case !d.belongs(row, entry):
		case row.ID == entry.ContactID:
			return row
		case row.Deleted && entry.URN != "":
		case best == nil,
			best.Deleted && !row.Deleted,
			best.Deleted == row.Deleted && row.ID < best.ID:
			best = row
		}
	}
	return best
}

// adopt makes the ledger entry of a row that the projector did not write: what the
// events say that stand in it already.
func adopt(c *Contact, row *ContactRow) AppliedContact {
	applied := c.without(row.Notes)
	entry := AppliedContact{
		URN: c.URN, Referral: c.Referral, ContactID: row.ID,
		Notes: applied.Notes, Description: applied.Description, At: applied.At,
		Baseless: !c.HasBase,
	}
	if applied.HasBase {
		entry.Officer = applied.Officer
		entry.Posting = row.Posting
		if o := applied.Officer; o.Kind == Recorder {
			entry.Posting = Posting{Provider: o.Region, Team: o.Team(), Staff: o.Staff}
		}
	}
	return entry
}

// stayedDeleted says whether the entry's row, which is gone altogether, had been deleted by
// a person, and the events want of it what they wanted then.
func (l *AppliedContact) stayedDeleted(c *Contact, rows []*ContactRow) bool {
	return l.lostDeleted(rows) && c.Notes == l.Notes && c.Description == l.Description && c.At.Equal(l.At) && (l.Baseless || c.Officer == l.Officer)
}

// lostDeleted says whether the entry's row is gone altogether after a person had deleted it.
func (l *AppliedContact) lostDeleted(rows []*ContactRow) bool {
	return l.Deleted && !slices.ContainsFunc(rows, func(r *ContactRow) bool { return r.ID == l.ContactID })
}

// keepDeleted remembers that the row of a deleted contact is gone, and that this is right.
func (d *differ) keepDeleted(c *Contact, entry AppliedContact) {
	was := entry
	entry.ContactID, entry.Events = 0, c.Hashes
	if !entry.equal(&was) {
		d.out.AppliedContacts = append(d.out.AppliedContacts, entry)
	}
}

// insertContact inserts a contact that nothing stands for yet. It says no if the contact is
// parked instead.
func (d *differ) insertContact(c *Contact) bool {
	contactType, ok := d.refs.Types[c.Kind.Code]
	if !ok {
		d.park(c, ContactTypeNotFound, "contact type "+c.Kind.Code+" is not in r_contact_type")
		return false
	}
	posting, ok := d.resolve(c)
	if !ok {
		return false
	}
	row := ContactRow{
		OffenderID: d.have.OffenderID, URN: c.URN, Description: c.Description,
		Date: store.Date(c.At), Start: c.At, Posting: posting, TrustTeamID: posting.TeamID, Notes: c.Notes,
		TypeID: contactType.ID, Sensitive: yesNo(contactType.Sensitive), PartitionArea: new(int64), TrustFlag: new(int64),
	}
	d.out.Changes = append(d.out.Changes, &InsertContact{
		Kind: c.Kind, Row: row,
		Applied: AppliedContact{
			URN: c.URN, Referral: c.Referral, Notes: c.Notes, Description: c.Description, At: c.At,
			Officer: c.Officer, Posting: posting, Events: c.Hashes, Placed: d.have.placedBy(c.Referral),
		},
		Fields: inserted([]Field{
			{Name: "notes", To: c.Notes, Events: c.keys()},
			{Name: "description", To: c.Description, Events: c.latest()},
			{Name: "start", To: timeString(c.At), Events: c.latest()},
			{Name: "officer", To: posting.String(), Events: c.base()},
		}),
	})
	return true
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}

func inserted(fields []Field) []Field {
	fields = slices.DeleteFunc(fields, func(f Field) bool { return f.To == "" })
	for i := range fields {
		fields[i].Reason = "nothing stands there yet"
	}
	return fields
}

// resolve turns a contact's officer into rows, or parks the contact.
func (d *differ) resolve(c *Contact) (Posting, bool) {
	if c.Officer.Kind == Manager {
		if d.have.Manager == nil {
			d.park(c, ManagerNotFound, "the person has no active manager in offender_manager")
			return Posting{}, false
		}
		return *d.have.Manager, true
	}
	p := Posting{Provider: c.Officer.Region, Team: c.Officer.Team(), Staff: c.Officer.Staff}
	var ok bool
	if p.ProviderID, ok = d.refs.Providers[p.Provider]; !ok {
		d.park(c, ProviderNotFound, "provider "+p.Provider+" is not in probation_area")
		return Posting{}, false
	}
	for _, team := range d.refs.Teams[p.Team] {
		if team.ProviderID == p.ProviderID {
			p.TeamID = team.ID
		}
	}
	if p.TeamID == 0 {
		d.park(c, TeamNotFound, "team "+p.Team+" of provider "+p.Provider+" is not in team")
		return Posting{}, false
	}
	if p.StaffID, ok = d.refs.Staff[p.Staff]; !ok {
		d.park(c, StaffNotFound, "staff member "+p.Staff+" is not in staff")
		return Posting{}, false
	}
	if !d.refs.InTeam[[2]int64{p.StaffID, p.TeamID}] {
		d.observe(StaffNotInTeam, c.URN, "staff member "+p.Staff+" is not in team "+p.Team)
	}
	return p, true
}

// updateContact merges what the events want into the row that stands.
func (d *differ) updateContact(c *Contact, was *ContactRow, entry AppliedContact, fresh bool) {
	applied := entry
	officer := c.Officer
	if entry.Baseless {
		officer = Officer{}
	}
	var posting Posting
	if officer != applied.Officer {
		var ok bool
		if posting, ok = d.resolve(c); !ok {
			return
		}
	}
	m := merger{row: *was}
	m.officer(officer, applied, posting, c.base())
	m.notes(c.Notes, applied.Notes, c.keys())
	m.description(c.Description, applied.Description, c.latest())
	m.start(c.At, applied.At, c.latest())
	if was.Deleted {
		m.row.Deleted = !m.moved
		if m.row.Deleted {
			m.row, m.fields = *was, nil
		} else {
			m.fields = append(m.fields, returned(c.latest()))
		}
	}
	if !m.row.Deleted {
		if was.OffenderID != d.have.OffenderID {
			m.row.OffenderID, m.fields = d.have.OffenderID, append(m.fields, d.have.brought(was.OffenderID, entry.Placed, c.keys()))
		}
		entry.Placed = d.have.place(was.OffenderID, entry.Placed)
	}
	if len(m.fields) > 0 {
		d.out.Changes = append(d.out.Changes, &UpdateContact{Kind: c.Kind, Row: m.row, Was: *was, Fields: m.fields})
		d.conflicts(c.URN, 0, m.fields, was)
	}
	entry.Notes, entry.Description, entry.At, entry.Events, entry.Deleted = c.Notes, c.Description, c.At, c.Hashes, m.row.Deleted
	if officer != applied.Officer {
		entry.Officer, entry.Posting = officer, posting
	}
	if fresh || !entry.equal(&applied) {
		d.out.AppliedContacts = append(d.out.AppliedContacts, entry)
	}
	if fresh {
		d.adoptedDiffers(c.URN, 0, c.differing(was, m.fields))
	}
}

func (l *AppliedContact) equal(o *AppliedContact) bool {
	return l.ContactID == o.ContactID && l.Notes == o.Notes && l.Description == o.Description && l.At.Equal(o.At) &&
		l.Officer == o.Officer && l.Posting.same(o.Posting) && l.Placed == o.Placed && l.Baseless == o.Baseless && l.Deleted == o.Deleted && slices.Equal(l.Events, o.Events)
}

// differing are the fields in which a row that was adopted says otherwise than its events,
// but for those that are written now.
func (c *Contact) differing(row *ContactRow, written []Field) (fields []Field) {
	if notes := Normalise(row.Notes); notes != c.Notes && c.HasBase {
		fields = append(fields, Field{Name: "notes", From: notes, To: c.Notes, Events: c.keys()})
	}
	if is, want := Normalise(row.Description), Normalise(c.Description); is != want {
		fields = append(fields, Field{Name: "description", From: is, To: want, Events: c.latest()})
	}
	if !sameStart(row, c.At) {
		fields = append(fields, Field{Name: "start", From: startString(row), To: timeString(c.At), Events: c.latest()})
	}
	return slices.DeleteFunc(fields, func(f Field) bool {
		return slices.ContainsFunc(written, func(w Field) bool { return w.Name == f.Name })
	})
}

// startString is the date and time of a row, the date once if it is that of the time.
func startString(row *ContactRow) string {
	if row.Date.Equal(store.Date(row.Start)) {
		return timeString(row.Start)
	}
	return strings.Trim(dateString(row.Date)+", "+timeString(row.Start), ", ")
}

func sameStart(row *ContactRow, at time.Time) bool {
	return row.Start.Equal(at) && row.Date.Equal(store.Date(at))
}

// returned says that a row which a person had deleted comes back. That the person had is a
// value of theirs that is replaced.
func returned(events []store.Key) Field {
	return Field{Name: "deleted", From: "yes", To: "no", Conflict: true, Reason: "its events changed after it was deleted", Events: events}
}

// conflicts records the conflicts among fields that are written over a row.
func (d *differ) conflicts(urn string, address int64, fields []Field, was valued) {
	for _, f := range fields {
		if f.Conflict {
			by, at := was.edited()
			d.out.Conflicts = append(d.out.Conflicts, Conflict{
				URN: urn, AddressID: address, Field: f.Name, Replaced: f.From, With: f.To, Events: f.Events,
				Value: was.value(f.Name), EditedBy: by, EditedAt: at,
			})
		}
	}
}

// merger applies the three-way rule to the fields of one contact row.
type merger struct {
	row    ContactRow // as it will stand
	fields []Field    // that are written
	moved  bool       // some field's desired value is not the applied one
}

// decide is the three-way rule for a field whose desired value is not the applied
// one: whether to write, and whether a person's value is replaced by it.
func (m *merger) decide(rowIsDesired, rowIsApplied bool) (write, conflict bool) {
	m.moved = true
	return !rowIsDesired, !rowIsDesired && !rowIsApplied
}

func (m *merger) wrote(name, from, to string, conflict bool, events []store.Key) {
	reason := "its events changed"
	if conflict {
		reason = "its events changed, and so did a person: the events win"
	}
	m.fields = append(m.fields, Field{Name: name, From: from, To: to, Conflict: conflict, Reason: reason, Events: events})
}

func (m *merger) notes(desired, applied string, events []store.Key) {
	if desired == applied {
		return
	}
	row := Normalise(m.row.Notes)
	write, edited := m.decide(row == desired, row == applied)
	if !write {
		return
	}
	to := desired
	if edited {
		to = merge(row, applied, desired)
	}
	if to == row {
		return
	}
	m.wrote("notes", m.row.Notes, to, false, events)
	if edited {
		m.fields[len(m.fields)-1].Reason = "its events changed: merged with what a person wrote"
	}
	m.row.Notes = to
}

func (m *merger) description(desired, applied string, events []store.Key) {
	if desired == applied {
		return
	}
	row := Normalise(m.row.Description)
	if write, conflict := m.decide(row == Normalise(desired), row == Normalise(applied)); write {
		m.wrote("description", m.row.Description, desired, conflict, events)
		m.row.Description = desired
	}
}

func (m *merger) start(desired, applied time.Time, events []store.Key) {
	if desired.Equal(applied) {
		return
	}
	rowIsApplied := !applied.IsZero() && sameStart(&m.row, applied)
	if write, conflict := m.decide(sameStart(&m.row, desired), rowIsApplied); write {
		m.wrote("start", startString(&m.row), timeString(desired), conflict, events)
		m.row.Date, m.row.Start = store.Date(desired), desired
	}
}

func (m *merger) officer(desired Officer, applied AppliedContact, posting Posting, events []store.Key) {
	if desired == applied.Officer {
		return
	}
	rowIsApplied := applied.Officer.Kind == Unchanged || m.row.Posting.same(applied.Posting)
	if write, conflict := m.decide(m.row.Posting.same(posting), rowIsApplied); write {
		m.wrote("officer", m.row.Posting.String(), posting.String(), conflict, events)
		m.row.Posting, m.row.TrustTeamID = posting, posting.TeamID
	}
}
