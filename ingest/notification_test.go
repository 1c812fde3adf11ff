package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
)

const (
	booking     = "00000000-0000-0000-0000-00000000000b"
	application = "00000000-0000-0000-0000-00000000000a"
)

// requireReason requires a rejection for that reason.
func requireReason(t *testing.T, want store.Reason, err error) {
	t.Helper()
	var rejection *ingest.RejectionError
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, want, rejection.Reason, rejection.Problem)
	require.NotEmpty(t, rejection.Problem)
	require.Less(t, len(rejection.Problem), 600)
}

func TestAFullNotificationIsReadWithAndWithoutItsEnvelope(t *testing.T) {
	t.Parallel()
	event := `{"eventType":"accommodation.cas3.person.arrived","version":1,"detailUrl":"https://cas/1","description":"x",
		"occurredAt":"2024-07-01T10:00:00","additionalInformation":{"applicationId":"` + application + `","bookingId":"` + booking + `","more":[1]},
		"personReference":{"identifiers":[{"type":"NOMS","value":"A1234BC"},{"type":"CRN","value":"x123456"},{"type":"CRN","value":"Y999999"},{"type":"PNC","value":"1"}]}}`
	want := ingest.Notification{
		Type: store.PersonArrived, DetailURL: "https://cas/1", Occurred: time.Date(2024, 7, 1, 9, 0, 0, 0, time.UTC),
		Application: application, Booking: booking, CRN: "X123456", NOMS: "A1234BC",
	}
	got, err := ingest.DecodeNotification([]byte(event))
	require.NoError(t, err)
	require.Equal(t, want, got)

	want.MessageID, want.Trace = "an-id", map[string]string{"traceparent": "00-1-2-01"}
	got, err = ingest.DecodeNotification(fmt.Appendf(nil, `{"Type":"Notification","MessageId":"an-id","TopicArn":"arn","Message":%q,"Timestamp":"x",
		"MessageAttributes":{"eventType":{"Type":"String","Value":"something.else"},"traceparent":{"Type":"String","Value":"00-1-2-01"},"odd":5}}`, event))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestWhatANotificationMayLeaveOut(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{
		``,
		`,"detailUrl":null,"occurredAt":null,"additionalInformation":null,"personReference":null`,
		`,"additionalInformation":{"applicationId":null,"bookingId":null},"personReference":{"identifiers":null}`,
		`,"additionalInformation":{},"personReference":{}`,
		`,"occurredAt":"yesterday","personReference":{"identifiers":[]}`,
		`,"personReference":{"identifiers":[{},null,{"type":"CRN"},{"type":"CRN","value":null},{"type":"CRN","value":"X12345"},{"type":"NOMS","value":"Unknown NOMS Number"}]}`,
	} {
		got, err := ingest.DecodeNotification([]byte(`{"eventType":"applications.cas2.application.submitted","version":1` + rest + `}`))
		require.NoError(t, err, rest)
		require.Equal(t, ingest.Notification{Type: store.ApplicationSubmitted}, got)
	}
}

func TestWhatIsNotUsedOrOptionalMayBeOfAnyType(t *testing.T) {
	t.Parallel()
	const start = `{"eventType":"\n accommodation.cas3.person.arrived \t","version":1.0,"detailUrl":" https://cas/1 "`
	want := ingest.Notification{Type: store.PersonArrived, DetailURL: "https://cas/1"}
	for _, rest := range []string{
		`,"occurredAt":5`, `,"occurredAt":{"a":[]}`, `,"occurredAt":"0001-01-01T00:00:00Z"`, `,"description":[1],"x":"\ud800"`,
		`,"additionalInformation":[1]`, `,"additionalInformation":"x"`, `,"additionalInformation":{"applicationId":5,"bookingId":{}}`,
		`,"personReference":[]`, `,"personReference":"x"`, `,"personReference":{"identifiers":{}}`, `,"personReference":{"identifiers":"x"}`,
		`,"personReference":{"identifiers":["x",7,[],{"type":"PNC","value":5},{"type":5,"value":5},{"value":5}]}`,
	} {
		got, err := ingest.DecodeNotification([]byte(start + rest + "}"))
		require.NoError(t, err, rest)
		require.Equal(t, want, got, rest)

		want := want
		want.Trace = map[string]string{}
		for _, attributes := range []string{`[]`, `"x"`, `{"traceparent":"x"}`, `{"traceparent":{"Value":5}}`} {
			got, err = ingest.DecodeNotification(fmt.Appendf(nil, `{"MessageId":7,"Message":%q,"MessageAttributes":%s,"Timestamp":7,"TopicArn":{}}`, start+rest+"}", attributes))
			require.NoError(t, err, rest)
			require.Equal(t, want, got, rest)
		}
	}
	got, err := ingest.DecodeNotification([]byte(start + `,"personReference":{"identifiers":[{"type":"CRN","value":"X123456"},{"type":"CRN","value":5}]}}`))
	require.NoError(t, err, "a second CRN does not count")
	require.Equal(t, store.CRN("X123456"), got.CRN)
}

func TestWhatIsNoNotificationHasAReason(t *testing.T) {
	t.Parallel()
	const arrived = `"eventType":"accommodation.cas3.person.arrived"`
	for body, want := range map[string]store.Reason{
		``:                               store.Malformed,
		`null`:                           store.Malformed,
		`[]`:                             store.Malformed,
		`"x"`:                            store.Malformed,
		`{`:                              store.Malformed,
		`{}`:                             store.Malformed,
		`{} {}`:                          store.Malformed,
		"{\"eventType\":\"\xff\"}":       store.Malformed,
		`{"version":1}`:                  store.Malformed,
		`{"eventType":null,"version":1}`: store.Malformed,
		`{"eventType":5,"version":1}`:    store.Malformed,
		`{"EventType":"accommodation.cas3.person.arrived","version":1}`: store.Malformed,
		`{` + arrived + `}`:                           store.Malformed,
		`{` + arrived + `,"version":"1"}`:             store.Malformed,
		`{` + arrived + `,"version":1,"version":1}`:   store.Malformed,
		`{` + arrived + `,"version":1,"detailUrl":5}`: store.Malformed,
		`{` + arrived + `,"version":1,"personReference":{"identifiers":[{"type":"CRN","value":5}]}}`: store.Malformed,
		`{"eventType":" ","version":1}`:                   store.Malformed,
		`{"Message":"{}","Type":5}`:                       store.Malformed,
		"\ufeff{" + arrived + `}`:                         store.Malformed,
		`{` + arrived + `,"version":true}`:                store.Malformed,
		`{` + arrived + `,"version":1e400}`:               store.UnsupportedVersion,
		`{` + arrived + `,"version":1,"x":{"y":1,"y":2}}`: store.Malformed,
		`{` + arrived + `,"version":1,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`: store.Malformed,
		`{` + arrived + `,"version":1,"x":"` + strings.Repeat("x", 1<<20) + `"}`:                        store.Malformed,
		`{"Message":null,"Type":"Notification"}`:                                                        store.Malformed,
		`{"Message":5}`:                                                                                 store.Malformed,
		`{"Message":"","Type":"Notification"}`:                                                          store.Malformed,
		`{"Message":"{}","Message":"{}"}`:                                                               store.Malformed,
		`{"Message":"` + `x","Type":"SubscriptionConfirmation"}`:                                        store.Malformed,
		`{"Message":"` + strings.ReplaceAll(`{`+arrived+`,"version":1,"version":1}`, `"`, `\"`) + `"}`:  store.Malformed,
		`{` + arrived + `,"version":2,"detailUrl":{"of":"version 2"}}`:                                  store.UnsupportedVersion,
		`{` + arrived + `,"version":1.5}`:                                                               store.UnsupportedVersion,
		`{"eventType":"prison-offender-events.prisoner.released","version":7}`:                          store.NotCAS,
		`{"eventType":"accommodation.cas1.x","version":1}`:                                              store.NotCAS,
		`{"eventType":"accommodation.cas3.\u0000","version":1}`:                                         store.NotCAS,
	} {
		_, err := ingest.DecodeNotification([]byte(body))
		requireReason(t, want, err)
	}
}

func TestARejectedEnvelopeKeepsItsMessageID(t *testing.T) {
	t.Parallel()
	got, err := ingest.DecodeNotification([]byte(`{"MessageId":"an-id","Message":"not JSON"}`))
	requireReason(t, store.Malformed, err)
	require.Equal(t, "an-id", got.MessageID)

	got, err = ingest.DecodeNotification([]byte(`{"MessageId":"not a header value\n","Message":"not JSON"}`))
	requireReason(t, store.Malformed, err)
	require.Empty(t, got.MessageID)
}

// detailOf is a detail with these members of its eventDetails.
func detailOf(facts string) string {
	return `{"id":"an id","timestamp":"2024-07-01T10:00:00.1234567+01:00[Europe/London]","eventType":"wrong ","eventDetails":{` + facts + `}}`
}

func TestTheReferralAndThePersonComeFromBothParts(t *testing.T) {
	t.Parallel()
	const (
		person   = `"personReference":{"crn":"Y654321","noms":"B1234BC"}`
		named    = `"applicationId":"` + application + `","bookingId":"` + booking + `"`
		other    = "00000000-0000-0000-0000-0000000000ff"
		unlisted = store.Type("accommodation.cas3.assessment.updated")
	)
	for name, c := range map[string]struct {
		notification ingest.Notification
		facts        string
		referral     string
		crn          store.CRN
		noms         store.NOMS
	}{
		"application of CAS2":           {ingest.Notification{Type: store.ApplicationSubmitted}, named + "," + person, application, "Y654321", "B1234BC"},
		"application of a referral":     {ingest.Notification{Type: store.ReferralSubmitted}, named + "," + person, application, "Y654321", "B1234BC"},
		"booking of the others":         {ingest.Notification{Type: store.BookingCancelled}, named + "," + person, booking, "Y654321", "B1234BC"},
		"booking of an unknown type":    {ingest.Notification{Type: unlisted}, named + "," + person, booking, "Y654321", "B1234BC"},
		"application of an unknown":     {ingest.Notification{Type: unlisted, Application: other}, `"bookingId":"x",` + person, other, "Y654321", "B1234BC"},
		"detail before notification":    {ingest.Notification{Type: store.PersonArrived, Booking: other}, named + "," + person, booking, "Y654321", "B1234BC"},
		"notification where detail not": {ingest.Notification{Type: store.PersonArrived, Booking: strings.ToUpper(booking)}, `"bookingId":5,` + person, booking, "Y654321", "B1234BC"},
		"person of the notification":    {ingest.Notification{Type: store.PersonArrived, CRN: "X123456", NOMS: "A1234BC"}, named + "," + person, booking, "X123456", "A1234BC"},
		"each identifier by itself":     {ingest.Notification{Type: store.PersonArrived, CRN: "X123456"}, named + "," + person, booking, "X123456", "B1234BC"},
		"a NOMS number alone":           {ingest.Notification{Type: store.PersonArrived}, named + `,"personReference":{"crn":null,"noms":"B1234BC"}`, booking, "", "B1234BC"},
		"a CRN alone":                   {ingest.Notification{Type: store.PersonArrived}, named + `,"personReference":{"crn":"y654321","noms":"null"}`, booking, "Y654321", ""},
		"person of odd types":           {ingest.Notification{Type: store.PersonArrived, CRN: "X123456"}, named + `,"personReference":[]`, booking, "X123456", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			detail := []byte(detailOf(c.facts))
			event, err := c.notification.Event(detail)
			require.NoError(t, err)
			want, err := store.ParseReferral(c.referral)
			require.NoError(t, err)
			require.Equal(t, store.Event{
				ID: "an id", Type: c.notification.Type, Referral: want, CRN: c.crn, NOMS: c.noms,
				Emitted: time.Date(2024, 7, 1, 9, 0, 0, 123456000, time.UTC), Body: detail,
			}, event)
		})
	}
}

