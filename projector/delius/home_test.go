package delius_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"casdelius/projector/delius"
	"casdelius/store"
)

// owned is which of the rows a booking owns, by the order in which they were entered,
// from 1; 0 if it owns none of them.
func (s *scene) owned(booking int, rows ...*delius.AddressRow) int {
	for i, row := range rows {
		if s.appliedAddresses[referral(booking)].AddressID == row.ID {
			return i + 1
		}
	}
	return 0
}

func TestStayTakesTheRowThatStandsForItAlready(t *testing.T) {
	t.Parallel()
	type row struct {
		start, end string
		where      delius.Lines
		change     func(*delius.AddressRow)
	}
	plain := func(*delius.AddressRow) {}
	deleted := func(a *delius.AddressRow) { a.Deleted = true }
	otherLines := delius.Lines{Street: "Elsewhere", Postcode: "LS1 2AB"}
	arrival := []store.Event{arrives(1, "01-06", "01-05", house)}
	corrected := []store.Event{arrives(1, "01-06", "01-05", house), rearrives(1, "01-07", "01-04", house)}
	departed := []store.Event{arrives(1, "01-06", "01-05", house), departs(1, "01-10", "01-09")}
	for name, test := range map[string]struct {
		rows   []row
		events []store.Event
		want   int
	}{
		"start and lines":                   {[]row{{"01-05", "", atHouse, plain}}, arrival, 1},
		"start and place":                   {[]row{{"01-05", "", otherLines, plain}}, arrival, 1},
		"an earlier arrival date and place": {[]row{{"01-05", "", atHouse, plain}}, corrected, 1},
		"no date that the booking had":      {[]row{{"01-03", "", atHouse, plain}}, arrival, 0},
		"no date at all":                    {[]row{{"", "", atHouse, plain}}, arrival, 0},
		"another postcode":                  {[]row{{"01-05", "", delius.Lines{Street: "1 Long Lane", Postcode: "LS1 2AC"}, plain}}, arrival, 0},
		"no postcode":                       {[]row{{"01-05", "", delius.Lines{Street: "1 Long Lane"}, plain}}, arrival, 0},
		"the postcode in another spelling":  {[]row{{"01-05", "", delius.Lines{Postcode: " ls12ab"}, plain}}, arrival, 1},
		"another type":                      {[]row{{"01-05", "", atHouse, otherType}}, arrival, 0},
		"another person":                    {[]row{{"01-05", "", atHouse, func(a *delius.AddressRow) { a.OffenderID = 2 }}}, arrival, 0},
		"the lines before the number":       {[]row{{"01-05", "", otherLines, plain}, {"01-05", "", atHouse, plain}}, arrival, 2},
		"white space in the lines aside":    {[]row{{"01-05", "", otherLines, plain}, {"01-05", "", delius.Lines{Street: "1 Long Lane ", County: "Leeds", Postcode: "LS1 2AB"}, plain}}, arrival, 2},
		"the start before an earlier date":  {[]row{{"01-05", "", atHouse, plain}, {"01-04", "", otherLines, plain}}, corrected, 2},
		"the departure before the number":   {[]row{{"01-05", "", atHouse, plain}, {"01-05", "01-09", atHouse, plain}}, departed, 2},
		"the lines before the departure":    {[]row{{"01-05", "", atHouse, plain}, {"01-05", "01-09", otherLines, plain}}, departed, 1},
		"the lowest number":                 {[]row{{"01-05", "", atHouse, plain}, {"01-05", "", atHouse, plain}}, arrival, 1},
		"the live one":                      {[]row{{"01-05", "", atHouse, deleted}, {"01-05", "", atHouse, plain}}, arrival, 2},
		"the lines before what is live":     {[]row{{"01-05", "", otherLines, plain}, {"01-05", "", atHouse, deleted}}, arrival, 2},
		"one without an end, or with":       {[]row{{"01-05", "01-20", atHouse, plain}}, arrival, 1},
		"a row without an address":          {[]row{{"01-05", "", delius.Lines{}, plain}}, arrival, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			var rows []*delius.AddressRow
			for _, r := range test.rows {
				rows = append(rows, s.enter("M", r.start, r.end, r.where, r.change))
			}
			s.look(test.events...)
			assert.Equal(t, test.want, s.owned(1, rows...))
			want := len(rows)
			if test.want == 0 {
				want++
			}
			assert.Len(t, s.addresses, want)
		})
	}
}

