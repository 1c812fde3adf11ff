package delius_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

func TestDetailThatCannotBeUsedSaysWhy(t *testing.T) {
	t.Parallel()
	const submitted, status = store.ApplicationSubmitted, store.ApplicationStatusUpdated
	for name, test := range map[string]struct {
		kind    store.Type
		body    string
		problem string // what it says, in part
	}{
		"not JSON":                      {store.ReferralSubmitted, `{"eventDetails":{}`, "cannot be read"},
		"more than JSON":                {store.ReferralSubmitted, `{"eventDetails":{}}{}`, "cannot be read: something follows"},
		"not UTF-8":                     {store.ReferralSubmitted, "{\"eventDetails\":{\"a\":\"\xff\"}}", "cannot be read"},
		"empty":                         {store.ReferralSubmitted, ``, "cannot be read: unexpected EOF"},
		"null":                          {store.ReferralSubmitted, `null`, "no eventDetails"},
		"a list":                        {store.ReferralSubmitted, `[]`, "cannot be read: the body is not an object"},
		"without details":               {store.ReferralSubmitted, `{}`, "no eventDetails"},
		"details are null":              {store.ReferralSubmitted, `{"eventDetails":null}`, "no eventDetails"},
		"details are a text":            {store.ReferralSubmitted, `{"eventDetails":"x"}`, "eventDetails is not an object"},
		"names are exact":               {store.ReferralSubmitted, `{"EventDetails":{}}`, "no eventDetails"},
		"submittedAt is no date-time":   {submitted, `{"eventDetails":{"applicationUrl":"u","submittedAt":"soon"}}`, `eventDetails.submittedAt: date-time "soon"`},
		"submittedAt is a date":         {submitted, `{"eventDetails":{"applicationUrl":"u","submittedAt":"2024-01-01"}}`, "submittedAt"},
		"submittedAt is a number":       {submitted, `{"eventDetails":{"applicationUrl":"u","submittedAt":1}}`, "eventDetails.submittedAt is not a text"},
		"applicationUrl is missing":     {submitted, `{"eventDetails":{"submittedAt":"2024-01-01T00:00:00Z"}}`, "eventDetails.applicationUrl is missing"},
		"cohort is a text":              {submitted, `{"eventDetails":{"applicationUrl":"u","submittedAt":"2024-01-01T00:00:00Z","cohort":"x"}}`, "eventDetails.cohort is not an object"},
		"origin is a number":            {submitted, `{"eventDetails":{"applicationUrl":"u","submittedAt":"2024-01-01T00:00:00Z","applicationOrigin":1}}`, "applicationOrigin"},
		"label is missing":              {status, `{"eventDetails":{"applicationUrl":"u","updatedAt":"2024-01-01T00:00:00Z","newStatus":{}}}`, "newStatus.label is missing"},
		"status details are an object":  {status, `{"eventDetails":{"applicationUrl":"u","updatedAt":"2024-01-01T00:00:00Z","newStatus":{"label":"x","statusDetails":{}}}}`, "eventDetails.newStatus.statusDetails is not a list"},
		"a status detail is a text":     {status, `{"eventDetails":{"applicationUrl":"u","updatedAt":"2024-01-01T00:00:00Z","newStatus":{"label":"x","statusDetails":["x"]}}}`, "eventDetails.newStatus.statusDetails.0 is not an object"},
		"expected arrival is no time":   {store.BookingConfirmed, `{"eventDetails":{"expectedArrivedAt":"soon"}}`, "expectedArrivedAt"},
		"the recorder is a text":        {store.BookingConfirmed, `{"eventDetails":{"confirmedBy":"x"}}`, "confirmedBy"},
		"the recorder is false":         {store.BookingProvisionallyMade, `{"eventDetails":{"bookedBy":false}}`, "bookedBy"},
		"the staff code is a number":    {store.BookingProvisionallyMade, `{"eventDetails":{"bookedBy":{"staffCode":1}}}`, "staffCode"},
		"the reason is a number":        {store.BookingCancelled, `{"eventDetails":{"cancellationReason":1}}`, "cancellationReason"},
		"arrivedAt is missing":          {store.PersonArrived, `{"eventDetails":{}}`, "eventDetails.arrivedAt is missing"},
		"premises are a list":           {store.PersonArrivedUpdated, `{"eventDetails":{"arrivedAt":"2024-01-01T00:00:00Z","premises":[]}}`, "premises"},
		"departedAt is missing":         {store.PersonDeparted, `{"eventDetails":{"arrivedAt":"2024-01-01T00:00:00Z"}}`, "eventDetails.departedAt is missing"},
		"the last recorder is a text":   {store.BookingConfirmed, `{"eventDetails":{"confirmedBy":{},"confirmedBy":"x"}}`, "eventDetails.confirmedBy is not an object"},
		"a second is no comfort":        {store.BookingCancelled, `{"eventDetails":{"notes":1,"cancellationReason":1,"notes":"x"}}`, "eventDetails.cancellationReason is not a text"},
		"the last details are null":     {store.ReferralSubmitted, `{"eventDetails":{},"eventDetails":null}`, "no eventDetails"},
		"two byte order marks":          {store.ReferralSubmitted, "\ufeff\ufeff{\"eventDetails\":{}}", "cannot be read"},
		"arrivedAt is of year 1":        {store.PersonArrived, `{"eventDetails":{"arrivedAt":"0001-01-01T00:00:00Z"}}`, `eventDetails.arrivedAt: date-time "0001-01-01T00:00:00Z" is outside the years 1900 to 9999`},
		"expectedArrivedAt is of 1899":  {store.BookingConfirmed, `{"eventDetails":{"expectedArrivedAt":"1899-12-31T23:59:59Z"}}`, "eventDetails.expectedArrivedAt"},
		"departedAt is of year 10000":   {store.PersonDeparted, `{"eventDetails":{"departedAt":"9999-12-31T23:59:59-01:00"}}`, "eventDetails.departedAt"},
		"submittedAt is of 1023":        {submitted, `{"eventDetails":{"applicationUrl":"u","submittedAt":"1023-05-01T10:00:00"}}`, "eventDetails.submittedAt"},
		"updatedAt is of 1023":          {status, `{"eventDetails":{"applicationUrl":"u","updatedAt":"1023-05-01T10:00:00","newStatus":{"label":"x"}}}`, "eventDetails.updatedAt"},
		"a departure's postcode is odd": {store.PersonDepartedUpdated, `{"eventDetails":{"departedAt":"2024-01-01T00:00:00Z","premises":{"postcode":1}}}`, "postcode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := store.Event{ID: "a", Type: test.kind, Referral: referral(1), CRN: "X000001", Emitted: on("01-01"), Body: []byte(test.body)}
			read := stored(e)
			assert.Contains(t, read.Problem, test.problem)
			desired := delius.Fold([]*delius.Event{read})
			assert.Empty(t, desired.Contacts)
			assert.Empty(t, desired.Stays)
			require.Len(t, desired.Parked, 1)
			assert.Equal(t, delius.BadDetail, desired.Parked[0].Cause)
			assert.Equal(t, read.Problem, desired.Parked[0].Problem)
		})
	}
}

