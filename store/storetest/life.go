package storetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"casdelius/store"
)

// life tells the histories of people, one at a time.
type life struct {
	*rand.Rand
	*teller
	unknown float64 // the share of unknown types, as in Options

	person  Person
	now     time.Time // in the referral that is being told
	events  []Raised
	lastID  string // the last event's id, if no other event has it
	lastTyp store.Type
}

const day = 24 * time.Hour

// tell makes up the history of the i-th person: at least one referral, most people
// have several, and bookings follow one another closely enough to overlap.
func (l *life) tell(i int, start time.Time) History {
	l.person = person(i)
	start = start.Add(l.upTo(60 * day))
	for range l.IntN(3) {
		l.now = start
		l.application()
		start = start.Add(l.upTo(90 * day))
	}
	referrals := l.IntN(3)
	if len(l.events) == 0 {
		referrals = max(1, referrals)
	}
	for range referrals {
		l.now = start
		start = l.referral()
	}
	slices.SortStableFunc(l.events, func(a, b Raised) int { return a.Emitted.Compare(b.Emitted) })
	return History{l.person, l.events}
}

// application is a CAS2 application and what becomes of it.
func (l *life) application() {
	o := occurrence{application: l.referralID(), record: record{cohort: pick(l.dice, l.lore.cohorts)}}
	o.happened = l.now
	l.raise(store.ApplicationSubmitted, o)
	for range l.IntN(5) {
		l.pass(14 * day)
		o.happened, o.reason = l.now, pick(l.dice, l.lore.statuses)
		l.raise(store.ApplicationStatusUpdated, o)
	}
}

// referral is a CAS3 referral with its bookings; it returns when the next may begin.
func (l *life) referral() time.Time {
	o := occurrence{application: l.referralID()}
	l.raise(store.ReferralSubmitted, o)
	for range 1 + l.IntN(3) {
		l.pass(10 * day)
		o.booking = l.referralID()
		l.booking(o)
	}
	return l.now
}

// booking is one booking from the first call to the last correction.
func (l *life) booking(o occurrence) {
	o.premises, o.recorder = pick(l.dice, l.lore.premises), pick(l.dice, l.lore.recorders)
	o.happened = l.filledIn(l.now.Add(l.upTo(21 * day)))
	if !l.hit(0.05) {
		o.notes = pick(l.dice, l.lore.notes)
		l.raise(store.BookingProvisionallyMade, o)
	}
	if !l.hit(0.2) {
		l.pass(5 * day)
		o.notes = pick(l.dice, l.lore.notes)
		l.raise(store.BookingConfirmed, o)
	}
	l.pass(14 * day)
	switch {
	case l.hit(0.15):
		l.cancel(o)
	case l.hit(0.05): // a departure without an arrival, which may still come
		l.depart(o)
		if l.hit(0.5) {
			l.arrive(o)
		}
	default:
		l.stay(o)
	}
}

// stay is a booking that someone came to.
func (l *life) stay(o occurrence) {
	o = l.arrive(o)
	if l.hit(0.05) {
		l.pass(3 * day)
		l.cancel(o)
	}
	if l.hit(0.2) {
		return // still there, or nobody told; the next booking may begin all the same
	}
	l.pass(84 * day)
	l.depart(o)
	if l.hit(0.08) { // back again, which CAS raises as an update
		l.pass(7 * day)
		o.happened, o.notes = l.filledIn(l.now), pick(l.dice, l.lore.notes)
		l.raise(store.PersonArrivedUpdated, o)
	}
}

// arrive is an arrival, up to 14 days back or ahead, and its corrections.
func (l *life) arrive(o occurrence) occurrence {
	o.happened = l.around(o.happened)
	o.notes, o.recorder = pick(l.dice, l.lore.notes), pick(l.dice, l.lore.recorders)
	l.raise(store.PersonArrived, o)
	for l.hit(0.3) {
		l.moment()
		switch l.IntN(4) {
		case 0:
			o.happened = l.around(o.happened)
		case 1:
			o.premises = pick(l.dice, l.lore.premises)
		case 2:
			o.premises.line2 = fmt.Sprintf("Annexe %d", 1+l.IntN(6))
		case 3:
			o.notes = pick(l.dice, l.lore.notes)
		}
		l.raise(store.PersonArrivedUpdated, o)
	}
	return o
}