func TestProposedAddressThatCameTrueIsTakenAndBecomesMain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status, end string
		events      []store.Event
		want        []string
		replaced    []string
	}{
		"the person lives there": {
			"PR", "",
			[]store.Event{arrives(1, "01-06", "01-05", house)},
			[]string{"P 2023-01-01..2024-01-05", "M 2024-01-05.."},
			nil,
		},
		"and has left": {
			"PR", "",
			[]store.Event{arrives(1, "01-06", "01-05", house), departs(1, "01-10", "01-09")},
			[]string{"P 2023-01-01..2024-01-05", "P 2024-01-05..2024-01-09"},
			nil,
		},
		"with an end that somebody proposed": {
			"PR", "01-20",
			[]store.Event{arrives(1, "01-06", "01-05", house)},
			[]string{"P 2023-01-01..2024-01-05", "M 2024-01-05.."},
			[]string{"status: PR 2024-01-20"},
		},
		"its base arrival came before the stream": {
			"PR", "",
			[]store.Event{rearrives(1, "01-06", "01-05", house)},
			[]string{"P 2023-01-01..2024-01-05", "M 2024-01-05.."},
			nil,
		},
		"a row of any other status describes something else": {
			"S", "",
			[]store.Event{arrives(1, "01-06", "01-05", house)},
			[]string{"P 2023-01-01..2024-01-05", "S 2024-01-05..", "M 2024-01-05.."},
			nil,
		},
		"so does one without a status": {
			"", "",
			[]store.Event{arrives(1, "01-06", "01-05", house)},
			[]string{"P 2023-01-01..2024-01-05", " 2024-01-05..", "M 2024-01-05.."},
			nil,
		},
		"whatever is known of its booking": {
			"S", "",
			[]store.Event{rearrives(1, "01-06", "01-05", house)},
			[]string{"P 2023-01-01..2024-01-05", "S 2024-01-05..", "M 2024-01-05.."},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			before := s.enter("M", "", "", atMill, otherType)
			before.Start = at("2023-01-01T00:00:00Z")
			s.enter(test.status, "01-05", test.end, atHouse)
			s.look(test.events...)
			assert.Equal(t, test.want, s.homes())
			assert.Equal(t, test.replaced, s.replaced())
		})
	}
}

func TestPlacesWithoutAPostcodeAreComparedByTheirFirstLine(t *testing.T) {
	t.Parallel()
	nowhere := fields{"addressLine1": "1 Long Lane", "addressLine2": "Leeds"}
	for name, test := range map[string]struct {
		row  delius.Lines
		want int
	}{
		"the same":                 {delius.Lines{Street: "1 Long Lane"}, 1},
		"case and spaces aside":    {delius.Lines{Street: " 1  LONG lane"}, 1},
		"a blank building is none": {delius.Lines{Building: " ", Street: "1 Long Lane"}, 1},
		"another":                  {delius.Lines{Street: "2 Long Lane"}, 0},
		"a building before it":     {delius.Lines{Building: "Flat 1", Street: "1 Long Lane"}, 0},
		"with a postcode":          {delius.Lines{Street: "1 Long Lane", Postcode: "LS1 2AB"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			row := s.enter("M", "01-05", "", test.row)
			s.look(arrives(1, "01-06", "01-05", nowhere))
			assert.Equal(t, test.want, s.owned(1, row))
		})
	}
}

func TestWhoWasKnownFirstChoosesFirst(t *testing.T) {
	t.Parallel()
	s := setup(t)
	one, two := s.enter("P", "01-05", "01-09", atHouse), s.enter("P", "01-05", "01-09", atHouse)
	s.look(arrives(1, "01-07", "01-05", house), arrives(2, "01-06", "01-05", house))
	assert.Equal(t, 1, s.owned(2, one, two))
	assert.Equal(t, 2, s.owned(1, one, two))

	s.look(arrives(3, "01-08", "01-05", house))
	assert.Len(t, s.addresses, 3, "what a booking owns nobody else takes")
}

func TestTwoStaysAtOnePlaceFromOneDayFindTheirRowsAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(arrives(2, "01-06", "01-05", house))
	s.look(arrives(1, "01-07", "01-05", house), departs(1, "01-08", "01-08"))
	before := s.appliedAddresses
	s.dropLedger()
	assert.Empty(t, s.look().Changes)
	assert.Equal(t, before, s.appliedAddresses)
}

func TestWhatAnAdoptedAddressSaysOtherwiseStands(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.enter("P", "01-05", "01-20", delius.Lines{Street: "Long Lane", Postcode: "LS1 2AB"})
	before := *row
	out := s.look(arrives(1, "01-06", "01-05", house), departs(1, "01-10", "01-09"))
	assert.NotContains(t, told(out), "update")
	assert.Equal(t, before, *s.addresses[row.ID])
	assert.Equal(t, 1, noticed(out, delius.AdoptedDiffers))
	assert.Equal(t, []string{"lines: Long Lane\nLS1 2AB -> 1 Long Lane\nLeeds\nLS1 2AB"}, differing(out))
	assert.Zero(t, noticed(s.look(), delius.AdoptedDiffers), "it is told once")

	s.look(rearrives(1, "01-11", "01-05", house.with(fields{"town": "Leeds"})), redeparts(1, "01-12", "01-12"))
	assert.Equal(t, "1 Long Lane", s.addresses[row.ID].Lines.Street)
	assert.Equal(t, "P 2024-01-05..2024-01-12", term(s.addresses[row.ID]))
	assert.Equal(t, []string{"lines: Long Lane\nLS1 2AB", "status: P 2024-01-20"}, s.replaced())
}

