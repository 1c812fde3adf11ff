package deliustest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

func TestArrivalGivesTheMainAddress(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-02", "01-01", house)).settled()
	assert.Equal(t, deliustest.Address{
		ID: 2, CRN: crn, Type: "A17", Status: "M",
		Street: "1 Long Lane", Town: "Leeds", County: "Yorkshire", Postcode: "AB1 2CD",
		Start:     on("01-01"),
		CreatedBy: deliustest.CAS3User, UpdatedBy: deliustest.CAS3User,
		Created: at("2025-01-01T10:00:00Z"), Updated: at("2025-01-01T10:00:00Z"),
	}, *b.address())
}

func TestLinesAreCutIntoPieces(t *testing.T) {
	t.Parallel()
	e := strings.Repeat("é", 35)
	for name, test := range map[string]struct {
		where fields
		want  [6]string // building, street, district, town, county, postcode
	}{
		"one line":        {fields{"addressLine1": " a "}, [6]string{"", "a", ""}},
		"only the second": {fields{"addressLine1": " ", "addressLine2": "b"}, [6]string{"", "b", ""}},
		"two lines":       {fields{"addressLine1": "a", "addressLine2": "b"}, [6]string{"", "a", "b"}},
		"characters, not bytes": {
			fields{"addressLine1": e + "x", "addressLine2": e + e}, [6]string{e, "x", e},
		},
		"pieces of the line as it came": {
			fields{"addressLine1": strings.Repeat(" ", 34) + "abc", "addressLine2": "d"}, [6]string{"a", "bc", "d"},
		},
		"a piece of spaces is a piece": {
			fields{"addressLine1": "a" + strings.Repeat(" ", 69) + "b"}, [6]string{"a", "", "b"},
		},
		"other columns cut to their width": {
			fields{"addressLine1": "a", "town": " " + e + "x", "region": e[:68] + " x", "postcode": " AB12 3CDE "},
			[6]string{"", "a", "", e, e[:68], "AB12 3CD"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setup(t).store(arrived(1, "01-02", "01-01", test.where)).settled().address()
			assert.Equal(t, test.want, [6]string{a.Building, a.Street, a.District, a.Town, a.County, a.Postcode})
		})
	}
}

func TestArrivalWithoutAnAddressIsLeftOutOfTheStay(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", fields{"postcode": "AB1 2CD", "addressLine1": " "})).settled()
	assert.Empty(t, b.Addresses())
	assert.Equal(t, []string{deliustest.BadAddress}, b.causes())
	assert.Equal(t, "EAAR", b.contact().Type)

	b.store(rearrived(1, "01-03", "01-03", house))
	assert.Empty(t, b.causes())
	b.store(rearrived(1, "01-04", "01-04", nil)).settled()
	assert.Equal(t, []string{deliustest.BadAddress}, b.causes())
	assert.Equal(t, on("01-03"), b.address().Start)
}

