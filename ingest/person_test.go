package ingest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
)

// person is the JSON of a person event with these members beside its type and version.
func person(kind store.PersonType, members string) string {
	return fmt.Sprintf(`{"eventType":%q, "version":1,"occurredAt":"2026-07-09T11:02:03.000004+01:00",%s}`, kind, members)
}

const (
	merged  = `"additionalInformation":{"sourceCRN":"X123456","targetCRN":"Y654321"}`
	renamed = `"additionalInformation":{"previousNomsNumber":"B1234BC","bookingNumber":"12345"},` +
		`"personReference":{"identifiers":[{"type":"CRN","value":"X123456"},{"type":"NOMS","value":"A1234BC"}]}`
)

var sentAt = time.Date(2026, 7, 9, 10, 2, 4, 567000000, time.UTC)

// envelope is what SNS makes of a person event at sentAt, with its MessageId.
func envelope(event string) (body, id string) {
	id = uuid.NewString()
	return sqstest.EnvelopeSNS(event, "any", id, sentAt), id
}

// people reads the person events of the stream, by their ids.
func (p *parts) people(tb testing.TB) map[string]store.PersonEvent {
	tb.Helper()
	all := map[string]store.PersonEvent{}
	for e, err := range p.log.Read(tb.Context(), 0, 0) {
		require.NoError(tb, err)
		require.NoError(tb, e.Err)
		if e.Person != nil {
			all[e.Person.ID] = *e.Person
		}
	}
	return all
}

// It catches a way that asks for a detail, that keeps something else than what was
// published, that takes a raw message's own id, or that forgets when SNS had it.
func TestAPersonEventIsStoredAsReceivedWithoutADetailInBothDeliveries(t *testing.T) {
	t.Parallel()
	p := setup(t)
	merge, change := person(store.MergeCompleted, merged), person(store.PrisonIdentifierUpdated, renamed)
	body, id := envelope(merge)
	p.put(t, body)
	p.put(t, change)
	p.start(t, hurried())
	p.drained(t)
	require.Empty(t, p.rejected(t))

	sum := sha256.Sum256([]byte(change))
	raw := hex.EncodeToString(sum[:])
	got := p.people(t)
	require.Equal(t, ids(map[string]bool{id: true, raw: true}), ids(got))
	for _, e := range got {
		require.False(t, e.Received.IsZero())
	}
	wrapped, bare := got[id], got[raw]
	require.Equal(t, merge, string(wrapped.Body))
	require.Equal(t, change, string(bare.Body))
	require.Equal(t, store.MergeCompleted, wrapped.Type)
	require.Equal(t, []store.CRN{"X123456", "Y654321"}, wrapped.CRNs)
	require.Empty(t, wrapped.NOMS)
	require.Equal(t, sentAt, wrapped.Emitted)
	require.Equal(t, store.PrisonIdentifierUpdated, bare.Type)
	require.Equal(t, []store.CRN{"X123456"}, bare.CRNs)
	require.Equal(t, []store.NOMS{"A1234BC", "B1234BC"}, bare.NOMS)
	require.Equal(t, time.Date(2026, 7, 9, 10, 2, 3, 4000, time.UTC), bare.Emitted, "nothing else says when")
	require.Zero(t, p.api.Requests(""))
	require.Zero(t, p.api.TokenRequests())
}

// It catches an identity that a redelivery changes: by the queue's id or the time of receipt.
func TestARedeliveredPersonEventIsStoredOnce(t *testing.T) {
	t.Parallel()
	p := setup(t)
	body, _ := envelope(person(store.UnmergeCompleted, `"additionalInformation":{"reactivatedCRN":"X123456","unmergedCRN":"Y654321"}`))
	raw := person(store.PrisonIdentifierAdded, renamed)
	for range 15 {
		p.put(t, body)
		p.put(t, raw)
	}
	p.start(t, hurried())
	p.drained(t)
	info, err := p.log.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, info.Messages)
	require.Len(t, p.people(t), 2)
}

