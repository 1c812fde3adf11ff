package deliustest

import (
	"cmp"
	"slices"
	"time"

	"casdelius/store"
)

// written is the status and end date that we last wrote in a row.
type written struct {
	status string
	end    time.Time
	own    bool // the end was a practitioner's and is kept
	open   bool // the row had no end before we wrote one
}

// claim is one claim to be the person's main address: a stay's, or another row's.
type claim struct {
	row   *Address // nil for a stay that has none yet
	stay  *stay    // nil for another row
	start time.Time
	known time.Time
	end   time.Time // an end of its own; zero for none

	hand       hand
	overridden bool   // a practitioner's status and end give way
	status     string // what comes of it
	until      time.Time
}

// hand says whose the status and end of a row are.
type hand int

const (
	follows hand = iota // ours: the claims decide
	kept                // the end stands, being a practitioner's or the older service's
	edited              // a practitioner changed what we had written
)

// settle gives every claim of a person its status and end, and writes what changed.
func (t *Twin) settle(person Offender, stays []*stay, now time.Time) {
	claims := t.claims(person, stays)
	if !t.concerned(person, claims) {
		return
	}
	for i := range claims {
		t.judge(&claims[i], claims)
	}
	slices.SortFunc(claims, func(a, b claim) int { return a.compare(b) })
	decide(claims)
	for i := range claims {
		t.write(person, &claims[i], now)
	}
}

// claims lists a person's claims: the stays, but for those whose row a practitioner
// deleted, and every other live row that is or was main.
func (t *Twin) claims(person Offender, stays []*stay) []claim {
	var all []claim
	owned := map[*Address]bool{}
	for _, s := range stays {
		owned[s.row] = true
		if s.row != nil && s.row.Deleted && !s.changed() {
			continue
		}
		c := claim{row: s.row, stay: s, start: s.willStart(), known: s.known()}
		if len(s.housed) == 0 {
			c.known = s.row.Created
		}
		all = append(all, c)
	}
	for _, a := range t.byPerson[person.CRN] {
		ours, _ := t.remembered(a)
		was := a.Status == Previous && (!a.End.IsZero() || ours)
		if !owned[a] && !a.Deleted && (a.Status == Main || was) && !t.leaving(person, a) {
			left := t.tenancies[t.owner[a.ID]].departure // of a booking that is somebody else's by now
			all = append(all, claim{row: a, start: a.Start, known: a.Created, end: left})
		}
	}
	return all
}

// concerned says whether the addresses of this person are any of our business.
func (t *Twin) concerned(person Offender, claims []claim) bool {
	for _, a := range t.byPerson[person.CRN] {
		if _, ours := t.memory[a.ID]; ours {
			return true
		}
	}
	return slices.ContainsFunc(claims, func(c claim) bool { return c.stay != nil })
}

// remembered says whether a row still has what we last wrote in it, if we ever did.
func (t *Twin) remembered(a *Address) (current, ever bool) {
	m, ever := t.memory[a.ID]
	return ever && a.Status == m.status && a.End.Equal(m.end), ever
}

// judge finds whose the status and end of a claim's row are, and the end that the
// claim has of its own.
func (t *Twin) judge(c *claim, all []claim) {
	if c.stay != nil {
		c.end = c.stay.departure()
	}
	if c.row == nil || c.row.Deleted { // comes, or comes back
		return
	}
	departs := c.end
	current, ever := t.remembered(c.row)
	switch {
	case current && !t.memory[c.row.ID].own:
	case !ever && c.row.Status == Main && c.row.End.IsZero():
	case !ever && c.stay != nil && c.row.Status == Proposed: // as if nobody had written it
		c.overridden = !c.row.End.IsZero()
	case !ever && c.endedByOlderService(all):
	case ever && !current:
		c.hand, c.end = edited, c.row.End
	default:
		c.hand, c.end = kept, c.row.End
	}
	if c.stay != nil && c.hand != follows && !departs.Equal(c.stay.ledger.departure) {
		c.hand, c.end, c.overridden = follows, departs, true
	}
}

// endedByOlderService says whether the row's end is what the older service made of the
// stay's departure, or of the arrival that another claim is about, corrected since or
// not.
func (c *claim) endedByOlderService(all []claim) bool {
	end := c.row.End
	if end.IsZero() || c.row.UpdatedBy != CAS3User {
		return false
	}
	return end.Equal(c.end) || slices.ContainsFunc(all, func(o claim) bool {
		return o.row != c.row && (o.start.Equal(end) || o.stay != nil && slices.ContainsFunc(o.stay.arrivals, func(e *event) bool {
			return store.Date(e.at).Equal(end)
		}))
	})
}

func (c claim) compare(o claim) int {
	if order := cmp.Or(c.start.Compare(o.start), c.known.Compare(o.known)); order != 0 {
		return order
	}
	switch {
	case c.stay != nil && o.stay != nil:
		return c.stay.id.Compare(o.stay.id)
	case c.stay == nil && o.stay == nil:
		return cmp.Compare(c.row.ID, o.row.ID)
	case c.stay != nil:
		return -1
	}
	return 1
}
