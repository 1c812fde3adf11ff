package storetest

import (
	"strings"
	"time"

	"casdelius/store"
)

// detail writes the detail of an event as the CAS API serves it.
func (t *teller) detail(o *occurrence) {
	j := &t.json
	j.buf = j.buf[:0]
	t.spoil(o)
	j.open("")
	j.text("id", o.id)
	j.text("timestamp", o.timestamp)
	if t.hit(0.05) {
		j.text("eventType", string(o.typ))
	}
	j.text("eventType", t.typeWithin(o.typ))
	if o.hollow {
		j.raw("eventDetails", pick(t.dice, []string{`"x"`, "7", `[{}]`}))
		j.close()
		return
	}
	if t.hit(0.02) {
		j.raw("eventDetails", pick(t.dice, []string{`"x"`, `{"notes":7}`, "null"}))
	}
	j.open("eventDetails")
	if t.hit(0.02) {
		j.raw("more", `["\ud800",{"a":1e400,"a":null}]`)
	}
	t.subject(o)
	switch o.typ {
	case store.ApplicationSubmitted:
		t.submitted(o)
	case store.ApplicationStatusUpdated:
		t.statusUpdated(o)
	case store.BookingProvisionallyMade:
		t.provided(o, "bookedBy")
	case store.BookingConfirmed:
		t.provided(o, "confirmedBy")
	case store.BookingCancelled, store.BookingCancelledUpdated:
		t.cancelled(o)
	case store.PersonArrived, store.PersonArrivedUpdated:
		t.arrived(o)
	case store.PersonDeparted, store.PersonDepartedUpdated:
		t.departed(o)
	}
	j.close()
	j.close()
	if t.hit(0.02) {
		j.buf = append([]byte("\ufeff"), j.buf...)
	}
}

// typeWithin is the type that the detail claims to have, which is at times wrong.
func (t *teller) typeWithin(typ store.Type) string {
	switch {
	case t.hit(0.03):
		return string(typ) + " "
	case t.hit(0.03):
		return strings.TrimSuffix(string(typ), ".updated")
	}
	return string(typ)
}

// spoil decides how a detail that is to be bad is bad.
func (t *teller) spoil(o *occurrence) {
	t.json.wrong, t.json.as = "", ""
	if !o.bad {
		return
	}
	wrongs := []string{"17", "true", "{}", `["x"]`}
	fields := map[store.Type][]string{
		store.ApplicationSubmitted:     {"applicationUrl", "submittedAt"},
		store.ApplicationStatusUpdated: {"applicationUrl", "updatedAt", "label"},
		store.BookingProvisionallyMade: {"expectedArrivedAt", "notes"},
		store.BookingConfirmed:         {"expectedArrivedAt", "notes"},
		store.BookingCancelled:         {"cancellationReason", "notes"},
		store.BookingCancelledUpdated:  {"cancellationReason", "notes"},
		store.PersonArrived:            {"arrivedAt", "notes"},
		store.PersonArrivedUpdated:     {"arrivedAt", "notes"},
		store.PersonDeparted:           {"departedAt", "notes"},
		store.PersonDepartedUpdated:    {"departedAt", "notes"},
	}[o.typ]
	if len(fields) == 0 || t.hit(0.1) {
		o.hollow = true // the only way for a referral.submitted, which uses no detail
		return
	}
	field := pick[string](t, fields)
	switch field {
	case "submittedAt", "updatedAt", "arrivedAt", "departedAt":
		wrongs = append(wrongs, "null", "", `""`, `"yesterday"`, `"2024-02-30T12:00:00Z"`, `"0001-01-01T00:00:00"`, `"1899-12-31T23:59:59Z"`)
	case "expectedArrivedAt":
		wrongs = append(wrongs, `""`, `"yesterday"`, `"0001-01-01T00:00:00Z"`)
	case "applicationUrl", "label":
		wrongs = append(wrongs, "null", "")
	}
	t.json.wrong, t.json.as = field, pick[string](t, wrongs)
}

