// Package rows describes the rows that the projector reads and writes, each table once: the
// columns, their types and where each is in the Go value. Whatever reads, inserts, updates or
// takes fingerprints of rows has its lists of columns from here.
//
// Null and an empty text are one to whoever compares texts, and one here: a text that is empty
// is written as null. To a fingerprint they are two.
package rows

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"casdelius/store"
)

// Column is one column of a row.
type Column[R any] struct {
	Name    string
	Type    string       // in SQL
	Null    bool         // "" and 0 are null
	Decided bool         // the events decide what stands in it: an ordinary update writes it
	Field   func(*R) any // a pointer to where it is in the Go value
}

// Table is a table whose rows are R. Its first column is the key.
type Table[R any] struct {
	Name    string // with its schema
	Columns []Column[R]
}

// List is its columns for a select, each behind an alias.
func (t Table[R]) List(alias string) string {
	return t.each(", ", func(c *Column[R], _ int) string { return alias + "." + c.Name })
}

func (t Table[R]) each(between string, text func(c *Column[R], i int) string) string {
	parts := make([]string, len(t.Columns))
	for i := range t.Columns {
		parts[i] = text(&t.Columns[i], i)
	}
	return strings.Join(parts, between)
}

// Targets are what the columns of [Table.List] are scanned into.
func (t Table[R]) Targets(r *R) []any {
	out := make([]any, len(t.Columns))
	for i := range t.Columns {
		out[i] = target(t.Columns[i].Field(r))
	}
	return out
}

// Arrays are the columns of rows as the arrays that [Table.Insert] and the like unnest.
func (t Table[R]) Arrays(all []R) []any {
	out := make([]any, len(t.Columns))
	for i := range t.Columns {
		out[i] = array(&t.Columns[i], all)
	}
	return out
}

// Unnest is arrays as rows r, the first of them the parameter of that number.
func (t Table[R]) Unnest(first int) string {
	types := t.each(", ", func(c *Column[R], i int) string { return fmt.Sprintf("$%d::%s[]", first+i, c.element()) })
	return "unnest(" + types + ") as r (" + t.each(", ", func(c *Column[R], _ int) string { return c.Name }) + ")"
}

// element is the type of the column in an array: arrays of different lengths cannot be
// unnested, and travel as texts.
func (c *Column[R]) element() string {
	if strings.HasSuffix(c.Type, "[]") {
		return "text"
	}
	return c.Type
}

// value is the column of what was unnested.
func (c *Column[R]) value() string {
	if strings.HasSuffix(c.Type, "[]") {
		return "r." + c.Name + "::" + c.Type
	}
	return "r." + c.Name
}

// Insert inserts rows in the order of their keys. What follows it says what to do where a
// key is there already.
func (t Table[R]) Insert() string {
	return "insert into " + t.Name + " (" + t.each(", ", func(c *Column[R], _ int) string { return c.Name }) + ") select " +
		t.each(", ", func(c *Column[R], _ int) string { return c.value() }) + " from " + t.Unnest(1) + " order by r." + t.Columns[0].Name
}

// OrReplace follows an insert: rows whose key is there already get the new values.
func (t Table[R]) OrReplace() string {
	rest := Table[R]{Columns: t.Columns[1:]}
	return " on conflict (" + t.Columns[0].Name + ") do update set " +
		rest.each(", ", func(c *Column[R], _ int) string { return c.Name + " = excluded." + c.Name })
}

// Update writes rows over those with their keys.
func (t Table[R]) Update() string {
	rest := Table[R]{Columns: t.Columns[1:]}
	return "update " + t.Name + " t set " + rest.each(", ", func(c *Column[R], _ int) string { return c.Name + " = " + c.value() }) +
		" from " + t.Unnest(1) + " where t." + t.Columns[0].Name + " = r." + t.Columns[0].Name
}

// OfEvents is the table with its key and what the events decide: the rest is left alone.
func (t Table[R]) OfEvents() Table[R] {
	out := Table[R]{Name: t.Name, Columns: []Column[R]{t.Columns[0]}}
	for _, c := range t.Columns[1:] {
		if c.Decided {
			out.Columns = append(out.Columns, c)
		}
	}
	return out
}

