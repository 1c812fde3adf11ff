package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// visit is a practitioner who looks at a case and changes one row by hand, before CAS
// has one more thing to say about the same person.
//
// The result must not depend on when the projector looks, so:
//   - The change is made when all that was raised of the person before has been
//     projected: the row stands, and says what it would say in any order.
//   - It is a change of what only events of that same row write. A look between it and
//     the next event, because a message comes twice say, finds nothing to do. (Dates
//     and statuses of addresses are not like that: changing one moves the others.)
//   - One event follows, so there is only one way to get from the row as it was left
//     by hand to the row as it ends.
type visit struct {
	hand
	crn   store.CRN
	row   row         // the zero row where there is nothing to change
	after []store.Key // the events that have to be projected before
	then  message     // what CAS raises next
}

// row is how both sides find the row: a contact by its URN, an address by where and
// when it begins.
type row struct {
	urn              string
	street, postcode string
	start            time.Time
}

// hand is what a practitioner changes.
type hand int

const (
	addsNote      hand = iota // a line at the end of the notes
	correctsTime              // to when the person really came
	deletes                   // the contact
	correctsPlace             // the first line of a stay's address
	hands                     // how many there are
)

func (h hand) String() string {
	return [...]string{"added a line to a contact's notes", "corrected a contact's time", "deleted a contact", "corrected an address"}[h]
}

const (
	addedNote     = "Checked by the practitioner: came with family."
	correctedFlat = "Flat 2"
)

func correctedTime(at time.Time) time.Time { return at.Add(-95 * time.Minute) }

// visitSome lets practitioners visit an eighth of the people. It tells the reference
// all that is raised, and returns it but for the events that wait for a visit.
func (s *story) visitSome(chance *rand.Rand, histories []storetest.History) []*storetest.Raised {
	var told []*storetest.Raised
	for n, h := range histories {
		waits := -1
		if n%8 == 3 && !s.waitsForStaff(h) {
			waits = worthWaiting(h.Events)
		}
		var before []*storetest.Raised
		for i := range h.Events {
			if i != waits {
				before = append(before, &h.Events[i])
				s.reference.Store(h.Events[i].Event)
			}
		}
		told = append(told, before...)
		if waits >= 0 {
			then := message{Raised: &h.Events[waits], id: messageID(chance)}
			s.visits = append(s.visits, &visit{crn: h.Person.CRN, after: known(before), then: then})
		}
	}
	now := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC) // when rows are written is not compared
	s.reference.Project(now)
	for n, v := range s.visits {
		v.hand = hand(n) % hands
		s.visit(v, now)
		s.reference.Store(v.then.Event)
	}
	s.reference.Project(now)
	return told
}

// known are the identities of the events that have an effect.
func known(events []*storetest.Raised) (keys []store.Key) {
	for _, e := range events {
		if e.Type.Known() {
			keys = append(keys, e.Key())
		}
	}
	return keys
}

// waitsForStaff says whether some of a person's contacts may be parked for want of the
// member of staff who is withheld.
func (s *story) waitsForStaff(h storetest.History) bool {
	return s.withheld.Staff != "" && slices.ContainsFunc(h.Events, func(r storetest.Raised) bool {
		return strings.Contains(string(r.Body), s.withheld.Staff)
	})
}

// worthWaiting is the index of the event before which a practitioner comes: the last
// that changes what an earlier one said, else the last; -1 where there are too few.
func worthWaiting(events []storetest.Raised) int {
	last := -1
	for i, e := range events {
		if e.Type.Known() {
			last = i
		}
	}
	for i, e := range slices.Backward(events) {
		if e.Type.Updated() || e.Type == store.ApplicationStatusUpdated {
			last = i
			break
		}
	}
	if len(events) < 3 {
		return -1
	}
	return last
}

// visit visits at the reference: it finds a row and changes it. Whoever has no
// address that could be corrected gets a note instead; whoever has no contact, because
// all that was raised is unusable, stays as they are.
func (s *story) visit(v *visit, now time.Time) {
	if v.hand == correctsPlace {
		if a := s.onlyStay(v.crn); a != nil {
			v.row = row{street: a.Street, postcode: a.Postcode, start: a.Start}
			a.Building = correctedFlat
			s.reference.Edited(a, now)
			return
		}
		v.hand = addsNote
	}
	c := s.contactFor(v)
	if c == nil {
		return
	}
	v.row.urn = c.URN
	switch v.hand {
	case addsNote:
		c.Notes += "\n" + addedNote
	case correctsTime:
		c.Start = correctedTime(c.Start)
		c.Date = store.Date(c.Start)
	case deletes:
		c.Deleted = true
	}
	s.reference.Edited(c, now)
}

// contactFor is the person's contact that the next event is about, else their first.
func (s *story) contactFor(v *visit) *deliustest.Contact {
	var best *deliustest.Contact
	for _, c := range s.reference.Contacts() {
		if c.CRN != v.crn {
			continue
		}
		about := strings.HasSuffix(c.URN, v.then.Referral.String())
		if best == nil || about && !strings.HasSuffix(best.URN, v.then.Referral.String()) {
			best = c
		}
	}
	return best
}

// onlyStay is the person's only stay that has an address.
func (s *story) onlyStay(crn store.CRN) *deliustest.Address {
	var stays []*deliustest.Address
	for _, a := range s.reference.Addresses() {
		if a.CRN == crn && a.Type == deliustest.CAS3Address {
			stays = append(stays, a)
		}
	}
	if len(stays) != 1 {
		return nil
	}
	return stays[0]
}
