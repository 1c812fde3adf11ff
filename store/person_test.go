package store_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

const someMessage = "ab6b1f1e-0e7a-4c1c-9d7a-1f2e3d4c5b6a"

// somePersonEvent has every attribute.
func somePersonEvent() store.PersonEvent {
	return store.PersonEvent{
		Type: store.MergeCompleted, ID: someMessage,
		CRNs: []store.CRN{"X123456", "X654321"}, NOMS: []store.NOMS{"A1234BC"},
		Emitted:  time.Date(2026, 7, 9, 23, 30, 0, 123000000, time.UTC),
		Received: time.Date(2026, 7, 9, 23, 31, 0, 0, time.UTC),
		Body:     []byte(`{"eventType":"probation-case.merge.completed","version":1}`),
	}
}

func TestPersonEventComesBackFromItsHeaders(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]store.PersonEvent{
		"all attributes": somePersonEvent(),
		"the least":      {Type: store.PrisonIdentifierUpdated, ID: store.PersonID("", nil), NOMS: []store.NOMS{"A1234BC"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := store.ParsePersonEvent(e.Key().Subject(), e.Header(), e.Body)
			require.NoError(t, err)
			assert.Equal(t, e, got)
		})
	}
}

func TestHeadersOfAPersonEventAreThoseOfACloudEvent(t *testing.T) {
	t.Parallel()
	e := somePersonEvent()
	assert.Equal(t, map[string][]string{
		"ce-specversion":  {"1.0"},
		"ce-id":           {someMessage},
		"ce-type":         {"probation-case.merge.completed"},
		"ce-source":       {"urn:hmpps:delius"},
		"ce-time":         {"2026-07-09T23:30:00.123Z"},
		"ce-crn":          {"X123456,X654321"},
		"ce-noms":         {"A1234BC"},
		"ce-recordedtime": {"2026-07-09T23:31:00Z"},
		"ce-sha256":       {"a198d4258f57ddd66a9a8d1d2e933718648cfb8cdf094cc1c9bd8f26836a2f6d"},
		"content-type":    {"application/json"},
	}, e.Header())
	assert.Equal(t, "cas.events.person."+someMessage, e.Key().Subject())
	// A Nats-Msg-Id that changed with a release would store a redelivery twice.
	assert.Equal(t, "ce8918e9f9518ec19e96ba76499c9f0710dac2e660bcd2f7660845e954198a97", e.Key().MessageID())
}

// It catches a reader that takes what ingest would never have written: every attribute is
// checked, and the body held against its checksum, as of an event.
func TestStoredMessageThatIsNoPersonEventOfOursIsRefused(t *testing.T) {
	t.Parallel()
	e := somePersonEvent()
	subject := e.Key().Subject()
	set := func(name, value string) func(map[string][]string) {
		return func(h map[string][]string) { h[name] = []string{value} }
	}
	for name, test := range map[string]struct {
		subject string
		change  func(map[string][]string)
		problem string
	}{
		"no headers":              {subject, func(h map[string][]string) { clear(h) }, store.HeaderType},
		"no id":                   {subject, func(h map[string][]string) { delete(h, store.HeaderID) }, store.HeaderID},
		"an id that is none":      {subject, set(store.HeaderID, "a.>"), store.HeaderID},
		"another id":              {subject, set(store.HeaderID, strings.Replace(someMessage, "a", "b", 1)), "stands under subject"},
		"a type of CAS":           {subject, set(store.HeaderType, string(store.PersonArrived)), store.HeaderType},
		"another type of Delius":  {subject, set(store.HeaderType, "probation-case.address.created"), store.HeaderType},
		"a type with a space":     {subject, set(store.HeaderType, string(store.MergeCompleted)+" "), store.HeaderType},
		"a time that is none":     {subject, set(store.HeaderTime, "soon"), store.HeaderTime},
		"a receipt that is none":  {subject, set(store.HeaderReceived, "soon"), store.HeaderReceived},
		"no checksum":             {subject, func(h map[string][]string) { delete(h, store.HeaderSum) }, "checksum"},
		"another body's checksum": {subject, set(store.HeaderSum, strings.Repeat("0", 64)), "checksum"},
		"nobody": {subject, func(h map[string][]string) {
			h[store.HeaderCRN] = []string{"X12345,,null"}
			delete(h, store.HeaderNOMS)
		}, "names nobody"},
		"a subject that is not ours":  {"cas.events.cas3." + someReferral, func(map[string][]string) {}, "stands under subject"},
		"a subject with more to it":   {subject + ".x", func(map[string][]string) {}, "stands under subject"},
		"a subject in upper case":     {"cas.events.person." + strings.ToUpper(someMessage), func(map[string][]string) {}, "stands under subject"},
		"the checksum of another":     {"cas.events.person." + strings.Repeat("0", 64), set(store.HeaderID, strings.Repeat("0", 64)), store.HeaderID},
		"a checksum in upper case":    {"cas.events.person." + strings.Repeat("A", 64), set(store.HeaderID, strings.Repeat("A", 64)), store.HeaderID},
		"an id in upper case":         {"cas.events.person." + strings.ToUpper(someMessage), set(store.HeaderID, strings.ToUpper(someMessage)), store.HeaderID},
		"an id in another's spelling": {"cas.events.person.{" + someMessage[1:35] + "}", set(store.HeaderID, "{"+someMessage[1:35]+"}"), store.HeaderID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := maps.Clone(e.Header())
			test.change(header)
			_, err := store.ParsePersonEvent(test.subject, header, e.Body)
			require.ErrorContains(t, err, test.problem)
		})
	}
}

