package delius_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector/delius"
	"casdelius/store"
	"casdelius/store/storetest"
)

// effects describes what each event changed, the status of addresses apart from the
// rest. Contacts are told by their code.
func effects(moments []delius.Moment) (all []string) {
	for _, m := range moments {
		text := m.Event.ID
		if m.Parked != nil {
			text += " parked " + string(m.Parked.Cause)
		}
		for _, e := range m.Effects {
			of := "address " + e.Referral.String()[35:]
			if e.URN != "" {
				of = strings.TrimSuffix(strings.TrimPrefix(e.URN, "urn:hmpps:cas3:"), ":"+e.Referral.String())
			}
			text += fmt.Sprintf("; %s %s: %q -> %q", of, e.Name, e.From, e.To)
		}
		all = append(all, text)
	}
	return all
}

func read(events ...store.Event) (out []*delius.Event) {
	for i := range events {
		out = append(out, delius.Read(&events[i], uint64(i+1)))
	}
	return out
}

func TestTimelineTellsWhatEachEventChanged(t *testing.T) {
	t.Parallel()
	unknown := event("accommodation.cas3.assessment.updated", 1, "unknown", "2024-01-02T12:00:00Z", nil)
	for name, c := range map[string]struct {
		events []store.Event
		want   []string
	}{
		"nothing": {},
		"in the order of emission, whatever the order of arrival": {
			[]store.Event{recancels(1, "01-03", "second"), cancels(1, "01-02", "first")},
			[]string{
				`01-02; booking-cancelled notes: "" -> "first"; booking-cancelled start: "" -> "2024-01-02 12:00:00"; booking-cancelled officer: "" -> "N03/N03HPT/N03A001"`,
				`01-03; booking-cancelled notes: "first" -> "first\nsecond"; booking-cancelled start: "2024-01-02 12:00:00" -> "2024-01-03 12:00:00"`,
			},
		},
		"an event that changes nothing": {
			[]store.Event{unknown, event(store.ReferralSubmitted, 2, "a", "2024-01-01T12:00:00Z", fields{}), event(store.ReferralSubmitted, 2, "b", "2024-01-01T12:00:00Z", fields{})},
			[]string{
				`a; application-submitted start: "" -> "2024-01-01 12:00:00"; application-submitted officer: "" -> "manager"`,
				"b",
				"unknown",
			},
		},
		"an event that is left out": {
			[]store.Event{event(store.PersonArrived, 1, "bad", "2024-01-02T12:00:00Z", fields{"arrivedAt": "soon"}), cancels(1, "01-01", "")},
			[]string{
				`01-01; booking-cancelled start: "" -> "2024-01-01 12:00:00"; booking-cancelled officer: "" -> "N03/N03HPT/N03A001"`,
				"bad parked bad-detail",
			},
		},
		"a stay that ends another": {
			[]store.Event{arrives(1, "01-10", "01-10", house), arrives(2, "02-10", "02-10", mill), departs(2, "03-10", "03-09")},
			[]string{
				`01-10; person-arrived notes: "" -> "Arrival date: 10/01/2024\nArrival address: 1 Long Lane LS1 2AB Leeds"; ` +
					`person-arrived start: "" -> "2024-01-10 12:00:00"; person-arrived officer: "" -> "N03/N03HPT/N03A001"; ` +
					`address 1 lines: "" -> "1 Long Lane\nLeeds\nLS1 2AB"; address 1 start: "" -> "2024-01-10"; address 1 status: "" -> "M"`,
				`02-10; person-arrived notes: "" -> "Arrival date: 10/02/2024\nArrival address: 9 Mill Road BD3 4CD Bradford"; ` +
					`person-arrived start: "" -> "2024-02-10 12:00:00"; person-arrived officer: "" -> "N03/N03HPT/N03A001"; ` +
					`address 1 status: "M" -> "P 2024-02-10"; ` +
					`address 2 lines: "" -> "9 Mill Road\nBradford\nBD3 4CD"; address 2 start: "" -> "2024-02-10"; address 2 status: "" -> "M"`,
				`03-10; person-departed notes: "" -> "Departure date: 09/03/2024\nMoved on"; ` +
					`person-departed start: "" -> "2024-03-09 12:00:00"; person-departed officer: "" -> "N03/N03HPT/N03A001"; ` +
					`address 2 status: "M" -> "P 2024-03-09"`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, effects(delius.Timeline(read(c.events...))))
		})
	}
}

