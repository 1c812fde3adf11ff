package delius

import (
	"cmp"
	"slices"
	"time"
)

// claim is one row's, or coming row's, claim to be where the person lives.
type claim struct {
	stay  *stay       // nil for a row that is not a stay's
	row   *AddressRow // nil for a stay that is inserted
	start time.Time
	known time.Time

	follows bool      // gets what the claims say; else it is left as it stands
	own     time.Time // its own end; zero if another claim ends it
	keeps   bool      // follows, but its own end is the row's: only a second M takes its status
	replace bool      // following replaces what a person set
	term    term      // what it gets
}

// claims lists the claims in their order: where the person moved last comes last.
func (a *addresses) claims(stays []*stay) []*claim {
	var all []*claim
	for _, s := range stays {
		c := &claim{stay: s, row: s.row, start: s.start, known: s.Known}
		switch {
		case s.row != nil && s.row.Deleted && !s.returns:
			continue
		case !s.Arrived:
			c.known = s.row.Created
		}
		all = append(all, c)
	}
	for _, row := range a.rows {
		_, owned := a.owners[row.ID]
		isStay := owned && slices.ContainsFunc(stays, func(s *stay) bool { return s.row == row })
		if !isStay && row.OffenderID == a.have.OffenderID && a.claiming(row) && !a.leaving(row) {
			all = append(all, &claim{row: row, start: row.Start, known: row.Created})
		}
	}
	slices.SortFunc(all, compareClaims)
	return all
}

// claiming says whether a row that is no stay's claims anything. One that ended
// without saying when, and not by us, does not.
func (a *addresses) claiming(row *AddressRow) bool {
	if row.Deleted || row.Status != MainStatus && row.Status != PreviousStatus {
		return false
	}
	return row.Status == MainStatus || !row.End.IsZero() || a.hasAppliedTerm(row)
}

// leaving says whether a row is about to go to somebody who is a person of their own again.
func (a *addresses) leaving(row *AddressRow) bool {
	booking, owned := a.owners[row.ID]
	return owned && a.have.leaving(a.ledger[booking].Placed)
}

// hasAppliedTerm says whether status and end still are what we last wrote.
func (a *addresses) hasAppliedTerm(row *AddressRow) bool {
	m, known := a.have.AppliedTerms[row.ID]
	return known && row.term().equal(term{m.Status, m.End})
}

func compareClaims(x, y *claim) int {
	kind := func(c *claim) int {
		if c.stay != nil {
			return 0
		}
		return 1
	}
	if c := cmp.Or(x.start.Compare(y.start), x.known.Compare(y.known), cmp.Compare(kind(x), kind(y))); c != 0 {
		return c
	}
	if x.stay != nil {
		return x.stay.Booking.Compare(y.stay.Booking)
	}
	return cmp.Compare(x.row.ID, y.row.ID)
}

// settle decides the status and end of every claim and writes what is not so yet. Of
// people who never had a stay nothing is touched.
func (a *addresses) settle(claims []*claim) {
	housed := slices.ContainsFunc(claims, func(c *claim) bool { return c.stay != nil })
	if !housed && !slices.ContainsFunc(a.rows, func(row *AddressRow) bool { return row.OffenderID == a.have.OffenderID && a.wroteTerm(row) }) {
		return
	}
	for _, c := range claims {
		a.classify(c, claims)
	}
	assignTerms(claims)
	if wroteMain := slices.IndexFunc(claims, (*claim).writesMain); wroteMain >= 0 {
		// The person moved: what somebody set to M elsewhere cannot stay beside it.
		for i, c := range claims {
			if i != wroteMain && !c.follows && c.row.Status == MainStatus {
				c.follows, c.replace, c.keeps = true, true, !c.own.IsZero()
				if c.stay != nil && c.own.IsZero() {
					c.own = c.stay.departure
				}
			}
		}
		assignTerms(claims)
	}
	for i, c := range claims {
		a.write(c, claims[i+1:])
	}
}

