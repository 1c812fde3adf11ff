package delius

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"casdelius/store"
)

// stay is a booking on its way to an address row.
type stay struct {
	*Stay
	row   *AddressRow // that it owns; nil if there is none yet
	entry AppliedAddress
	fresh bool // adopted now
	gone  bool // the ledger's row is gone, or deleted on somebody else

	lines     Lines     // as they will stand
	start     time.Time // as it will stand
	departure time.Time // the own one; zero is none
	moved     bool      // its departure is not the applied one
	returns   bool      // the row was deleted and comes back
	fields    []Field
}

// addresses decides about every address row of the person.
func (d *differ) addresses(wanted []Stay) {
	a := addresses{differ: d, owners: map[int64]store.Referral{}, ledger: maps.Clone(d.have.AppliedAddresses)}
	for i := range d.have.Addresses {
		a.rows = append(a.rows, &d.have.Addresses[i])
	}
	slices.SortFunc(a.rows, func(x, y *AddressRow) int { return cmp.Compare(x.ID, y.ID) })
	stays := a.own(wanted)
	for _, s := range stays {
		a.merge(s)
	}
	if len(stays) > 0 {
		a.latest = keysOfStay(slices.MaxFunc(stays, func(x, y *stay) int {
			return cmp.Or(x.start.Compare(y.start), x.Known.Compare(y.Known))
		}).Stay)
	}
	a.settle(a.claims(stays))
	for _, s := range stays {
		a.recordApplied(s)
	}
}

type addresses struct {
	*differ
	rows   []*AddressRow // by number
	ledger map[store.Referral]AppliedAddress
	owners map[int64]store.Referral // of rows
	latest []store.Key              // the events of the stay that began last
}

// own finds the row of every stay. Stays that have none, and will get none, are
// left out unless they can be inserted.
func (a *addresses) own(wanted []Stay) []*stay {
	for booking, entry := range a.ledger {
		a.owners[entry.AddressID] = booking
	}
	var all []*stay
	for i := range wanted {
		s := &stay{Stay: &wanted[i]}
		entry, known := a.ledger[s.Booking]
		row := a.row(entry.AddressID)
		switch elsewhere := row != nil && !a.have.belongs(row.OffenderID, entry.Placed); {
		case !known:
		case elsewhere && !row.Deleted:
			a.out.Parked = append(a.out.Parked, Parked{
				Cause: PersonChanged, Referral: s.Booking, URN: arrived.URN(s.Booking), Address: true,
				Problem: "the live address row of this stay stands on another person: it has to be deleted there first",
			})
			continue
		case elsewhere, row == nil:
			s.gone = true
		case entry.Provisional && s.HasBase:
			delete(a.owners, row.ID)
			a.out.Released = append(a.out.Released, s.Booking)
		default:
			s.row, s.entry = row, entry
		}
		all = append(all, s)
	}
	a.adopt(all)
	return slices.DeleteFunc(all, func(s *stay) bool { return s.row == nil && !s.Arrived })
}

func (a *addresses) row(id int64) *AddressRow {
	for _, row := range a.rows {
		if row.ID == id {
			return row
		}
	}
	return nil
}

// adopt gives stays without a row the rows that practitioners and the older service
// entered for them, the surest matches first. A booking whose base arrival came
// before cut-over then takes the open row at the place that its events name; where they
// name none, the person's only open row.
func (a *addresses) adopt(stays []*stay) {
	without := slices.DeleteFunc(slices.Clone(stays), func(s *stay) bool { return s.row != nil })
	slices.SortFunc(without, func(x, y *stay) int {
		return cmp.Or(x.Known.Compare(y.Known), x.Booking.Compare(y.Booking))
	})
	same := func(s *stay, row *AddressRow) bool { return row.Start.Equal(s.Start) && row.Lines.normal() == s.Lines }
	passes := []func(s *stay, row *AddressRow) bool{
		func(s *stay, row *AddressRow) bool {
			left := s.ends(row.Start)
			return same(s, row) && !left.IsZero() && row.End.Equal(left)
		},
		same,
		func(s *stay, row *AddressRow) bool { return row.Start.Equal(s.Start) },
		func(s *stay, row *AddressRow) bool {
			return slices.ContainsFunc(s.Dates, row.Start.Equal)
		},
	}
	for _, fits := range passes {
		for _, s := range without {
			if s.row == nil && s.Arrived {
				a.adoptRow(s, false, func(row *AddressRow) bool { return s.Lines.samePlace(row.Lines) && fits(s, row) })
			}
		}
	}
	// Who names a place chooses first, or a row could be the only one left later.
	for _, s := range without {
		if s.row == nil && !s.HasBase && len(s.Named) > 0 {
			at := s.Named[0]
			a.adoptRow(s, true, func(row *AddressRow) bool { return !row.Deleted && a.open(row) && at.Lines.samePlace(row.Lines) })
		}
	}
	for _, s := range without {
		if s.row == nil && !s.HasBase && len(s.Named) == 0 {
			a.adoptOnlyRow(s)
		}
	}
}

// adoptOnlyRow gives a booking whose events name no place the person's only open row.
func (a *addresses) adoptOnlyRow(s *stay) {
	open := func(row *AddressRow) bool { return !row.Deleted && a.open(row) }
	count := 0
	for _, row := range a.rows {
		if a.free(row) && open(row) {
			count++
		}
	}
	if count == 1 {
		a.adoptRow(s, true, open)
	}
}