// Fingerprint is a sum over everything but the key of a row that an alias names. It is of the
// columns that are listed here, so that one that Delius gets one day does not make every row
// look damaged. One that is added here changes every sum: the migration that comes with it has
// to take all fingerprints afresh. It is of values, not of their texts, so that no setting of a session changes it.
// The order of the columns is part of it.
func (t Table[R]) Fingerprint(alias string) string {
	rest := Table[R]{Columns: t.Columns[1:]}
	return "hash_record_extended(row(" + rest.List(alias) + "), 0)"
}

// Difference is one column in which two rows differ.
type Difference struct{ Name, Was, Is string }

// Differences are the columns in which a row is not what it was, as texts.
func (t Table[R]) Differences(was, is *R) (out []Difference) {
	for i := range t.Columns {
		c := &t.Columns[i]
		if a, b := text(c, was), text(c, is); a != b {
			out = append(out, Difference{c.Name, a, b})
		}
	}
	return out
}

// text is the value of a column for a person; null is "".
func text[R any](c *Column[R], r *R) string {
	switch p := c.Field(r).(type) {
	case *string:
		return *p
	case *int64:
		if c.Null && *p == 0 {
			return ""
		}
		return strconv.FormatInt(*p, 10)
	case **int64:
		if *p == nil {
			return ""
		}
		return strconv.FormatInt(**p, 10)
	case *bool:
		return strconv.FormatInt(int64(flag(*p)), 10)
	case *time.Time:
		return momentText(*p, c.Type)
	}
	return fmt.Sprint(c.Field(r))
}

// target is what a pointer to a field is scanned by. Null is the zero value.
func target(field any) any {
	switch p := field.(type) {
	case *string:
		return orEmpty{p}
	case *int64:
		return orZero{p}
	case *time.Time:
		return Moment{p}
	case *bool:
		return flagOf{p}
	}
	return field
}

// array is one column of rows as an array for PostgreSQL.
func array[R any](c *Column[R], all []R) any {
	if len(all) == 0 {
		return []string{}
	}
	switch c.Field(&all[0]).(type) {
	case *string:
		return gather(all, func(r *R) *string { return c.textOrNull(*c.Field(r).(*string)) })
	case *int64:
		return gather(all, func(r *R) *int64 { return c.idOrNull(*c.Field(r).(*int64)) })
	case **int64:
		return gather(all, func(r *R) *int64 { return *c.Field(r).(**int64) })
	case *time.Time:
		return gather(all, func(r *R) Stamp { return Stamp(*c.Field(r).(*time.Time)) })
	case *store.Referral:
		return gather(all, func(r *R) [16]byte { return *c.Field(r).(*store.Referral) })
	case *[]int64:
		return gather(all, func(r *R) string { return arrayText(*c.Field(r).(*[]int64)) })
	case *bool:
		if c.Type == "boolean" {
			return gather(all, func(r *R) bool { return *c.Field(r).(*bool) })
		}
		return gather(all, func(r *R) int16 { return flag(*c.Field(r).(*bool)) })
	}
	panic(fmt.Sprintf("column %s has no array", c.Name))
}

func gather[R, V any](all []R, value func(*R) V) []V {
	out := make([]V, len(all))
	for i := range all {
		out[i] = value(&all[i])
	}
	return out
}

func (c *Column[R]) textOrNull(s string) *string {
	if c.Null && s == "" {
		return nil
	}
	return &s
}

func (c *Column[R]) idOrNull(id int64) *int64 {
	if c.Null && id == 0 {
		return nil
	}
	return &id
}

func flag(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

// arrayText writes numbers as PostgreSQL writes an array.
func arrayText(values []int64) string {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, v, 10)
	}
	return string(append(b, '}'))
}

type orEmpty struct{ to *string }

// ScanText implements pgtype.TextScanner.
func (s orEmpty) ScanText(v pgtype.Text) error {
	*s.to = v.String
	return nil
}

type orZero struct{ to *int64 }

// ScanInt64 implements pgtype.Int64Scanner.
func (s orZero) ScanInt64(v pgtype.Int8) error {
	*s.to = v.Int64
	return nil
}

// flagOf scans a flag, be it boolean or 0 and 1.
type flagOf struct{ to *bool }

// ScanBool implements pgtype.BoolScanner.
func (s flagOf) ScanBool(v pgtype.Bool) error {
	*s.to = v.Bool
	return nil
}

// ScanInt64 implements pgtype.Int64Scanner.
func (s flagOf) ScanInt64(v pgtype.Int8) error {
	*s.to = v.Int64 != 0
	return nil
}