// classify says whether a claim follows the others, or stands as a person set it.
func (a *addresses) classify(c *claim, claims []*claim) {
	departure := a.departure(c)
	if c.row == nil || c.stay != nil && (c.stay.returns || c.stay.moved) {
		c.follows, c.own = true, departure
		c.replace = c.row != nil && !a.hasAppliedTerm(c.row) && (a.wroteTerm(c.row) || !c.row.End.IsZero())
		return
	}
	row := c.row
	switch {
	case c.stay != nil && !a.wroteTerm(row) && row.Status == ProposedStatus:
		// What was proposed came true.
		c.follows, c.own, c.replace = true, departure, !row.End.IsZero()
	case a.ownEnd(row, departure, func() bool { return startsElsewhere(c, claims) }):
		c.own = row.End
		c.follows, c.keeps = c.stay == nil, c.stay == nil
	case a.hasAppliedTerm(row), !a.wroteTerm(row) && row.Status == MainStatus, !a.wroteTerm(row) && !row.End.IsZero():
		c.follows, c.own = true, departure
	default: // a person's, or a stay that ended without saying when
		c.own = row.End
	}
}

// departure is the own departure of a stay. A stay whose booking turned out to be
// somebody else's keeps the one that was applied for as long as its row stands here.
func (a *addresses) departure(c *claim) time.Time {
	if c.stay != nil {
		return c.stay.departure
	}
	if booking, owned := a.owners[c.row.ID]; owned {
		return a.ledger[booking].Departure
	}
	return time.Time{}
}

// ownEnd says whether the end of a row that still is as we left it, or that we never
// wrote, is its own: not one that we or the older service gave it.
func (a *addresses) ownEnd(row *AddressRow, departure time.Time, startsElsewhere func() bool) bool {
	if a.wroteTerm(row) {
		return a.hasAppliedTerm(row) && a.have.AppliedTerms[row.ID].OwnEnd
	}
	return !row.End.IsZero() && (!row.ByCAS3 || !row.End.Equal(departure) && !startsElsewhere())
}

// open says whether a row has no end but one that we gave it because the person moved
// on. What had an end before we first wrote it stays closed, so that what we write
// never decides whose row it is.
func (a *addresses) open(row *AddressRow) bool {
	if a.hasAppliedTerm(row) {
		return a.have.AppliedTerms[row.ID].Open
	}
	return row.End.IsZero()
}

// wroteTerm says whether we ever wrote the row's status and end.
func (a *addresses) wroteTerm(row *AddressRow) bool {
	_, known := a.have.AppliedTerms[row.ID]
	return known
}

// startsElsewhere says whether a claim's end is the start of another claim, or was
// before an arrival was corrected.
func startsElsewhere(c *claim, claims []*claim) bool {
	return slices.ContainsFunc(claims, func(o *claim) bool {
		return o != c && (o.start.Equal(c.row.End) || o.stay != nil && slices.ContainsFunc(o.stay.Dates, c.row.End.Equal))
	})
}

// assignTerms works out what each claim gets: one without an end of its own ends where the
// next begins, and the last one is the main address.
func assignTerms(claims []*claim) {
	if len(claims) == 0 {
		return
	}
	for i, c := range claims {
		isLast := i == len(claims)-1
		switch {
		case !c.follows, c.keeps && (c.row.Status != MainStatus || isLast):
			c.term = c.row.term()
		case !c.own.IsZero():
			c.term = term{PreviousStatus, c.own}
		case !isLast:
			c.term = term{PreviousStatus, claims[i+1].start}
		default:
			c.term = term{Status: MainStatus}
		}
	}
}

// writesMain says whether this claim's row becomes the main address by our hand.
func (c *claim) writesMain() bool {
	return c.follows && c.term.Status == MainStatus && (c.row == nil || c.row.Status != MainStatus || c.stay != nil && c.stay.returns)
}

