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
	pieces := make([]string, 1, 16) // an empty one in front, which is the building unless there are three
	pieces = appendChunks(appendChunks(pieces, p.line1), p.line2)
	out := Premises{Pieces: len(pieces) - 1}
	if out.Pieces >= 3 {
		pieces = pieces[1:]
	}
	pieces = append(pieces, "", "")
	out.Lines = Lines{
		Building: cut(pieces[0], lineWidth), Street: cut(pieces[1], lineWidth), District: cut(pieces[2], lineWidth),
		Town: cut(p.town, lineWidth), County: cut(p.region, lineWidth), Postcode: cut(p.postcode, postcodeWidth),
	}
	return out
}

// labelled is the address in one line behind a label, "" if all of it is blank.
func (p *premises) labelled(label string) string {
	parts := append(make([]string, 0, 6), label)
	for _, part := range [...]string{p.line1, p.line2, p.postcode, p.town, p.region} {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 1 {
		return ""
	}
	return strings.Join(parts, " ")
}

// appendChunks splits a plain line into pieces of 35 characters; a blank line has none.
func appendChunks(pieces []string, line string) []string {
	if strings.TrimSpace(line) == "" {
		return pieces
	}
	start, count := 0, 0
	for i := range line {
		if count == lineWidth {
			pieces, start, count = append(pieces, line[start:i]), i, 0
		}
		count++
	}
	return append(pieces, line[start:])
}

// cut trims a plain value and cuts it to the width of its column, in characters.
func cut(s string, width int) string {
	s = strings.TrimSpace(s)
	if len(s) <= width {
		return s
	}
	count := 0
	for i := range s {
		if count == width {
			return strings.TrimSpace(s[:i])
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
	s := Stay{Booking: booking, Dates: make([]time.Time, 0, len(arrivals)), Named: make([]Premises, 0, len(arrivals)+len(departures))}
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
	if n := len(departures); n > 0 {
		latest := departures[n-1]
		s.Departure, s.departedBy = store.Date(latest.At), []store.Key{latest.Key()}
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
