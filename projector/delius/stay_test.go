package delius_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/store"
)

func TestRowsThatAreNotOursAmongTheClaims(t *testing.T) {
	t.Parallel()
	byPractitioner := func(a *delius.AddressRow) { otherType(a) }
	byOlderService := func(a *delius.AddressRow) { otherType(a); olderService(a) }
	for name, test := range map[string]struct {
		status, start, end string
		who                func(*delius.AddressRow)
		row, stay          string // what becomes of it, and of a stay from 1 February
	}{
		"main ends when the person moves in":           {"M", "01-01", "", byPractitioner, "P 2024-01-01..2024-02-01", "M 2024-02-01.."},
		"main without a start too":                     {"M", "", "", byPractitioner, "P ..2024-02-01", "M 2024-02-01.."},
		"a later move stays main":                      {"M", "03-01", "", byPractitioner, "M 2024-03-01..", "P 2024-02-01..2024-03-01"},
		"a later move that ended":                      {"P", "03-01", "04-01", byPractitioner, "P 2024-03-01..2024-04-01", "P 2024-02-01..2024-03-01"},
		"a later move that ends, at main":              {"M", "03-01", "04-01", byPractitioner, "M 2024-03-01..2024-04-01", "P 2024-02-01..2024-03-01"},
		"its own end stands":                           {"P", "01-01", "01-15", byPractitioner, "P 2024-01-01..2024-01-15", "M 2024-02-01.."},
		"its own end stands, the status gives way":     {"M", "01-01", "01-15", byPractitioner, "P 2024-01-01..2024-01-15", "M 2024-02-01.."},
		"an end beyond the arrival stands":             {"P", "01-01", "05-01", byPractitioner, "P 2024-01-01..2024-05-01", "M 2024-02-01.."},
		"a practitioner's end on the arrival":          {"M", "01-01", "02-01", byPractitioner, "P 2024-01-01..2024-02-01", "M 2024-02-01.."},
		"the older service's end on the arrival":       {"P", "01-01", "02-01", byOlderService, "P 2024-01-01..2024-02-01", "M 2024-02-01.."},
		"the older service's other end is its own":     {"P", "01-01", "01-20", byOlderService, "P 2024-01-01..2024-01-20", "M 2024-02-01.."},
		"previous without an end is no claim":          {"P", "03-01", "", byPractitioner, "P 2024-03-01..", "M 2024-02-01.."},
		"another status is no claim":                   {"S", "03-01", "", byPractitioner, "S 2024-03-01..", "M 2024-02-01.."},
		"on one day, what was known first ends":        {"M", "02-01", "", byPractitioner, "P 2024-02-01..2024-02-01", "M 2024-02-01.."},
		"A17 at another place is like any other":       {"M", "01-01", "", func(*delius.AddressRow) {}, "P 2024-01-01..2024-02-01", "M 2024-02-01.."},
		"deleted is no claim, whatever it says":        {"M", "03-01", "", func(a *delius.AddressRow) { a.Deleted = true }, "deleted M 2024-03-01..", "M 2024-02-01.."},
		"previous with an end before it began is kept": {"P", "01-05", "01-01", byPractitioner, "P 2024-01-05..2024-01-01", "M 2024-02-01.."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			row := s.enter(test.status, test.start, test.end, atMill, test.who)
			before := *row
			s.look(arrives(1, "02-01", "02-01", house))
			assert.Equal(t, test.row, term(s.addresses[before.ID]))
			assert.Equal(t, test.stay, term(s.addresses[s.appliedAddresses[referral(1)].AddressID]))
			assert.Empty(t, s.conflicts)

			after := *s.addresses[before.ID]
			after.Status, after.End, after.ByCAS3 = before.Status, before.End, before.ByCAS3
			assert.Equal(t, before, after, "nothing but status and end is ever written")
		})
	}
}

func TestEndsThatWeGaveFollowTheClaims(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("M", "01-01", "", delius.Lines{Street: "By hand"}, otherType)
	s.look(arrives(1, "02-01", "02-01", house))
	s.look(arrives(2, "03-01", "03-01", mill))
	assert.Equal(t, []string{"P 2024-01-01..2024-02-01", "P 2024-02-01..2024-03-01", "M 2024-03-01.."}, s.homes())

	s.look(rearrives(1, "03-02", "04-01", house))
	assert.Equal(t, []string{"P 2024-01-01..2024-03-01", "M 2024-04-01..", "P 2024-03-01..2024-04-01"}, s.homes())

	s.address(1).Deleted = true
	s.look()
	assert.Equal(t, []string{"P 2024-01-01..2024-03-01", "deleted M 2024-04-01..", "M 2024-03-01.."}, s.homes())

	s.address(2).Deleted = true
	s.look()
	assert.Equal(t, "M 2024-01-01..", s.homes()[0], "what was main before the stays is main again")
}

