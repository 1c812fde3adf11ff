package delius

import (
	"fmt"
	"slices"
	"time"
)

// Restore is a person's value that events have replaced and that is to be written back. What was
// applied is left as it is: so the value counts as the person's again, and no event undoes it
// until it says something else than it did.
type Restore struct {
	URN       string // of a contact; "" for an address
	AddressID int64
	Field     string
	With      string // what the events wrote in its place, which has to stand still
	Value     Kept
}

// Has says whether a row is among those of a person of which a value can be restored.
func (c *Current) Has(r *Restore) bool {
	if r.URN != "" {
		return c.AppliedContacts[r.URN].ContactID != 0
	}
	return slices.ContainsFunc(c.Addresses, func(row AddressRow) bool { return row.ID == r.AddressID })
}

// Kept is the value of one field of a row, in the columns that belong to it. The others are
// nil, all of them where the field has a value that cannot be kept, such as infinity.
type Kept struct {
	Description *string    `json:"description,omitempty"`
	Date        *time.Time `json:"date,omitempty"`
	Start       *time.Time `json:"start,omitempty"` // of an address its start date
	Posting     *Posting   `json:"posting,omitempty"`
	TrustTeamID *int64     `json:"trustTeamId,omitempty"`
	Lines       *Lines     `json:"lines,omitempty"`
	Status      *string    `json:"status,omitempty"`
	StatusID    *int64     `json:"statusId,omitempty"`
	End         *time.Time `json:"end,omitempty"`
	Deleted     *bool      `json:"deleted,omitempty"`
}

// Known says whether there is a value.
func (v *Kept) Known() bool { return *v != Kept{} }

// valued is a row of which a field's value can be kept.
type valued interface {
	value(field string) Kept
	edited() (by int64, at time.Time)
}

func (r *ContactRow) edited() (int64, time.Time) { return r.UpdatedBy, r.Updated }

func (r *AddressRow) edited() (int64, time.Time) { return r.UpdatedBy, r.Updated }

func (r *ContactRow) value(field string) (v Kept) {
	switch field {
	case "description":
		v.Description = &r.Description
	case "start":
		if keepable(r.Date) && keepable(r.Start) {
			v.Date, v.Start = &r.Date, &r.Start
		}
	case "officer":
		v.Posting, v.TrustTeamID = &r.Posting, &r.TrustTeamID
	case "deleted":
		v.Deleted = &r.Deleted
	}
	return v
}

func (r *AddressRow) value(field string) (v Kept) {
	switch field {
	case "lines":
		v.Lines = &r.Lines
	case "start":
		if keepable(r.Start) {
			v.Start = &r.Start
		}
	case "status":
		if keepable(r.End) {
			v.Status, v.StatusID, v.End = &r.Status, &r.StatusID, &r.End
		}
	case "deleted":
		v.Deleted = &r.Deleted
	}
	return v
}

