package store

import (
	"fmt"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that London is known on a machine without zone files
)

// London is Europe/London: the zone of every date that people see, and of date-times
// that come without one.
var London = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err) // unreachable: the zone is compiled in
	}
	return zone
})

// ParseTime parses a date-time as CAS writes them and returns it in UTC, cut to
// microseconds so that Go and PostgreSQL agree:
//
//	2022-11-30T14:53:44.123456789+01:00       RFC 3339
//	2020-01-01T12:34:56Z[Europe/London]       with a zone name, which adds nothing
//	2022-11-30T14:53:44                       no zone: Europe/London
//
// Seconds may be missing, as Java leaves them out where they are zero.
func ParseTime(s string) (time.Time, error) {
	text := s
	if open := strings.IndexByte(text, '['); open > 0 && strings.HasSuffix(text, "]") {
		text = text[:open]
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, London()); err == nil {
			t = t.UTC().Truncate(time.Microsecond)
			if t.Year() < 1 || t.Year() > 9999 {
				break
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("date-time %q is neither RFC 3339 nor a local date-time such as 2022-11-30T14:53:44", clip(s))
}

// ParsePlausibleTime is [ParseTime] for a date-time that decides something or is shown:
// it has to be [Plausible].
func ParsePlausibleTime(s string) (time.Time, error) {
	t, err := ParseTime(s)
	if err == nil && !Plausible(t) {
		return time.Time{}, fmt.Errorf("date-time %q is outside the years 1900 to 9999", clip(s))
	}
	return t, err
}

// Plausible says whether t lies within the years 1900 to 9999. A year before that is a
// mistake, or a value that was never set; Delius could not show it, nor a later one.
// At both ends London and UTC agree on the year.
func Plausible(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1900 && year <= 9999
}

// Date is the calendar date of t in London, as midnight UTC.
func Date(t time.Time) time.Time {
	y, m, d := t.In(London()).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
