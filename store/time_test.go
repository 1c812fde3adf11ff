package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestDateTimesAsCASWritesThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2022-11-30T14:53:44Z":                        "2022-11-30T14:53:44Z",
		"2022-11-30T14:53:44.123456Z":                 "2022-11-30T14:53:44.123456Z",
		"2022-11-30T14:53:44.123456789Z":              "2022-11-30T14:53:44.123456Z",
		"2022-11-30T14:53:44.999999999Z":              "2022-11-30T14:53:44.999999Z",
		"2022-11-30T14:53:44+01:00":                   "2022-11-30T13:53:44Z",
		"2022-11-30T14:53:44.5-05:30":                 "2022-11-30T20:23:44.5Z",
		"2020-01-01T12:34:56Z[Europe/London]":         "2020-01-01T12:34:56Z",
		"2020-07-01T12:34:56Z[Europe/London]":         "2020-07-01T12:34:56Z",
		"2020-07-01T12:34:56+01:00[America/New_York]": "2020-07-01T11:34:56Z",
		"2020-07-01T12:34:56[America/New_York]":       "2020-07-01T11:34:56Z", // no offset: the name adds nothing
		"2022-11-30T14:53:44":                         "2022-11-30T14:53:44Z",
		"2022-06-30T14:53:44":                         "2022-06-30T13:53:44Z",
		"2022-06-30T14:53:44.1234567":                 "2022-06-30T13:53:44.123456Z",
		"2022-06-30T00:30:00":                         "2022-06-29T23:30:00Z",
		"2022-06-30T14:53":                            "2022-06-30T13:53:00Z",
		"2022-06-30T14:53Z":                           "2022-06-30T14:53:00Z",
		"2024-02-29T00:00:00Z":                        "2024-02-29T00:00:00Z",
		"0001-01-01T00:00:00Z":                        "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999Z":                 "9999-12-31T23:59:59.999999Z",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := store.ParseTime(text)
			require.NoError(t, err)
			assert.Equal(t, want, got.Format(time.RFC3339Nano))
			assert.Equal(t, time.UTC, got.Location())
		})
	}
}

func TestLocalTimesAroundTheChangeOfTheClocks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"2024-03-31T00:59:59": {"2024-03-31T00:59:59Z"},
		"2024-03-31T02:00:00": {"2024-03-31T01:00:00Z"},
		"2024-10-27T00:59:59": {"2024-10-26T23:59:59Z"},
		"2024-10-27T02:00:00": {"2024-10-27T02:00:00Z"},
		// An hour that is not there, and one that comes twice.
		"2024-03-31T01:30:00": {"2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z"},
		"2024-10-27T01:30:00": {"2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := store.ParseTime(text)
			require.NoError(t, err)
			assert.Contains(t, want, got.Format(time.RFC3339Nano))
			assert.Equal(t, text[:10], store.Date(got).Format(time.DateOnly), "the date is the one that was written")
		})
	}
}

func TestWhatIsNoDateTime(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "soon", "2022-11-30", "14:53:44", "2022-11-30 14:53:44", "2022-11-30T25:00:00Z", "2022-13-01T00:00:00Z",
		"2023-02-29T00:00:00Z", "2022-11-30T14:53:44Z ", " 2022-11-30T14:53:44Z", "2022-11-30T14:53:44Z[Europe/London", "[Europe/London]",
		"2022-11-30T14:53:44Europe/London", "20221130T145344Z", "+12022-11-30T14:53:44Z", "0000-12-31T23:59:59Z",
		"0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1669819",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := store.ParseTime(text)
			require.ErrorContains(t, err, "date-time")
		})
	}
}

func TestDateIsThatOfLondon(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-01-09T23:30:00Z": "2024-01-09",
		"2024-07-09T23:30:00Z": "2024-07-10",
		"2024-07-09T22:59:59Z": "2024-07-09",
		"2024-03-30T23:30:00Z": "2024-03-30",
		"2024-03-31T23:00:00Z": "2024-04-01",
		"2024-10-26T23:00:00Z": "2024-10-27",
		"2024-10-27T23:59:59Z": "2024-10-27",
	} {
		got, err := store.ParseTime(text)
		require.NoError(t, err)
		assert.Equal(t, want+" 00:00:00 +0000 UTC", store.Date(got).String(), text)
	}
}

func TestPlausibleTimesAreOfTheYears1900To9999(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1900-01-01T00:00:00Z", "1900-01-01T00:00", "9999-12-31T23:59:59Z[Europe/London]"} {
		_, err := store.ParsePlausibleTime(text)
		require.NoError(t, err)
	}
	for _, text := range []string{"0001-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "1900-01-01T00:30:00+01:00"} {
		_, err := store.ParsePlausibleTime(text)
		require.ErrorContains(t, err, text+`" is outside the years 1900 to 9999`)
	}
	for _, text := range []string{"9999-12-31T23:59:59-01:00", "soon", ""} {
		_, err := store.ParsePlausibleTime(text)
		require.Error(t, err)
	}
}
