package cmd_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// someone is the person of tests that need only one.
var someone = storetest.Person{CRN: "X100001", NOMS: "A1001AA"}

// says are the fields of a detail beyond those that every event has.
type says map[string]any

// newReferral makes the id of an application or a booking.
func newReferral() store.Referral { return store.Referral(uuid.New()) }

// event makes an event about someone as CAS raises it: emitted at a time in RFC 3339.
func (s *system) event(t *testing.T, typ store.Type, of store.Referral, emitted string, details says) storetest.Raised {
	t.Helper()
	id := uuid.NewString()
	at, err := store.ParseTime(emitted)
	require.NoError(t, err)
	facts := says{
		"personReference": says{"crn": string(someone.CRN), "noms": string(someone.NOMS)},
		"applicationUrl":  "https://cas.example/" + of.String(),
	}
	maps.Copy(facts, details)
	named := "bookingId"
	if typ.ReferralID("application", "booking") == "application" {
		named = "applicationId"
	}
	facts[named] = of.String()
	e := storetest.Raised{
		Event: store.Event{
			ID: id, Type: typ, Referral: of, CRN: someone.CRN, NOMS: someone.NOMS, Emitted: at, Source: s.cas.DetailURL(typ, id),
			Body: asJSON(t, says{"id": id, "timestamp": emitted, "eventType": string(typ), "eventDetails": facts}),
		},
		DetailPath: casapitest.Path(typ, id),
	}
	e.Notification = asJSON(t, says{
		"eventType": string(typ), "version": 1, "detailUrl": e.Source, "occurredAt": emitted,
		"additionalInformation": says{named: of.String()},
		"personReference":       says{"identifiers": []says{{"type": "CRN", "value": string(someone.CRN)}}},
	})
	return e
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// raise raises events: the detail is served, the notification is in the queue.
func (s *system) raise(t *testing.T, events ...storetest.Raised) {
	t.Helper()
	for _, e := range events {
		s.twin.Store(e.Event)
		s.deliver(t, e)
	}
}

// deliver puts an event's notification into the queue, perhaps once more.
func (s *system) deliver(t *testing.T, e storetest.Raised) {
	s.cas.Put(e.DetailPath, e.Body)
	_, err := s.sqs.Send(queueName, sqstest.EnvelopeSNS(string(e.Notification), string(e.Type), uuid.NewString(), time.Now()), nil)
	require.NoError(t, err)
}

// The places where someone stays.
var (
	hopeStreet = says{"addressLine1": "1 Hope Street", "postcode": "LS1 4AP", "town": "Leeds", "region": "West Yorkshire"}
	canalRoad  = says{"addressLine1": "2 Canal Road", "postcode": "NE1 7RU", "town": "Newcastle", "region": "Tyne and Wear"}
)

// recordedBy names a member of staff of the homelessness prevention team of N54.
func recordedBy(staff string) says { return says{"staffCode": staff, "probationRegionCode": "N54"} }

const known, unknown = "N54A001", "N54A999" // staff

// arrival is the detail of an arrival.
func arrival(at string, premises says, notes string) says {
	return says{"arrivedAt": at, "premises": premises, "notes": notes, "recordedBy": recordedBy(known)}
}

// departure is the detail of a departure.
func departure(at string, notes string) says {
	return says{"departedAt": at, "reason": "Other", "notes": notes, "recordedBy": recordedBy(known)}
}

// URNs of contacts.
func arrivalURN(booking store.Referral) string {
	return "urn:hmpps:cas3:person-arrived:" + booking.String()
}

func departureURN(booking store.Referral) string {
	return "urn:hmpps:cas3:person-departed:" + booking.String()
}

// generate makes up the histories of people, and admits these people. Their details are the CAS
// API's, unless the options lead elsewhere.
func (s *system) generate(t *testing.T, o storetest.Options) []storetest.History {
	t.Helper()
	o.BaseURL = cmp.Or(o.BaseURL, s.cas.URL())
	var histories []storetest.History
	var people []storetest.Person
	for h := range storetest.Generate(o) {
		histories = append(histories, h)
		people = append(people, h.Person)
	}
	s.admit(t, people...)
	return histories
}

// raiseAll raises the events of all histories.
func (s *system) raiseAll(t *testing.T, histories []storetest.History) {
	t.Helper()
	for _, h := range histories {
		s.raise(t, h.Events...)
	}
}