func TestStaysFollowOneAnother(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		events []store.Event
		want   []string
	}{
		"departed": {
			[]store.Event{arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-04")}, []string{"P 01-01..01-04"},
		},
		"departed on the day of arrival": {
			[]store.Event{arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-01")}, []string{"P 01-01..01-01"},
		},
		"departed before arrival": {
			[]store.Event{arrived(1, "01-02", "01-02", house), departed(1, "01-05", "01-01")}, []string{"M 01-02.."},
		},
		"departure moved": {
			[]store.Event{arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-04"), redeparted(1, "01-06", "01-06")},
			[]string{"P 01-01..01-06"},
		},
		"departure without arrival": {[]store.Event{departed(1, "01-05", "01-04")}, nil},
		"arrived again":             {[]store.Event{arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-04"), rearrived(1, "01-07", "01-07", house)}, []string{"M 01-07.."}},
		"moved on": {
			[]store.Event{arrived(1, "01-01", "01-01", house), arrived(2, "02-01", "02-01", flat)},
			[]string{"P 01-01..02-01", "M 02-01.."},
		},
		"known late": {
			[]store.Event{arrived(2, "02-01", "02-01", flat), arrived(1, "02-02", "01-01", house)},
			[]string{"P 01-01..02-01", "M 02-01.."},
		},
		"gap between stays": {
			[]store.Event{arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-05"), arrived(2, "02-01", "02-01", flat)},
			[]string{"P 01-01..01-05", "M 02-01.."},
		},
		"departed from the latest": {
			[]store.Event{arrived(1, "01-01", "01-01", house), arrived(2, "02-01", "02-01", flat), departed(2, "02-03", "02-03")},
			[]string{"P 01-01..02-01", "P 02-01..02-03"},
		},
		"on one day, the later known is the later": {
			[]store.Event{arrived(2, "01-01", "01-01", flat), arrived(1, "01-02", "01-01", house)},
			[]string{"P 01-01..01-01", "M 01-01.."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, setup(t).store(test.events...).settled().claims())
			b := setup(t)
			for _, e := range test.events {
				b.store(e)
			}
			assert.Equal(t, test.want, b.settled().claims(), "one by one")
		})
	}
}

func TestDefectsOfTodayAreGone(t *testing.T) {
	t.Parallel()
	t.Run("D1: a redelivered arrival changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t).store(arrived(1, "01-01", "01-01", house))
		before := b.everything()
		b.store(arrived(1, "01-01", "01-01", house))
		assert.Equal(t, before, b.everything())
	})
	t.Run("D2: a newer update counts though it is written later", func(t *testing.T) {
		t.Parallel()
		b := setup(t).store(arrived(1, "01-01", "01-01", house))
		b.clock = b.clock.AddDate(1, 0, 0)
		b.store(rearrived(1, "01-02", "01-03", flat))
		assert.Equal(t, on("01-03"), b.contact().Date)
		assert.Equal(t, "LS9 9LS", b.address().Postcode)
	})
	t.Run("D3: an update before its base event loses nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t).store(recancelled("02", "b"))
		b.store(cancelled("01", "a"))
		assert.Equal(t, "a\nb", b.contact().Notes)
	})
	t.Run("D4: departed.updated moves the end", func(t *testing.T) {
		t.Parallel()
		b := setup(t).store(arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-05"))
		b.store(redeparted(1, "01-06", "01-03"))
		assert.Equal(t, []string{"P 01-01..01-03"}, b.claims())
	})
	t.Run("D5: a departure ends its own booking only", func(t *testing.T) {
		t.Parallel()
		b := setup(t).store(arrived(1, "01-01", "01-01", house), arrived(2, "02-01", "02-01", flat))
		b.store(departed(1, "02-05", "02-05"))
		assert.Equal(t, []string{"P 01-01..02-05", "M 02-01.."}, b.claims())
	})
	t.Run("D6: a departure before the start moves no row", func(t *testing.T) {
		t.Parallel()
		b := setup(t).store(arrived(1, "01-02", "01-02", house))
		before := *b.address()
		b.store(departed(1, "01-05", "01-01"))
		assert.Equal(t, before, *b.address())
	})
}

// byHand is a row that a practitioner, or somebody else, entered on New Year's Eve.
func (b *bench) byHand(status, start, end, user string) *deliustest.Address {
	a := deliustest.Address{CRN: crn, Type: "A02", Status: status, Street: "By hand", CreatedBy: user}
	if start != "" {
		a.Start = on(start)
	}
	if end != "" {
		a.End = on(end)
	}
	return b.InsertAddress(a, at("2023-12-31T12:00:00Z"))
}

func TestOtherRowsAmongTheClaims(t *testing.T) {
	t.Parallel()
	const me, old = deliustest.Practitioner, deliustest.CAS3User
	for name, test := range map[string]struct {
		status, start, end, user string
		want                     string // of the row
		stay                     string // arrived on 02-01
	}{
		"main ends when the person moves in":           {"M", "01-01", "", me, "P 01-01..02-01", "M 02-01.."},
		"main without a start too":                     {"M", "", "", me, "P ..02-01", "M 02-01.."},
		"a later move stays main":                      {"M", "03-01", "", me, "M 03-01..", "P 02-01..03-01"},
		"a later move that ended":                      {"P", "03-01", "04-01", me, "P 03-01..04-01", "P 02-01..03-01"},
		"a later move that ended, still at main":       {"M", "03-01", "04-01", me, "M 03-01..04-01", "P 02-01..03-01"},
		"its own end stands":                           {"P", "01-01", "01-15", me, "P 01-01..01-15", "M 02-01.."},
		"its own end stands, status gives way":         {"M", "01-01", "01-15", me, "P 01-01..01-15", "M 02-01.."},
		"an end in an overlap stands":                  {"P", "01-01", "05-01", me, "P 01-01..05-01", "M 02-01.."},
		"a practitioner's end on the arrival stands":   {"M", "01-01", "02-01", me, "P 01-01..02-01", "M 02-01.."},
		"the older service's end on the arrival":       {"P", "01-01", "02-01", old, "P 01-01..02-01", "M 02-01.."},
		"the older service's other end is its own":     {"P", "01-01", "01-20", old, "P 01-01..01-20", "M 02-01.."},
		"previous without an end is no claim":          {"P", "03-01", "", me, "P 03-01..", "M 02-01.."},
		"another status is no claim":                   {"S", "03-01", "", me, "S 03-01..", "M 02-01.."},
		"on the same day, the row known first is left": {"M", "02-01", "", me, "P 02-01..02-01", "M 02-01.."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.byHand(test.status, test.start, test.end, test.user)
			before := *b.address()
			b.store(arrived(1, "02-01", "02-01", house)).settled()
			assert.ElementsMatch(t, []string{test.want, test.stay}, b.claims())
			assert.Empty(t, b.Conflicts())

			after := *b.Addresses()[0]
			after.Status, after.End, after.UpdatedBy, after.Updated = before.Status, before.End, before.UpdatedBy, before.Updated
			assert.Equal(t, before, after, "nothing but status and end is ever written")
		})
	}
}

func TestEndsThatWeGaveFollowTheClaims(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.byHand("M", "01-01", "", deliustest.Practitioner)
	b.store(arrived(1, "02-01", "02-01", house))
	b.store(arrived(2, "03-01", "03-01", flat))
	assert.Equal(t, []string{"P 01-01..02-01", "P 02-01..03-01", "M 03-01.."}, b.claims())
	b.store(rearrived(1, "03-02", "04-01", house)).settled()
	assert.Equal(t, []string{"P 01-01..03-01", "P 03-01..04-01", "M 04-01.."}, b.claims())

	b.Addresses()[1].Deleted = true
	b.edited(b.Addresses()[1])
	b.project().settled()
	assert.Equal(t, []string{"P 01-01..03-01", "M 03-01..", "deleted M 04-01.."}, b.claims())
}

func TestOlderServicesEndFollowsTheArrivalItWasAbout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.byHand("P", "01-01", "02-01", deliustest.CAS3User)
	b.store(arrived(1, "02-01", "02-01", house), arrived(2, "02-02", "01-20", flat)).settled()
	assert.Equal(t, []string{"P 01-01..01-20", "P 01-20..02-01", "M 02-01.."}, b.claims())
}

func TestPractitionersStatusAndEndStand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status, end string // of the first stay's row, set by hand while it is the only one
		next        []store.Event
		want        []string
		conflicts   []string
	}{
		"an end": {
			"P", "01-20",
			[]store.Event{arrived(2, "02-01", "02-01", flat)},
			[]string{"P 01-01..01-20", "M 02-01.."},
			nil,
		},
		"an end later than the next arrival": {
			"P", "03-01",
			[]store.Event{arrived(2, "02-01", "02-01", flat)},
			[]string{"P 01-01..03-01", "M 02-01.."},
			nil,
		},
		"an end at main gives way in status": {
			"M", "03-01",
			[]store.Event{arrived(2, "02-01", "02-01", flat)},
			[]string{"P 01-01..03-01", "M 02-01.."},
			[]string{"M 2024-03-01"},
		},
		"no end at previous": {
			"P", "",
			[]store.Event{arrived(2, "02-01", "02-01", flat)},
			[]string{"P 01-01..", "M 02-01.."},
			nil,
		},
		"an end, then a departure": {
			"P", "01-20", []store.Event{departed(1, "01-25", "01-25")}, []string{"P 01-01..01-25"}, []string{"P 2024-01-20"},
		},
		"the end that a departure gives": {
			"P", "01-20", []store.Event{departed(1, "01-25", "01-20")}, []string{"P 01-01..01-20"}, nil,
		},
		"an end, then a departure before the arrival": {
			"P", "01-20",
			[]store.Event{departed(1, "01-25", "01-25"), redeparted(1, "01-26", "01-01"), rearrived(1, "01-27", "01-02", house)},
			[]string{"P 01-02..01-20"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).store(arrived(1, "01-01", "01-01", house))
			row := b.address()
			row.Status = test.status
			if test.end != "" {
				row.End = on(test.end)
			}
			b.edited(row)
			b.settled().store(test.next...).settled()
			assert.Equal(t, test.want, b.claims())
			var replaced []string
			for _, c := range b.Conflicts() {
				require.Equal(t, "status", c.Field)
				replaced = append(replaced, c.Replaced)
			}
			assert.Equal(t, test.conflicts, replaced)
		})
	}
}

