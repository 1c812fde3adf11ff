package deliustest

import (
	"fmt"
	"time"
)

// decide says what status and end date every claim gets. The claims are in order.
func decide(claims []claim) {
	if len(claims) == 0 {
		return
	}
	last := &claims[len(claims)-1]
	var main *claim
	if last.end.IsZero() && (last.hand == follows || last.row.Status == Main) {
		main = last
	}
	moves := main != nil && main.hand == follows &&
		(main.row == nil || main.row.Deleted || main.row.Status != Main)
	for i := range claims {
		c := &claims[i]
		if c.hand != follows && !c.yields(main, moves, c == last) {
			c.status, c.until = c.row.Status, c.row.End
			continue
		}
		switch {
		case !c.end.IsZero():
			c.status, c.until = Previous, c.end
		case c == last:
			c.status = Main
		default:
			c.status, c.until = Previous, claims[i+1].start
		}
	}
}

// yields makes a row whose status and end are not ours give way, if it is at M although
// the person moved on: what is somebody else's and has an end always, what is a
// practitioner's or a stay's only when the main address moves. A stay that a
// practitioner reopened then ends when its person left, if they did.
func (c *claim) yields(main *claim, moves, last bool) bool {
	if c.row.Status != Main {
		return false
	}
	if c.stay == nil && c.hand == kept {
		return !last
	}
	if main == nil || main == c {
		return false
	}
	c.overridden = moves
	if moves && c.stay != nil && c.end.IsZero() {
		c.hand, c.end = follows, c.stay.departure()
	}
	return moves
}

// write writes what changed of a claim's row.
func (t *Twin) write(person Offender, c *claim, now time.Time) {
	if c.row == nil {
		t.moveIn(person, c, now)
		return
	}
	next := *c.row
	if c.stay != nil {
		t.changeStay(person, &next, c.stay)
	}
	settled := c.row.Deleted || next.Status != c.status || !next.End.Equal(c.until)
	if settled {
		if c.overridden {
			t.conflict(c.subject(), "status", next.Status+" "+day(next.End))
		}
		next.Status, next.End = c.status, c.until
	}
	if next == *c.row {
		return
	}
	next.UpdatedBy, next.Updated = CAS3User, now
	_, ever := t.memory[next.ID]
	own := c.hand != follows && !c.end.IsZero()
	if settled || own && !ever {
		t.memory[next.ID] = written{next.Status, next.End, own, t.unended(c.row)}
	}
	from := c.row.CRN
	next.CRN = from
	*c.row = next
	if c.stay != nil && from != person.CRN {
		t.bring(c.row, person.CRN)
	}
}

// moveIn adds the row of a stay.
func (t *Twin) moveIn(person Offender, c *claim, now time.Time) {
	row := Address{
		CRN: person.CRN, Type: CAS3Address, Status: c.status, Start: c.start, End: c.until,
		CreatedBy: CAS3User, UpdatedBy: CAS3User,
	}
	row.move(c.stay.place())
	c.row = t.InsertAddress(row, now)
	t.memory[c.row.ID] = written{status: c.status, end: c.until, open: true}
	t.let(c.stay.id, tenancy{
		row: c.row.ID, lines: c.stay.place(), start: c.stay.start(), departure: c.stay.departure(),
		placed: t.inserted(person, c.stay.id),
	})
}

// changeStay is the three-way merge of what only a stay's own row shows: its lines and
// its start. A row that was deleted returns.
func (t *Twin) changeStay(person Offender, next *Address, s *stay) {
	l, stands := s.ledger, next.place()
	if want := s.place(); want != l.lines && want != stands {
		if stands != l.lines {
			t.conflict(s.id.String(), "lines", stands.String())
		}
		next.move(want)
	}
	if want := s.start(); !want.Equal(l.start) && !want.Equal(next.Start) {
		if !next.Start.Equal(l.start) {
			t.conflict(s.id.String(), "start", day(next.Start))
		}
		next.Start = want
	}
	if next.Deleted {
		t.conflict(s.id.String(), "deleted", "yes")
		next.Deleted = false
	}
	t.tenancies[s.id] = tenancy{l.row, s.place(), s.start(), s.departure(), l.eliminated, t.home(person, next.CRN, l.placed)}
	next.CRN = person.CRN
}

func (c *claim) subject() string {
	if c.stay != nil {
		return c.stay.id.String()
	}
	return fmt.Sprintf("address %d", c.row.ID)
}

// day is a date in a message, "" for none.
func day(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.DateOnly)
}
