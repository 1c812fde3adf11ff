package delius

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"casdelius/store"
)

// Kind is one of the eight kinds of contact.
type Kind struct {
	Code    string        // of the contact type
	Service store.Service // whose user writes the row
	urn     string        // without the id
	index   int           // in Kinds
}

var (
	submitted   = &Kind{"EACB", store.CAS2, "urn:hmpps:cas2:application-submitted:", 0}
	status      = &Kind{"EACC", store.CAS2, "urn:hmpps:cas2:application-status-updated:", 1}
	referred    = &Kind{"EARS", store.CAS3, "urn:hmpps:cas3:application-submitted:", 2}
	provisional = &Kind{"EABP", store.CAS3, "urn:hmpps:cas3:booking-provisionally-made:", 3}
	confirmed   = &Kind{"EACO", store.CAS3, "urn:hmpps:cas3:booking-confirmed:", 4}
	cancelled   = &Kind{"EACA", store.CAS3, "urn:hmpps:cas3:booking-cancelled:", 5}
	arrived     = &Kind{"EAAR", store.CAS3, "urn:hmpps:cas3:person-arrived:", 6}
	departed    = &Kind{"EADP", store.CAS3, "urn:hmpps:cas3:person-departed:", 7}
)

// Kinds lists every kind of contact.
func Kinds() []*Kind { return kinds[:] }

var kinds = [...]*Kind{submitted, status, referred, provisional, confirmed, cancelled, arrived, departed}

// KindOf is the kind of contact that events of a type make; nil for an unknown type.
func KindOf(t store.Type) *Kind {
	switch t {
	case store.ApplicationSubmitted:
		return submitted
	case store.ApplicationStatusUpdated:
		return status
	case store.ReferralSubmitted:
		return referred
	case store.BookingProvisionallyMade:
		return provisional
	case store.BookingConfirmed:
		return confirmed
	case store.BookingCancelled, store.BookingCancelledUpdated:
		return cancelled
	case store.PersonArrived, store.PersonArrivedUpdated:
		return arrived
	case store.PersonDeparted, store.PersonDepartedUpdated:
		return departed
	}
	return nil
}

// URN is the external reference of the contact of this kind of a referral.
func (k *Kind) URN(r store.Referral) string {
	id, _ := uuid.UUID(r).MarshalText() // never fails
	return k.urn + string(id)
}

// OfficerKind says how the officer of a contact is known.
type OfficerKind string

// The three ways in which an officer is known.
const (
	Unchanged OfficerKind = ""         // whoever stands in the row: no event tells
	Manager  OfficerKind = "manager"  // the person's active manager when the row is written
	Recorder OfficerKind = "recorder" // the staff member that an event names
)

// Officer is who recorded a contact: a symbol, until a row is written.
type Officer struct {
	Kind   OfficerKind
	Region string // of a recorder: the provider's code
	Staff  string // of a recorder: the officer's code
}

// Team is the code of the team that a recorder's contacts go to: the region's
// homelessness prevention team.
func (o Officer) Team() string {
	switch o.Region {
	case "N58":
		return "N58XXX"
	case "N59":
		return "N59N59"
	}
	return o.Region + "HPT"
}

// Contact is a contact as the events of one referral want it.
type Contact struct {
	Kind        *Kind
	Referral    store.Referral
	URN         string
	Notes       string // normalised
	Description string // "" for none
	At          time.Time
	Officer     Officer
	HasBase     bool     // a base event is among the events
	Events      []*Event // that can be used, in their order
	Hashes      []int64  // of all its events, the unusable too, sorted
}

// foldContact folds the usable events of one contact, in their order. It is total:
// no events give an empty contact, which is what was applied to a row whose every
// event is new.
func foldContact(kind *Kind, referral store.Referral, events []*Event) Contact {
	c := Contact{Kind: kind, Referral: referral, URN: kind.URN(referral), Events: events}
	if len(events) == 0 {
		return c
	}
	drawn := drawnOn(events)
	c.HasBase = !drawn[0].Type.Updated()
	c.Officer = drawn[0].Officer
	latest := events[len(events)-1]
	c.At, c.Description = latest.At, latest.Description
	if len(drawn) == 1 {
		c.Notes = drawn[0].Text
		return c
	}
	parts := make([]string, len(drawn))
	for i, e := range drawn {
		parts[i] = c.part(i, e)
	}
	c.Notes = lines(parts...)
	return c
}

// part is what the event at a place among those that the notes draw on gives to them.
func (c *Contact) part(i int, e *Event) string {
	if i > 0 && e.Type == store.PersonArrivedUpdated {
		return lines("Address details were updated: "+second(e.Emitted), e.Text)
	}
	return e.Text
}

// drawnOn is the part of a contact's events that its notes draw on: the latest base
// event, whose text replaces what was before, and every .updated after it; without
// a base event all.
func drawnOn(events []*Event) []*Event {
	for i := len(events) - 1; i > 0; i-- {
		if !events[i].Type.Updated() {
			return events[i:]
		}
	}
	return events
}

// without folds the contact's events but for those that are new to a row: the ones
// that its notes draw on and whose text does not stand in the row. What the
// remaining events draw on is looked at in the same way, so that of several states
// that replaced one another the row's own is found.
func (c *Contact) without(row string) Contact {
	events := c.Events
	for {
		lines, drawn := newLineMatcher(row), drawnOn(events)
		kept := slices.Clone(events[:len(events)-len(drawn)])
		for _, e := range drawn {
			if strings.TrimSpace(e.Text) == "" || lines.match(e.Text) {
				kept = append(kept, e)
			}
		}
		if len(kept) == len(events) {
			return foldContact(c.Kind, c.Referral, events)
		}
		events = kept
	}
}

// plain is the notes as events that came before their base event left them: without
// the lines that say that an update was one.
func (c *Contact) plain() string {
	drawn := drawnOn(c.Events)
	parts := make([]string, len(drawn))
	for i := range drawn {
		parts[i] = drawn[i].Text
	}
	return lines(parts...)
}

// keys names the events that a contact's notes draw on.
func (c *Contact) keys() []store.Key { return keysOf(drawnOn(c.Events)) }

// latest names the event that a contact's date and description come from.
func (c *Contact) latest() []store.Key {
	if len(c.Events) == 0 {
		return nil
	}
	return keysOf(c.Events[len(c.Events)-1:])
}

// base names the event that a contact's officer comes from.
func (c *Contact) base() []store.Key {
	if drawn := drawnOn(c.Events); len(drawn) > 0 {
		return keysOf(drawn[:1])
	}
	return nil
}

func keysOf(events []*Event) []store.Key {
	keys := make([]store.Key, len(events))
	for i := range events {
		keys[i] = events[i].Key()
	}
	return keys
}
