package console

import (
	"slices"
	"strings"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// drawing is a timeline as SVG. Across it everything is in per cent, so that it fits any width
// and its texts stay as large as the others; down it in pixels.
type drawing struct {
	Height, Axis       int
	Lanes              []lane
	Begin, Middle, End time.Time
}

// lane is one referral, with its events and its stay.
type lane struct {
	Service  string
	Referral store.Referral
	Label, Y int
	Marks    []mark
	Stay     *bar
}

// mark is one event.
type mark struct {
	X      float64
	Kind   string // arrived, departed, cancelled or other
	Parked bool
	Number int
	Name   string
	At     time.Time
}

// bar is a stay, from its arrival to its departure, or to the end of the drawing.
type bar struct {
	X, Width   float64
	Y          int
	Start, End time.Time
}

const (
	laneHeight = 56
	laneTop    = 8
	margin     = 2.0 // per cent on either side
)

// draw draws the referrals of a person, each in a lane of its own, in the order in which they
// began.
func draw(moments []delius.Moment, now time.Time) drawing {
	if len(moments) == 0 {
		return drawing{}
	}
	events := make([]*delius.Event, len(moments))
	for i, m := range moments {
		events[i] = m.Event
	}
	stays := slices.DeleteFunc(delius.Fold(events).Stays, func(s delius.Stay) bool { return !s.Arrived })
	d := drawing{Begin: moments[0].Event.Emitted, End: moments[len(moments)-1].Event.Emitted}
	for i := range stays {
		d.reach(stays[i].Start)
		if d.reach(stays[i].Departure); stays[i].Departure.IsZero() {
			d.reach(now)
		}
	}
	if !d.End.After(d.Begin) {
		d.End = d.Begin.Add(24 * time.Hour)
	}
	for i, m := range moments {
		l := d.lane(m.Event)
		l.Marks = append(l.Marks, mark{X: d.at(m.Event.Emitted), Kind: kindOf(m.Event.Type), Parked: m.Parked != nil, Number: i + 1, Name: nameOf(m.Event.Type), At: m.Event.Emitted})
	}
	for i := range stays {
		d.stay(&stays[i])
	}
	d.Axis = laneTop + len(d.Lanes)*laneHeight
	d.Height = d.Axis + 28
	d.Middle = d.Begin.Add(d.End.Sub(d.Begin) / 2)
	return d
}

// reach makes the drawing as long as to have a time in it.
func (d *drawing) reach(t time.Time) {
	switch {
	case t.IsZero():
	case t.Before(d.Begin):
		d.Begin = t
	case t.After(d.End):
		d.End = t
	}
}

// at is where a time is, in per cent.
func (d *drawing) at(t time.Time) float64 {
	return margin + (100-2*margin)*float64(t.Sub(d.Begin))/float64(d.End.Sub(d.Begin))
}

// lane is that of an event's referral.
func (d *drawing) lane(e *delius.Event) *lane {
	at := slices.IndexFunc(d.Lanes, func(l lane) bool { return l.Referral == e.Referral })
	if at < 0 {
		at = len(d.Lanes)
		top := laneTop + at*laneHeight
		d.Lanes = append(d.Lanes, lane{Service: strings.ToUpper(string(e.Type.Service())), Referral: e.Referral, Label: top + 14, Y: top + 34})
	}
	return &d.Lanes[at]
}

// stay draws a stay in the lane of its booking.
func (d *drawing) stay(s *delius.Stay) {
	at := slices.IndexFunc(d.Lanes, func(l lane) bool { return l.Referral == s.Booking })
	if at < 0 {
		return // it is another referral's page
	}
	end := s.Departure
	if end.IsZero() {
		end = d.End
	}
	x := d.at(s.Start)
	d.Lanes[at].Stay = &bar{X: x, Width: max(d.at(end)-x, 0.5), Y: d.Lanes[at].Y - 6, Start: s.Start, End: s.Departure}
}

// kindOf is how an event is drawn.
func kindOf(t store.Type) string {
	switch t {
	case store.PersonArrived, store.PersonArrivedUpdated:
		return "arrived"
	case store.PersonDeparted, store.PersonDepartedUpdated:
		return "departed"
	case store.BookingCancelled, store.BookingCancelledUpdated:
		return "cancelled"
	}
	return "other"
}