func TestReopenedRowIsEndedWhenAnotherBecomesMain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.byHand("M", "01-01", "", deliustest.Practitioner)
	b.store(arrived(1, "02-01", "02-01", house))
	row := b.Addresses()[0]
	row.Status, row.End = "M", at("0001-01-01T00:00:00Z")
	b.edited(row)
	b.settled()
	assert.Equal(t, []string{"M 01-01..", "M 02-01.."}, b.claims(), "left as it stands")

	b.store(arrived(2, "03-01", "03-01", flat)).settled()
	assert.Equal(t, []string{"P 01-01..02-01", "P 02-01..03-01", "M 03-01.."}, b.claims())
	assert.Equal(t, []deliustest.Conflict{{Subject: "address 1", Field: "status", Replaced: "M "}}, b.Conflicts())
}

func TestReopenedStayThenEndsWithItsDeparture(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-05"))
	row := b.address()
	row.Status, row.End = "M", at("0001-01-01T00:00:00Z")
	b.edited(row)
	b.settled().store(arrived(2, "02-01", "02-01", flat)).settled()
	assert.Equal(t, []string{"P 01-01..01-05", "M 02-01.."}, b.claims())
	assert.Len(t, b.Conflicts(), 1)
}

func TestRowOnSomebodyElseKeepsItsDeparture(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house), departed(1, "01-05", "01-05"))
	b.store(named(rearrived(1, "01-06", "01-01", house), "A000002", "")).settled()
	assert.Equal(t, []string{"P 01-01..01-05"}, b.claims())
}

