package deliustest

import (
	"cmp"
	"slices"
	"time"

	"casdelius/store"
)

// booking is what a referral says of somebody's coming and going.
type booking struct {
	id                   store.Referral
	arrivals, departures []*event // usable, in order
	based                bool     // a base arrival is in the log, usable or not
}

func (e *event) arrival() bool {
	return e.Type == store.PersonArrived || e.Type == store.PersonArrivedUpdated
}

func (e *event) departure() bool {
	return e.Type == store.PersonDeparted || e.Type == store.PersonDepartedUpdated
}

func (r *referral) booking() booking {
	b := booking{id: r.id}
	for _, e := range r.events {
		b.based = b.based || e.Type == store.PersonArrived
		switch {
		case e.bad:
		case e.arrival():
			b.arrivals = append(b.arrivals, e)
		case e.departure():
			b.departures = append(b.departures, e)
		}
	}
	return b
}

// tenancy is the ledger of one stay: the row that is the booking's and what was
// applied to it.
type tenancy struct {
	row              int64
	lines            place
	start, departure time.Time // departure is zero where the stay had not ended
	eliminated       bool      // the row was found by elimination, for want of a base arrival
	placed           placed
}

// stay is a booking that has, takes or needs an address row.
type stay struct {
	booking
	housed []*event // the arrivals that have an address
	row    *Address // nil while it has none
	moved  bool     // the row in the ledger is not on this person any more
	gaveUp *Address // the row that it had by elimination
	ledger tenancy
}

// known orders stays: by the first arrival with an address, else by the first event.
func (s *stay) known() time.Time {
	if len(s.housed) > 0 {
		return s.housed[0].Emitted
	}
	first := slices.MinFunc(slices.Concat(s.arrivals, s.departures), func(a, b *event) int { return a.Compare(&b.Event) })
	return first.Emitted
}

// place, start and departure are what the events say; where no arrival has an address
// they say nothing of the place and the start, and those of the ledger stand.
func (s *stay) place() place {
	if len(s.housed) == 0 {
		return s.ledger.lines
	}
	return s.latest().premises.place()
}

func (s *stay) start() time.Time {
	if len(s.housed) == 0 {
		return s.ledger.start
	}
	return store.Date(s.latest().at)
}

// departure is zero where the person has not left, or left before they arrived.
func (s *stay) departure() time.Time {
	arrival := s.start()
	if len(s.departures) == 0 {
		return time.Time{}
	}
	left := store.Date(s.departures[len(s.departures)-1].at)
	if left.Before(arrival) {
		return time.Time{}
	}
	return left
}

func (s *stay) latest() *event { return s.housed[len(s.housed)-1] }

// changed says whether the events say anything else than what was applied.
func (s *stay) changed() bool {
	l := s.ledger
	return s.place() != l.lines || !s.start().Equal(l.start) || !s.departure().Equal(l.departure)
}

// willStart is the start that the row will have: a practitioner's correction stands
// until an event of the booking changes the start.
func (s *stay) willStart() time.Time {
	if s.row == nil || !s.start().Equal(s.ledger.start) {
		return s.start()
	}
	return s.row.Start
}

// house brings the addresses of a person to what the bookings say.
func (t *Twin) house(person Offender, bookings []booking, now time.Time) []Parked {
	var stays []*stay
	var parked []Parked
	for _, b := range bookings {
		if len(b.arrivals)+len(b.departures) == 0 {
			continue
		}
		s := &stay{booking: b}
		for _, e := range b.arrivals {
			if e.premises.hasLine() {
				s.housed = append(s.housed, e)
			}
		}
		if t.find(person, s) {
			parked = append(parked, Parked{Cause: PersonChanged, CRN: person.CRN, Referral: b.id, Subject: "address"})
			continue
		}
		stays = append(stays, s)
	}
	slices.SortFunc(stays, func(a, b *stay) int { return cmp.Or(a.known().Compare(b.known()), a.id.Compare(b.id)) })
	t.takeOver(person, stays)
	stays = slices.DeleteFunc(stays, func(s *stay) bool { return s.row == nil && len(s.housed) == 0 })
	t.settle(person, stays, now)
	return parked
}

// find gives the stay the row that it has in the ledger. It says whether that row is
// live on somebody else. One that is gone or deleted on somebody else stays in the ledger
// until the booking has another; one that was found by elimination is the booking's no
// longer once the base arrival came.
func (t *Twin) find(person Offender, s *stay) (elsewhere bool) {
	ledger, ok := t.tenancies[s.id]
	if !ok {
		return false
	}
	row := t.addresses[ledger.row]
	switch {
	case row != nil && !row.Deleted && !t.theirs(person, row.CRN, ledger.placed):
		return true
	case row == nil, !t.theirs(person, row.CRN, ledger.placed):
		s.moved = true
	case ledger.eliminated && s.based:
		delete(t.tenancies, s.id)
		delete(t.owner, ledger.row)
		s.gaveUp = row
	default:
		s.row, s.ledger = row, ledger
	}
	return false
}