func TestWhatADetailMustHave(t *testing.T) {
	t.Parallel()
	n := ingest.Notification{Type: store.PersonArrived, Booking: booking, CRN: "X123456"}
	for detail, want := range map[string]store.Reason{
		``:                                     store.DetailInvalid,
		`null`:                                 store.DetailInvalid,
		`[1]`:                                  store.DetailInvalid,
		`<html`:                                store.DetailInvalid,
		`{"timestamp":"2024-07-01T10:00:00Z"}`: store.DetailInvalid,
		`{"id":"1","timestamp":"2024-07-01T10:00:00Z"}`:                                                store.DetailInvalid,
		`{"eventDetails":{},"id":5,"timestamp":"2024-07-01T10:00:00Z"}`:                                store.DetailInvalid,
		`{"eventDetails":{},"id":"","timestamp":"2024-07-01T10:00:00Z"}`:                               store.DetailInvalid,
		`{"eventDetails":{},"id":"\n","timestamp":"2024-07-01T10:00:00Z"}`:                             store.DetailInvalid,
		`{"eventDetails":{},"id":"1"}`:                                                                 store.DetailInvalid,
		`{"eventDetails":{},"id":"1","timestamp":1719828000}`:                                          store.DetailInvalid,
		`{"eventDetails":{},"id":"1","timestamp":"2024-07-01"}`:                                        store.DetailInvalid,
		`{"eventDetails":{},"id":"1","timestamp":"0001-01-01T00:00:00Z"}`:                              store.DetailInvalid,
		`{"eventDetails":{},"id":"1","timestamp":"1899-12-31T23:59:59Z"}`:                              store.DetailInvalid,
		`{"eventDetails":{},"id":"1","timestamp":"2024-07-01T10:00:00Z","id":null}`:                    store.DetailInvalid,
		`{"eventDetails":{},"id":"1","timestamp":"2024-07-01T10:00:00Z"} x`:                            store.DetailInvalid,
		`{"eventDetails":{},"id":"1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`: store.DetailInvalid,
		strings.Repeat(" ", 512<<10+1):                                                                 store.DetailTooLarge,
	} {
		_, err := n.Event([]byte(detail))
		requireReason(t, want, err)
	}
	_, err := n.Event([]byte(`{"id":"1","timestamp":"2024-07-01T10:00:00Z","eventDetails":"x","x":{"a":1,"a":1}}`))
	require.NoError(t, err, "whatever else is wrong is not for ingest to judge")
	event, err := n.Event([]byte("\ufeff" + `{"id":1,"timestamp":"2024-07-01T10:00:00Z","eventDetails":{"personReference":{"noms":1}},"id":"\udc00"}`))
	require.NoError(t, err)
	require.Equal(t, "\ufffd", event.ID)

	for _, spelling := range []string{"", "x", "{" + booking + "}", strings.ReplaceAll(booking, "-", ""), "urn:uuid:" + booking, booking + " ", "cas.>"} {
		n.Booking = spelling
		_, err = n.Event([]byte(detailOf(``)))
		requireReason(t, store.NoReferral, err)
	}
	n.Booking, n.CRN = booking, ""
	_, err = n.Event([]byte(detailOf(`"personReference":{"crn":"none","noms":"Unknown NOMS Number"}`)))
	requireReason(t, store.NoPerson, err)
}