func TestLinesAndStartAreMerged(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-05", "01-05", house))
	row := b.address()
	row.Building, row.Start = "Mine", on("01-02")
	b.edited(row)
	b.store(departed(1, "01-06", "01-06")).settled()
	assert.Equal(t, "Mine", row.Building)
	assert.Equal(t, []string{"P 01-02..01-06"}, b.claims())

	b.store(rearrived(1, "01-07", "01-03", flat)).settled()
	assert.Equal(t, [3]string{"", "Flat 9", "9 Mill Road"}, [3]string{row.Building, row.Street, row.District})
	assert.Equal(t, on("01-03"), row.Start)
	assert.Equal(t, []deliustest.Conflict{
		{Subject: referral(1).String(), Field: "lines", Replaced: "Mine|1 Long Lane||Leeds|Yorkshire|AB1 2CD"},
		{Subject: referral(1).String(), Field: "start", Replaced: "2024-01-02"},
	}, b.Conflicts())
}

func TestCorrectedStartCountsAmongTheClaims(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house), arrived(2, "02-01", "02-01", flat))
	b.Addresses()[0].Start = on("03-01")
	b.edited(b.Addresses()[0])
	b.project().settled()
	assert.Equal(t, []string{"P 02-01..03-01", "M 03-01.."}, b.claims())
}

func TestDeletedStayReturnsOnlyWhenItsOwnEventsChange(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house), arrived(2, "02-01", "02-01", flat))
	b.Addresses()[1].Deleted = true
	b.edited(b.Addresses()[1])
	b.project().settled()
	assert.Equal(t, []string{"M 01-01..", "deleted M 02-01.."}, b.claims())
	b.store(departed(1, "03-01", "03-01")).settled()
	assert.Equal(t, []string{"P 01-01..03-01", "deleted M 02-01.."}, b.claims())
	b.store(departed(2, "03-02", "03-02")).settled()
	assert.Equal(t, []string{"P 01-01..03-01", "P 02-01..03-02"}, b.claims())
}

func TestRowThatIsGoneIsInsertedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house))
	b.Remove(b.address())
	b.project().settled()
	assert.Equal(t, []string{"M 01-01.."}, b.claims())
}

func TestAddressesWithoutAStayAreNoneOfOurBusiness(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.byHand("M", "01-01", "", deliustest.Practitioner)
	b.byHand("M", "02-01", "", deliustest.Practitioner)
	b.store(cancelled("01", "a"), departed(2, "03-01", "03-01"))
	assert.Equal(t, []string{"M 01-01..", "M 02-01.."}, b.claims())
}
