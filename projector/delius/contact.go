package delius

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"casdelius/store"
)

// Kind is one of the kinds of contact: whatever differs between them.
type Kind struct {
	Code    string        // of the contact type
	Name    string        // of the contact type, for a person
	Service store.Service // whose user writes the row
	Events  []Told        // the types of event that make it, the base type first

	urn   string                          // without the id
	read  func(e *Event, r *reader) error // reads the eventDetails of its events
	index int                             // in kinds
}

// Told is a type of event with the name under which it is told as telemetry.
type Told struct {
	Type store.Type
	Name string
}

// The kinds of contact. Each has a place in the registry below.
var (
	submitted = &Kind{
		Code: "EACB", Name: "CAS2 - Referral submitted", Service: store.CAS2,
		urn: "urn:hmpps:cas2:application-submitted:", read: (*Event).readSubmitted,
		Events: []Told{{store.ApplicationSubmitted, "ApplicationSubmitted"}},
	}
	status = &Kind{
		Code: "EACC", Name: "CAS2 - Referral status updated", Service: store.CAS2,
		urn: "urn:hmpps:cas2:application-status-updated:", read: (*Event).readStatus,
		Events: []Told{{store.ApplicationStatusUpdated, "ApplicationStatusUpdated"}},
	}
	referred = &Kind{
		Code: "EARS", Name: "CAS3 - Referral submitted", Service: store.CAS3,
		urn: "urn:hmpps:cas3:application-submitted:", read: (*Event).readReferred,
		Events: []Told{{store.ReferralSubmitted, "ApplicationSubmitted"}},
	}
	provisional = &Kind{
		Code: "EABP", Name: "CAS3 - Booking provisionally made", Service: store.CAS3,
		urn: "urn:hmpps:cas3:booking-provisionally-made:", read: (*Event).readProvisional,
		Events: []Told{{store.BookingProvisionallyMade, "BookingProvisionallyMade"}},
	}
	confirmed = &Kind{
		Code: "EACO", Name: "CAS3 - Booking confirmed", Service: store.CAS3,
		urn: "urn:hmpps:cas3:booking-confirmed:", read: (*Event).readConfirmed,
		Events: []Told{{store.BookingConfirmed, "BookingConfirmed"}},
	}
	cancelled = &Kind{
		Code: "EACA", Name: "CAS3 - Booking cancelled", Service: store.CAS3,
		urn: "urn:hmpps:cas3:booking-cancelled:", read: (*Event).readCancelled,
		Events: []Told{{store.BookingCancelled, "BookingCancelled"}, {store.BookingCancelledUpdated, "BookingCancelledUpdated"}},
	}
	arrived = &Kind{
		Code: "EAAR", Name: "CAS3 - Person arrived", Service: store.CAS3,
		urn: "urn:hmpps:cas3:person-arrived:", read: (*Event).readArrived,
		Events: []Told{{store.PersonArrived, "PersonArrived"}, {store.PersonArrivedUpdated, "PersonArrivedUpdated"}},
	}
	departed = &Kind{
		Code: "EADP", Name: "CAS3 - Person departed", Service: store.CAS3,
		urn: "urn:hmpps:cas3:person-departed:", read: (*Event).readDeparted,
		Events: []Told{{store.PersonDeparted, "PersonDeparted"}, {store.PersonDepartedUpdated, "PersonDepartedUpdated"}},
	}
)

var kinds = []*Kind{submitted, status, referred, provisional, confirmed, cancelled, arrived, departed}

// byType finds the kind of contact that a type of event makes.
var byType = index(kinds, store.Types())

// index panics, with its name, on a type that makes no contact, or two: no program that has
// such a registry may start.
func index(kinds []*Kind, types []store.Type) map[store.Type]*Kind {
	byType := make(map[store.Type]*Kind, len(types))
	for i, k := range kinds {
		k.index = i
		for _, told := range k.Events {
			if other := byType[told.Type]; other != nil {
				panic(fmt.Sprintf("event type %s makes two kinds of contact, %s and %s", told.Type, other.Code, k.Code))
			}
			byType[told.Type] = k
		}
	}
	for _, t := range types {
		if byType[t] == nil {
			panic(fmt.Sprintf("event type %s makes no kind of contact: it has no row in package delius", t))
		}
	}
	return byType
}

// Kinds lists every kind of contact.
func Kinds() []*Kind { return slices.Clone(kinds) }

// KindOf is the kind of contact that events of a type make; nil for an unknown type.
func KindOf(t store.Type) *Kind { return byType[t] }

// TelemetryName is the name under which operators know events of a type; "" for an
// unknown one.
func TelemetryName(t store.Type) string {
	if k := byType[t]; k != nil {
		for _, told := range k.Events {
			if told.Type == t {
				return told.Name
			}
		}
	}
	return ""
}

// URNPrefix is the external reference of its contacts, but for the referral at its end.
func (k *Kind) URNPrefix() string { return k.urn }

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
	Manager   OfficerKind = "manager"  // the person's active manager when the row is written
	Recorder  OfficerKind = "recorder" // the staff member that an event names
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