// depart is a departure, at times mistyped to before the arrival, and its corrections.
func (l *life) depart(o occurrence) {
	arrived := o.happened
	o.reason, o.context, o.notes = pick(l.dice, l.lore.reasons), pick(l.dice, l.lore.contexts), pick(l.dice, l.lore.notes)
	o.recorder = pick(l.dice, l.lore.recorders)
	o.happened = l.filledIn(l.now.Add(-l.upTo(3 * day)))
	if l.hit(0.05) {
		o.happened = arrived.AddDate(0, 0, -1-l.IntN(30))
	}
	l.raise(store.PersonDeparted, o)
	for l.hit(0.2) {
		l.moment()
		o.happened = l.around(o.happened)
		l.raise(store.PersonDepartedUpdated, o)
	}
}

// cancel is a cancellation and its corrections.
func (l *life) cancel(o occurrence) {
	o.happened = l.now
	o.reason, o.context, o.notes = pick(l.dice, l.lore.reasons), pick(l.dice, l.lore.contexts), pick(l.dice, l.lore.notes)
	l.raise(store.BookingCancelled, o)
	for l.hit(0.3) {
		l.moment()
		o.notes = pick(l.dice, l.lore.notes)
		l.raise(store.BookingCancelledUpdated, o)
	}
}

// raise tells an occurrence now, at times a base event a second time under another
// id, and at times something else that nobody knows.
func (l *life) raise(typ store.Type, o occurrence) {
	o.typ, o.person, o.raised, o.id = typ, l.person, l.now, l.eventID()
	if l.lastID != "" && l.lastTyp != typ && l.hit(0.03) {
		o.id, l.lastID = l.lastID, ""
	} else {
		l.lastID, l.lastTyp = o.id, typ
	}
	l.events = append(l.events, l.teller.raise(o))
	if !typ.Updated() && l.hit(0.03) {
		l.moment()
		o.id, o.raised = l.eventID(), l.now
		l.events = append(l.events, l.teller.raise(o))
	}
	if l.unknown > 0 && l.hit(l.unknown) {
		l.moment()
		o.id, o.raised = l.eventID(), l.now
		o.typ, o.booking = unknownType(l.dice, typ, o.booking)
		l.events = append(l.events, l.teller.raise(o))
	}
}

// unknownType is an event type that has no meaning here, and the booking it is about.
func unknownType(d dice, beside store.Type, booking store.Referral) (store.Type, store.Referral) {
	switch {
	case beside.Service() == store.CAS2:
		return "applications.cas2.application.assigned", booking
	case booking != store.Referral{} && d.hit(0.5):
		return "accommodation.cas3.booking.changed", booking
	}
	return "accommodation.cas3.assessment.updated", store.Referral{}
}

// pass lets time go by, at most this long.
func (l *life) pass(most time.Duration) { l.now = l.now.Add(time.Minute + l.upTo(most)) }

// moment lets a moment pass before a correction, at times none at all.
func (l *life) moment() {
	if !l.hit(0.15) {
		l.pass(2 * day)
	}
}

func (l *life) upTo(most time.Duration) time.Duration {
	d := time.Duration(l.Int64N(int64(most)))
	if l.IntN(4) == 0 {
		return d.Truncate(time.Millisecond)
	}
	return d // to the nanosecond, as the clock of CAS gives it
}

// around is a time up to 14 days from the one that was expected or said before.
func (l *life) around(at time.Time) time.Time {
	if l.hit(0.5) {
		return l.filledIn(at)
	}
	return l.filledIn(at.AddDate(0, 0, l.IntN(29)-14))
}

// filledIn is the day of a time as CAS fills in the rest: midnight UTC mostly, which is one
// o'clock in summer, else twelve; at times it is told to the minute, and then close to
// midnight as likely as not.
func (l *life) filledIn(at time.Time) time.Time {
	midnight := at.UTC().Truncate(day)
	switch l.IntN(8) {
	case 0:
		return midnight.Add(time.Duration(l.IntN(24*60)) * time.Minute)
	case 1:
		return midnight.Add(23*time.Hour + 30*time.Minute)
	case 2, 3:
		return midnight.Add(12 * time.Hour)
	}
	return midnight
}

// eventID is a UUID, or an id as older events have it.
func (l *life) eventID() string {
	if l.hit(0.02) {
		return fmt.Sprintf("domain_event.%d~%04x", l.IntN(1_000_000_000), l.IntN(1<<16))
	}
	return l.referralID().String()
}

func (l *life) referralID() store.Referral {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], l.Uint64())
	binary.BigEndian.PutUint64(id[8:], l.Uint64())
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // RFC 9562
	return store.Referral(id)
}
