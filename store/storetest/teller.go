package storetest

import (
	"bytes"
	"cmp"
	"strings"
	"time"

	"casdelius/store"
)

// occurrence is what an event is about: the facts, before chance decides which of
// them CAS tells, and how.
type occurrence struct {
	typ         store.Type
	id          string
	person      Person
	application store.Referral
	booking     store.Referral // zero where the event is not about a booking
	raised      time.Time
	record

	// The rest is decided while the event is told.
	timestamp string // when it was raised, as the detail has it
	within    naming // of the person, in the detail
	bad       bool   // no contact can be made of the detail
	hollow    bool   // bad in that the eventDetails are no object
	nowhere   bool   // the premises give no address
}

// record is what CAS holds on what an event tells of. A correction changes it, and an
// .updated event tells all of it again.
type record struct {
	happened        time.Time // submitted, updated, expected, arrived or departed
	premises        premises
	notes           string
	reason, context string // the reason of a CAS2 status is its label
	cohort          cohort
	recorder        recorder
}

// naming is how a person is named in a detail or a notification. An identifier that
// is "" is left out.
type naming struct {
	crn, noms string
	nullNOMS  bool
	nomsFirst bool // before the CRN, as CAS2 has it; CAS3 has it the other way round
}

// inOrder writes each of the identifiers that there are; null says that it is told as null.
func (n naming) inOrder(write func(kind, value string, null bool)) {
	crn := func() {
		if n.crn != "" {
			write("CRN", n.crn, false)
		}
	}
	if !n.nomsFirst {
		crn()
	}
	if n.noms != "" || n.nullNOMS {
		write("NOMS", n.noms, n.nullNOMS)
	}
	if n.nomsFirst {
		crn()
	}
}

// fields writes the naming as a detail does.
func (n naming) fields(j *object) {
	n.inOrder(func(kind, value string, isNull bool) { j.optional(strings.ToLower(kind), value, nullOr(isNull)) })
}

// list writes the naming as a notification does.
func (n naming) list(j *object) {
	j.openList("identifiers")
	n.inOrder(func(kind, value string, isNull bool) {
		j.open("")
		j.text("type", kind)
		j.optional("value", value, nullOr(isNull))
		j.close()
	})
	j.closeList()
}

// nullOr is how a value is told that is null or there.
func nullOr(isNull bool) presence {
	if isNull {
		return null
	}
	return given
}

// teller tells occurrences as CAS raises them.
type teller struct {
	dice
	lore       *lore
	base       string
	badDetail  float64
	badAddress float64
	json       object
}

// raise tells an occurrence: detail, notification and what they amount to.
func (t *teller) raise(o occurrence) Raised {
	o.timestamp = t.stamp(o.raised)
	o.within = t.nameWithin(&o)
	switch {
	case !o.typ.Known():
	case t.badDetail > 0 && t.hit(t.badDetail):
		o.bad = true
	case o.typ == store.PersonArrived || o.typ == store.PersonArrivedUpdated:
		o.nowhere = t.badAddress > 0 && t.hit(t.badAddress)
	}
	t.detail(&o)
	r := Raised{DetailPath: detailPath(o.typ) + "/" + o.id}
	r.Event = store.Event{
		ID: o.id, Type: o.typ, Referral: o.application, Source: t.base + r.DetailPath, Body: bytes.Clone(t.json.buf),
	}
	if o.booking != (store.Referral{}) {
		r.Referral = o.booking
	}
	r.Emitted = parsed(o.timestamp)
	t.notify(&o, &r)
	return r
}

// parsed is the instant that a date-time stands for; a local one is read as ingest
// reads it, also in the hour that comes twice.
func parsed(s string) time.Time {
	at, err := store.ParseTime(s)
	if err != nil {
		panic(err) // unreachable: stamp wrote it
	}
	return at
}

// notify writes the notification of an event and completes the event with what
// counts of it: its identifiers, and those of the detail where it has none.
func (t *teller) notify(o *occurrence, r *Raised) {
	j := &t.json
	j.buf = j.buf[:0]
	j.open("")
	j.text("eventType", string(o.typ))
	j.raw("version", "1")
	j.text("description", "CAS tells of "+string(o.typ))
	j.text("detailUrl", r.Source)
	if !t.hit(0.02) {
		occurred := t.stamp(o.raised)
		j.text("occurredAt", occurred)
		r.Occurred = parsed(occurred)
	}
	t.additional(o)

	outside, list := t.nameOutside(o)
	within := o.within
	if o.hollow {
		within = naming{}
	}
	if list != given {
		outside = naming{}
	}
	r.CRN = cmp.Or(store.ParseCRN(outside.crn), store.ParseCRN(within.crn))
	r.NOMS = cmp.Or(store.ParseNOMS(outside.noms), store.ParseNOMS(within.noms))
	if r.CRN == "" && r.NOMS == "" {
		outside.crn, list, r.CRN = string(o.person.CRN), given, o.person.CRN
	}
	switch list {
	case given:
		j.open("personReference")
		outside.list(j)
		j.close()
	case null:
		j.raw("personReference", "null")
	case blank:
		j.raw("personReference", `{"identifiers":null}`)
	}
	j.close()
	r.Notification = bytes.Clone(j.buf)
}

// additional writes the ids of a notification. It may leave them out, as the detail
// has them, unless the detail is hollow.
func (t *teller) additional(o *occurrence) {
	j, told, application := &t.json, given, given
	if !o.hollow {
		told = t.presence()
		application = min(t.presence(), null)
	}
	switch told {
	case given:
		j.open("additionalInformation")
		j.optional("applicationId", o.application.String(), application)
		if o.booking != (store.Referral{}) {
			j.text("bookingId", o.booking.String())
		} else if t.hit(0.2) {
			j.raw("bookingId", "null")
		}
		j.close()
	case null:
		j.raw("additionalInformation", "null")
	case blank:
		j.raw("additionalInformation", "{}")
	}
}

// nameWithin decides how a detail names the person: CAS3 always by the CRN.
func (t *teller) nameWithin(o *occurrence) naming {
	n := t.numbered(o.person)
	if o.typ.Service() == store.CAS2 && t.hit(0.1) {
		n.crn = ""
	}
	return n
}

// nameOutside decides how a notification names the person; blank stands for a list
// that is null.
func (t *teller) nameOutside(o *occurrence) (naming, presence) {
	n, list := t.numbered(o.person), given
	switch t.below(12) {
	case 8:
		n.crn = strings.ToLower(n.crn)
	case 9:
		n.crn = ""
	case 10:
		n.noms, n.nullNOMS = "", false
	case 11:
		list = absent + presence(t.below(3))
	}
	return n, list
}

// numbered names a person by both numbers, in the ways that CAS writes a NOMS number
// which it does not know.
func (t *teller) numbered(p Person) naming {
	n := naming{crn: string(p.CRN), noms: string(p.NOMS), nomsFirst: t.below(2) == 1}
	if n.noms == "" || t.hit(0.05) {
		n.noms = pick(t.dice, []string{"Unknown NOMS Number", "null", ""})
		n.nullNOMS = n.noms == ""
	}
	return n
}

// detailPath is where the CAS API serves the details of a type, without the id.
func detailPath(typ store.Type) string {
	if path := typ.DetailPath(); path != "" {
		return path
	}
	return "/events/" + string(typ.Service()) + "/other"
}
