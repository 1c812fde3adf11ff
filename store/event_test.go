package store_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestEventComesBackFromItsHeaders(t *testing.T) {
	t.Parallel()
	least := store.Event{ID: " ", Type: "applications.cas2.", Referral: referral(t), Emitted: time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)}
	for name, e := range map[string]store.Event{"all attributes": someEvent(t), "the least": least} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := store.ParseEvent(e.Key().Subject(), e.Header(), e.Body)
			require.NoError(t, err)
			assert.Equal(t, e, got)
		})
	}
}

func TestHeadersAreThoseOfACloudEvent(t *testing.T) {
	t.Parallel()
	e := someEvent(t)
	e.ID = `a "b" %é`
	assert.Equal(t, map[string][]string{
		"ce-specversion":  {"1.0"},
		"ce-id":           {"a%20%22b%22%20%25%C3%A9"},
		"ce-type":         {"accommodation.cas3.person.arrived"},
		"ce-source":       {"urn:hmpps:cas3"},
		"ce-subject":      {someReferral},
		"ce-time":         {"2024-07-09T23:30:00.123456Z"},
		"ce-crn":          {"X123456"},
		"ce-noms":         {"A1234BC"},
		"ce-dataref":      {"https://cas.example/events/cas3/person-arrived/ab6b1f1e"},
		"ce-occurredat":   {"2024-07-09T23:30:01Z"},
		"ce-recordedtime": {"2024-07-09T23:31:00Z"},
		"ce-sha256":       {e.Checksum()},
		"content-type":    {"application/json"},
	}, e.Header())
}

func TestStoredMessageThatIsNoEventOfOursIsRefused(t *testing.T) {
	t.Parallel()
	e := someEvent(t)
	subject := e.Key().Subject()
	for name, test := range map[string]struct {
		subject string
		change  func(map[string][]string)
		problem string
	}{
		"no headers":                {subject, func(h map[string][]string) { clear(h) }, store.HeaderID},
		"no id":                     {subject, func(h map[string][]string) { delete(h, store.HeaderID) }, store.HeaderID},
		"an id that is not encoded": {subject, func(h map[string][]string) { h[store.HeaderID] = []string{"a%2"} }, "percent-encoded"},
		"an id of no hexadecimals":  {subject, func(h map[string][]string) { h[store.HeaderID] = []string{"a%zz"} }, "percent-encoded"},
		"an id that is not UTF-8":   {subject, func(h map[string][]string) { h[store.HeaderID] = []string{"%FF"} }, "UTF-8"},
		"an id with a line end":     {subject, func(h map[string][]string) { h[store.HeaderID] = []string{"a%0Ab"} }, "printable"},
		"another's type":            {subject, func(h map[string][]string) { h[store.HeaderType] = []string{"prison.x"} }, store.HeaderType},
		"the other service's type":  {subject, func(h map[string][]string) { h[store.HeaderType] = []string{"applications.cas2.x"} }, "stands under subject"},
		"no referral":               {subject, func(h map[string][]string) { delete(h, store.HeaderSubject) }, store.HeaderSubject},
		"another referral": {subject, func(h map[string][]string) {
			h[store.HeaderSubject] = []string{strings.Replace(someReferral, "3", "4", 1)}
		}, "stands under subject"},
		"no time":                    {subject, func(h map[string][]string) { delete(h, store.HeaderTime) }, store.HeaderTime},
		"a time that is none":        {subject, func(h map[string][]string) { h[store.HeaderOccurred] = []string{"soon"} }, store.HeaderOccurred},
		"a url that is not encoded":  {subject, func(h map[string][]string) { h[store.HeaderDetail] = []string{"%"} }, store.HeaderDetail},
		"a url with a NUL":           {subject, func(h map[string][]string) { h[store.HeaderDetail] = []string{"https://cas.example/%00"} }, "holds a NUL"},
		"no checksum":                {subject, func(h map[string][]string) { delete(h, store.HeaderSum) }, "checksum"},
		"another body's checksum":    {subject, func(h map[string][]string) { h[store.HeaderSum] = []string{strings.Repeat("0", 64)} }, "checksum"},
		"a subject that is not ours": {"cas.rejected.malformed", func(map[string][]string) {}, "subject"},
		"a subject of another tier":  {strings.Replace(subject, "cas3", "cas2", 1), func(map[string][]string) {}, "stands under subject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := maps.Clone(e.Header())
			test.change(header)
			_, err := store.ParseEvent(test.subject, header, e.Body)
			require.ErrorContains(t, err, test.problem)
		})
	}
}

