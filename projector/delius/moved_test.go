package delius_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// everybody looks at everyone, who must have nothing to do afterwards.
func (s *scene) everybody() {
	s.t.Helper()
	s.Project(s.now)
	require.Zero(s.t, s.Project(s.now), "the second diff is empty")
}

// waiting is how much waits for a person to be deleted on another.
func (s *scene) waiting(person int64) (count int) {
	for _, parked := range s.parked[person] {
		if parked.Cause == delius.PersonChanged {
			count++
		}
	}
	return count
}

// obey deletes every live row of a person, as they are asked to.
func (s *scene) obey(person int64) {
	for _, c := range s.contacts {
		c.Deleted = c.Deleted || c.OffenderID == person
	}
	for _, a := range s.addresses {
		a.Deleted = a.Deleted || a.OffenderID == person
	}
}

func named(e store.Event, crn store.CRN) store.Event {
	e.CRN = crn
	return e
}

func TestPersonChangesThereAndBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before    func(*scene) // they turn out to be somebody else's
		meanwhile func(*scene) // they are somebody else's, as they should not be
		after     func(*scene) // they wait to be deleted there
		rows      int          // that there are of the arrival in the end, dead ones too
	}{
		"every row deleted as advised":    {rows: 3},
		"deleted by somebody long before": {before: func(s *scene) { s.obey(1) }, rows: 3},
		"deleted there before it is corrected": {
			meanwhile: func(s *scene) { s.obey(2) }, rows: 3,
		},
		"taken out of the tables there": {
			after: func(s *scene) {
				maps.DeleteFunc(s.contacts, func(_ int64, c *contact) bool { return c.OffenderID == 2 })
				maps.DeleteFunc(s.addresses, func(_ int64, a *delius.AddressRow) bool { return a.OffenderID == 2 })
			},
			rows: 2,
		},
		"one that was there is restored": {
			after: func(s *scene) {
				for _, c := range s.contacts {
					c.Deleted = c.Deleted && c.OffenderID != 1
				}
				for _, a := range s.addresses {
					a.Deleted = a.Deleted && a.OffenderID != 1
				}
			},
			rows: 2,
		},
		"another is entered by hand": {
			after: func(s *scene) {
				s.write("EAAR", 1, "Arrival date: 01/01/2024\nArrival address: 1 Long Lane LS1 2AB Leeds")
				s.enter("P", "01-01", "02-03", atHouse)
			},
			rows: 3,
		},
		"the ledger is lost while it is somebody else's": {
			meanwhile: func(s *scene) { s.dropLedger(); s.everybody() }, rows: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			step := func(do func(*scene)) {
				if do != nil {
					do(s)
					s.everybody()
				}
			}
			s.Store(arrives(1, "01-01", "01-01", house))
			s.everybody()
			step(test.before)
			s.Store(named(departs(1, "02-01", "02-01"), "X000002"))
			s.everybody()
			s.obey(1)
			s.everybody()
			require.Zero(t, s.waiting(2))
			step(test.meanwhile)
			s.Store(redeparts(1, "02-02", "02-03"))
			s.everybody()
			step(test.after)
			s.obey(2)
			s.everybody()
			require.Zero(t, s.waiting(1))

			var live []string
			arrivals := 0
			for _, row := range s.shown() {
				if row.Type == "EAAR" {
					arrivals++
				}
				if !row.Deleted {
					live = append(live, row.CRN+row.Type+row.Address)
				}
			}
			assert.ElementsMatch(t, []string{
				"X000001EAAR", "X000001EADP", "X000001P|2024-01-01T00:00:00|2024-02-03T00:00:00||1 Long Lane|||Leeds|LS1 2AB",
			}, live)
			assert.Equal(t, test.rows, arrivals)
			assert.Len(t, s.addresses, test.rows)

			s.obey(1)
			s.everybody()
			assert.Empty(t, slices.DeleteFunc(s.shown(), func(row shown) bool { return row.Deleted }), "a person's deletion counts again")
		})
	}
}

func TestRowThatABookingLeftBehindIsNoOtherBookings(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.Store(arrives(1, "01-01", "01-01", house))
	s.everybody()
	s.Store(named(departs(1, "02-01", "02-01"), "X000002"))
	s.everybody()
	s.obey(1)
	s.everybody()
	s.Store(arrives(2, "02-02", "01-01", house))
	s.everybody()
	assert.Equal(t, []string{"deleted M 2024-01-01..", "P 2024-01-01..2024-02-01", "M 2024-01-01.."}, s.homes())
}

// rename stores an event that gives a referral to a person: a copy of one of its events,
// or one of that type that cannot be used and so counts for the person alone.
func (p *pair) rename(r *rapid.T, e store.Event, to store.CRN) {
	e.ID, e.Emitted, e.CRN = fmt.Sprint("renamed ", len(p.stored)), p.now, to
	if rapid.IntRange(0, 2).Draw(r, "copy") > 0 {
		e.Body = []byte("{}")
	}
	p.store(e)
}

