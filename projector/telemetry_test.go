package projector_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// told makes a projector on the rig's database that keeps what it logs, and a function that
// gives the telemetry events since it was called last.
func (r *rig) told(t *testing.T) (p *projector.Projector, since func() []map[string]any) {
	t.Helper()
	var said bytes.Buffer
	p, err := projector.New(r.stream, r.db.Ports(), projector.Config{Logger: slog.New(slog.NewJSONHandler(&said, nil))})
	require.NoError(t, err)
	return p, func() (events []map[string]any) {
		for decoder := json.NewDecoder(&said); decoder.More(); {
			var line map[string]any
			require.NoError(t, decoder.Decode(&line))
			if name := line[store.EventNameField]; name != nil {
				require.Equal(t, name, line["msg"])
				delete(line, "time")
				delete(line, "level")
				delete(line, "msg")
				events = append(events, line)
			}
		}
		said.Reset()
		return events
	}
}

func (r *rig) lookBy(t *testing.T, p *projector.Projector, selection projector.Selection) {
	t.Helper()
	_, err := p.Reconcile(ctx, selection)
	require.NoError(t, err)
}

func applicationEvent(n byte, id string, typ store.Type, details string) store.Event {
	return store.Event{
		ID: id, Type: typ, Referral: booking(n), CRN: someone, Emitted: noon, Occurred: noon.Add(time.Microsecond),
		Source: "https://user:secret@cas.example/events/" + id + "?token=secret",
		Body:   []byte(`{"eventDetails":{"applicationUrl":"https://cas.example/people/1",` + details + `}}`),
	}
}

// Catches properties under other names, a URL told with its secrets, texts of a detail that
// are told though nobody queries them, and events of CAS3 without their time.
func TestEventsAreToldWithThePropertiesThatDashboardsQuery(t *testing.T) {
	t.Parallel()
	const (
		submitted = `"submittedAt":"2026-03-01T12:00:00Z","cohort":{"longDisplayName":"Referral from Approved Premises"}`
		updated   = `"updatedAt":"2026-03-01T12:00:00Z","applicationOrigin":"courtBail",`
		label     = `"label":"More information requested","description":"More of the person."`
	)
	arrives := arrival(1, "1", store.PersonArrived, 0, someone)
	arrives.Occurred = noon
	cas2 := func(name, id string, more ...any) map[string]any {
		line := map[string]any{
			store.EventNameField: name, "crn": "A000001", "detailUrl": "https://cas.example/events/" + id, "occurredAt": "2026-03-01T12:00:00.000001Z",
			"applicationId": booking(1).String(), "referral": booking(1).String(), "eventId": id,
		}
		for i := 0; i < len(more); i += 2 {
			line[more[i].(string)] = more[i+1]
		}
		return line
	}
	for name, test := range map[string]struct {
		event store.Event
		told  map[string]any
	}{
		"submitted": {
			applicationEvent(1, "1", store.ApplicationSubmitted, submitted),
			cas2("ApplicationSubmitted", "1", "cohort", "Referral from Approved Premises", "eventType", "applications.cas2.application.submitted"),
		},
		"updated": {
			applicationEvent(1, "2", store.ApplicationStatusUpdated, updated+`"newStatus":{"name":" moreInfoRequested",`+label+`}`),
			cas2("ApplicationStatusUpdated", "2", "cohort", "Court Bail", "status", "moreInfoRequested", "eventType", "applications.cas2.application.status-updated"),
		},
		"updated to a status whose name is no text": {
			applicationEvent(1, "2", store.ApplicationStatusUpdated, updated+`"newStatus":{"name":7,`+label+`}`),
			cas2("ApplicationStatusUpdated", "2", "cohort", "Court Bail", "status", "More information requested", "eventType", "applications.cas2.application.status-updated"),
		},
		"arrived": {arrives, map[string]any{
			store.EventNameField: "PersonArrived", "crn": "A000001", "occurredAt": "2026-03-01T12:00:00Z",
			"eventType": "accommodation.cas3.person.arrived", "referral": booking(1).String(), "eventId": "1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := populated(t)
			p, told := r.told(t)
			r.put(t, test.event)
			r.lookBy(t, p, projector.Selection{Referrals: []store.Referral{booking(1)}})
			require.Equal(t, []map[string]any{test.told}, told())
		})
	}
}

// Catches telling whenever somebody is looked at, in a rebuild, or of an event that is parked
// before it is in Delius.
func TestAnEventIsToldOnceWhenItIsFirstAppliedLive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.begin(t, nil)
	p, told := r.told(t)
	all := projector.Selection{Referrals: []store.Referral{booking(1), booking(2)}}
	first := applicationEvent(1, "1", store.ApplicationSubmitted, `"submittedAt":"2026-03-01T12:00:00Z"`)
	r.put(t, first)
	r.lookBy(t, p, all)
	require.Empty(t, told(), "nobody has this CRN: the contact is parked")

	require.NoError(t, r.delius.AddPeople(ctx, []postgrestest.Person{{CRN: someone, Manager: manager}}))
	r.lookBy(t, p, all)
	events := told()
	require.Len(t, events, 1)
	require.Equal(t, "https://cas.example/events/1", events[0]["detailUrl"], "it is told later as it would have been at once")

	r.put(t, first)
	r.lookBy(t, p, all)
	require.Empty(t, told(), "it was redelivered")

	r.put(t, arrival(2, "2", store.PersonArrived, 0, someone))
	quiet := all
	quiet.Quiet = true
	r.lookBy(t, p, quiet)
	r.lookBy(t, p, all)
	require.Empty(t, told(), "a rebuild has applied it")
}
