package delius_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

// town is a Delius with two people and a few members of staff. Provider N01 has no
// team.
func town() deliustest.World {
	w := deliustest.World{
		Offenders: []deliustest.Offender{{ID: 1, CRN: "X000001", NOMS: "A1234AA"}, {ID: 2, CRN: "X000002", NOMS: "A1234AB"}},
		Managers: []deliustest.Manager{
			{ID: 1, OffenderID: 1, Provider: "N07", Team: "N07T01", Staff: "N07M001", Active: true},
			{ID: 2, OffenderID: 2, Provider: "N07", Team: "N07T02", Staff: "N07M002", Active: true},
		},
		Providers: []string{"N01", "N03", "N07", "N58", "N59"},
		Teams: []deliustest.Team{
			{Code: "N03HPT", Provider: "N03"},
			{Code: "N07HPT", Provider: "N07"},
			{Code: "N58XXX", Provider: "N58"},
			{Code: "N59N59", Provider: "N59"},
		},
		Staff: []deliustest.Staff{{Code: "N03A001"}, {Code: "N07A001"}},
	}
	for _, kind := range delius.Kinds() {
		w.ContactTypes = append(w.ContactTypes, deliustest.ContactType{Code: kind.Code})
	}
	return w
}

// scene is the first person of the town, their events and rows. What is asked of it
// is asked of that person.
type scene struct {
	*fake
	t   testing.TB
	now time.Time
}

func setup(t testing.TB) *scene {
	t.Helper()
	return &scene{newFake(town()), t, time.Date(2024, 12, 1, 9, 0, 0, 0, time.UTC)}
}

// look stores events and looks at the person: the outcome is applied, every change
// must say why, and looking again must change nothing.
func (s *scene) look(events ...store.Event) delius.Outcome {
	s.t.Helper()
	for _, e := range events {
		s.Store(e)
	}
	out := s.diff()
	require.Empty(s.t, out.Lost)
	for _, change := range out.Changes {
		require.NotEmpty(s.t, change.Why())
		for _, field := range change.Why() {
			require.NotEmpty(s.t, field.Name)
			require.NotEmpty(s.t, field.Reason, field.Name)
			require.NotEmpty(s.t, field.Events, field.Name)
			require.NotEqual(s.t, field.From, field.To, field.Name)
		}
	}
	s.now = s.now.Add(time.Hour)
	s.project(1, s.byPerson()[1], s.now)
	require.Zero(s.t, s.project(1, s.byPerson()[1], s.now), "the second diff is empty")
	return out
}

// diff only says what would be done.
func (s *scene) diff() delius.Outcome {
	desired := delius.Fold(s.byPerson()[1])
	have := s.current(1, desired)
	for urn, entry := range s.appliedContacts {
		if slices.Contains(desired.Referrals, entry.Referral) { // also of contacts that nothing is desired of
			have.AppliedContacts[urn] = entry
		}
	}
	return delius.Diff(desired, have, s.refs)
}

// the is the only contact of a kind.
func (s *scene) the(code string) *contact {
	s.t.Helper()
	var found []*contact
	for _, c := range s.contacts {
		if c.Type == code {
			found = append(found, c)
		}
	}
	require.Len(s.t, found, 1, code)
	return found[0]
}

// address is the row of this number, counted from the first that was inserted.
func (s *scene) address(n int) *delius.AddressRow {
	s.t.Helper()
	ids := slices.Sorted(maps.Keys(s.addresses))
	require.Greater(s.t, len(ids), n)
	return s.addresses[ids[n]]
}

// homes describes the addresses by number: status, start, end.
func (s *scene) homes() []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(s.addresses)) {
		all = append(all, term(s.addresses[id]))
	}
	return all
}

// term is the status, start and end of an address; "deleted" in front if it is.
func term(a *delius.AddressRow) string {
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.DateOnly)
	}
	text := fmt.Sprintf("%s %s..%s", a.Status, date(a.Start), date(a.End))
	if a.Deleted {
		return "deleted " + text
	}
	return text
}

// enter adds an address that somebody else entered on New Year's Eve of 2023: one of
// type A17 by a practitioner, unless change says otherwise.
func (s *scene) enter(status, start, end string, where delius.Lines, change ...func(*delius.AddressRow)) *delius.AddressRow {
	row := &delius.AddressRow{ID: s.number(), OffenderID: 1, A17: true, Status: status, Lines: where, Created: at("2023-12-31T12:00:00Z")}
	if start != "" {
		row.Start = on(start)
	}
	if end != "" {
		row.End = on(end)
	}
	for _, do := range change {
		do(row)
	}
	s.addresses[row.ID] = row
	return row
}

// otherType and olderService change a row that is entered.
func otherType(a *delius.AddressRow)    { a.A17 = false }
func olderService(a *delius.AddressRow) { a.ByCAS3 = true }