// thereAndBack gives a referral to somebody else and back again. Most times people look in
// between and delete what they are asked to.
func (p *pair) thereAndBack(r *rapid.T) {
	if len(p.stored) == 0 {
		return
	}
	e := p.stored[rapid.IntRange(0, len(p.stored)-1).Draw(r, "event of the referral")]
	others := rapid.SampledFrom(p.fake.offenders)
	for _, to := range []store.CRN{others.Draw(r, "to").CRN, e.CRN} {
		p.rename(r, e, to)
		for range rapid.IntRange(0, 3).Draw(r, "looks") {
			p.project(r)
			p.obey(r)
		}
	}
}

// obey deletes in both what is parked as another person's, but for what is left undone
// today.
func (p *pair) obey(r *rapid.T) {
	contacts, addresses := p.fake.advised()
	for _, id := range contacts {
		if rapid.IntRange(0, 4).Draw(r, "left undone") == 0 {
			continue
		}
		row := p.fake.contacts[id]
		twin := only(p.twin.Contacts(), func(c *deliustest.Contact) bool {
			return c.URN == row.URN && string(c.CRN) == p.fake.crn(row.OffenderID) && !c.Deleted
		})
		if twin != nil {
			row.Deleted, row.UpdatedBy, twin.Deleted = true, deliustest.Practitioner, true
			p.twin.Edited(twin, p.now)
		}
	}
	for _, id := range addresses {
		row := p.fake.addresses[id]
		if twin := p.twinOf(row); twin != nil && rapid.IntRange(0, 4).Draw(r, "left undone") > 0 {
			row.Deleted, row.ByCAS3, twin.Deleted = true, false, true
			p.twin.Edited(twin, p.now)
		}
	}
}

// advised are the rows that somebody is asked to delete because they stand on a person
// whose they are not.
func (f *fake) advised() (contacts, addresses []int64) {
	for _, o := range f.offenders {
		for _, parked := range f.parked[o.ID] {
			switch {
			case parked.Cause != delius.PersonChanged:
			case parked.Address:
				addresses = append(addresses, f.appliedAddresses[parked.Referral].AddressID)
			default:
				for _, id := range slices.Sorted(maps.Keys(f.contacts)) {
					if c := f.contacts[id]; c.URN == parked.URN && c.OffenderID != o.ID && !c.Deleted {
						contacts = append(contacts, id)
					}
				}
			}
		}
	}
	return contacts, addresses
}

func TestRowsStandOnTheRightPersonOnceHoweverOftenItChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		p := newPair(histories)
		p.fake.addOddRecorders() // or they would park what must come back
		look := func() {
			for contacts, addresses := []int64{0}, []int64(nil); len(contacts)+len(addresses) > 0; {
				p.fake.Project(p.now)
				contacts, addresses = p.fake.advised()
				for _, id := range contacts {
					p.fake.contacts[id].Deleted = true
				}
				for _, id := range addresses {
					p.fake.addresses[id].Deleted = true
				}
			}
		}
		for _, e := range shuffled(r, events(histories)) {
			p.store(e)
			if rapid.Bool().Draw(r, "look") {
				look()
			}
			if rapid.IntRange(0, 2).Draw(r, "change") == 0 {
				p.rename(r, e, rapid.SampledFrom(p.fake.offenders).Draw(r, "to").CRN)
				p.now = p.now.AddDate(0, 0, 1)
			}
		}
		look()
		require.Zero(r, p.fake.Project(p.now), "the second diff is empty")
		p.fake.requireEverythingOnce(r)
	})
}

// requireEverythingOnce holds that every contact and every stay has one live row, on its
// person.
func (f *fake) requireEverythingOnce(t require.TestingT) {
	people := f.byPerson()
	want, stand := []string{}, []string{}
	for _, o := range f.offenders {
		desired := delius.Fold(people[o.ID])
		for _, c := range desired.Contacts {
			want = append(want, fmt.Sprint(o.ID, " ", c.URN))
		}
		for _, s := range desired.Stays {
			if s.Arrived {
				want = append(want, fmt.Sprint(o.ID, " address ", s.Lines, s.Start))
			}
		}
	}
	for _, c := range f.contacts {
		if !c.Deleted {
			stand = append(stand, fmt.Sprint(c.OffenderID, " ", c.URN))
		}
	}
	for _, a := range f.addresses {
		if !a.Deleted {
			stand = append(stand, fmt.Sprint(a.OffenderID, " address ", a.Lines, a.Start))
		}
	}
	slices.Sort(want)
	slices.Sort(stand)
	require.Equal(t, want, stand)
}