func TestTimelineTellsWhoseTheReferralWas(t *testing.T) {
	t.Parallel()
	later := recancels(1, "01-03", "")
	later.CRN = "X000002"
	moments := delius.Timeline(read(later, cancels(1, "01-02", ""), arrives(2, "01-04", "01-04", house)))
	require.Equal(t, store.CRN("X000001"), moments[0].CRN)
	require.Equal(t, store.CRN("X000002"), moments[1].CRN)
	require.Equal(t, store.CRN("X000001"), moments[2].CRN)
}

// The effects of a timeline, one after another, come to what all its events make.
func TestTimelineEndsWithWhatStands(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		for _, h := range storetest.Histories().Draw(r, "histories") {
			var events []*delius.Event
			seen := map[store.Key]bool{}
			for i, e := range h.Events {
				if !seen[e.Key()] {
					events = append(events, delius.Read(&e.Event, uint64(i+1)))
				}
				seen[e.Key()] = true
			}
			type field struct {
				delius.Item
				name string
			}
			stands, want := map[field]string{}, map[field]string{}
			for _, m := range delius.Timeline(events) {
				for _, e := range m.Effects {
					require.Equal(r, stands[field{e.Item, e.Name}], e.From)
					stands[field{e.Item, e.Name}] = e.To
				}
			}
			desired := delius.Fold(slices.Clone(events))
			for _, made := range desired.Made() {
				for _, v := range made.Values {
					if _, told := stands[field{made.Item, v.Name}]; told || v.Text != "" {
						want[field{made.Item, v.Name}] = v.Text
					}
					require.NotEmpty(r, v.Events)
				}
			}
			require.Equal(r, want, stands)
		}
	})
}

// explained describes an explanation.
func (s *scene) explained(urn string) (all []string) {
	desired := delius.Fold(s.byPerson()[1])
	for _, e := range delius.Explain(urn, desired, s.current(1, desired), s.diff()) {
		for _, f := range e.Fields {
			if f.Name == "notes" {
				continue
			}
			all = append(all, fmt.Sprintf("%s %q from %s: %q, %s", f.Name, f.Text, strings.TrimSpace(eventIDs(f.Events)), f.Stands, f.Verdict))
		}
		for _, l := range e.Lines {
			from := ""
			if l.Event != nil {
				from = "event " + l.Event.ID
			}
			all = append(all, strings.TrimSpace(fmt.Sprintf("%c %s | %s", l.Op, l.Text, from)))
		}
	}
	return all
}

func TestExplainSaysWhereFieldsAndLinesComeFrom(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-10", "01-10", house), rearrives(1, "01-12", "01-11", mill))
	urn := s.the("EAAR").URN
	fresh := []string{
		`description "" from event 01-12: "", as the events say`,
		`start "2024-01-11 12:00:00" from event 01-12: "2024-01-11 12:00:00", as the events say`,
		`officer "N03/N03HPT/N03A001" from event 01-10: "N03/N03HPT/N03A001", as the events say`,
		"Arrival date: 10/01/2024 | event 01-10",
		"Arrival address: 1 Long Lane LS1 2AB Leeds | event 01-10",
		"Address details were updated: 12/01/2024 12:00:00 | event 01-12",
		"Arrival date: 11/01/2024 | event 01-12",
		"Arrival address: 9 Mill Road BD3 4CD Bradford | event 01-12",
		`lines "9 Mill Road\nBradford\nBD3 4CD" from event 01-12: "9 Mill Road\nBradford\nBD3 4CD", as the events say`,
		`start "2024-01-11" from event 01-12: "2024-01-11", as the events say`,
		`status "M" from event 01-12: "M", as the events say`,
	}
	require.Equal(t, fresh, s.explained(urn))

	s.the("EAAR").Notes = "Rang the landlord\n" + strings.Replace(s.the("EAAR").Notes, "Arrival date: 11/01/2024\n", "", 1)
	s.the("EAAR").Start = at("2024-01-11T15:30:00Z")
	s.the("EAAR").Posting.Staff = "N03X999"
	s.address(0).Start = on("01-12")
	require.Equal(t, []string{
		`description "" from event 01-12: "", as the events say`,
		`start "2024-01-11 12:00:00" from event 01-12: "2024-01-11 15:30:00", set by a person`,
		`officer "N03/N03HPT/N03A001" from event 01-10: "N03/N03HPT/N03X999", set by a person`,
		"+ Rang the landlord |",
		"Arrival date: 10/01/2024 | event 01-10",
		"Arrival address: 1 Long Lane LS1 2AB Leeds | event 01-10",
		"Address details were updated: 12/01/2024 12:00:00 | event 01-12",
		"- Arrival date: 11/01/2024 | event 01-12",
		"Arrival address: 9 Mill Road BD3 4CD Bradford | event 01-12",
		`lines "9 Mill Road\nBradford\nBD3 4CD" from event 01-12: "9 Mill Road\nBradford\nBD3 4CD", as the events say`,
		`start "2024-01-11" from event 01-12: "2024-01-12", set by a person`,
		`status "M" from event 01-12: "M", as the events say`,
	}, s.explained(urn))
}