// subject writes who and what an event is about.
func (t *teller) subject(o *occurrence) {
	j := &t.json
	j.open("personReference")
	o.within.fields(j)
	j.close()
	application, booking := o.application.String(), o.booking.String()
	if t.hit(0.02) {
		application, booking = strings.ToUpper(application), strings.ToUpper(booking)
	}
	told, url := given, "https://accommodation.example/cas2/applications/"
	if o.booking != (store.Referral{}) {
		j.text("bookingId", booking)
		j.text("bookingUrl", "https://accommodation.example/cas3/premises/bookings/"+o.booking.String())
		told = min(t.presence(), null)
	}
	if o.typ.Service() == store.CAS3 {
		url = "https://accommodation.example/cas3/applications/"
	}
	j.optional("applicationId", application, told)
	j.optional("applicationUrl", url+o.application.String()+"/overview", told)
	switch o.typ {
	case store.PersonArrived, store.PersonArrivedUpdated, store.PersonDeparted, store.PersonDepartedUpdated:
		number := "" // CAS takes it from the application
		if told == given {
			number = pick(t.dice, []string{"1", "2", "12"})
		}
		j.text("deliusEventNumber", number)
	}
}

func (t *teller) submitted(o *occurrence) {
	j := &t.json
	hearing, released := null, given
	if o.cohort.origin != "homeDetentionCurfew" {
		hearing, released = given, null
	}
	j.optional("bailHearingDate", date(o.happened.AddDate(0, 0, 9)), hearing)
	j.optional("referringPrisonCode", "MDI", released)
	j.optional("preferredAreas", "Leeds | Bradford and anywhere near the railway to York", released)
	j.optional("hdcEligibilityDate", date(o.happened.AddDate(0, 1, 0)), released)
	j.optional("conditionalReleaseDate", date(o.happened.AddDate(0, 7, 0)), released)
	j.text("submittedAt", t.stamp(o.happened))
	t.prisonStaff("submittedBy")
	t.cohort(o)
}

func (t *teller) statusUpdated(o *occurrence) {
	j := &t.json
	j.open("newStatus")
	j.text("name", statusName(o.reason))
	j.text("label", o.reason)
	j.optional("description", pick(t, t.lore.descriptions), t.presence())
	switch t.below(5) {
	case 0, 1:
		j.openList("statusDetails")
		for range 1 + t.below(3) {
			j.open("")
			j.text("name", "detail")
			j.optional("label", pick(t, t.lore.details), t.presence())
			j.close()
		}
		j.closeList()
	case 2:
		j.raw("statusDetails", "null")
	case 3:
		j.raw("statusDetails", "[]")
	}
	j.close()
	t.assessor("updatedBy")
	j.text("updatedAt", t.stamp(o.happened))
	t.cohort(o)
}