// write turns what a claim gets into a change of its row.
func (a *addresses) write(c *claim, later []*claim) {
	applied := AppliedTerm{Status: c.term.Status, End: c.term.End, OwnEnd: c.keeps}
	if c.row == nil {
		applied.Booking, applied.Open = c.stay.Booking, true
		a.insert(c, applied, a.field(c, term{}, later))
		return
	}
	was, row := *c.row, *c.row
	var fields []Field
	returns := false
	if c.stay != nil {
		row.Lines, row.Start = c.stay.lines, c.stay.start
		fields, returns = c.stay.fields, c.stay.returns
		if row.Deleted = was.Deleted && !returns; !row.Deleted && was.OffenderID != a.have.OffenderID {
			row.OffenderID, fields = a.have.OffenderID, append(fields, a.have.brought(was.OffenderID, c.stay.entry.Placed, keysOfStay(c.stay.Stay)))
		}
	}
	applied.AddressID, applied.Open = row.ID, a.open(c.row)
	switch changed := !c.term.equal(was.term()); {
	case changed || c.follows && returns:
		if row.Status != c.term.Status {
			row.Status, row.StatusID = c.term.Status, a.refs.status(c.term.Status)
		}
		row.End = c.term.End
		a.out.AppliedTerms = append(a.out.AppliedTerms, applied)
		if changed {
			fields = append(fields, a.field(c, was.term(), later))
		}
	case len(fields) > 0 && !a.wroteTerm(&was) && !c.own.IsZero() && !c.follows:
		// Our name on the row must not make its end look like ours.
		applied.OwnEnd = true
		a.out.AppliedTerms = append(a.out.AppliedTerms, applied)
	}
	if len(fields) > 0 {
		a.out.Changes = append(a.out.Changes, &UpdateAddress{Row: row, Was: was, Fields: fields})
		a.conflicts("", row.ID, fields, &was)
	}
}

// field says why a claim's status and end change. What no event of its own explains, a
// practitioner's row that ends or becomes the main address again, is because of the
// stay that began last.
func (a *addresses) field(c *claim, was term, later []*claim) Field {
	f := Field{Name: "status", From: was.String(), To: c.term.String(), Conflict: c.replace}
	switch {
	case c.term.Status == MainStatus:
		f.Reason = "the person moved here last"
		if c.stay != nil {
			f.Events = c.stay.arrivedBy
		}
	case !c.own.IsZero() && c.keeps:
		f.Reason = "another address is the main one"
	case !c.own.IsZero():
		f.Reason = "the person departed"
		if c.stay != nil {
			f.Events = c.stay.departedBy
		}
	default:
		f.Reason = "the next address begins"
		if len(later) > 0 && later[0].stay != nil {
			f.Events = later[0].stay.arrivedBy
		}
	}
	if len(f.Events) == 0 {
		f.Events = a.latest
	}
	return f
}

// insert adds the row of a stay that has none.
func (a *addresses) insert(c *claim, applied AppliedTerm, status Field) {
	s := c.stay
	row := AddressRow{
		OffenderID: a.have.OffenderID, TypeID: a.refs.A17, A17: true, Status: c.term.Status, StatusID: a.refs.status(c.term.Status), End: c.term.End,
		Lines: s.lines, Start: s.start, ByCAS3: true, NoFixed: "N", Verified: "N", PartitionArea: new(int64),
	}
	a.out.AppliedTerms = append(a.out.AppliedTerms, applied)
	a.out.Changes = append(a.out.Changes, &InsertAddress{
		Row: row,
		Applied: AppliedAddress{
			Booking: s.Booking, Lines: s.Lines, Start: s.Start, Departure: s.departure, Events: s.Hashes,
			Placed: a.have.placedBy(s.Booking),
		},
		Fields: inserted([]Field{
			{Name: "lines", To: s.lines.String(), Events: s.arrivedBy},
			{Name: "start", To: dateString(s.start), Events: s.arrivedBy},
			status,
		}),
	})
}
