package storetest_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"testing"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/storetest"
)

// notification and detail are read here with nothing but the contract in mind, so
// that the generator is not its own judge.
type notification struct {
	EventType             string
	Version               int
	DetailURL             string `json:"detailUrl"`
	OccurredAt            *string
	Description           string
	AdditionalInformation *struct{ ApplicationID, BookingID *string }
	PersonReference       *struct {
		Identifiers *[]struct {
			Type  string
			Value *string
		}
	}
}

type detail struct {
	ID, Timestamp, EventType string
	EventDetails             members
}

// members are those of an object, nil for anything else.
type members map[string]json.RawMessage

func (m *members) UnmarshalJSON(text []byte) error {
	*m = nil // of two the last counts
	var o map[string]json.RawMessage
	if json.Unmarshal(text, &o) == nil {
		*m = o
	}
	return nil
}

// readNotification and readDetail fail the test where the text is not JSON. A
// notification must not have a key twice; a detail may, and a byte order mark and lone
// surrogates.
func readNotification(t require.TestingT, r storetest.Raised) notification {
	var n notification
	read(t, r.Notification, &n)
	return n
}

func readDetail(t require.TestingT, r storetest.Raised) detail {
	var d detail
	read(t, bytes.TrimPrefix(r.Body, []byte("\ufeff")), &d, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	require.True(t, utf8.Valid(r.Body))
	return d
}

func read(t require.TestingT, text []byte, into any, lenient ...jsonv2.Options) {
	var anything jsontext.Value
	require.NoError(t, jsonv2.Unmarshal(text, &anything, lenient...), "%s", text)
	require.NoError(t, json.Unmarshal(text, into), "%s", text)
}

// identifier is one that a notification names: "" if it does not.
func (n notification) identifier(kind string) string {
	if n.PersonReference == nil || n.PersonReference.Identifiers == nil {
		return ""
	}
	for _, i := range *n.PersonReference.Identifiers {
		if i.Type == kind && i.Value != nil {
			return *i.Value
		}
	}
	return ""
}

// text is a field of the event details that holds a string; "" where it does not.
func (d detail) text(name string) string {
	var s string
	_ = json.Unmarshal(d.EventDetails[name], &s) // anything else is ""
	return s
}

func (d detail) object(name string) detail {
	var o members
	_ = json.Unmarshal(d.EventDetails[name], &o) // anything else is empty
	return detail{EventDetails: o}
}

// requireSame checks that the event says what can be read from its notification and
// its detail.
func requireSame(t require.TestingT, r storetest.Raised) {
	n, d := readNotification(t, r), readDetail(t, r)

	typ, err := store.ParseType(n.EventType)
	require.NoError(t, err)
	require.Equal(t, r.Type, typ)
	require.Equal(t, 1, n.Version)
	id, err := store.ParseID(d.ID)
	require.NoError(t, err)
	require.Equal(t, r.ID, id)
	require.Equal(t, r.Source, n.DetailURL)
	require.True(t, bytes.HasSuffix([]byte(n.DetailURL), []byte(r.DetailPath)))

	application, booking := d.text("applicationId"), d.text("bookingId")
	if a := n.AdditionalInformation; a != nil {
		application, booking = cmp.Or(application, value(a.ApplicationID)), cmp.Or(booking, value(a.BookingID))
	}
	referral, err := store.ParseReferral(typ.ReferralID(application, booking))
	require.NoError(t, err, "%s", r.Notification)
	require.Equal(t, r.Referral, referral)

	person := d.object("personReference")
	require.Equal(t, r.CRN, cmp.Or(store.ParseCRN(n.identifier("CRN")), store.ParseCRN(person.text("crn"))))
	require.Equal(t, r.NOMS, cmp.Or(store.ParseNOMS(n.identifier("NOMS")), store.ParseNOMS(person.text("noms"))))
	require.True(t, r.CRN != "" || r.NOMS != "", "%s names nobody", r.Key())

	emitted, err := store.ParseTime(d.Timestamp)
	require.NoError(t, err)
	require.Equal(t, r.Emitted, emitted)
	if n.OccurredAt == nil {
		require.Zero(t, r.Occurred)
	} else {
		occurred, err := store.ParseTime(*n.OccurredAt)
		require.NoError(t, err)
		require.Equal(t, r.Occurred, occurred)
	}

	stored, err := store.ParseEvent(r.Key().Subject(), r.Header(), r.Body)
	require.NoError(t, err)
	require.Equal(t, r.Event, stored)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// good says whether a contact can be made of the detail.
func (d detail) good(typ store.Type) bool {
	if d.EventDetails == nil {
		return false
	}
	needs := map[store.Type][]string{
		store.ApplicationSubmitted:     {"applicationUrl", "submittedAt"},
		store.ApplicationStatusUpdated: {"applicationUrl", "updatedAt"},
		store.PersonArrived:            {"arrivedAt"},
		store.PersonArrivedUpdated:     {"arrivedAt"},
		store.PersonDeparted:           {"departedAt"},
		store.PersonDepartedUpdated:    {"departedAt"},
	}[typ]
	for _, name := range needs {
		if !d.has(name) {
			return false
		}
	}
	if typ == store.ApplicationStatusUpdated && !d.object("newStatus").has("label") {
		return false
	}
	for _, name := range []string{"notes", "cancellationReason", "cancellationContext", "reason", "reasonDetail", "applicationUrl"} {
		if !d.textOrNone(name) {
			return false
		}
	}
	for _, name := range []string{"submittedAt", "updatedAt", "expectedArrivedAt", "arrivedAt", "departedAt"} {
		if at, err := store.ParseTime(d.text(name)); d.present(name) && (err != nil || at.Year() < 1900) {
			return false
		}
	}
	return true
}

func (d detail) present(name string) bool {
	raw, ok := d.EventDetails[name]
	return ok && string(raw) != "null"
}

func (d detail) has(name string) bool { return d.present(name) && d.textOrNone(name) }
func (d detail) textOrNone(name string) bool {
	return !d.present(name) || d.EventDetails[name][0] == '"'
}

func forEach(o storetest.Options, visit func(storetest.History, storetest.Raised)) {
	for history := range storetest.Generate(o) {
		for _, event := range history.Events {
			visit(history, event)
		}
	}
}

func collect(tb testing.TB, o storetest.Options) []storetest.History {
	tb.Helper()
	var all []storetest.History
	for history := range storetest.Generate(o) {
		require.NotEmpty(tb, history.Events)
		all = append(all, history)
	}
	return all
}