func TestIdentifiersThatDoNotMatchCountAsAbsentInAPersonEvent(t *testing.T) {
	t.Parallel()
	e := somePersonEvent()
	header := e.Header()
	header[store.HeaderCRN], header[store.HeaderNOMS] = []string{"x123456,nobody,,X123456"}, []string{"null"}
	got, err := store.ParsePersonEvent(e.Key().Subject(), header, e.Body)
	require.NoError(t, err)
	assert.Equal(t, []store.CRN{"X123456"}, got.CRNs)
	assert.Empty(t, got.NOMS)
}

// It catches an identity of the MessageId alone, and one that an event could have too.
func TestIdentityOfAPersonEventIsItsTypeAndIDTogether(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	keys := []store.Identity{store.Key{Type: store.Type(store.MergeCompleted), Referral: referral(t), ID: someMessage}}
	for _, kind := range store.PersonTypes() {
		keys = append(keys, store.PersonKey{Type: kind, ID: someMessage}, store.PersonKey{Type: kind, ID: someReferral})
	}
	for _, k := range keys {
		assert.Regexp(t, "^[0-9a-f]{64}$", k.MessageID())
		assert.False(t, seen[k.MessageID()], k)
		seen[k.MessageID()] = true
	}
}

func TestAPersonEventWithoutAMessageIDOfSNSIsToldByItsBody(t *testing.T) {
	t.Parallel()
	body := []byte("{}")
	const sum = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	assert.Equal(t, someMessage, store.PersonID(strings.ToUpper(someMessage), body))
	for _, none := range []string{"", "a.b", ">", "{" + someMessage[1:35] + "}", someMessage + "x", strings.ReplaceAll(someMessage, "-", ""), strings.Repeat("0", 64)} {
		assert.Equal(t, sum, store.PersonID(none, body), none)
	}
}

func TestFourTypesOfPersonEventAreTaken(t *testing.T) {
	t.Parallel()
	require.Len(t, store.PersonTypes(), 4)
	for _, kind := range store.PersonTypes() {
		parsed, err := store.ParsePersonType(string(kind))
		require.NoError(t, err)
		assert.Equal(t, kind, parsed)
		_, err = store.ParseType(string(kind))
		require.Error(t, err, "it is no event of CAS")
	}
	for _, text := range []string{"", "probation-case.merge", "probation-case.merge.completed ", "Probation-case.merge.completed", "probation-case.deleted.gdpr", string(store.PersonArrived)} {
		_, err := store.ParsePersonType(text)
		require.ErrorContains(t, err, "event type", text)
	}
}

// FuzzParsePersonEvent reads headers that somebody else wrote: what is taken is well formed,
// stands where it belongs, and comes back from its own headers, none of which would be
// trimmed or torn on the way.
func FuzzParsePersonEvent(f *testing.F) {
	e := somePersonEvent()
	f.Add(e.Key().Subject(), e.ID, string(e.Type), "2024-01-01T00:00:00Z", "x123456,X654321", "A1234BC", []byte("{}"))
	f.Add("cas.events.person."+strings.ToUpper(someMessage), strings.ToUpper(someMessage), string(store.UnmergeCompleted), "", "", "A1234BC,A1234BC", []byte(nil))
	f.Add("cas.events.person.44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", string(store.PrisonIdentifierAdded), "2024-01-01T00:00", "X123456", "", []byte("{}"))
	f.Add("cas.events.person.>", "*", "probation-case.*", "soon", "X123456\r\nce-id: 2", ",,", []byte{0, 255})
	f.Fuzz(func(t *testing.T, subject, id, kind, emitted, crns, noms string, body []byte) {
		sum := store.Event{Body: body}
		header := map[string][]string{
			store.HeaderID: {id}, store.HeaderType: {kind}, store.HeaderTime: {emitted},
			store.HeaderCRN: {crns}, store.HeaderNOMS: {noms}, store.HeaderSum: {sum.Checksum()},
		}
		got, err := store.ParsePersonEvent(subject, header, body)
		if err != nil {
			require.Less(t, len(err.Error()), 1000, "what is too long is not repeated whole")
			return
		}
		require.True(t, store.IsPersonSubject(subject))
		require.Equal(t, subject, got.Key().Subject())
		require.Regexp(t, `^cas\.events\.person\.([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64})$`, subject)
		require.NotEmpty(t, len(got.CRNs)+len(got.NOMS))
		for name, values := range got.Header() {
			require.Len(t, values, 1)
			require.Regexp(t, `^[!-~]+$`, values[0], "header %s would be trimmed or torn", name)
		}
		again, err := store.ParsePersonEvent(subject, got.Header(), body)
		require.NoError(t, err)
		require.Equal(t, got, again)
		_, _, err = store.ParseSubject(subject)
		require.Error(t, err, "it is the subject of no event")
	})
}