func TestDeletedAddressIsAdoptedAsDeleted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.enter("M", "01-05", "", atHouse, func(a *delius.AddressRow) { a.Deleted = true })
	s.look(arrives(1, "01-06", "01-05", house))
	assert.Equal(t, 1, s.owned(1, row))
	assert.Equal(t, []string{"deleted M 2024-01-05.."}, s.homes())
	s.look(departs(1, "01-10", "01-09"))
	assert.Equal(t, []string{"P 2024-01-05..2024-01-09"}, s.homes())
}

// leaves is a departure that names the place.
func leaves(n int, emitted, day string, where fields) store.Event {
	return daily(store.PersonDeparted, n, emitted, departure(day).with(fields{"premises": where}))
}

func TestBookingFromBeforeTheStreamFindsItsRowByElimination(t *testing.T) {
	t.Parallel()
	atHouseOnly := func(s *scene) []*delius.AddressRow {
		return []*delius.AddressRow{s.enter("M", "01-02", "", atHouse, olderService)}
	}
	both := func(s *scene) []*delius.AddressRow {
		return append(atHouseOnly(s), s.enter("P", "01-01", "", atMill))
	}
	badBase := daily(store.PersonArrived, 1, "01-01", fields{})
	for name, test := range map[string]struct {
		rows   func(*scene) []*delius.AddressRow
		events []store.Event
		want   int
	}{
		"the place that the departure names":                     {both, []store.Event{leaves(1, "01-10", "01-09", mill)}, 2},
		"another place":                                          {atHouseOnly, []store.Event{leaves(1, "01-10", "01-09", mill)}, 0},
		"a place that is only a postcode":                        {both, []store.Event{leaves(1, "01-10", "01-09", fields{"postcode": "bd34cd"})}, 2},
		"no place: the only row":                                 {atHouseOnly, []store.Event{departs(1, "01-10", "01-09")}, 1},
		"no place: one of several is nobody's":                   {both, []store.Event{departs(1, "01-10", "01-09")}, 0},
		"the place that the latest arrival names":                {both, []store.Event{rearrives(1, "01-08", "01-07", house), leaves(1, "01-10", "01-09", mill)}, 1},
		"an update alone, whatever its start":                    {atHouseOnly, []store.Event{rearrives(1, "01-08", "01-07", house)}, 1},
		"a base arrival that cannot be used is one all the same": {atHouseOnly, []store.Event{badBase, leaves(1, "01-10", "01-09", house)}, 0},
		"a row with an end": {
			func(s *scene) []*delius.AddressRow {
				return []*delius.AddressRow{s.enter("P", "01-02", "01-05", atHouse)}
			},
			[]store.Event{leaves(1, "01-10", "01-09", house)},
			0,
		},
		"a deleted row": {
			func(s *scene) []*delius.AddressRow {
				return []*delius.AddressRow{s.enter("M", "01-02", "", atHouse, func(a *delius.AddressRow) { a.Deleted = true })}
			},
			[]store.Event{leaves(1, "01-10", "01-09", house)},
			0,
		},
		"a row of another type": {
			func(s *scene) []*delius.AddressRow {
				return []*delius.AddressRow{s.enter("M", "01-02", "", atHouse, otherType)}
			},
			[]store.Event{leaves(1, "01-10", "01-09", house)},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			rows := test.rows(s)
			before := *rows[max(test.want, 1)-1]
			s.look(test.events...)
			assert.Equal(t, test.want, s.owned(1, rows...))
			if test.want == 0 {
				assert.Equal(t, before, *s.addresses[before.ID])
				return
			}
			after := s.addresses[before.ID]
			assert.Equal(t, before.Lines, after.Lines, "the lines stand")
			assert.Equal(t, before.Start, after.Start, "and so does the start")
		})
	}
}

