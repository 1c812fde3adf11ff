package deliustest

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"casdelius/store"
)

// event is one known event with what its detail says.
type event struct {
	store.Event
	detail
	bad bool // the detail is unusable: the event counts as not there
}

// detail is what the eleven kinds of detail say, each its own part of it.
type detail struct {
	at          time.Time // when it happened
	text        string    // its own part of the notes
	description string
	recorder    officer
	premises    premises
}

// premises are where somebody arrived at or left, untrimmed.
type premises struct{ line1, line2, postcode, town, region string }

func newEvent(stored store.Event) *event {
	d, ok := decode(stored)
	return &event{Event: stored, detail: d, bad: !ok}
}

// decode reads the detail; it is not ok if something that is needed is missing or
// something that is used has the wrong type.
func decode(e store.Event) (d detail, ok bool) {
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case unusable:
			d, ok = detail{}, false
		default:
			panic(problem)
		}
	}()
	details, ok := value[map[string]any](reader{body(e.Body)}, "eventDetails")
	if !ok {
		return detail{}, false
	}
	return reader{details}.detail(e.Type, e.Emitted), true
}

// body parses a detail whole, without a byte order mark; what is no JSON object has no
// fields. Of fields with one name the last counts.
func body(raw []byte) map[string]any {
	raw = bytes.TrimPrefix(raw, []byte{0xEF, 0xBB, 0xBF})
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil
	}
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a number of any size is fine where it is not used
	if d.Decode(&all) != nil {
		return nil
	}
	return all
}

// unusable is what a reader panics with, so that the code that reads a detail is
// nothing but the list of what is in it.
type unusable struct{}

// reader reads one JSON object.
type reader struct{ json map[string]any }

// value is a field that may be missing or null; it panics if it has another type.
func value[V any](r reader, name string) (v V, ok bool) {
	field := r.json[name]
	if field == nil {
		return v, false
	}
	if v, ok = field.(V); !ok {
		panic(unusable{})
	}
	return v, true
}

// raw is a text as it came.
func (r reader) raw(name string) string {
	s, _ := value[string](r, name)
	return clean(s)
}

// text is a trimmed text.
func (r reader) text(name string) string { return strings.TrimSpace(r.raw(name)) }

// needed is a trimmed text that must not be missing, though it may be empty.
func (r reader) needed(name string) string {
	if r.json[name] == nil {
		panic(unusable{})
	}
	return r.text(name)
}

// time is a date-time, zero if it is missing or blank.
func (r reader) time(name string) time.Time {
	s := r.text(name)
	if s == "" {
		return time.Time{}
	}
	at, err := store.ParseTime(s)
	if err != nil {
		panic(unusable{})
	}
	return dated(at)
}

// earliest is the first day that is believed; of the last year, 9999, ParseTime sees
// to the end.
var earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// dated is a time that is believed.
func dated(at time.Time) time.Time {
	if at.Before(earliest) {
		panic(unusable{})
	}
	return at
}

// neededTime is a date-time that must not be missing.
func (r reader) neededTime(name string) time.Time {
	at := r.time(name)
	if at.IsZero() {
		panic(unusable{})
	}
	return at
}

// object is a nested object, empty if it is missing.
func (r reader) object(name string) reader {
	o, _ := value[map[string]any](r, name)
	return reader{o}
}