// statusName is the name of the status with a label, as CAS makes it: moreInformationRequested.
func statusName(label string) string {
	words := strings.Fields(strings.ToLower(label))
	for i, word := range words[min(1, len(words)):] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// prisonStaff writes who submitted an application: somebody of a prison, of probation or from
// elsewhere.
func (t *teller) prisonStaff(name string) {
	j := &t.json
	j.open(name)
	j.open("staffMember")
	j.raw("staffIdentifier", pick(t.dice, []string{"485926", "0", "1501234567"}))
	j.text("name", "A. Assessor")
	j.optional("username", "AASSESSOR_GEN", t.presence())
	j.optional("cas2StaffIdentifier", "485926", t.presence())
	j.optional("usertype", pick(t.dice, []string{"nomis", "delius", "auth"}), t.presence())
	j.close()
	j.close()
}

// assessor writes who has given an application its status.
func (t *teller) assessor(name string) {
	j := &t.json
	j.open(name)
	j.text("username", "AASSESSOR_ADM")
	j.text("name", "A. Assessor")
	j.text("email", "a.assessor@housing.example")
	j.optional("origin", "NACRO", t.presence())
	j.close()
}

// cohort writes cohort and origin, each of which can stand in for the other. Older details
// have another name for the origin.
func (t *teller) cohort(o *occurrence) {
	j, origin := &t.json, "applicationOrigin"
	if t.hit(0.05) {
		origin = "cas2v2ApplicationOrigin"
	}
	j.optional(origin, o.cohort.origin, t.presence())
	switch t.below(8) {
	case 0, 1, 2, 3:
		j.open("cohort")
		j.text("code", o.cohort.code)
		j.optional("longDisplayName", o.cohort.name, t.presence())
		j.close()
	case 4:
		j.raw("cohort", "null")
	case 5:
		j.raw("cohort", "{}")
	}
}

func (t *teller) provided(o *occurrence, by string) {
	t.json.optional("expectedArrivedAt", t.stamp(o.happened), min(t.presence(), null))
	t.json.optional("notes", o.notes, t.presence())
	t.recorder(by, o.recorder)
}

func (t *teller) cancelled(o *occurrence) {
	j := &t.json
	j.optional("cancellationReason", o.reason, t.presence())
	j.optional("cancellationContext", o.context, t.presence())
	j.optional("cancelledAt", date(o.happened), t.presence())
	j.optional("notes", o.notes, t.presence())
	t.recorder("cancelledBy", o.recorder)
}

func (t *teller) arrived(o *occurrence) {
	j := &t.json
	t.premises(o)
	j.text("arrivedAt", t.stamp(o.happened))
	j.optional("expectedDepartureOn", date(o.happened.AddDate(0, 0, 84)), t.presence())
	j.optional("notes", o.notes, t.presence())
	t.recorder("recordedBy", o.recorder)
}

func (t *teller) departed(o *occurrence) {
	j := &t.json
	t.premises(o)
	j.text("departedAt", t.stamp(o.happened))
	j.optional("reason", o.reason, t.presence())
	j.optional("reasonDetail", o.context, t.presence())
	j.optional("notes", o.notes, t.presence())
	t.recorder("recordedBy", o.recorder)
}

func (t *teller) premises(o *occurrence) {
	j, p, told := &t.json, o.premises, given
	switch {
	case o.nowhere:
		told, p.line1, p.line2 = []presence{absent, null, given}[t.below(3)], " ", ""
	case o.typ == store.PersonDeparted || o.typ == store.PersonDepartedUpdated:
		told = min(t.presence(), null)
	}
	switch told {
	case null:
		j.raw("premises", "null")
	case given:
		j.open("premises")
		j.text("addressLine1", p.line1)
		j.optional("addressLine2", p.line2, t.emptiness(p.line2))
		j.text("postcode", p.postcode)
		j.optional("town", p.town, t.presence())
		j.text("region", p.region)
		j.close()
	}
}

// recorder writes who recorded an event, or one of the ways to name nobody.
func (t *teller) recorder(name string, r recorder) {
	j, code := &t.json, r.code
	switch t.below(16) {
	case 11:
		return
	case 12:
		j.raw(name, "null")
		return
	case 13:
		code = ""
	case 14:
		code = "  "
	case 15:
		code += " "
	}
	j.open(name)
	j.text("staffCode", code)
	j.optional("username", "CAS3_"+r.code, t.presence())
	j.optional("probationRegionCode", r.region, t.emptiness(r.region))
	j.close()
}

// presence is how an optional part is told: mostly it is there, and what is not is null, as
// CAS writes it; it can be left out or empty as well.
func (t *teller) presence() presence {
	switch n := t.below(16); {
	case n < 10:
		return given
	case n < 13:
		return null
	case n < 14:
		return absent
	}
	return blank
}

// emptiness is how a part with this value is told: there if there is anything.
func (t *teller) emptiness(value string) presence {
	if value != "" {
		return given
	}
	return absent + presence(t.below(3))
}

// stamp writes a date-time in one of the ways of CAS.
func (t *teller) stamp(at time.Time) string {
	layout := "2006-01-02T15:04:05" + fraction(at)
	switch t.below(10) {
	case 6:
		return at.In(store.London()).Format(layout + "Z07:00")
	case 7, 8:
		return at.In(store.London()).Format(layout + "Z07:00[Europe/London]")
	case 9:
		return at.In(store.London()).Format(layout)
	}
	return at.UTC().Format(layout + "Z07:00")
}

// fraction is the layout of the part of a second: Java writes it with three, six or nine
// digits, as many as it takes.
func fraction(at time.Time) string {
	switch n := at.Nanosecond(); {
	case n == 0:
		return ""
	case n%1_000_000 == 0:
		return ".000"
	case n%1_000 == 0:
		return ".000000"
	}
	return ".000000000"
}

func date(t time.Time) string { return t.In(store.London()).Format(time.DateOnly) }