func TestExplainSaysWhyAFieldStandsDifferently(t *testing.T) {
	t.Parallel()
	s := setup(t)
	require.Empty(t, s.explained("urn:hmpps:cas3:person-arrived:"+referral(1).String()))
	s.Store(arrives(1, "01-10", "01-10", house))
	urn := "urn:hmpps:cas3:person-arrived:" + referral(1).String()
	require.Contains(t, s.explained(urn), `start "2024-01-10 12:00:00" from event 01-10: "", no row stands`)
	require.Contains(t, s.explained(urn), `status "M" from event 01-10: "", no row stands`)

	s.look()
	s.enter("M", "02-01", "", atMill, otherType)
	s.Store(rearrives(1, "01-12", "01-11", house))
	require.Contains(t, s.explained(urn), `start "2024-01-11 12:00:00" from event 01-12: "2024-01-10 12:00:00", not written yet`)
	s.look()
	require.Contains(t, s.explained(urn), `status "M" from event 01-12: "P 2024-02-01", because of the person's other addresses`)
	s.Store(departs(1, "01-20", "01-20"))
	require.Contains(t, s.explained(urn), `status "P 2024-01-20" from event 01-20: "P 2024-02-01", not written yet`)
	s.look()
	s.address(0).Status = "B"
	require.Contains(t, s.explained(urn), `status "P 2024-01-20" from event 01-20: "B 2024-01-20", set by a person`)

	s.write("EADP", 2, "They left")
	s.look(redeparts(2, "03-01", "03-01"))
	require.Contains(t, s.explained("urn:hmpps:cas3:person-departed:"+referral(2).String()),
		`officer "N03/N03HPT/N03A001" from event 03-01: "N07/N07T09/N07M009", as it stood: no event says`)
}

func TestLinesAreEditedInTheShortestWay(t *testing.T) {
	t.Parallel()
	text := func(edits []delius.LineEdit) (all []string) {
		for _, e := range edits {
			all = append(all, string(e.Op)+e.Text)
		}
		return all
	}
	require.Empty(t, delius.EditLines("", ""))
	require.Equal(t, []string{"+a", "+", "+b"}, text(delius.EditLines("", "a\n\nb")))
	require.Equal(t, []string{" a", "-b", "+x", " c", "+d"}, text(delius.EditLines("a\nb\nc", "a\nx\nc\nd")))
	require.Equal(t, []string{"-a", "-b"}, text(delius.EditLines("a\nb", "")))
	rapid.Check(t, func(r *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 6)
		from, to := strings.Join(lines.Draw(r, "from"), "\n"), strings.Join(lines.Draw(r, "to"), "\n")
		var before, after []string
		for _, e := range delius.EditLines(from, to) {
			if e.Op != '+' {
				before = append(before, e.Text)
			}
			if e.Op != '-' {
				after = append(after, e.Text)
			}
		}
		require.Equal(r, from, strings.Join(before, "\n"))
		require.Equal(r, to, strings.Join(after, "\n"))
	})
}
