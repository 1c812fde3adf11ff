// Package inspect is the read model: what there is to see of people, of what waits and of what
// would change, as values that have JSON. Commands and pages only show it.
//
// Nothing in here decides anything. A history is looked at by the same steps as a reconcile
// that writes nothing; a timeline is derived from the events; a plan and a finding are told as
// the projector found them.
package inspect

import (
	"errors"
	"slices"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// ErrNoHistory marks that the inbox has no event of whom was asked for.
var ErrNoHistory = errors.New("the inbox has no event")

// History is everything known about one person's events, and how they stand in Delius.
type History struct {
	Owner     delius.Ownership
	Referrals []store.Referral
	Events    []Recorded // of unknown types too; in no order
	Current   delius.Current
	Outcome   delius.Outcome // what a look now would decide
	Hold      *delius.Hold   // why nothing is written; nil if it is
	Edits     Edits
	Due       bool // that look is yet to come
	Conflicts []Conflict
	Failing   []Failing // of its referrals: looking at them, or writing, met an unexpected error
	Unseen    []Failing // referrals that could not be looked at; what they say is left out
}

// Edits says who had changed rows last, by the rows' numbers, before the projector last wrote them.
type Edits struct{ Contacts, Addresses map[int64]Edit }

// Edit is a change that somebody else made of a row.
type Edit struct {
	User int64
	At   time.Time // zero is not known
}

// Recorded is an event and the times at which it passed. Its Received is when it was
// taken off the queue.
type Recorded struct {
	*delius.Event
	Stored  time.Time // when the log took it
	Applied time.Time // when it was first applied to Delius; zero if it was not
}

// Timeless is the events alone.
func (h *History) Timeless() []*delius.Event {
	events := make([]*delius.Event, len(h.Events))
	for i := range h.Events {
		events[i] = h.Events[i].Event
	}
	return events
}

// services are the users by whom the projector, and the services before it, write.
var services = []string{"Cas2AndDelius", "Cas3AndDelius"}

// Changed says who changed a row, and when. Before is who had before the projector did, if that is
// who changed it last.
type Changed struct {
	By     string    `json:"changedBy,omitempty"`
	At     time.Time `json:"changedAt,omitzero"`
	Before string    `json:"editedBy,omitempty"`
	Edited time.Time `json:"editedAt,omitzero"` // zero is not known
}

// Person is whose a field of the row is that is a person's, and when it was set: whoever changed
// the row last, before the projector did. It is "" where that is not known.
func (c *Changed) Person() (who string, at time.Time) {
	if c.ByService() {
		return c.Before, c.Edited
	}
	return c.By, c.At
}

// ByService says that the projector, or a service before it, changed the row last.
func (c *Changed) ByService() bool { return slices.Contains(services, c.By) }

// Users are all who changed one of the rows last.
func (h *History) Users() (ids []int64) {
	for i := range h.Current.Contacts {
		ids = append(ids, h.Current.Contacts[i].UpdatedBy)
	}
	for i := range h.Current.Addresses {
		ids = append(ids, h.Current.Addresses[i].UpdatedBy)
	}
	for _, edits := range []map[int64]Edit{h.Edits.Contacts, h.Edits.Addresses} {
		for _, edit := range edits {
			ids = append(ids, edit.User)
		}
	}
	return ids
}

// Changed says who changed the row of an item, by the names of users.
func (h *History) Changed(e *delius.Explained, users map[int64]string) (c Changed) {
	edits := h.Edits.Contacts
	for i := range h.Current.Contacts {
		if row := &h.Current.Contacts[i]; e.URN != "" && row.ID == e.RowID {
			c = Changed{By: users[row.UpdatedBy], At: row.Updated.UTC()}
		}
	}
	for i := range h.Current.Addresses {
		if row := &h.Current.Addresses[i]; e.URN == "" && row.ID == e.RowID {
			c, edits = Changed{By: users[row.UpdatedBy], At: row.Updated.UTC()}, h.Edits.Addresses
		}
	}
	if year := c.At.Year(); year < 0 || year > 9999 {
		c.At = time.Time{} // infinity, which has no JSON
	}
	if before, edited := edits[e.RowID]; edited && c.ByService() {
		c.Before, c.Edited = users[before.User], before.At
	}
	return c
}

// View is a history and what was asked about it.
type View struct {
	History
	Who  string          // that was asked for, for a person
	Only *store.Referral // that was asked for; nil for all
}

// About says whether an item is among what was asked for.
func (v *View) About(i delius.Item) bool { return v.Only == nil || i.Referral == *v.Only }

// Moments are the events that were asked for, and those that changed something of it.
func (v *View) Moments() []delius.Moment {
	var all []delius.Moment
	for _, m := range delius.Timeline(v.Timeless()) {
		if v.Only != nil && m.Event.Referral != *v.Only {
			m.Effects = slices.DeleteFunc(m.Effects, func(e delius.Effect) bool { return !v.About(e.Item) })
			if len(m.Effects) == 0 {
				continue
			}
		}
		all = append(all, m)
	}
	return all
}

// Recorded are the events by their identity.
func (v *View) Recorded() map[store.Key]Recorded {
	all := map[store.Key]Recorded{}
	for _, e := range v.Events {
		all[e.Key()] = e
	}
	return all
}

// MadeUpTo is what the events that were emitted up to a time make of what was asked for.
func (v *View) MadeUpTo(upTo time.Time) []delius.Made {
	events := slices.DeleteFunc(v.Timeless(), func(e *delius.Event) bool { return e.Emitted.After(upTo) })
	desired := delius.Fold(events)
	return slices.DeleteFunc(desired.Made(), func(m delius.Made) bool { return !v.About(m.Item) })
}

// Explain says where the fields of the contact under a URN come from, and of the address of
// its stay; nothing if no usable event makes it.
func (v *View) Explain(urn string) []delius.Explained {
	return delius.Explain(urn, delius.Fold(v.Timeless()), v.Current, v.Outcome)
}

// ConflictsOf are the conflicts that were recorded of an item.
func (v *View) ConflictsOf(e *delius.Explained) []Conflict {
	return slices.DeleteFunc(slices.Clone(v.Conflicts), func(c Conflict) bool {
		return c.URN != e.URN || e.URN == "" && c.AddressID != e.RowID
	})
}

// ParkedOf is why an item is left out now; nil if it is not.
func (v *View) ParkedOf(i delius.Item) *delius.Parked {
	at := slices.IndexFunc(v.Outcome.Parked, func(p delius.Parked) bool {
		return p.Cause.Retried() && p.Referral == i.Referral && p.Address == (i.URN == "") && (p.Address || p.URN == i.URN)
	})
	if at < 0 {
		return nil
	}
	return &v.Outcome.Parked[at]
}