// It catches a deletion before the log has it, and one that is stored a second time by the
// process that comes after: the first stores everything and can delete nothing.
func TestACrashBetweenStoringAndDeletingAPersonEventLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.sqs.FailCalls("DeleteMessageBatch", sqstest.Always, 500, "InternalError")
	want := map[string]bool{}
	for range 20 {
		body, id := envelope(person(store.MergeCompleted, merged))
		p.put(t, body)
		want[id] = true
	}
	stop := p.start(t, hurried())
	require.Eventually(t, func() bool { return len(p.people(t)) == len(want) }, patience, time.Millisecond)
	stop()
	require.Len(t, p.inQueue(t), len(want))

	p.sqs.Heal()
	p.start(t, hurried())
	require.Eventually(t, func() bool {
		p.sqs.Advance(time.Minute)
		return len(p.inQueue(t)) == 0
	}, patience, 100*time.Millisecond)
	require.Equal(t, ids(want), ids(p.people(t)))
	info, err := p.log.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(want), info.Messages)
}

// It catches a reader that rejects for what is only not understood of a person event, or
// takes for a name what is none.
func TestOfAPersonEventWhatIsUnreadableCountsAsAbsent(t *testing.T) {
	t.Parallel()
	const good = `"personReference":{"identifiers":[{"type":"CRN","value":"x123456"}]}`
	for _, rest := range []string{
		good, good + `,"detailUrl":5,"occurredAt":[],"description":7`, good + `,"additionalInformation":[1]`, good + `,"additionalInformation":null`,
		good + `,"additionalInformation":{"sourceCRN":5,"targetCRN":{},"reactivatedCRN":null,"unmergedCRN":"Y65432","previousNomsNumber":"null"}`,
		`"personReference":{"identifiers":["x",7,{"type":"NOMS","value":5},{"type":"NOMS","value":"Unknown"},{"type":"CRN","value":[]},{"type":"PNC","value":"X1"},{"type":"CRN","value":"x123456"}]}`,
		`"personReference":[],"additionalInformation":{"sourceCRN":"x123456"}`, good + `,"additionalInformation":{"targetCRN":"X123456"}`,
	} {
		n, err := ingest.DecodeNotification([]byte(`{"eventType":" probation-case.merge.completed\n","version":1.0,` + rest + `}`))
		require.NoError(t, err, rest)
		require.Empty(t, n.Type)
		require.Equal(t, store.MergeCompleted, n.Person.Type)
		require.Equal(t, []store.CRN{"X123456"}, n.Person.CRNs, rest)
		require.Empty(t, n.Person.NOMS, rest)
	}
}

// It catches headers that no message can have: a stream takes 64 KiB of them.
func TestAPersonEventThatNamesACrowdIsStoredWithSome(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var all []string
	for i := range 12_000 {
		all = append(all, fmt.Sprintf(`{"type":"CRN","value":"X%06d"}`, i))
	}
	body, id := envelope(person(store.MergeCompleted, `"personReference":{"identifiers":[`+strings.Join(all, ",")+`]}`))
	p.put(t, body)
	p.start(t, hurried())
	p.drained(t)
	require.Empty(t, p.rejected(t))
	require.Len(t, p.people(t)[id].CRNs, 16)
}

func TestWhatIsNoPersonEventOfOursIsRejectedWholeWithItsReason(t *testing.T) {
	t.Parallel()
	p := setup(t)
	poison := map[string]store.Reason{}
	for event, reason := range map[string]store.Reason{
		person(store.MergeCompleted, `"additionalInformation":{"sourceCRN":"none","targetCRN":null}`):                                store.NoPerson,
		person(store.PrisonIdentifierAdded, `"additionalInformation":{"bookingNumber":"12345"}`):                                     store.NoPerson,
		strings.Replace(person(store.MergeCompleted, merged), `"version":1`, `"version":2`, 1):                                       store.UnsupportedVersion,
		strings.Replace(person(store.MergeCompleted, merged), `"version":1`, `"version":"1"`, 1):                                     store.Malformed,
		person(store.MergeCompleted, merged+","+merged):                                                                              store.Malformed,
		strings.Replace(person(store.MergeCompleted, merged), "merge.completed", "merge.started", 1):                                 store.NotCAS,
		strings.Replace(person(store.MergeCompleted, merged), "probation-case.merge.completed", "probation-case.address.x", 1):       store.NotCAS,
		strings.Replace(person(store.MergeCompleted, merged), "probation-case.merge.completed", "Probation-case.merge.completed", 1): store.NotCAS,
	} {
		body, _ := envelope(event)
		poison[body], poison[event] = reason, reason
	}
	for body := range poison {
		p.put(t, body)
	}
	p.start(t, hurried())
	p.drained(t)
	require.Empty(t, p.people(t))
	rejected := p.rejected(t)
	require.Equal(t, ids(poison), ids(rejected))
	for body, reason := range poison {
		require.Equal(t, reason, rejected[body].Reason, "%s: %s", body, rejected[body].Problem)
		require.NotEmpty(t, rejected[body].Problem)
	}
}

