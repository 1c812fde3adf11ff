package delius

import (
	"cmp"
	"maps"
	"slices"

	"casdelius/store"
)

// Item names one thing that events make: a contact, or the address of a stay.
type Item struct {
	Referral store.Referral
	URN      string // of a contact; "" for the address
}

// String names the item in a message to a person.
func (i Item) String() string {
	if i.URN == "" {
		return "address of booking " + i.Referral.String()
	}
	return i.URN
}

// Value is one field as events make it, and the events that it comes from.
type Value struct {
	Name   string // notes, description, start or officer; of an address lines, start or status
	Text   string // "" for none
	Events []store.Key
}

// Made is what events make of one item.
type Made struct {
	Item
	Values []Value
}

// Made is what the events make by themselves: the contacts, then the addresses in the
// order in which the person lived there, as if nobody but them had ever written a row.
func (d *Desired) Made() []Made {
	var all []Made
	for i := range d.Contacts {
		c := &d.Contacts[i]
		all = append(all, Made{Item{c.Referral, c.URN}, c.values()})
	}
	empty := differ{have: Current{Ownership: Ownership{OffenderID: 1}}}
	empty.addresses(d.Stays)
	for _, change := range empty.out.Changes {
		if insert, ok := change.(*InsertAddress); ok {
			made := Made{Item: Item{Referral: insert.Applied.Booking}}
			for _, f := range insert.Fields {
				made.Values = append(made.Values, Value{f.Name, f.To, f.Events})
			}
			all = append(all, made)
		}
	}
	return all
}

func (c *Contact) values() []Value {
	return []Value{
		{"notes", c.Notes, c.keys()},
		{"description", c.Description, c.latest()},
		{"start", timeString(c.At), c.latest()},
		{"officer", c.Officer.String(), c.base()},
	}
}

// String is the officer for a person: provider, team and staff member, or the symbol.
func (o Officer) String() string {
	if o.Kind == Recorder {
		return Posting{Provider: o.Region, Team: o.Team(), Staff: o.Staff}.String()
	}
	return string(o.Kind)
}

// Effect is one field that an event changed.
type Effect struct {
	Item
	Name     string
	From, To string
}

// Moment is one event of a timeline and what it changed.
type Moment struct {
	Event   *Event
	CRN     store.CRN // whose its referral is by the events up to this one
	NOMS    store.NOMS
	Effects []Effect
	Parked  *Parked // why it is left out, of the contact or of the address alone; nil if it is not
}

// Timeline tells, for the events of one person in any order, what each of them changed:
// the difference between what the events before it make and what they make with it,
// in the order in which they were emitted. It is derived from the events alone, so it
// is not what happened in Delius where they came in another order.
func Timeline(events []*Event) []Moment {
	events = slices.SortedFunc(slices.Values(events), compareEmitted)
	moments := make([]Moment, 0, len(events))
	type field struct {
		Item
		name string
	}
	stood := map[field]string{}
	byReferral := map[store.Referral][]*Event{}
	stays := map[store.Referral][]Stay{}
	for _, e := range events {
		// Of an event's effects only those on addresses reach beyond its referral.
		upTo := append(byReferral[e.Referral], e)
		byReferral[e.Referral] = upTo
		m := Moment{Event: e}
		m.CRN, m.NOMS = Identity(upTo)
		desired := Fold(slices.Clone(upTo))
		stays[e.Referral] = desired.Stays
		desired.Stays = slices.Concat(slices.Collect(maps.Values(stays))...)
		for _, made := range desired.Made() {
			for _, v := range made.Values {
				key := field{made.Item, v.Name}
				if stood[key] != v.Text {
					m.Effects = append(m.Effects, Effect{made.Item, v.Name, stood[key], v.Text})
					stood[key] = v.Text
				}
			}
		}
		if at := slices.IndexFunc(desired.Parked, func(p Parked) bool { return p.Events[0] == e.Key() }); at >= 0 {
			m.Parked = &desired.Parked[at]
		}
		moments = append(moments, m)
	}
	return moments
}

// compareEmitted orders the events of a person, of several referrals too.
func compareEmitted(a, b *Event) int {
	return cmp.Or(a.Compare(&b.Event), a.Referral.Compare(b.Referral))
}