func TestPersonHousedBeforeTheStreamDeparts(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("M", "01-02", "", atHouse, olderService)
	s.look(leaves(1, "01-10", "01-09", house))
	assert.Equal(t, []string{"P 2024-01-02..2024-01-09"}, s.homes())
	s.look(redeparts(1, "01-11", "01-12"))
	assert.Equal(t, []string{"P 2024-01-02..2024-01-12"}, s.homes())
	s.look(redeparts(1, "01-12", "01-01"))
	assert.Equal(t, []string{"M 2024-01-02.."}, s.homes(), "a departure before the row's start ends nothing")
	s.look(arrives(2, "02-01", "02-01", mill))
	assert.Equal(t, []string{"P 2024-01-02..2024-02-01", "M 2024-02-01.."}, s.homes())
}

func TestAnUpdateChangesTheRowThatADepartureFound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enter("M", "01-02", "", atHouse, olderService)
	s.look(leaves(1, "01-10", "01-09", house))
	s.look(rearrives(1, "01-11", "01-03", house.with(fields{"town": "Leeds"})))
	assert.Equal(t, []string{"P 2024-01-03..2024-01-09"}, s.homes())
	assert.Equal(t, "Leeds", s.address(0).Lines.Town)
	assert.Empty(t, s.conflicts)
}

func TestEliminationIsGivenUpWhenTheBaseArrivalComes(t *testing.T) {
	t.Parallel()
	t.Run("and the row was another one's", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		row := s.enter("M", "01-02", "", atHouse, olderService)
		s.look(leaves(1, "01-10", "01-20", house))
		assert.Equal(t, 1, s.owned(1, row))

		out := s.look(arrives(1, "01-05", "01-15", house))
		assert.Equal(t, []store.Referral{referral(1)}, out.Released)
		assert.Zero(t, s.owned(1, row))
		assert.Equal(t, []string{"P 2024-01-02..2024-01-15", "P 2024-01-15..2024-01-20"}, s.homes())
	})
	t.Run("and the row is its own after all", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		row := s.enter("M", "01-02", "", atHouse, olderService)
		s.look(leaves(1, "01-10", "01-20", house))
		s.look(arrives(1, "01-05", "01-02", house))
		assert.Equal(t, 1, s.owned(1, row))
		assert.False(t, s.appliedAddresses[referral(1)].Provisional)
		assert.Equal(t, []string{"P 2024-01-02..2024-01-20"}, s.homes())
	})
	t.Run("and its own row was deleted", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		s.enter("M", "01-02", "", atHouse, olderService)
		s.look(leaves(1, "01-10", "01-20", house))
		row := s.address(0)
		row.Deleted = true
		s.look(arrives(1, "01-05", "01-02", house))
		assert.Equal(t, 1, s.owned(1, row))
		assert.Equal(t, []string{"deleted P 2024-01-02..2024-01-20"}, s.homes())
	})
	t.Run("but not while the row is another person's", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		s.enter("M", "01-02", "", atHouse, olderService)
		s.look(leaves(1, "01-10", "01-20", house))
		row := s.address(0)
		row.OffenderID = 2
		out := s.look(arrives(1, "01-05", "01-02", house))
		assert.Equal(t, []delius.Cause{delius.PersonChanged}, causes(out))
		assert.Empty(t, out.Released)

		row.Deleted = true
		s.look()
		assert.Equal(t, []string{"deleted P 2024-01-02..2024-01-20", "P 2024-01-02..2024-01-20"}, s.homes())
	})
}

func TestBookingsThatNameAPlaceChooseBeforeThoseThatDoNot(t *testing.T) {
	t.Parallel()
	s := setup(t)
	first, second := s.enter("M", "01-02", "", atHouse), s.enter("M", "01-03", "", atHouse)
	s.look(departs(1, "01-10", "01-09"), leaves(2, "01-11", "01-09", house))
	assert.Equal(t, 1, s.owned(2, first, second))
	assert.Equal(t, 2, s.owned(1, first, second), "it is the only one left")
}

func TestAnEndThatWeGaveHidesNoRow(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.enter("M", "01-02", "", atHouse, olderService)
	s.look(arrives(1, "02-01", "02-01", mill))
	assert.Equal(t, []string{"P 2024-01-02..2024-02-01", "M 2024-02-01.."}, s.homes())
	s.look(leaves(2, "02-02", "01-30", house))
	assert.Equal(t, 1, s.owned(2, row))
	assert.Equal(t, []string{"P 2024-01-02..2024-01-30", "M 2024-02-01.."}, s.homes())
}

func TestARowThatHadAnEndBeforeWeWroteItStaysClosed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.enter("P", "01-01", "02-01", atHouse, olderService)
	s.look(arrives(1, "02-01", "02-01", mill))
	s.look(arrives(3, "02-02", "01-20", mill.with(fields{"postcode": "HX5 6EF"})))
	assert.Equal(t, "P 2024-01-01..2024-01-20", s.homes()[0], "the end was about the arrival, so it is ours by now")
	s.look(leaves(2, "02-02", "01-30", house))
	assert.Zero(t, s.owned(2, row))
}
