package deliustest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

const crn = store.CRN("A000001")

// fields is a JSON object.
type fields map[string]any

// with is a copy with other values.
func (f fields) with(changes fields) fields {
	all := fields{}
	for k, v := range f {
		all[k] = v
	}
	for k, v := range changes {
		all[k] = v
	}
	return all
}

// bench is one twin with a person, their manager and the reference data.
type bench struct {
	*deliustest.Twin
	t     testing.TB
	clock time.Time
}

func setup(t testing.TB) *bench {
	t.Helper()
	return &bench{t: t, Twin: deliustest.New(world()), clock: at("2025-01-01T09:00:00Z")}
}

func world() deliustest.World {
	w := deliustest.World{
		Offenders: []deliustest.Offender{{ID: 1, CRN: crn, NOMS: "A1234AA"}, {ID: 2, CRN: "A000002", NOMS: "A1234AB"}},
		Managers: []deliustest.Manager{
			{ID: 1, OffenderID: 1, Provider: "N07", Team: "N07T01", Staff: "N07M001", Active: true},
			{ID: 2, OffenderID: 2, Provider: "N07", Team: "N07T02", Staff: "N07M002", Active: true},
		},
		Providers: []string{"N03", "N07", "N58", "N59"},
		Teams: []deliustest.Team{
			{Code: "N03HPT", Provider: "N03"},
			{Code: "N07HPT", Provider: "N07"},
			{Code: "N58XXX", Provider: "N58"},
			{Code: "N59N59", Provider: "N59"},
		},
		Staff: []deliustest.Staff{{Code: "N03A001"}, {Code: "N07A001"}},
	}
	for _, code := range []string{"EACB", "EACC", "EARS", "EABP", "EACO", "EACA", "EAAR", "EADP"} {
		w.ContactTypes = append(w.ContactTypes, deliustest.ContactType{Code: code, Sensitive: code == "EACA"})
	}
	return w
}

// project looks at everyone, an hour after the last time.
func (b *bench) project() *bench {
	b.clock = b.clock.Add(time.Hour)
	b.Project(b.clock)
	return b
}

// store stores events and projects.
func (b *bench) store(events ...store.Event) *bench {
	for _, e := range events {
		b.Store(e)
	}
	return b.project()
}

// edited says that a practitioner changed a row.
func (b *bench) edited(row deliustest.Row) {
	b.clock = b.clock.Add(time.Hour)
	b.Edited(row, b.clock)
}

// contact is the only contact.
func (b *bench) contact() *deliustest.Contact {
	b.t.Helper()
	require.Len(b.t, b.Contacts(), 1)
	return b.Contacts()[0]
}

// address is the only address.
func (b *bench) address() *deliustest.Address {
	b.t.Helper()
	require.Len(b.t, b.Addresses(), 1)
	return b.Addresses()[0]
}

// settled demands that another look changes nothing.
func (b *bench) settled() *bench {
	b.t.Helper()
	before := b.everything()
	b.project()
	require.Equal(b.t, before, b.everything(), "the second look changed something")
	return b
}

// everything is all there is to see.
func (b *bench) everything() (all []string) {
	for _, c := range b.Contacts() {
		all = append(all, fmt.Sprintf("%+v", *c))
	}
	for _, a := range b.Addresses() {
		all = append(all, fmt.Sprintf("%+v", *a))
	}
	return append(all, fmt.Sprint(b.Parked()), fmt.Sprint(b.Conflicts()))
}

// causes are those of everything parked.
func (b *bench) causes() (all []string) {
	for _, p := range b.Parked() {
		all = append(all, p.Cause)
	}
	return all
}

// claims describes the addresses in short, by start: status, start, end; "deleted" in
// front.
func (b *bench) claims() (all []string) {
	rows := b.Addresses()
	slices.SortStableFunc(rows, func(a, o *deliustest.Address) int { return a.Start.Compare(o.Start) })
	for _, a := range rows {
		s := fmt.Sprintf("%s %s..%s", a.Status, day(a.Start), day(a.End))
		if a.Deleted {
			s = "deleted " + s
		}
		all = append(all, s)
	}
	return all
}

func day(d time.Time) string {
	if d.IsZero() {
		return ""
	}
	return d.Format("01-02")
}

// on is a day of 2024.
func on(monthDay string) time.Time { return at("2024-" + monthDay + "T00:00:00Z") }

func at(s string) time.Time {
	parsed, err := store.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return parsed
}

// referral is a referral by a number.
func referral(n int) store.Referral {
	return store.Referral(uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)))
}

// event is an event of the person's.
func event(t store.Type, n int, id, emitted string, details fields) store.Event {
	body, err := json.Marshal(fields{"id": id, "timestamp": emitted, "eventType": t, "eventDetails": details})
	if err != nil {
		panic(err)
	}
	return store.Event{ID: id, Type: t, Referral: referral(n), CRN: crn, Emitted: at(emitted), Body: body}
}

var (
	officer = fields{"staffCode": "N03A001", "username": "u", "probationRegionCode": "N03"}
	house   = fields{"addressLine1": "1 Long Lane", "postcode": "AB1 2CD", "town": "Leeds", "region": "Yorkshire"}
	flat    = fields{"addressLine1": "Flat 9", "addressLine2": "9 Mill Road", "postcode": "LS9 9LS", "region": "Yorkshire"}
)

// arrived and departed are a booking's events on days of 2024; their ids are the day
// on which they were emitted.
func arrived(n int, emitted, day string, where fields) store.Event {
	return event(store.PersonArrived, n, emitted, "2024-"+emitted+"T12:00:00Z", arrival(day, where))
}

func rearrived(n int, emitted, day string, where fields) store.Event {
	return event(store.PersonArrivedUpdated, n, emitted, "2024-"+emitted+"T12:00:00Z", arrival(day, where))
}

func departed(n int, emitted, day string) store.Event {
	return event(store.PersonDeparted, n, emitted, "2024-"+emitted+"T12:00:00Z", departure(day))
}

func redeparted(n int, emitted, day string) store.Event {
	return event(store.PersonDepartedUpdated, n, emitted, "2024-"+emitted+"T12:00:00Z", departure(day))
}

func arrival(day string, where fields) fields {
	return fields{"premises": where, "arrivedAt": "2024-" + day + "T12:00:00Z", "notes": "", "recordedBy": officer}
}

func departure(day string) fields {
	return fields{"departedAt": "2024-" + day + "T12:00:00Z", "reason": "Moved on", "notes": "", "recordedBy": officer}
}