// write adds a contact that somebody else wrote, under the URN of a booking's contact.
func (s *scene) write(code string, booking int, notes string) *contact {
	kinds := delius.Kinds()
	kind := kinds[slices.IndexFunc(kinds, func(k *delius.Kind) bool { return k.Code == code })]
	row := &contact{Type: code, ContactRow: delius.ContactRow{
		ID: s.number(), OffenderID: 1, URN: kind.URN(referral(booking)), Notes: notes,
		Date: on("01-01"), Start: at("2024-01-01T12:00:00Z"), Posting: delius.Posting{Provider: "N07", Team: "N07T09", Staff: "N07M009"},
	}}
	s.contacts[row.ID] = row
	return row
}

// replaced are the values of people that events replaced, "field: value".
func (s *scene) replaced() []string {
	var all []string
	for _, c := range s.conflicts {
		all = append(all, c.Field+": "+c.Replaced)
	}
	return all
}

// told describes the changes of an outcome: what is written of which row.
func told(out delius.Outcome) (all []string) {
	for _, change := range out.Changes {
		what := ""
		switch c := change.(type) {
		case *delius.InsertContact:
			what = "insert " + c.Kind.Code
		case *delius.UpdateContact:
			what = "update " + c.Kind.Code
		case *delius.InsertAddress:
			what = "insert address " + term(&c.Row)
		case *delius.UpdateAddress:
			what = fmt.Sprintf("update address %s -> %s", term(&c.Was), term(&c.Row))
		}
		for i, f := range change.Why() {
			what += []string{": ", ", "}[min(i, 1)] + f.Name
		}
		all = append(all, what)
	}
	return all
}

// causes are those of everything parked.
func causes(out delius.Outcome) (all []delius.Cause) {
	for _, p := range out.Parked {
		all = append(all, p.Cause)
	}
	return all
}

// differing are the fields in which adopted rows say otherwise than their events.
func differing(out delius.Outcome) (fields []string) {
	for _, n := range out.Observations {
		for _, f := range n.Fields {
			fields = append(fields, fmt.Sprintf("%s: %s -> %s", f.Name, f.From, f.To))
		}
	}
	return fields
}

// noticed is how many notices of a kind there are.
func noticed(out delius.Outcome, kind delius.ObservationKind) (count int) {
	for _, n := range out.Observations {
		if n.Kind == kind {
			count++
		}
	}
	return count
}

// fields is a JSON object.
type fields map[string]any

// with is a copy with other values.
func (f fields) with(changes fields) fields {
	all := maps.Clone(f)
	maps.Copy(all, changes)
	return all
}

var (
	ann   = fields{"staffCode": "N03A001", "probationRegionCode": "N03"}
	house = fields{"addressLine1": "1 Long Lane", "postcode": "LS1 2AB", "region": "Leeds"}
	mill  = fields{"addressLine1": "9 Mill Road", "postcode": "BD3 4CD", "region": "Bradford"}

	atHouse = delius.Lines{Street: "1 Long Lane", County: "Leeds", Postcode: "LS1 2AB"}
	atMill  = delius.Lines{Street: "9 Mill Road", County: "Bradford", Postcode: "BD3 4CD"}
)

// event is an event of the first person.
func event(kind store.Type, n int, id, emitted string, details any) store.Event {
	body, err := json.Marshal(fields{"id": id, "timestamp": emitted, "eventType": kind, "eventDetails": details})
	if err != nil {
		panic(err)
	}
	return store.Event{ID: id, Type: kind, Referral: referral(n), CRN: "X000001", Emitted: at(emitted), Body: body}
}

// arrives and the like are events of a booking on days of 2024, both given as 01-31.
// Their ids are the day on which they were emitted.
func arrives(n int, emitted, day string, where fields) store.Event {
	return daily(store.PersonArrived, n, emitted, arrival(day, where))
}

func rearrives(n int, emitted, day string, where fields) store.Event {
	return daily(store.PersonArrivedUpdated, n, emitted, arrival(day, where))
}

func departs(n int, emitted, day string) store.Event {
	return daily(store.PersonDeparted, n, emitted, departure(day))
}

func redeparts(n int, emitted, day string) store.Event {
	return daily(store.PersonDepartedUpdated, n, emitted, departure(day))
}

// cancels and recancels give their contact these notes.
func cancels(n int, emitted, notes string) store.Event {
	return daily(store.BookingCancelled, n, emitted, fields{"notes": notes, "cancelledBy": ann})
}

func recancels(n int, emitted, notes string) store.Event {
	return daily(store.BookingCancelledUpdated, n, emitted, fields{"notes": notes, "cancelledBy": ann})
}

func daily(kind store.Type, n int, emitted string, details fields) store.Event {
	return event(kind, n, emitted, "2024-"+emitted+"T12:00:00Z", details)
}

func arrival(day string, where fields) fields {
	return fields{"premises": where, "arrivedAt": "2024-" + day + "T12:00:00Z", "recordedBy": ann}
}

func departure(day string) fields {
	return fields{"departedAt": "2024-" + day + "T12:00:00Z", "reason": "Moved on", "recordedBy": ann}
}

// referral is a referral by a number.
func referral(n int) store.Referral {
	return store.Referral(uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)))
}

// on is a day of 2024 as rows hold it, at a moment.
func on(monthDay string) time.Time { return at("2024-" + monthDay + "T00:00:00Z") }

func at(s string) time.Time {
	parsed, err := store.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return parsed
}