func TestAnEndThatNobodyKnowsIsRemembered(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("M", "", "", atMill, otherType)
	s.enter("M", "", "", delius.Lines{Street: "Another"}, otherType)
	s.look(arrives(1, "02-01", "02-01", house))
	assert.Equal(t, []string{"P ..", "P ..2024-02-01", "M 2024-02-01.."}, s.homes())

	s.address(1).Deleted = true
	s.look()
	assert.Equal(t, "P ..2024-02-01", s.homes()[0], "it still is a claim")
}

func TestEndsOfTheOlderServiceFollowTheArrivalThatTheyWereAbout(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("P", "01-01", "02-01", delius.Lines{Street: "Before"}, otherType, olderService)
	s.look(arrives(1, "02-01", "02-01", house), arrives(2, "02-02", "01-20", mill))
	assert.Equal(t, []string{"P 2024-01-01..2024-01-20", "P 2024-01-20..2024-02-01", "M 2024-02-01.."}, s.homes())
}

func TestAnOwnEndOutlivesTheStatusBesideIt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("M", "01-01", "01-15", atMill, otherType)
	s.look(arrives(1, "02-01", "02-01", house))
	assert.Equal(t, []string{"P 2024-01-01..2024-01-15", "M 2024-02-01.."}, s.homes())
	assert.True(t, s.appliedTerms[s.address(0).ID].OwnEnd)

	s.look(rearrives(1, "02-02", "01-10", house))
	s.look(departs(1, "02-03", "02-03"))
	assert.Equal(t, []string{"P 2024-01-01..2024-01-15", "P 2024-01-10..2024-02-03"}, s.homes())
}

func TestOurNameOnARowDoesNotMakeItsEndOurs(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("P", "01-01", "02-01", atHouse) // ended by hand, on the day of the next arrival
	s.look(arrives(1, "01-01", "01-01", house), arrives(2, "02-01", "02-01", mill))
	assert.Equal(t, referral(1), s.appliedAddresses[referral(1)].Booking)
	assert.Len(t, s.addresses, 2)

	s.look(rearrives(1, "02-02", "01-01", house.with(fields{"town": "Leeds"})))
	assert.Equal(t, "Leeds", s.address(0).Lines.Town)
	s.look(rearrives(2, "02-03", "03-01", mill))
	assert.Equal(t, []string{"P 2024-01-01..2024-02-01", "M 2024-03-01.."}, s.homes(), "the end is still the person's")
}

func TestStatusAndEndThatAPersonSetOnAStay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status, end string
		next        []store.Event
		want        []string
		replaced    []string
	}{
		"an end, then a move": {
			"P", "01-20",
			[]store.Event{arrives(2, "02-01", "02-01", mill)},
			[]string{"P 2024-01-01..2024-01-20", "M 2024-02-01.."},
			nil,
		},
		"an end beyond the move": {
			"P", "03-01",
			[]store.Event{arrives(2, "02-01", "02-01", mill)},
			[]string{"P 2024-01-01..2024-03-01", "M 2024-02-01.."},
			nil,
		},
		"an end at main: its status gives way to another main address": {
			"M", "03-01",
			[]store.Event{arrives(2, "02-01", "02-01", mill)},
			[]string{"P 2024-01-01..2024-03-01", "M 2024-02-01.."},
			[]string{"status: M 2024-03-01"},
		},
		"an end at main: another stay that ended does not matter": {
			"M", "03-01",
			[]store.Event{arrives(2, "02-01", "02-01", mill), departs(2, "02-05", "02-05")},
			[]string{"M 2024-01-01..2024-03-01", "P 2024-02-01..2024-02-05"},
			nil,
		},
		"previous without an end": {
			"P", "",
			[]store.Event{arrives(2, "02-01", "02-01", mill)},
			[]string{"P 2024-01-01..", "M 2024-02-01.."},
			nil,
		},
		"another status": {
			"S", "",
			[]store.Event{arrives(2, "02-01", "02-01", mill)},
			[]string{"S 2024-01-01..", "M 2024-02-01.."},
			nil,
		},
		"an end, then a departure": {
			"P", "01-20", []store.Event{departs(1, "01-25", "01-25")}, []string{"P 2024-01-01..2024-01-25"}, []string{"status: P 2024-01-20"},
		},
		"the end that the departure gives": {
			"P", "01-20", []store.Event{departs(1, "01-25", "01-20")}, []string{"P 2024-01-01..2024-01-20"}, nil,
		},
		"previous without an end, then a departure": {
			"P", "", []store.Event{departs(1, "01-25", "01-25")}, []string{"P 2024-01-01..2024-01-25"}, []string{"status: P"},
		},
		"another status, then a departure": {
			"S", "", []store.Event{departs(1, "01-25", "01-25")}, []string{"P 2024-01-01..2024-01-25"}, []string{"status: S"},
		},
		"an end, then other premises": {
			"P", "01-20", []store.Event{rearrives(1, "01-25", "01-01", mill)}, []string{"P 2024-01-01..2024-01-20"}, nil,
		},
		"an end, then another arrival date": {
			"P", "01-20", []store.Event{rearrives(1, "01-25", "01-02", house)}, []string{"P 2024-01-02..2024-01-20"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(arrives(1, "01-01", "01-01", house))
			row := s.address(0)
			row.Status, row.ByCAS3 = test.status, false
			if test.end != "" {
				row.End = on(test.end)
			}
			assert.Empty(t, s.look().Changes, "it is left as it stands")
			s.look(test.next...)
			assert.Equal(t, test.want, s.homes())
			assert.Equal(t, test.replaced, s.replaced())
		})
	}
}