// keepable says whether a time has JSON.
func keepable(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// text is the field of a row for a person, as conflicts tell it.
func (r *ContactRow) text(field string) string {
	switch field {
	case "description":
		return Normalise(r.Description)
	case "start":
		return startString(r)
	case "officer":
		return r.Posting.String()
	case "deleted":
		return yesOrNo(r.Deleted)
	}
	return ""
}

func (r *AddressRow) text(field string) string {
	switch field {
	case "lines":
		return r.Lines.normal().String()
	case "start":
		return dateString(r.Start)
	case "status":
		return r.term().String()
	case "deleted":
		return yesOrNo(r.Deleted)
	}
	return ""
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// with is the row with a value.
func (r ContactRow) with(v *Kept) ContactRow {
	set(&r.Description, v.Description)
	set(&r.Date, v.Date)
	set(&r.Start, v.Start)
	set(&r.Posting, v.Posting)
	set(&r.TrustTeamID, v.TrustTeamID)
	set(&r.Deleted, v.Deleted)
	return r
}

func (r AddressRow) with(v *Kept) AddressRow {
	set(&r.Lines, v.Lines)
	set(&r.Start, v.Start)
	set(&r.Status, v.Status)
	set(&r.StatusID, v.StatusID)
	set(&r.End, v.End)
	set(&r.Deleted, v.Deleted)
	return r
}

func set[V any](to, from *V) {
	if from != nil {
		*to = *from
	}
}

// restoring is a row as it stands and as it is with the value that is restored.
type restoring struct {
	contact, restoredContact ContactRow
	address, restoredAddress AddressRow
}

// beginRestore has what follows compare events with the row as if the person had just entered
// the value once more: that is what they will find from then on. It says why that cannot be.
func (d *differ) beginRestore() (r restoring, refused string) {
	o := d.have.Restore
	switch {
	case o == nil:
		return r, ""
	case !o.Value.Known():
		return r, "the value was not kept whole: enter it by hand"
	case o.URN != "":
		found := false
		for _, row := range d.have.Contacts {
			if id := d.have.AppliedContacts[o.URN].ContactID; row.ID == id && id != 0 {
				r.contact, r.restoredContact, found = row, row.with(&o.Value), true
			}
		}
		if !found {
			return r, "there is no contact of ours under this URN any more"
		}
		d.have.Contacts = substitute(d.have.Contacts, r.restoredContact, func(r *ContactRow) int64 { return r.ID })
		return r, o.changed(r.contact.text(o.Field))
	}
	found := false
	for _, row := range d.have.Addresses {
		if row.ID == o.AddressID {
			r.address, r.restoredAddress, found = row, row.with(&o.Value), true
		}
	}
	if !found {
		return r, "the address is not there any more"
	}
	d.have.Addresses = substitute(d.have.Addresses, r.restoredAddress, func(r *AddressRow) int64 { return r.ID })
	return r, o.changed(r.address.text(o.Field))
}

// changed says that somebody else has been there since; "" where what stands is what the events
// wrote.
func (r *Restore) changed(stands string) string {
	if stands == r.With || stands == Normalise(r.With) {
		return ""
	}
	return fmt.Sprintf("%s says something else by now than what the events wrote", r.Field)
}

// endRestore adds what writes the value back to what was decided of the row. Where events say
// something new meanwhile they win, and it says so.
func (d *differ) endRestore(r restoring) (refused string) {
	o := d.have.Restore
	if o == nil {
		return ""
	}
	const why, newer = "the person's value is restored, and counts as theirs", "the events say something new by now: look at it again once that is applied"
	written := func(fields []Field) bool {
		for _, f := range fields {
			if f.Name == o.Field {
				return true
			}
		}
		return false
	}
	if o.URN != "" {
		field := Field{Name: o.Field, From: r.contact.text(o.Field), To: r.restoredContact.text(o.Field), Reason: why}
		for _, c := range d.out.Changes {
			if up, ok := c.(*UpdateContact); ok && up.Row.ID == r.contact.ID {
				if written(up.Fields) {
					return newer
				}
				up.Was, up.Fields = r.contact, append(up.Fields, field)
				return ""
			}
		}
		d.out.Changes = append(d.out.Changes, &UpdateContact{Kind: KindOfURN(o.URN), Row: r.restoredContact, Was: r.contact, Fields: []Field{field}})
		return ""
	}
	field := Field{Name: o.Field, From: r.address.text(o.Field), To: r.restoredAddress.text(o.Field), Reason: why}
	for _, c := range d.out.Changes {
		if up, ok := c.(*UpdateAddress); ok && up.Row.ID == r.address.ID {
			if written(up.Fields) {
				return newer
			}
			up.Was, up.Fields = r.address, append(up.Fields, field)
			return ""
		}
	}
	d.out.Changes = append(d.out.Changes, &UpdateAddress{Row: r.restoredAddress, Was: r.address, Fields: []Field{field}})
	return ""
}