func TestWhatIsNotUsedMayBeAnything(t *testing.T) {
	t.Parallel()
	for kind, details := range map[store.Type]string{
		store.ApplicationSubmitted:     `{"applicationUrl":"u","submittedAt":"2024-01-01T00:00:00Z","submittedBy":[1],"referringPrisonCode":{}}`,
		store.ApplicationStatusUpdated: `{"applicationUrl":"u","updatedAt":"2024-01-01T00:00:00Z","newStatus":{"label":"","name":7},"updatedBy":1}`,
		store.ReferralSubmitted:        `{"applicationId":7}`,
		store.BookingProvisionallyMade: `{"confirmedBy":"x","bookedBy":{"username":1}}`,
		store.BookingConfirmed:         `{"bookedBy":"x"}`,
		store.BookingCancelled:         `{"cancelledAt":1e400}`,
		store.PersonArrived:            `{"arrivedAt":"2024-01-01T00:00:00Z","expectedDepartureOn":{"a":"b"},"premises":{"localAuthorityAreaName":1}}`,
		store.PersonDeparted:           `{"departedAt":"2024-01-01T00:00:00Z","personReference":1}`,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e := store.Event{ID: "a", Type: kind, Referral: referral(1), Emitted: on("01-01"), Body: []byte(`{"id":{},"eventType":1,"eventDetails":` + details + `}`)}
			assert.Empty(t, stored(e).Problem)
		})
	}
}

func TestNamesAndTextsMayBeEscaped(t *testing.T) {
	t.Parallel()
	e := cancels(1, "01-01", "")
	e.Body = []byte(`{"\u0065ventDetails":{"not\u0065s":"\u00e9\ud83c\udfe0\r\n\u0000b\"","cancelledBy":null}}`)
	read := stored(e)
	assert.Empty(t, read.Problem)
	assert.Equal(t, "é🏠\nb\"", read.Text)
	assert.Equal(t, delius.Officer{Kind: delius.Manager}, read.Officer)
}