// takeOver gives stays without a row one that stands there already.
func (t *Twin) takeOver(person Offender, stays []*stay) {
	same := func(s *stay, a *Address) bool { return a.Start.Equal(s.start()) && a.place() == s.place() }
	passes := []func(*stay, *Address) bool{
		func(s *stay, a *Address) bool {
			return same(s, a) && !s.departure().IsZero() && s.departure().Equal(a.End)
		},
		same,
		func(s *stay, a *Address) bool { return a.Start.Equal(s.start()) },
		func(s *stay, a *Address) bool {
			return slices.ContainsFunc(s.arrivals, func(e *event) bool { return a.Start.Equal(store.Date(e.at)) })
		},
	}
	for _, fits := range passes {
		for _, s := range stays {
			if s.row != nil || len(s.housed) == 0 {
				continue
			}
			rows := t.free(person, func(a *Address) bool {
				return a.place().near(s.place()) && fits(s, a) && (!a.Deleted || !t.anothers(s, a))
			})
			if len(rows) > 0 {
				t.take(s, rows[0], false)
			}
		}
	}
	for _, named := range []bool{true, false} {
		for _, s := range stays {
			if _, names := s.where(); names == named && s.row == nil && !s.based {
				t.eliminate(person, s)
			}
		}
	}
}

// anothers says of a deleted row that it cannot have been the stay's when it was deleted:
// the stay had another row then, or we had written this one and not for the stay.
func (t *Twin) anothers(s *stay, a *Address) bool {
	_, written := t.memory[a.ID]
	return s.moved || written && s.gaveUp != a
}

// eliminate gives a booking that began before the first event the open row at its
// place; where its events name no place, the person's only open row. Whoever names a
// place chooses first, or a row could be the only one in the next look.
func (t *Twin) eliminate(person Offender, s *stay) {
	open := t.free(person, t.open)
	where, named := s.where()
	if named {
		open = slices.DeleteFunc(open, func(a *Address) bool { return !a.place().near(where) })
	}
	if len(open) == 1 || named && len(open) > 0 {
		t.take(s, open[0], true)
	}
}

// open says whether a live row has no end but one that we gave it because the person
// moved on. A row that had an end before we first wrote it stays closed, so that what
// we write never decides whose row it is.
func (t *Twin) open(a *Address) bool { return !a.Deleted && t.unended(a) }

func (t *Twin) unended(a *Address) bool {
	if current, _ := t.remembered(a); current {
		return t.memory[a.ID].open
	}
	return a.End.IsZero()
}

// where is the place of the latest arrival that names one, else of the latest such
// departure.
func (s *stay) where() (place, bool) {
	for _, e := range slices.Backward(slices.Concat(s.departures, s.arrivals)) {
		if e.premises.named() {
			return e.premises.place(), true
		}
	}
	return place{}, false
}

// free are the rows of the person that a stay may take over: live before deleted, by
// number.
func (t *Twin) free(person Offender, fits func(*Address) bool) []*Address {
	var rows []*Address
	for _, a := range t.byPerson[person.CRN] {
		home := a.Status == Main || a.Status == Previous || a.Status == Proposed
		if _, owned := t.owner[a.ID]; !owned && home && a.Type == CAS3Address && fits(a) {
			rows = append(rows, a)
		}
	}
	slices.SortFunc(rows, func(a, b *Address) int {
		switch {
		case a.Deleted == b.Deleted:
			return cmp.Compare(a.ID, b.ID)
		case b.Deleted:
			return -1
		}
		return 1
	})
	return rows
}

// take makes a row the stay's. What is desired now counts as applied, so that what
// differs stands until an event changes it.
func (t *Twin) take(s *stay, row *Address, eliminated bool) {
	s.row = row
	s.ledger = tenancy{row: row.ID, lines: row.place(), start: row.Start, eliminated: eliminated}
	s.ledger.lines, s.ledger.start, s.ledger.departure = s.place(), s.start(), s.departure()
	t.let(s.id, s.ledger)
}

// let puts the booking's row into the ledger. The row that it had there is nobody's.
func (t *Twin) let(booking store.Referral, to tenancy) {
	if before, had := t.tenancies[booking]; had {
		delete(t.owner, before.row)
	}
	t.tenancies[booking], t.owner[to.row] = to, booking
}