// free says whether a row can be adopted at all. One at a status that is neither main,
// previous nor proposed describes something else than where the person lives.
func (a *addresses) free(row *AddressRow) bool {
	_, owned := a.owners[row.ID]
	return !owned && row.A17 && row.OffenderID == a.have.OffenderID &&
		(row.Status == MainStatus || row.Status == PreviousStatus || row.Status == ProposedStatus)
}

// adoptRow gives the stay the first free row that fits: live before deleted, then by
// number.
func (a *addresses) adoptRow(s *stay, provisional bool, fits func(*AddressRow) bool) {
	for _, deleted := range []bool{false, true} {
		for _, row := range a.rows {
			if row.Deleted == deleted && a.free(row) && fits(row) && (!deleted || a.deletedFor(s, row)) {
				a.owners[row.ID] = s.Booking
				s.row, s.fresh = row, true
				s.entry = AppliedAddress{Booking: s.Booking, AddressID: row.ID, Lines: s.Lines, Start: s.Start, Departure: s.ends(row.Start), Provisional: provisional}
				if !s.Arrived {
					s.entry.Lines, s.entry.Start = row.Lines.normal(), row.Start
				}
				return
			}
		}
	}
}

// deletedFor says whether a row may be adopted as deleted by this stay. No row may by a
// stay whose own is gone, and none that we once wrote for anything else: both times it may
// be one that had to go because its booking was somebody else's.
func (a *addresses) deletedFor(s *stay, row *AddressRow) bool {
	return !s.gone && (!a.wroteTerm(row) || a.ledger[s.Booking].AddressID == row.ID)
}

// normal is the lines without white space at their ends.
func (l Lines) normal() Lines {
	return Lines{trim(l.Building), trim(l.Street), trim(l.District), trim(l.Town), trim(l.County), trim(l.Postcode)}
}

func (l Lines) String() string {
	return lines(l.Building, l.Street, l.District, l.Town, l.County, l.Postcode)
}

// merge applies the three-way rule to the lines and the start of a stay's row.
func (a *addresses) merge(s *stay) {
	if s.row == nil {
		s.lines, s.start = s.Lines, s.Start
		s.departure = s.ends(s.start)
		return
	}
	wantLines, wantStart := s.Lines, s.Start
	if !s.Arrived {
		wantLines, wantStart = s.entry.Lines, s.entry.Start
	}
	s.lines, s.start = s.row.Lines, s.row.Start
	s.departure = s.ends(s.entry.Start)
	s.moved = !s.departure.Equal(s.entry.Departure)
	m := merger{}
	if wantLines != s.entry.Lines {
		here := s.row.Lines.normal()
		if write, conflict := m.decide(here == wantLines, here == s.entry.Lines); write {
			m.wrote("lines", s.row.Lines.String(), wantLines.String(), conflict, s.arrivedBy)
			s.lines = wantLines
		}
	}
	if !wantStart.Equal(s.entry.Start) {
		if write, conflict := m.decide(s.row.Start.Equal(wantStart), s.row.Start.Equal(s.entry.Start)); write {
			m.wrote("start", dateString(s.row.Start), dateString(wantStart), conflict, s.arrivedBy)
			s.start = wantStart
		}
	}
	if s.row.Deleted {
		if s.returns = m.moved || s.moved; !s.returns {
			s.lines, s.start = s.row.Lines, s.row.Start
			return
		}
		m.fields = append(m.fields, returned(keysOfStay(s.Stay)))
	}
	s.fields = m.fields
}

func keysOfStay(s *Stay) []store.Key { return slices.Concat(s.arrivedBy, s.departedBy) }

// recordApplied moves the ledger of a stay whose row stands.
func (a *addresses) recordApplied(s *stay) {
	if s.row == nil {
		return
	}
	entry := s.entry
	if s.Arrived {
		entry.Lines, entry.Start = s.Lines, s.Start
	}
	entry.Departure, entry.Events = s.departure, s.Hashes
	if !s.row.Deleted || s.returns {
		entry.Placed = a.have.place(s.row.OffenderID, entry.Placed)
	}
	was, known := a.ledger[s.Booking]
	if !known || !entry.equal(&was) {
		a.out.AppliedAddresses = append(a.out.AppliedAddresses, entry)
	}
	if s.fresh && s.Arrived {
		a.adoptedDiffers("", s.row.ID, s.differing())
	}
}

// differing are the fields in which the row of a stay says otherwise than its events.
func (s *stay) differing() (fields []Field) {
	if is := s.row.Lines.normal(); is != s.Lines {
		fields = append(fields, Field{Name: "lines", From: is.String(), To: s.Lines.String(), Events: s.arrivedBy})
	}
	if !s.row.Start.Equal(s.Start) {
		fields = append(fields, Field{Name: "start", From: dateString(s.row.Start), To: dateString(s.Start), Events: s.arrivedBy})
	}
	return fields
}

func (l *AppliedAddress) equal(o *AppliedAddress) bool {
	return l.AddressID == o.AddressID && l.Lines == o.Lines && l.Start.Equal(o.Start) && l.Departure.Equal(o.Departure) &&
		l.Placed == o.Placed && l.Provisional == o.Provisional && slices.Equal(l.Events, o.Events)
}
