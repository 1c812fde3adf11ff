package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestReferralHasOneSpelling(t *testing.T) {
	t.Parallel()
	for _, text := range []string{someReferral, strings.ToUpper(someReferral)} {
		r, err := store.ParseReferral(text)
		require.NoError(t, err)
		assert.Equal(t, someReferral, r.String())
	}
	for _, text := range []string{
		"", "urn:uuid:" + someReferral, "{" + someReferral + "}", strings.ReplaceAll(someReferral, "-", ""),
		"{" + someReferral[1:35] + "}", someReferral[:35], someReferral[:35] + "g", someReferral + " ",
		strings.Replace(someReferral, "-", ".", 1), strings.Repeat("*", 36), strings.Repeat(">", 36),
	} {
		_, err := store.ParseReferral(text)
		require.ErrorContains(t, err, "referral", text)
	}
}

func TestReferralsAreOrderedByTheirBytes(t *testing.T) {
	t.Parallel()
	low, err := store.ParseReferral("0fffffff-ffff-ffff-ffff-ffffffffffff")
	require.NoError(t, err)
	high, err := store.ParseReferral("f0000000-0000-0000-0000-000000000000")
	require.NoError(t, err)
	assert.Negative(t, low.Compare(high))
	assert.Positive(t, high.Compare(low))
	assert.Zero(t, low.Compare(low))
}

func TestCRNIsACapitalAndSixDigits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]store.CRN{
		"X123456": "X123456", "x123456": "X123456",
		"": "", "X12345": "", "X1234567": "", "1123456": "", "X12345a": "", " X123456": "", "X123456 ": "", "É12345": "", "X１２": "", "X.*>456": "",
	} {
		assert.Equal(t, want, store.ParseCRN(text), text)
	}
}

func TestNOMSNumberIsNoneWhereItDoesNotMatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]store.NOMS{
		"A1234BC": "A1234BC",
		"":        "", "a1234bc": "", "A1234B": "", "A1234BCD": "", "A12345C": "", "A123BCD": "", "Unknown NOMS Number": "", "null": "", " A1234BC": "",
	} {
		assert.Equal(t, want, store.ParseNOMS(text), text)
	}
}

func TestReasonsAreTheOnesThatThereAre(t *testing.T) {
	t.Parallel()
	for _, reason := range store.Reasons() {
		parsed, err := store.ParseReason(string(reason))
		require.NoError(t, err)
		assert.Equal(t, reason, parsed)
		assert.Equal(t, "cas.rejected."+string(reason), reason.Subject())
	}
	_, err := store.ParseReason("cas.*")
	require.ErrorContains(t, err, `"cas.*"`)
}