// It catches a breaker that does not see person events: they would wear out in an outage of
// the log, or end one of the API, which they ask nothing.
func TestAnOutageWearsOutNoPersonEventAndNoneEndsIt(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct{ down, up func(*parts) }{
		"CAS API": {func(p *parts) { p.api.Fail("", casapitest.Fault{Status: 503}) }, func(p *parts) { p.api.Fail("", casapitest.Fault{}) }},
		"NATS":    {func(p *parts) { p.nats.Stop() }, func(p *parts) { _ = p.nats.Restart() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			fail.down(p)
			want := map[string]bool{}
			for range 30 {
				body, id := envelope(person(store.MergeCompleted, merged))
				p.put(t, body)
				want[id] = true
				if name == "CAS API" {
					p.send(t, 1)
				}
			}
			service, _ := p.startWith(t, hurried(), p.client)
			require.Eventually(t, func() bool { return service.Ready(t.Context()) != nil }, patience, time.Millisecond)
			if name == "CAS API" {
				probed := p.api.Requests("") + 20
				require.Eventually(t, func() bool { return p.api.Requests("") >= probed }, patience, time.Millisecond)
				require.Error(t, service.Ready(t.Context()), "a person event in between is no answer")
			}
			for _, m := range p.inQueue(t) {
				require.LessOrEqual(t, m.ReceiveCount, 2)
			}
			fail.up(p)
			p.drained(t)
			require.Equal(t, ids(want), ids(p.people(t)))
			require.Empty(t, p.rejected(t))
			require.NoError(t, service.Ready(t.Context()))
		})
	}
}

// It catches a line that is refused because it has no detail, and one that is stored anew
// each time.
func TestAnImportTakesPersonEventsInBothForms(t *testing.T) {
	t.Parallel()
	p := setup(t)
	body, _ := envelope(person(store.MergeCompleted, merged))
	lines := []string{
		body, person(store.PrisonIdentifierAdded, renamed), `{"notification":` + person(store.UnmergeCompleted, merged) + `}`,
		`{"notification":` + person(store.UnmergeCompleted, renamed) + `,"detail":{"id":"unasked"}}`,
		person(store.UnmergeCompleted, `"additionalInformation":{}`),
	}
	for _, again := range []bool{false, true} {
		results := importAll(t, p.importer(), lines...)
		require.ErrorContains(t, results[5].Err, string(store.NoPerson))
		for line := 1; line <= 4; line++ {
			require.NoError(t, results[line].Err)
			require.Equal(t, again, results[line].Ack.Duplicate)
			require.Contains(t, results[line].Key.String(), "probation-case.")
		}
	}
	require.Len(t, p.people(t), 4)
	require.Zero(t, p.api.Requests(""))
}

// It catches telemetry that is silent about person events, or counts them as others.
func TestPersonEventsAreToldAsNotificationsWithWhomTheyName(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var said bytes.Buffer
	registry := prometheus.NewRegistry()
	intake := ingest.NewIntake(p.client, p.log, slog.New(slog.NewTextHandler(&said, nil)), ingest.NewMetrics(registry))
	key, _, err := intake.Store(t.Context(), []byte(person(store.PrisonIdentifierUpdated, renamed)), nil)
	require.NoError(t, err)
	require.True(t, store.IsPersonSubject(key.Subject()))
	require.Contains(t, said.String(), `msg=NotificationReceived microsoft.custom_event.name=NotificationReceived eventType=probation-case.prison-identifier.updated detailUrl="" identifiers.crn=X123456 identifiers.noms=A1234BC,B1234BC CRN=X123456 NOMS=A1234BC,B1234BC`)
	families, err := registry.Gather()
	require.NoError(t, err)
	counted := ""
	for _, f := range families {
		if f.GetName() == "ingest_telemetry_events_total" {
			counted = f.String()
		}
	}
	require.Contains(t, counted, string(store.PrisonIdentifierUpdated))
	require.NotContains(t, counted, "other")
}
