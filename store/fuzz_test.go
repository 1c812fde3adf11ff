package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// FuzzParseTime holds that a date-time that is taken is one that Go, JSON and
// PostgreSQL agree on, and that it comes back from its own text.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{
		"2022-11-30T14:53:44Z", "2022-11-30T14:53:44.123456789+01:00", "2020-01-01T12:34:56Z[Europe/London]", "2022-11-30T14:53:44",
		"2024-03-31T01:30:00", "2024-10-27T01:30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "[", "]", "T[]", "2022-11-30T14:53:44,5",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := store.ParseTime(s)
		if err != nil {
			require.Less(t, len(err.Error()), 600, "what is too long is not repeated whole")
			return
		}
		require.Equal(t, time.UTC, got.Location())
		require.Equal(t, got, got.Truncate(time.Microsecond))
		require.GreaterOrEqual(t, got.Year(), 1)
		require.LessOrEqual(t, got.Year(), 9999)
		again, err := store.ParseTime(got.Format(time.RFC3339Nano))
		require.NoError(t, err)
		require.Equal(t, got, again)
		date := store.Date(got)
		require.Equal(t, date, date.Truncate(24*time.Hour))
	})
}

// FuzzSubject holds that no text becomes a subject but through a referral that is one,
// and that nothing but such a subject is taken apart.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{
		someReferral, strings.ToUpper(someReferral), "*", ">", "a.b", "{" + someReferral[1:35] + "}", "cas.events.cas2." + someReferral,
		"cas.events.cas3.>", "cas.events.cas3." + strings.ToUpper(someReferral), "cas.events..", "\r\n", someReferral[:35] + "*",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := store.ParseReferral(s); err == nil {
			require.True(t, strings.EqualFold(s, uuid.UUID(r).String()), "%q is another spelling", s)
			for _, subject := range store.ReferralSubjects(r) {
				require.Regexp(t, `^cas\.events\.cas[23]\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, subject)
				_, again, err := store.ParseSubject(subject)
				require.NoError(t, err)
				require.Equal(t, r, again)
			}
		}
		if service, r, err := store.ParseSubject(s); err == nil {
			require.Equal(t, s, "cas.events."+string(service)+"."+r.String(), "there is one subject only")
		}
		require.Regexp(t, `^([A-Z][0-9]{6})?$`, string(store.ParseCRN(s)))
		require.Regexp(t, `^([A-Z][0-9]{4}[A-Z]{2})?$`, string(store.ParseNOMS(s)))
	})
}

// FuzzEvent sends an event with any id, type, source and body through its headers: it
// comes back as it was, and no header holds what would not survive the way.
func FuzzEvent(f *testing.F) {
	f.Add("1", string(store.PersonArrived), "X123456", "A1234BC", "https://cas.example/1", []byte("{}"), int64(0))
	f.Add(` a "b" %41`, "accommodation.cas3.assessment.updated", "x123456", "null", "", []byte(nil), int64(-62135596800))
	f.Add("é\u2028🏠", "applications.cas2.é >*", "", "", "\r\nce-id: 2", []byte{0, 255}, int64(253402300799))
	f.Add("a\r\nce-id: b", "accommodation.cas3.\n", "\r\n", "\x00", "\x00", []byte("x"), int64(1))
	f.Fuzz(func(t *testing.T, id, kind, crn, noms, source string, body []byte, second int64) {
		e := store.Event{Referral: referral(t), CRN: store.ParseCRN(crn), NOMS: store.ParseNOMS(noms), Body: body}
		var err error
		if e.ID, err = store.ParseID(id); err != nil {
			return
		}
		if e.Type, err = store.ParseType(kind); err != nil {
			return
		}
		if e.Emitted = time.Unix(second, 0).UTC(); e.Emitted.Year() < 1 || e.Emitted.Year() > 9999 {
			return
		}
		e.Source = strings.ReplaceAll(strings.ToValidUTF8(source, ""), "\x00", "")
		header := e.Header()
		for name, values := range header {
			require.Len(t, values, 1)
			require.Regexp(t, `^[!-~]+$`, values[0], "header %s would be trimmed or torn", name)
		}
		got, err := store.ParseEvent(e.Key().Subject(), header, body)
		require.NoError(t, err)
		require.Equal(t, e, got)
		require.Equal(t, e.Key().MessageID(), got.Key().MessageID())
	})
}

// FuzzParseEvent reads headers that somebody else wrote: what is taken is well formed
// and stands where it belongs.
func FuzzParseEvent(f *testing.F) {
	e := someEvent(f)
	f.Add(e.Key().Subject(), "a%20b", string(e.Type), someReferral, "2024-01-01T00:00:00Z", "x123456", "A1234BC", "https://cas.example/%20")
	f.Add("cas.events.cas2."+someReferral, "%C3%A9", "applications.cas2.x", strings.ToUpper(someReferral), "2024-01-01T00:00:00", "", "", "")
	f.Add(e.Key().Subject(), "1", string(e.Type), someReferral, "2024-01-01T00:00:00Z", "", "", "%00")
	f.Add("cas.events.cas3.*", "%", "%25", ">", "", "", "", "")
	f.Fuzz(func(t *testing.T, subject, id, kind, about, emitted, crn, noms, source string) {
		body := []byte("{}")
		sum := store.Event{Body: body}
		header := map[string][]string{
			store.HeaderID: {id}, store.HeaderType: {kind}, store.HeaderSubject: {about}, store.HeaderTime: {emitted},
			store.HeaderCRN: {crn}, store.HeaderNOMS: {noms}, store.HeaderDetail: {source}, store.HeaderSum: {sum.Checksum()},
		}
		got, err := store.ParseEvent(subject, header, body)
		if err != nil {
			return
		}
		require.Equal(t, subject, got.Key().Subject())
		require.NotContains(t, got.ID+string(got.Type)+got.Source, "\x00", "PostgreSQL would refuse it")
		again, err := store.ParseEvent(subject, got.Header(), body)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