func TestDepartureBeforeTheArrivalTakesNoEndFromAPerson(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-05", "01-05", house))
	s.address(0).Status, s.address(0).End = "P", on("01-20")
	s.look(departs(1, "01-25", "01-01"))
	assert.Equal(t, []string{"P 2024-01-05..2024-01-20"}, s.homes())
	assert.Empty(t, s.conflicts)
}

func TestDepartureThatGoesOpensTheStayThatAPersonEnded(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-05", "01-05", house), departs(1, "01-10", "01-10"))
	s.address(0).End = on("01-20")
	s.look(redeparts(1, "01-25", "01-01"))
	assert.Equal(t, []string{"M 2024-01-05.."}, s.homes())
	assert.Equal(t, []string{"status: P 2024-01-20"}, s.replaced())
}

func TestReopenedRowEndsWhenAnotherBecomesMain(t *testing.T) {
	t.Parallel()
	t.Run("a row that is not ours", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		row := s.enter("M", "01-01", "", delius.Lines{Street: "By hand"}, otherType)
		s.look(arrives(1, "02-01", "02-01", house))
		row = s.addresses[row.ID]
		row.Status, row.End = "M", time.Time{}
		assert.Empty(t, s.look().Changes)
		assert.Equal(t, []string{"M 2024-01-01..", "M 2024-02-01.."}, s.homes(), "left as it stands")
		s.look(arrives(2, "03-01", "03-01", mill))
		assert.Equal(t, []string{"P 2024-01-01..2024-02-01", "P 2024-02-01..2024-03-01", "M 2024-03-01.."}, s.homes())
		assert.Equal(t, []string{"status: M"}, s.replaced())
	})
	t.Run("a row that is not ours, with an end", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		row := s.enter("M", "01-01", "", delius.Lines{Street: "By hand"}, otherType)
		s.look(arrives(1, "02-01", "02-01", house))
		row = s.addresses[row.ID]
		row.Status, row.End = "M", on("06-01")
		s.look(arrives(2, "03-01", "03-01", mill))
		assert.Equal(t, []string{"P 2024-01-01..2024-06-01", "P 2024-02-01..2024-03-01", "M 2024-03-01.."}, s.homes())
		assert.Equal(t, []string{"status: M 2024-06-01"}, s.replaced())
		s.look(rearrives(2, "03-02", "04-01", mill))
		assert.Equal(t, "P 2024-01-01..2024-06-01", s.homes()[0], "its end is still its own")
	})
	t.Run("a stay that its person left", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		s.look(arrives(1, "01-01", "01-01", house), departs(1, "01-05", "01-05"))
		s.address(0).Status, s.address(0).End = "M", time.Time{}
		s.look(arrives(2, "02-01", "02-01", mill))
		assert.Equal(t, []string{"P 2024-01-01..2024-01-05", "M 2024-02-01.."}, s.homes())
		assert.Equal(t, []string{"status: M"}, s.replaced())
	})
	t.Run("an adopted stay at main with an end of its own", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		s.enter("M", "01-01", "06-01", atHouse)
		s.look(arrives(1, "01-01", "01-01", house))
		assert.Equal(t, []string{"M 2024-01-01..2024-06-01"}, s.homes())
		s.look(arrives(2, "02-01", "02-01", mill))
		assert.Equal(t, []string{"P 2024-01-01..2024-06-01", "M 2024-02-01.."}, s.homes())
		assert.Equal(t, []string{"status: M 2024-06-01"}, s.replaced())
	})
}

