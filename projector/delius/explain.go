package delius

import (
	"slices"

	"casdelius/store"
)

// Verdict says how what stands in a field came about.
type Verdict string

// The ways in which a field can stand.
const (
	AsEvents    Verdict = "as the events say"
	ByPerson    Verdict = "set by a person"
	ByOthers    Verdict = "because of the person's other addresses"
	NotYet      Verdict = "not written yet"
	NoRow       Verdict = "no row stands"
	Unspecified Verdict = "as it stood: no event says"
)

// Explained says where the fields of one item come from, and how they stand in Delius.
type Explained struct {
	Item
	RowID   int64 // 0 if no row stands
	Deleted bool  // the row is soft-deleted, or was when it was last seen
	Fields  []ExplainedField
	Lines   []ExplainedLine // of a contact's notes
}

// ExplainedField is one field: what events make of it, and what stands.
type ExplainedField struct {
	Value
	Stands  string
	Verdict Verdict
	Applied *string // what was last applied to the row; nil if nothing was
}

// ExplainedLine is one line of the notes: ' ' if it stands as an event says, '-' if an
// event says it but it does not stand, '+' if it stands and no event says it.
type ExplainedLine struct {
	LineEdit
	Event *store.Key // nil for '+'
}

// Explain explains the contact under a URN and, for an arrival or a departure, the
// address of its stay, given the outcome of comparing what is wanted with what stands.
// It is empty if the events make neither.
func Explain(urn string, want Desired, have Current, outcome Outcome) []Explained {
	var all []Explained
	d := differ{have: have, out: outcome}
	for i := range want.Contacts {
		if c := &want.Contacts[i]; c.URN == urn {
			all = append(all, d.explainContact(c))
		}
	}
	for _, made := range want.Made() {
		if made.URN == "" && (arrived.URN(made.Referral) == urn || departed.URN(made.Referral) == urn) {
			all = append(all, d.explainAddress(made))
		}
	}
	return all
}

func (d *differ) explainContact(c *Contact) Explained {
	var rows []*ContactRow
	for i := range d.have.Contacts {
		if d.have.Contacts[i].URN == c.URN {
			rows = append(rows, &d.have.Contacts[i])
		}
	}
	entry, known := d.have.AppliedContacts[c.URN]
	row := d.own(rows, &entry)
	out := Explained{Item: Item{c.Referral, c.URN}}
	values := c.values()
	if row == nil {
		out.Deleted = known && entry.stayedDeleted(c, rows)
		for _, v := range values {
			out.Fields = append(out.Fields, ExplainedField{Value: v, Verdict: NoRow})
		}
		out.Lines = c.explainLines("")
		return out
	}
	known = known && entry.ContactID == row.ID
	out.RowID, out.Deleted = row.ID, row.Deleted
	judge := func(rowIsDesired, desiredIsApplied bool) Verdict {
		switch {
		case rowIsDesired:
			return AsEvents
		case known && desiredIsApplied:
			return ByPerson
		}
		return NotYet
	}
	notes, description := Normalise(row.Notes), Normalise(row.Description)
	out.Fields = []ExplainedField{
		{Value: values[0], Stands: notes, Verdict: judge(notes == c.Notes, entry.Notes == c.Notes)},
		{Value: values[1], Stands: description, Verdict: judge(description == Normalise(c.Description), entry.Description == c.Description)},
		{Value: values[2], Stands: startString(row), Verdict: judge(sameStart(row, c.At), entry.At.Equal(c.At))},
		{Value: values[3], Stands: row.Posting.String(), Verdict: judge(known && row.Posting.same(entry.Posting) && entry.Officer == c.Officer, entry.Officer == c.Officer)},
	}
	if known {
		for i, applied := range []string{entry.Notes, entry.Description, timeString(entry.At), entry.Posting.String()} {
			out.Fields[i].Applied = &applied
		}
	}
	if known && entry.Officer.Kind == Unchanged {
		out.Fields[3].Verdict = Unspecified
	}
	out.Lines = c.explainLines(notes)
	return out
}

// explainLines holds the notes' lines, each with the event that it comes from, against
// those of a row.
func (c *Contact) explainLines(row string) []ExplainedLine {
	var from []store.Key
	for i, e := range drawnOn(c.Events) {
		for range split(c.part(i, e)) {
			from = append(from, e.Key())
		}
	}
	var out []ExplainedLine
	for _, edit := range EditLines(c.Notes, row) {
		line := ExplainedLine{LineEdit: edit}
		if edit.Op != '+' {
			line.Event, from = &from[0], from[1:]
		}
		out = append(out, line)
	}
	return out
}

func (d *differ) explainAddress(made Made) Explained {
	out := Explained{Item: made.Item}
	entry, known := d.have.AppliedAddresses[made.Referral]
	var row *AddressRow
	for i := range d.have.Addresses {
		if r := &d.have.Addresses[i]; known && r.ID == entry.AddressID && r.OffenderID == d.have.OffenderID {
			row = r
		}
	}
	if row == nil {
		for _, v := range made.Values {
			out.Fields = append(out.Fields, ExplainedField{Value: v, Verdict: NoRow})
		}
		return out
	}
	out.RowID, out.Deleted = row.ID, row.Deleted
	stands := map[string]string{"lines": row.Lines.normal().String(), "start": dateString(row.Start), "status": row.term().String()}
	applied := map[string]string{"lines": entry.Lines.normal().String(), "start": dateString(entry.Start)}
	if t, known := d.have.AppliedTerms[row.ID]; known {
		applied["status"] = term{t.Status, t.End}.String()
	}
	a := addresses{differ: d}
	for _, v := range made.Values {
		f := ExplainedField{Value: v, Stands: stands[v.Name], Verdict: ByPerson}
		if text, known := applied[v.Name]; known {
			f.Applied = &text
		}
		switch {
		case f.Stands == v.Text:
			f.Verdict = AsEvents
		case d.writes(row, v.Name):
			f.Verdict = NotYet
		case v.Name == "status" && a.hasAppliedTerm(row) && !d.have.AppliedTerms[row.ID].OwnEnd:
			f.Verdict = ByOthers
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// writes says whether a field of an address row is about to be written.
func (d *differ) writes(row *AddressRow, name string) bool {
	return slices.ContainsFunc(d.out.Changes, func(c Change) bool {
		update, ok := c.(*UpdateAddress)
		return ok && update.Row.ID == row.ID && slices.ContainsFunc(update.Fields, func(f Field) bool { return f.Name == name })
	})
}
