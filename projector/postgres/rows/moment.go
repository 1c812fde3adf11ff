package rows

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"casdelius/projector/delius"
)

// Moment scans a date or a time of a row that others write, too: whatever PostgreSQL can
// hold. Null is the zero time.
type Moment struct{ To *time.Time }

// ScanDate implements pgtype.DateScanner.
func (m Moment) ScanDate(v pgtype.Date) error { return m.scan(v.Time, v.InfinityModifier, v.Valid) }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (m Moment) ScanTimestamptz(v pgtype.Timestamptz) error {
	return m.scan(v.Time, v.InfinityModifier, v.Valid)
}

func (m Moment) scan(t time.Time, infinity pgtype.InfinityModifier, valid bool) error {
	switch {
	case !valid:
		*m.To = time.Time{}
	case infinity == pgtype.Infinity:
		*m.To = delius.Infinity
	case infinity == pgtype.NegativeInfinity:
		*m.To = delius.NegativeInfinity
	case t.IsZero():
		*m.To = t.UTC().Add(1) // the one moment that Go takes for none; the nanosecond is cut when it is written
	default:
		*m.To = t.UTC()
	}
	return nil
}

// Stamp is a date or a time to be written or compared with one.
type Stamp time.Time

// DateValue implements pgtype.DateValuer.
func (s Stamp) DateValue() (pgtype.Date, error) {
	t, infinity, valid := s.value()
	return pgtype.Date{Time: t, InfinityModifier: infinity, Valid: valid}, nil
}

// TimestamptzValue implements pgtype.TimestamptzValuer.
func (s Stamp) TimestamptzValue() (pgtype.Timestamptz, error) {
	t, infinity, valid := s.value()
	return pgtype.Timestamptz{Time: t, InfinityModifier: infinity, Valid: valid}, nil
}

func (s Stamp) value() (time.Time, pgtype.InfinityModifier, bool) {
	switch t := time.Time(s); {
	case t.IsZero():
		return t, pgtype.Finite, false
	case t.Equal(delius.Infinity):
		return time.Time{}, pgtype.Infinity, true
	case t.Equal(delius.NegativeInfinity):
		return time.Time{}, pgtype.NegativeInfinity, true
	default:
		return t, pgtype.Finite, true
	}
}

// momentText is a date or a time for a person.
func momentText(t time.Time, kind string) string {
	switch {
	case t.IsZero():
		return ""
	case t.Equal(delius.Infinity):
		return "infinity"
	case t.Equal(delius.NegativeInfinity):
		return "-infinity"
	case kind == "date":
		return t.Format(time.DateOnly)
	}
	return t.UTC().Format(time.RFC3339Nano)
}
