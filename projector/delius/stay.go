package delius

import (
	"strings"
	"time"
	"unicode"

	"casdelius/store"
)

// The widths of the address columns, in characters.
const (
	lineWidth     = 35
	postcodeWidth = 8
)

// Lines is an address as a row holds it: one field, because its parts change
// together. "" is null.
type Lines struct {
	Building, Street, District, Town, County, Postcode string
}

// parse lays the premises out over the columns of an address row: the two address
// lines in pieces of 35 characters, building first only where there are three.
func (p *premises) parse() Premises {
	pieces := append(chunks(p.Line1), chunks(p.Line2)...)
	out := Premises{Pieces: len(pieces)}
	if len(pieces) < 3 {
		pieces = append([]string{""}, pieces...)
	}
	pieces = append(pieces, "", "")
	out.Lines = Lines{
		Building: cut(pieces[0], lineWidth), Street: cut(pieces[1], lineWidth), District: cut(pieces[2], lineWidth),
		Town: cut(p.Town, lineWidth), County: cut(p.Region, lineWidth), Postcode: cut(p.Postcode, postcodeWidth),
	}
	return out
}

func (p *premises) oneLine() string {
	parts := make([]string, 0, 5)
	for _, part := range []string{p.Line1, p.Line2, p.Postcode, p.Town, p.Region} {
		if part = trim(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}

// chunks splits a line into pieces of 35 characters; a blank line has none.
func chunks(s string) []string {
	if s = plain(s); trim(s) == "" {
		return nil
	}
	var pieces []string
	start, count := 0, 0
	for i := range s {
		if count == lineWidth {
			pieces, start, count = append(pieces, s[start:i]), i, 0
		}
		count++
	}
	return append(pieces, s[start:])
}

// cut trims a value and cuts it to the width of its column, in characters.
func cut(s string, width int) string {
	s = trim(s)
	count := 0
	for i := range s {
		if count == width {
			return trim(s[:i])
		}
		count++
	}
	return s
}

// postcodeKey is a postcode for comparing: spaces and case aside.
func postcodeKey(s string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == 0 {
			return -1
		}
		return r
	}, s))
}

// first is the first line that is not blank, for comparing addresses without a
// postcode.
func (l Lines) first() string {
	for _, line := range []string{l.Building, l.Street, l.District} {
		if words := strings.Fields(line); len(words) > 0 {
			return strings.ToUpper(strings.Join(words, " "))
		}
	}
	return ""
}

// samePlace says whether two addresses have the same postcode or, if both have none,
// the same first line.
func (l Lines) samePlace(o Lines) bool {
	a, b := postcodeKey(l.Postcode), postcodeKey(o.Postcode)
	return a == b && (a != "" || l.first() == o.first())
}

// Stay is one CAS3 booking's part in where the person lives.
type Stay struct {
	Booking store.Referral
	Hashes  []int64 // of all its arrivals and departures, sorted

	// Of its arrivals that name a usable address; zero if there are none.
	Arrived bool
	Start   time.Time // date of the latest
	Lines   Lines     // of the latest
	Known   time.Time // when the first was emitted; without one, when the first of all was

	HasBase   bool        // a base arrival has come, usable or not
	Dates     []time.Time // every arrival date that the booking had
	Departure time.Time   // date of the latest departure; zero without one
	Named     []Premises  // that its events name, the latest arrival's first

	arrivedBy, departedBy []store.Key // the events behind Start and Departure
}

// foldStay folds the usable arrivals and departures of a booking, each in their order.
func foldStay(booking store.Referral, arrivals, departures []*Event) Stay {
	s := Stay{Booking: booking}
	for _, e := range arrivals {
		s.Dates = append(s.Dates, store.Date(e.At))
		if e.Premises.Pieces == 0 {
			continue
		}
		if !s.Arrived {
			s.Arrived, s.Known = true, e.Emitted
		}
		s.Start, s.Lines = store.Date(e.At), e.Premises.Lines
		s.arrivedBy = []store.Key{e.Key()}
	}
	for i := range departures {
		s.Departure = store.Date(departures[i].At)
		s.departedBy = []store.Key{departures[i].Key()}
	}
	for _, events := range [][]*Event{arrivals, departures} {
		if !s.Arrived && len(events) > 0 && (s.Known.IsZero() || events[0].Emitted.Before(s.Known)) {
			s.Known = events[0].Emitted
		}
		for i := len(events) - 1; i >= 0; i-- {
			if p := events[i].Premises; p.Pieces > 0 || p.Lines.Postcode != "" {
				s.Named = append(s.Named, p)
			}
		}
	}
	return s
}

// ends is the date on which the stay ends by its own events if it begins on start:
// a departure before that does not end it. Zero is none.
func (s *Stay) ends(start time.Time) time.Time {
	if s.Arrived {
		start = s.Start
	}
	if s.Departure.Before(start) {
		return time.Time{}
	}
	return s.Departure
}