// detail reads the detail of an event of a known type.
func (r reader) detail(t store.Type, emitted time.Time) detail {
	switch t {
	case store.ApplicationSubmitted:
		return r.applicationSubmitted()
	case store.ApplicationStatusUpdated:
		return r.applicationStatusUpdated()
	case store.BookingProvisionallyMade:
		return detail{at: dated(emitted), text: r.expectation(), recorder: r.recorder("bookedBy")}
	case store.BookingConfirmed:
		return detail{at: dated(emitted), text: r.expectation(), recorder: r.recorder("confirmedBy")}
	case store.BookingCancelled, store.BookingCancelledUpdated:
		text := paragraph(r.text("cancellationReason"), r.text("cancellationContext"), r.text("notes"))
		return detail{at: dated(emitted), text: text, recorder: r.recorder("cancelledBy")}
	case store.PersonArrived, store.PersonArrivedUpdated:
		return r.arrived()
	case store.PersonDeparted, store.PersonDepartedUpdated:
		return r.departed()
	case store.ReferralSubmitted:
		return detail{at: dated(emitted)} // it says nothing
	}
	panic("the reference does not know what " + string(t) + " says")
}

func (r reader) applicationSubmitted() detail {
	d := detail{at: r.neededTime("submittedAt"), text: whereToLook(r.needed("applicationUrl"))}
	if cohort := r.cohort(); cohort != "" {
		d.description = "CAS2 Referral Submitted: " + cohort
	}
	return d
}

func (r reader) applicationStatusUpdated() detail {
	status := r.object("newStatus")
	label, cohort := status.needed("label"), r.cohort()
	text := []string{"Application status was updated to: " + label, "", "Details: " + status.text("description")}
	entries, _ := value[[]any](status, "statusDetails")
	for _, entry := range entries {
		one, _ := value[map[string]any](reader{map[string]any{"": entry}}, "")
		if name := (reader{one}).text("label"); name != "" {
			text = append(text, "* "+name)
		}
	}
	text = append(text, "", whereToLook(r.needed("applicationUrl")))
	if cohort != "" {
		cohort += " "
	}
	return detail{
		at:          r.neededTime("updatedAt"),
		text:        strings.Join(text, "\n"),
		description: "CAS2 " + cohort + "Referral Updated - " + label,
	}
}

func whereToLook(url string) string { return "Details of the application can be found here: " + url }

// cohort is the applicant's, "" if neither field tells it.
func (r reader) cohort() string {
	name, origin := r.object("cohort").text("longDisplayName"), r.text("applicationOrigin")
	if name != "" {
		return name
	}
	return map[string]string{
		"homeDetentionCurfew": "Home Detention Curfew",
		"courtBail":           "Court Bail",
		"prisonBail":          "Prison Bail",
	}[origin]
}

func (r reader) expectation() string {
	return paragraph(labelled("Expected arrival date", date(r.time("expectedArrivedAt"))), r.text("notes"))
}

func (r reader) arrived() detail {
	at, where := r.neededTime("arrivedAt"), r.premises()
	return detail{
		at:       at,
		premises: where,
		recorder: r.recorder("recordedBy"),
		text: paragraph(
			labelled("Arrival date", date(at)),
			labelled("Arrival address", where.oneLine()),
			r.text("notes"),
		),
	}
}

func (r reader) departed() detail {
	at := r.neededTime("departedAt")
	return detail{
		at:       at,
		premises: r.premises(),
		recorder: r.recorder("recordedBy"),
		text:     paragraph(labelled("Departure date", date(at)), r.text("reason"), r.text("reasonDetail"), r.text("notes")),
	}
}

func (r reader) premises() premises {
	p := r.object("premises")
	return premises{p.raw("addressLine1"), p.raw("addressLine2"), p.raw("postcode"), p.raw("town"), p.raw("region")}
}

func (p premises) oneLine() string {
	var parts []string
	for _, part := range []string{p.line1, p.line2, p.postcode, p.town, p.region} {
		if !blank(part) {
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return strings.Join(parts, " ")
}

// recorder is who recorded an event: the manager if it names nobody.
func (r reader) recorder(name string) officer {
	o := r.object(name)
	staff, region := o.text("staffCode"), o.text("probationRegionCode")
	if staff == "" {
		return officer{}
	}
	return officer{kind: recorder, region: region, staff: staff}
}

// date is a day as people see it, "" for none.
func date(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.In(store.London()).Format("02/01/2006")
}
