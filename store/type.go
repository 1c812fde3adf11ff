package store

import (
	"fmt"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// Service is the tier of the Community Accommodation Service that raised an event.
type Service string

// The two tiers that raise domain events.
const (
	CAS2 Service = "cas2"
	CAS3 Service = "cas3"
)

// Type is the type of an event, as the notification's eventType gives it. One made
// by [ParseType] is a CAS type, but not always a known one.
type Type string

// The known types. Each has a row in the registry below.
const (
	ApplicationSubmitted     Type = "applications.cas2.application.submitted"
	ApplicationStatusUpdated Type = "applications.cas2.application.status-updated"
	ReferralSubmitted        Type = "accommodation.cas3.referral.submitted"
	BookingProvisionallyMade Type = "accommodation.cas3.booking.provisionally-made"
	BookingConfirmed         Type = "accommodation.cas3.booking.confirmed"
	BookingCancelled         Type = "accommodation.cas3.booking.cancelled"
	BookingCancelledUpdated  Type = "accommodation.cas3.booking.cancelled.updated"
	PersonArrived            Type = "accommodation.cas3.person.arrived"
	PersonArrivedUpdated     Type = "accommodation.cas3.person.arrived.updated"
	PersonDeparted           Type = "accommodation.cas3.person.departed"
	PersonDepartedUpdated    Type = "accommodation.cas3.person.departed.updated"
)

// known is one row for each known type: whatever differs between them.
type known struct {
	Type    Type
	Updates Type   // the base type whose .updated form it is; "" for a base type
	KeyedBy keyed  // which of the ids that it names is its referral
	Detail  string // path of its details on the CAS API, before the event's id
}

// keyed says which of the two ids that an event names is its referral.
type keyed int

const (
	byApplication keyed = iota
	byBooking
)

// registry has the known types, a base type before its .updated form. A new type besides needs
// a kind of contact with its reader in package delius, which no program starts without; its
// place in the subscription's filter; the reference's own reading of it (deliustest); and
// stories that raise it (storetest). Tests name what is missing.
var registry = []known{
	{ApplicationSubmitted, "", byApplication, "/events/cas2/application-submitted"},
	{ApplicationStatusUpdated, "", byApplication, "/events/cas2/application-status-updated"},
	{ReferralSubmitted, "", byApplication, "/events/cas3/referral-submitted"},
	{BookingProvisionallyMade, "", byBooking, "/events/cas3/booking-provisionally-made"},
	{BookingConfirmed, "", byBooking, "/events/cas3/booking-confirmed"},
	{BookingCancelled, "", byBooking, "/events/cas3/booking-cancelled"},
	{BookingCancelledUpdated, BookingCancelled, byBooking, "/events/cas3/booking-cancelled-updated"},
	{PersonArrived, "", byBooking, "/events/cas3/person-arrived"},
	{PersonArrivedUpdated, PersonArrived, byBooking, "/events/cas3/person-arrived-updated"},
	{PersonDeparted, "", byBooking, "/events/cas3/person-departed"},
	{PersonDepartedUpdated, PersonDeparted, byBooking, "/events/cas3/person-departure-updated"},
}

var byType = func() map[Type]*known {
	types := make(map[Type]*known, len(registry))
	for i := range registry {
		types[registry[i].Type] = &registry[i]
	}
	return types
}()

// Types lists the known types, a base event always before its .updated.
func Types() []Type {
	types := make([]Type, len(registry))
	for i := range registry {
		types[i] = registry[i].Type
	}
	return types
}

// maxName bounds an event type and an event id, in characters.
const maxName = 128

var casType = regexp.MustCompile(`^(?:applications|accommodation)\.cas[23]\.`)

// ParseType parses an event type. Any type of CAS2 or CAS3 is taken, known or not,
// if it is at most 128 printable characters.
func ParseType(s string) (Type, error) {
	switch {
	case !casType.MatchString(s):
		return "", fmt.Errorf("event type %q is not of CAS2 or CAS3: want applications.cas2.… or accommodation.cas3.…", clip(s))
	case !printable(s):
		return "", fmt.Errorf("event type %q is not 1 to %d printable characters", clip(s), maxName)
	}
	return Type(s), nil
}

// Known says whether the type is one of those that have an effect in Delius.
func (t Type) Known() bool { return byType[t] != nil }

// Updated says whether the type is the .updated form of another known type. Between
// events with one timestamp a base event comes first.
func (t Type) Updated() bool {
	k := byType[t]
	return k != nil && k.Updates != ""
}

// DetailPath is where the CAS API serves details of this type, after its base path and
// before /{event id}; "" for an unknown type. The path is never used to tell the type.
func (t Type) DetailPath() string {
	if k := byType[t]; k != nil {
		return k.Detail
	}
	return ""
}

// Service is the tier that raises events of this type.
func (t Type) Service() Service {
	if m := casType.FindString(string(t)); len(m) > 2 && m[len(m)-2] == '2' {
		return CAS2
	}
	return CAS3
}

// ReferralID picks the id that an event of this type is keyed by from the
// application and the booking that it names ("" where it names none): the
// application for CAS2 and for a submitted CAS3 referral, the booking for the known
// others. An unknown type is keyed by the booking, else by the application.
func (t Type) ReferralID(application, booking string) string {
	switch k := byType[t]; {
	case k != nil && k.KeyedBy == byApplication:
		return application
	case k != nil, booking != "":
		return booking
	}
	return application
}

// printable says whether s is valid UTF-8 of 1 to maxName printable characters.
func printable(s string) bool {
	if s == "" || len(s) > maxName*utf8.UTFMax || !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// clip shortens a value for an error message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