func TestTheLastOfDuplicateNamesCounts(t *testing.T) {
	t.Parallel()
	e := cancels(1, "01-01", "")
	e.Body = []byte(`{"eventDetails":{"notes":"a","cancelledBy":{"staffCode":"x"}},"eventDetails":{"notes":"b","notes":"c"}}`)
	read := stored(e)
	assert.Empty(t, read.Problem)
	assert.Equal(t, "c", read.Text)
	assert.Equal(t, delius.Officer{Kind: delius.Manager}, read.Officer)
}

func TestADetailIsReadAsJacksonReadsIt(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a byte order mark":                   "\ufeff" + `{"eventDetails":{"notes":"x"}}`,
		"an earlier name of another type":     `{"eventDetails":{"notes":1,"notes":{"a":[]},"notes":"x"}}`,
		"earlier details of another type":     `{"eventDetails":7,"eventDetails":{"notes":"x"}}`,
		"earlier details that are wrong":      `{"eventDetails":{"notes":1,"cancelledBy":{"staffCode":[]}},"eventDetails":{"notes":"x"}}`,
		"an earlier recorder that is wrong":   `{"eventDetails":{"notes":"x","cancelledBy":{"staffCode":1},"cancelledBy":null}}`,
		"an eventType that comes twice":       `{"eventType":"a","eventDetails":{"notes":"x"},"eventType":"a"}`,
		"a lone surrogate in what is unused":  `{"eventDetails":{"notes":"x","more":"\ud800"},"\udc00":1}`,
		"a lone surrogate in a name repeated": `{"\ud800":1,"eventDetails":{"notes":"x"},"\ud801":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := cancels(1, "01-01", "")
			e.Body = []byte(body)
			read := stored(e)
			assert.Empty(t, read.Problem)
			assert.Equal(t, "x", read.Text)
			assert.Equal(t, delius.Officer{Kind: delius.Manager}, read.Officer)
			checkDetail(t, e.Type, e.Body)
		})
	}
	e := cancels(1, "01-01", "")
	e.Body = []byte(`{"eventDetails":{"notes":"a\ud800b\udc00\ud83c\udfe0\ud83c"}}`)
	assert.Equal(t, "a\ufffdb\ufffd🏠\ufffd", stored(e).Text)
}

func TestAnEventOfAnImplausibleYearIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, kind := range []store.Type{store.ReferralSubmitted, store.BookingProvisionallyMade, store.BookingConfirmed, store.BookingCancelled} {
		e := store.Event{ID: "a", Type: kind, Referral: referral(1), CRN: "X000001", Emitted: at("0001-01-01T00:00:00Z"), Body: []byte(`{"eventDetails":{}}`)}
		assert.Equal(t, `timestamp: date-time "0001-01-01T00:00:00Z" is outside the years 1900 to 9999`, stored(e).Problem)
	}
}

// The ledger keeps the hash of an event, so it must stay what it is.
func TestHashOfAnIdentityStaysTheSame(t *testing.T) {
	t.Parallel()
	key := store.Key{Type: store.PersonArrived, Referral: referral(1), ID: "a"}
	assert.Equal(t, int64(1070268780131900238), delius.HashOf(key))
	for _, other := range []store.Key{
		{Type: store.PersonArrivedUpdated, Referral: referral(1), ID: "a"},
		{Type: store.PersonArrived, Referral: referral(2), ID: "a"},
		{Type: store.PersonArrived, Referral: referral(1), ID: "b"},
		{Type: store.PersonArrived + "a", Referral: referral(1), ID: ""},
	} {
		assert.NotEqual(t, delius.HashOf(key), delius.HashOf(other), other)
	}
}

func TestUnknownTypesAreNoneOfTheFoldsBusiness(t *testing.T) {
	t.Parallel()
	e := event("accommodation.cas3.assessment.updated", 1, "a", "2024-01-01T12:00:00Z", fields{})
	assert.Equal(t, delius.Desired{}, delius.Fold([]*delius.Event{stored(e)}))
	assert.Nil(t, delius.KindOf(e.Type))
}

// FuzzRead reads any body as the detail of an event of any type: nothing panics, no
// text is one that PostgreSQL refuses, the second diff is empty, and the twin makes the
// same of it.
func FuzzRead(f *testing.F) {
	types := append(store.Types(), "accommodation.cas3.assessment.updated")
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	require.NoError(f, err)
	for _, file := range files {
		_, cases := readGolden(f, file)
		for _, c := range cases[:min(3, len(cases))] {
			for _, e := range goldenEvents(f, c.history) {
				for i := range types {
					if types[i] == e.Type {
						f.Add(uint8(i), e.Body)
					}
				}
			}
		}
	}
	f.Add(uint8(2), []byte(`{"eventDetails":null}`))
	f.Add(uint8(7), []byte(`{"eventDetails":{"arrivedAt":"0001-01-01T00:00:00","premises":{"addressLine1":"\u0000\r\n\u2028","postcode":" "}}}`))
	f.Add(uint8(4), []byte("\ufeff"+`{"eventDetails":{"notes":1,"notes":"\ud800\ud83c\udfe0\ud83c","x":1,"x":2},"eventDetails":{"cancelledBy":{"staffCode":1},"cancelledBy":null}}`))
	f.Add(uint8(7), []byte(`{"eventDetails":[],"eventDetails":{"arrivedAt":"1899-12-31T23:59:59Z","arrivedAt":"9999-12-31T23:59:59","premises":{"addressLine1":"1 Long Lane","addressLine1":null}}}`))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		checkDetail(t, types[int(kind)%len(types)], body)
	})
}

// FuzzFields puts any texts into every field of a detail.
func FuzzFields(f *testing.F) {
	types := store.Types()
	for i := range types {
		f.Add(uint8(i), "2024-07-09T23:30:00Z", " a\r\nb \x00", "1 Long Lane\u2028", "ls1  2ab", "N03")
	}
	f.Add(uint8(7), "2024-07-09T23:30:00", strings.Repeat("é", 36), strings.Repeat(" ", 70)+"x", "AB12 3CD E", "N03A001")
	f.Fuzz(func(t *testing.T, kind uint8, date, notes, line, code, staff string) {
		recorder := fields{"staffCode": staff, "probationRegionCode": code}
		body, err := json.Marshal(fields{"eventDetails": fields{
			"submittedAt": date, "updatedAt": date, "expectedArrivedAt": date, "arrivedAt": date, "departedAt": date,
			"applicationUrl": line, "applicationOrigin": staff, "cohort": fields{"longDisplayName": code},
			"newStatus":          fields{"label": line, "description": notes, "statusDetails": []any{fields{"label": code}, nil}},
			"cancellationReason": line, "cancellationContext": code, "reason": line, "reasonDetail": code, "notes": notes,
			"premises": fields{"addressLine1": line, "addressLine2": notes, "postcode": code, "town": line, "region": staff},
			"bookedBy": recorder, "confirmedBy": recorder, "cancelledBy": recorder, "recordedBy": recorder,
		}})
		require.NoError(t, err)
		checkDetail(t, types[int(kind)%len(types)], body)
	})
}

// checkDetail looks at an event with this detail among others.
func checkDetail(t *testing.T, kind store.Type, body []byte) {
	t.Helper()
	e := store.Event{ID: "fuzz", Type: kind, Referral: referral(1), CRN: "X000001", Emitted: at("2024-02-01T12:00:00Z"), Body: body}
	checkRead(t, delius.Read(&e, 1))

	fake, twin := newFake(town()), deliustest.New(town())
	for _, e := range []store.Event{e, arrives(1, "01-01", "01-01", house), departs(1, "01-02", "01-02"), recancels(1, "03-01", "")} {
		fake.Store(e)
		twin.Store(e)
	}
	now := on("12-01")
	fake.Project(now)
	require.Zero(t, fake.Project(now), "the second diff is empty")
	twin.Project(now)
	require.Equal(t, twinShown(twin), fake.shown())
}

func checkRead(t *testing.T, e *delius.Event) {
	t.Helper()
	for _, text := range []string{e.Text, e.Description} {
		require.NotContains(t, text, "\x00")
		require.NotContains(t, text, "\r")
		require.True(t, utf8.ValidString(text))
		require.Equal(t, text, delius.Normalise(text))
	}
	l := e.Premises.Lines
	for _, column := range []string{l.Building, l.Street, l.District, l.Town, l.County} {
		require.LessOrEqual(t, utf8.RuneCountInString(column), 35)
		require.Equal(t, column, strings.TrimSpace(column))
	}
	require.LessOrEqual(t, utf8.RuneCountInString(l.Postcode), 8)
	require.Equal(t, e.At, e.At.Truncate(time.Microsecond))
	require.NotEqual(t, e.Officer.Kind == delius.Recorder, e.Officer.Staff == "")
	require.Nil(t, e.Body)
}

// FuzzNormalise holds that texts which are equal once normalised stay so.
func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"", "a", "a \r\nb\r\n", "\n\n a\t\n", "\x00", "\u2028\u00a0", "a\r\rb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := delius.Normalise(s)
		require.Equal(t, once, delius.Normalise(once))
		require.NotContains(t, once, "\r")
		require.NotContains(t, once, "\x00")
		require.False(t, strings.HasSuffix(once, "\n"))
	})
}