func TestIdentifiersThatDoNotMatchCountAsAbsentInHeaders(t *testing.T) {
	t.Parallel()
	e := someEvent(t)
	header := e.Header()
	header[store.HeaderCRN], header[store.HeaderNOMS] = []string{"x123456"}, []string{"null"}
	got, err := store.ParseEvent(e.Key().Subject(), header, e.Body)
	require.NoError(t, err)
	assert.Equal(t, store.CRN("X123456"), got.CRN)
	assert.Empty(t, got.NOMS)
}

func TestSubjectIsTakenApartAgain(t *testing.T) {
	t.Parallel()
	e := someEvent(t)
	subject := e.Key().Subject()
	assert.Equal(t, "cas.events.cas3."+someReferral, subject)
	assert.Contains(t, store.ReferralSubjects(e.Referral), subject)
	service, r, err := store.ParseSubject(subject)
	require.NoError(t, err)
	assert.Equal(t, store.CAS3, service)
	assert.Equal(t, e.Referral, r)

	for _, text := range []string{
		"", "cas.events", "cas.events.", "cas.events.cas3", "cas.events.cas3.", "cas.events.cas1." + someReferral, "cas.events.>",
		"cas.events.*." + someReferral, "cas.events.cas3.*", "cas.events.cas3." + someReferral + ".x", "cas.events.cas3.x." + someReferral,
		strings.ToUpper(subject), "cas.events.cas3." + strings.ToUpper(someReferral), " " + subject, subject + " ", "cas.rejected." + someReferral,
	} {
		_, _, err := store.ParseSubject(text)
		require.ErrorContains(t, err, "subject", text)
	}
}

func TestIdentityIsTypeReferralAndIDTogether(t *testing.T) {
	t.Parallel()
	e := someEvent(t)
	keys := []store.Key{
		e.Key(),
		{e.Type, e.Referral, e.ID + " "},
		{e.Type, e.Referral, " " + e.ID},
		{store.PersonArrivedUpdated, e.Referral, e.ID},
		{e.Type + "1", e.Referral, "2"},
		{e.Type, e.Referral, "12"},
	}
	other := e.Referral
	other[15]++
	keys = append(keys, store.Key{Type: e.Type, Referral: other, ID: e.ID})
	seen := map[string]bool{}
	for _, k := range keys {
		assert.Regexp(t, "^[0-9a-f]{64}$", k.MessageID())
		assert.False(t, seen[k.MessageID()], k)
		seen[k.MessageID()] = true
	}
}

func TestIdentitiesAreOrderedByReferralTypeAndID(t *testing.T) {
	t.Parallel()
	low := referral(t)
	high := low
	high[0]++
	want := []store.Key{
		{"accommodation.cas3.a", low, "Z"}, {"accommodation.cas3.a", low, "a"}, {"accommodation.cas3.b", low, "a"}, {"accommodation.cas3.a", high, "a"},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, store.Key.Compare)
	assert.Equal(t, want, got)
}

func TestEventsAreOrderedByEmissionThenBaseThenID(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	want := []store.Event{
		{ID: "z", Type: store.PersonArrivedUpdated, Emitted: at.Add(-time.Microsecond)},
		{ID: "b", Type: store.PersonArrived, Emitted: at},
		{ID: "é", Type: store.PersonArrived, Emitted: at},
		{ID: "A", Type: store.PersonArrivedUpdated, Emitted: at},
		{ID: "a", Type: store.PersonArrivedUpdated, Emitted: at},
		{ID: "a", Type: store.PersonDepartedUpdated, Emitted: at},
		{ID: "a", Type: store.PersonArrived, Emitted: at.Add(time.Microsecond)},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b store.Event) int { return a.Compare(&b) })
	assert.Equal(t, want, got)
	assert.True(t, want[0].Before(&want[1]))
	assert.False(t, want[1].Before(&want[0]))
	assert.False(t, want[0].Before(&want[0]))
}
