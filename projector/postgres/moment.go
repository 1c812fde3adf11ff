package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"casdelius/projector/delius"
)

// moment scans a date or a time of a row that others write, too: whatever PostgreSQL can
// hold. Null is the zero time.
type moment struct{ to *time.Time }

// ScanDate implements pgtype.DateScanner.
func (m moment) ScanDate(v pgtype.Date) error { return m.scan(v.Time, v.InfinityModifier, v.Valid) }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (m moment) ScanTimestamptz(v pgtype.Timestamptz) error {
	return m.scan(v.Time, v.InfinityModifier, v.Valid)
}

func (m moment) scan(t time.Time, infinity pgtype.InfinityModifier, valid bool) error {
	switch {
	case !valid:
		*m.to = time.Time{}
	case infinity == pgtype.Infinity:
		*m.to = delius.Infinity
	case infinity == pgtype.NegativeInfinity:
		*m.to = delius.NegativeInfinity
	case t.IsZero():
		*m.to = t.UTC().Add(1) // the one moment that Go takes for none; the nanosecond is cut when it is written
	default:
		*m.to = t.UTC()
	}
	return nil
}

// stamp is a date or a time to be written or compared with one.
type stamp time.Time

// DateValue implements pgtype.DateValuer.
func (s stamp) DateValue() (pgtype.Date, error) {
	t, infinity, valid := s.value()
	return pgtype.Date{Time: t, InfinityModifier: infinity, Valid: valid}, nil
}

// TimestamptzValue implements pgtype.TimestamptzValuer.
func (s stamp) TimestamptzValue() (pgtype.Timestamptz, error) {
	t, infinity, valid := s.value()
	return pgtype.Timestamptz{Time: t, InfinityModifier: infinity, Valid: valid}, nil
}

func (s stamp) value() (time.Time, pgtype.InfinityModifier, bool) {
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

// sqlTouched is the time of an update of a row: that of the step, or a microsecond after what
// stands, where a clock runs behind. What stands may be any time at all.
func sqlTouched(row, now string) string {
	return "case when " + row + ".last_updated_datetime >= " + now + " and " + row + ".last_updated_datetime < '10000-01-01' then " +
		row + ".last_updated_datetime + interval '1 microsecond' else " + now + " end"
}