func FuzzNotification(f *testing.F) {
	f.Add(notification(store.PersonArrived, "https://cas/1", "X123456"))
	f.Add(`{"eventType":"applications.cas2.application.submitted","version":1,"additionalInformation":{"applicationId":"` + application + `"}}`)
	f.Add(`{"eventType":"accommodation.cas3.a.>","version":1.0,"personReference":{"identifiers":[{"type":"NOMS","value":"A1234BC"}]}}`)
	f.Add(`{"Message":"{\"Message\":\"\"}","MessageId":"\u0000"}`)
	f.Add(`[[[[`)
	f.Add(sqstest.EnvelopeSNS(person(store.PrisonIdentifierUpdated, renamed), "any", uuid.NewString(), sentAt))
	f.Add(person(store.MergeCompleted, merged+`,"personReference":{"identifiers":[{"type":"NOMS","value":"A1234BC"}]}`))
	f.Fuzz(func(t *testing.T, body string) {
		n, err := ingest.DecodeNotification([]byte(body))
		if err != nil {
			var rejection *ingest.RejectionError
			require.ErrorAs(t, err, &rejection)
			_, err := store.ParseReason(string(rejection.Reason))
			require.NoError(t, err)
			return
		}
		if e := n.Person; e != nil {
			if len(e.CRNs)+len(e.NOMS) > 0 {
				read, err := store.ParsePersonEvent(e.Key().Subject(), e.Header(), e.Body)
				require.NoError(t, err)
				require.Equal(t, *e, read)
			}
			return
		}
		_, err = store.ParseType(string(n.Type))
		require.NoError(t, err)
		require.Equal(t, store.ParseCRN(string(n.CRN)), n.CRN)
		require.Equal(t, store.ParseNOMS(string(n.NOMS)), n.NOMS)
		require.NotContains(t, n.MessageID, "\n")
	})
}

func FuzzDetail(f *testing.F) {
	f.Add(detailOf(`"bookingId":"`+booking+`","personReference":{"crn":"X123456"}`), string(store.PersonArrived), booking)
	f.Add(detailOf(`"applicationId":"`+application+`","personReference":{"noms":"A1234BC"}`), string(store.ApplicationSubmitted), "")
	f.Add(`{"id":"a.b *>","timestamp":"2024-07-01T10:00","eventDetails":5}`, "accommodation.cas2. .*.>", "cas.>")
	f.Fuzz(func(t *testing.T, detail, eventType, id string) {
		parsed, err := store.ParseType(eventType)
		if err != nil {
			return
		}
		n := ingest.Notification{Type: parsed, Booking: id, Application: id, CRN: "X123456"}
		event, err := n.Event([]byte(detail))
		if err != nil {
			var rejection *ingest.RejectionError
			require.ErrorAs(t, err, &rejection)
			return
		}
		_, referral, err := store.ParseSubject(event.Key().Subject())
		require.NoError(t, err)
		require.Equal(t, event.Referral, referral)
		read, err := store.ParseEvent(event.Key().Subject(), event.Header(), event.Body)
		require.NoError(t, err)
		require.Equal(t, event, read)
	})
}
