package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestElevenTypesAreKnown(t *testing.T) {
	t.Parallel()
	require.Len(t, store.Types(), 11)
	updated := 0
	for _, kind := range store.Types() {
		parsed, err := store.ParseType(string(kind))
		require.NoError(t, err)
		assert.Equal(t, kind, parsed)
		assert.True(t, kind.Known(), kind)
		if kind.Updated() {
			updated++
		}
		assert.Contains(t, kind.DetailPath(), "/events/"+string(kind.Service())+"/", kind)
	}
	assert.Empty(t, store.Type("accommodation.cas3.assessment.updated").DetailPath())
	assert.Equal(t, 3, updated)
	assert.False(t, store.ApplicationStatusUpdated.Updated(), "it has no base event")
}

func TestTypesOfCASAreTakenKnownOrNot(t *testing.T) {
	t.Parallel()
	for text, service := range map[string]store.Service{
		"applications.cas2.application.submitted":                        store.CAS2,
		"accommodation.cas3.person.arrived":                              store.CAS3,
		"accommodation.cas3.assessment.updated":                          store.CAS3,
		"accommodation.cas2.something":                                   store.CAS2,
		"applications.cas3.x.accommodation.cas2.":                        store.CAS3,
		"accommodation.cas3.person.arrived ":                             store.CAS3,
		"accommodation.cas3." + strings.Repeat("é", 128-19):              store.CAS3,
		"accommodation.cas3.person.arrived.updated.updated.and.so.on.>*": store.CAS3,
	} {
		kind, err := store.ParseType(text)
		require.NoError(t, err, text)
		assert.Equal(t, text, string(kind))
		assert.Equal(t, service, kind.Service(), text)
	}
	for _, text := range []string{
		"", "approved-premises.application.submitted", "accommodation.cas1.x", "accommodation.cas3", "Accommodation.cas3.x",
		" accommodation.cas3.person.arrived", "accommodation.cas3.x\n", "accommodation.cas3.\x00", "accommodation.cas3.\xff",
		"accommodation.cas3." + strings.Repeat("x", 128-18), "accommodation.cas3.\u00a0",
	} {
		_, err := store.ParseType(text)
		require.ErrorContains(t, err, "event type", text)
	}
}

func TestReferralIDIsOfTheApplicationOrOfTheBooking(t *testing.T) {
	t.Parallel()
	const application, booking = "application", "booking"
	for _, kind := range store.Types() {
		want := booking
		switch kind {
		case store.ApplicationSubmitted, store.ApplicationStatusUpdated, store.ReferralSubmitted:
			want = application
		}
		assert.Equal(t, want, kind.ReferralID(application, booking), kind)
	}
	assert.Empty(t, store.PersonArrived.ReferralID(application, ""), "a booking event is never keyed by its application")
	assert.Empty(t, store.ApplicationSubmitted.ReferralID("", booking))

	unknown := store.Type("accommodation.cas3.assessment.updated")
	assert.Equal(t, booking, unknown.ReferralID(application, booking))
	assert.Equal(t, application, unknown.ReferralID(application, ""))
	assert.Empty(t, unknown.ReferralID("", ""))
}

func TestIDIsAnyPrintableText(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1", "a b", " ", "%41", "ünïcode", "a.*>b", `"`, strings.Repeat("é", 128)} {
		got, err := store.ParseID(id)
		require.NoError(t, err, id)
		assert.Equal(t, id, got)
	}
	for _, id := range []string{"", "a\nb", "a\x00", "\u00a0", "\u200b", "\xff", strings.Repeat("é", 129), strings.Repeat("x", 10_000)} {
		_, err := store.ParseID(id)
		require.ErrorContains(t, err, "event id")
		assert.Less(t, len(err.Error()), 300, "what is too long is not repeated whole")
	}
}