func TestLinesAndStartOfAStayAreMerged(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-05", "01-05", house))
	row := s.address(0)
	row.Lines.Building, row.Start = "Flat 2", on("01-02")
	s.look(departs(1, "01-06", "01-06"))
	s.look(rearrives(1, "01-07", "01-05", house.with(fields{"addressLine2": " "})))
	assert.Equal(t, "Flat 2", s.address(0).Lines.Building, "the events say the same as before")
	assert.Equal(t, []string{"P 2024-01-02..2024-01-06"}, s.homes())

	s.look(rearrives(1, "01-08", "01-03", mill))
	assert.Equal(t, atMill, s.address(0).Lines)
	assert.Equal(t, []string{"P 2024-01-03..2024-01-06"}, s.homes())
	assert.Equal(t, []string{"lines: Flat 2\n1 Long Lane\nLeeds\nLS1 2AB", "start: 2024-01-02"}, s.replaced())

	s.address(0).Lines, s.address(0).Start = atHouse, on("01-01")
	s.address(0).Lines.Street += " "
	s.look(rearrives(1, "01-09", "01-01", house))
	assert.Len(t, s.conflicts, 2, "the person had set what the events now say")
	assert.Equal(t, "1 Long Lane ", s.address(0).Lines.Street)
}

func TestClaimsGoByTheStartThatStands(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-01", "01-01", house), arrives(2, "02-01", "02-01", mill))
	s.address(0).Start = on("03-01")
	s.look()
	assert.Equal(t, []string{"M 2024-03-01..", "P 2024-02-01..2024-03-01"}, s.homes())
	s.look(rearrives(1, "03-02", "01-15", house))
	assert.Equal(t, []string{"P 2024-01-15..2024-02-01", "M 2024-02-01.."}, s.homes())
}

func TestDeletedStayClaimsNothingAndReturnsWhenItsOwnEventsChange(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-01", "01-01", house), arrives(2, "02-01", "02-01", mill))
	s.address(1).Deleted = true
	s.look()
	assert.Equal(t, []string{"M 2024-01-01..", "deleted M 2024-02-01.."}, s.homes())

	s.look(departs(1, "03-01", "03-01"))
	s.look(rearrives(2, "03-01", "02-01", mill))
	assert.Equal(t, []string{"P 2024-01-01..2024-03-01", "deleted M 2024-02-01.."}, s.homes(), "nothing of it changed")

	out := s.look(departs(2, "03-02", "03-02"))
	assert.Contains(t, told(out), "update address deleted M 2024-02-01.. -> P 2024-02-01..2024-03-02: deleted, status")
	assert.Equal(t, []string{"P 2024-01-01..2024-03-01", "P 2024-02-01..2024-03-02"}, s.homes())
	assert.Equal(t, []string{"deleted: yes"}, s.replaced(), "the deletion was a person's")
}

func TestDeletedStayReturnsForOtherLinesOrAnotherStart(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]store.Event{
		"lines": rearrives(1, "01-02", "01-01", mill), "start": rearrives(1, "01-02", "01-03", house),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(arrives(1, "01-01", "01-01", house))
			s.address(0).Deleted = true
			require.Empty(t, s.look().Changes)
			s.look(next)
			assert.Equal(t, "M", s.address(0).Status)
			assert.False(t, s.address(0).Deleted)
			assert.Len(t, s.addresses, 1)
		})
	}
}

func TestAddressThatIsGoneIsInsertedAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-01", "01-01", house))
	delete(s.addresses, s.address(0).ID)
	assert.Equal(t, []string{"insert address M 2024-01-01..: lines, start, status"}, told(s.look()))

	delete(s.addresses, s.address(0).ID)
	another := s.enter("M", "01-01", "", atHouse)
	assert.Empty(t, s.look().Changes)
	assert.Equal(t, another.ID, s.appliedAddresses[referral(1)].AddressID, "unless there is one to adopt")
}

func TestPeopleWithoutAStayAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("M", "01-01", "", atHouse, otherType)
	s.enter("M", "02-01", "", atMill, otherType)
	s.look(cancels(1, "01-01", ""), departs(2, "03-01", "03-01"), updatesStatus("01-01", "A"))
	assert.Equal(t, []string{"M 2024-01-01..", "M 2024-02-01.."}, s.homes())
	assert.Empty(t, s.appliedTerms)
}

func TestRowOfABookingThatIsSomebodyElsesKeepsItsDeparture(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(1, "01-01", "01-01", house), departs(1, "01-05", "01-05"))
	moved := rearrives(1, "01-06", "01-01", house)
	moved.CRN = "X000002"
	assert.Empty(t, s.look(moved).Changes)
	assert.Equal(t, []string{"P 2024-01-01..2024-01-05"}, s.homes())
}
