package deliustest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

// housed is a row of the older service's at the house.
func (b *bench) housed(start, end string) *deliustest.Address {
	a := deliustest.Address{
		CRN: crn, Type: "A17", Status: "M", CreatedBy: deliustest.CAS3User, Start: on(start),
		Street: "1 Long Lane", Town: "Leeds", County: "Yorkshire", Postcode: "AB1 2CD",
	}
	if end != "" {
		a.Status, a.End = "P", on(end)
	}
	return b.InsertAddress(a, at("2024-01-01T12:00:00Z"))
}

func TestStayTakesOverARowThatStandsThere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*deliustest.Address)
		events []store.Event
		taken  bool
	}{
		"same start and lines": {func(*deliustest.Address) {}, []store.Event{arrived(1, "01-05", "01-05", house)}, true},
		"other lines":          {func(a *deliustest.Address) { a.Street = "Elsewhere" }, []store.Event{arrived(1, "01-05", "01-05", house)}, true},
		"postcode written in its own way": {
			func(a *deliustest.Address) { a.Postcode = "ab12 cd" }, []store.Event{arrived(1, "01-05", "01-05", house)}, true,
		},
		"earlier arrival date": {
			func(*deliustest.Address) {}, []store.Event{arrived(1, "01-05", "01-05", nil), rearrived(1, "01-06", "01-04", house)}, true,
		},
		"other postcode":  {func(a *deliustest.Address) { a.Postcode = "LS9 9LS" }, []store.Event{arrived(1, "01-05", "01-05", house)}, false},
		"no postcode":     {func(a *deliustest.Address) { a.Postcode = "" }, []store.Event{arrived(1, "01-05", "01-05", house)}, false},
		"other type":      {func(a *deliustest.Address) { a.Type = "A02" }, []store.Event{arrived(1, "01-05", "01-05", house)}, false},
		"somebody else's": {func(a *deliustest.Address) { a.CRN = "A000002" }, []store.Event{arrived(1, "01-05", "01-05", house)}, false},
		"other start":     {func(*deliustest.Address) {}, []store.Event{arrived(1, "01-06", "01-06", house)}, false},
		"other start, but the base arrival came before": {
			func(*deliustest.Address) {}, []store.Event{rearrived(1, "01-06", "01-06", house)}, true,
		},
		"first line where nobody has a postcode": {
			func(a *deliustest.Address) { a.Postcode, a.Street = "", "1  LONG lane" },
			[]store.Event{arrived(1, "01-05", "01-05", house.with(fields{"postcode": " "}))},
			true,
		},
		"other first line where nobody has a postcode": {
			func(a *deliustest.Address) { a.Postcode, a.Building = "", "Elsewhere" },
			[]store.Event{arrived(1, "01-05", "01-05", house.with(fields{"postcode": " "}))},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			row := deliustest.Address{
				CRN: crn, Type: "A17", Status: "M", Start: on("01-05"),
				Street: "1 Long Lane", Town: "Leeds", County: "Yorkshire", Postcode: "AB1 2CD",
			}
			test.change(&row)
			before := *b.InsertAddress(row, b.clock)
			b.store(test.events...).settled()
			if !test.taken {
				assert.Len(t, b.Addresses(), 2)
				return
			}
			assert.Equal(t, before, *b.address(), "what differs stands")
			b.store(rearrived(1, "02-01", "02-01", flat)).settled()
			assert.Equal(t, "Flat 9", b.address().Street)
		})
	}
}

func TestWhoTakesWhichRow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	third, deleted, live, exact := b.housed("01-03", ""), b.housed("01-05", ""), b.housed("01-05", "01-09"), b.housed("01-05", "01-09")
	deleted.Deleted, deleted.Town, live.Town = true, "Bradford", "Bradford"
	b.store(
		arrived(1, "01-06", "01-05", house), departed(1, "01-09", "01-09"),
		arrived(2, "01-05", "01-03", house), rearrived(2, "01-07", "01-05", house), departed(2, "01-09", "01-09"),
	).settled()
	assert.Len(t, b.Addresses(), 4)
	exact.Town, live.Town, third.Town = "", "", ""
	b.store(rearrived(1, "02-01", "01-05", flat), rearrived(2, "02-01", "01-05", flat.with(fields{"addressLine1": "Flat 2"}))).settled()
	assert.Equal(t, []string{"1 Long Lane", "1 Long Lane", "Flat 9", "Flat 2"},
		[]string{third.Street, deleted.Street, live.Street, exact.Street},
		"booking 2 is known first and takes the row that is right; booking 1 the live one beside it")
}

func TestDeletedRowIsTakenOverAsDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.housed("01-05", "").Deleted = true
	b.store(arrived(1, "01-05", "01-05", house)).settled()
	assert.Equal(t, []string{"deleted M 01-05.."}, b.claims())
	b.store(departed(1, "01-09", "01-09")).settled()
	assert.Equal(t, []string{"P 01-05..01-09"}, b.claims())
}

func TestRowsAreFoundAgainWithoutTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(2, "01-01", "01-01", house))
	b.store(arrived(1, "01-02", "01-01", house), arrived(3, "02-01", "02-01", flat), departed(1, "01-09", "01-08"))
	before := b.everything()
	b.DropLedger()
	b.project()
	assert.Equal(t, before, b.everything())
	b.store(departed(3, "03-01", "03-01")).settled()
	assert.Equal(t, []string{"P 01-01..01-01", "P 01-01..01-08", "P 02-01..03-01"}, b.claims())
}

func TestWhoWasHousedOnCutOverDayDeparts(t *testing.T) {
	t.Parallel()
	place := func(e store.Event, where any) store.Event {
		d := departure("03-01")
		d["premises"] = where
		return event(e.Type, 1, e.ID, "2024-03-01T12:00:00Z", d)
	}
	left := departed(1, "03-01", "03-01")
	for name, test := range map[string]struct {
		rows  func(*bench)
		event store.Event
		want  []string
	}{
		"from the row at the place of the departure": {
			func(b *bench) { b.housed("01-05", ""); b.housed("02-05", "").Postcode = "LS9 9LS" },
			place(left, house),
			[]string{"P 01-05..03-01", "M 02-05.."},
		},
		"from the only row":       {func(b *bench) { b.housed("01-05", "") }, left, []string{"P 01-05..03-01"}},
		"from neither of two":     {func(b *bench) { b.housed("01-05", ""); b.housed("02-05", "") }, left, []string{"M 01-05..", "M 02-05.."}},
		"not from another place":  {func(b *bench) { b.housed("01-05", "") }, place(left, flat), []string{"M 01-05.."}},
		"not from one that ended": {func(b *bench) { b.housed("01-05", "02-01") }, left, []string{"P 01-05..02-01"}},
		"not before its start":    {func(b *bench) { b.housed("04-05", "") }, left, []string{"M 04-05.."}},
		"not from a deleted one":  {func(b *bench) { b.housed("01-05", "").Deleted = true }, left, []string{"deleted M 01-05.."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			test.rows(b)
			b.store(test.event).settled()
			assert.Equal(t, test.want, b.claims())
			assert.Empty(t, b.Conflicts())
		})
	}
}

func TestDepartureIsNotHiddenByTheNextArrival(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.housed("01-05", "")
	b.store(arrived(2, "03-05", "03-05", flat))
	assert.Equal(t, []string{"P 01-05..03-05", "M 03-05.."}, b.claims())
	b.store(departed(1, "03-01", "03-01")).settled()
	assert.Equal(t, []string{"P 01-05..03-01", "M 03-05.."}, b.claims())
}

func TestWhoNamesAPlaceChoosesFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.housed("01-05", "")
	b.housed("01-06", "").Postcode = "LS9 9LS"
	d := departure("03-01")
	d["premises"] = house
	b.store(departed(1, "02-01", "02-01"), event(store.PersonDeparted, 2, "e", "2024-03-01T12:00:00Z", d)).settled()
	assert.Equal(t, []string{"P 01-05..03-01", "P 01-06..02-01"}, b.claims())
}

func TestRowFoundByEliminationIsGivenUpForTheBaseArrival(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.housed("01-05", "")
	b.store(departed(1, "03-01", "03-01"))
	require.Equal(t, []string{"P 01-05..03-01"}, b.claims())
	b.store(arrived(1, "02-01", "02-01", flat)).settled()
	assert.Equal(t, []string{"P 01-05..02-01", "P 02-01..03-01"}, b.claims())

	b = setup(t)
	b.housed("01-05", "")
	b.store(departed(1, "03-01", "03-01"))
	b.store(arrived(1, "01-06", "01-05", house)).settled()
	assert.Equal(t, []string{"P 01-05..03-01"}, b.claims(), "and taken again where it fits")
}

func TestArrivalCorrectsARowThatADepartureFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.housed("01-05", "")
	b.store(departed(1, "03-01", "03-01"))
	b.store(rearrived(1, "03-02", "01-07", flat)).settled()
	assert.Equal(t, []string{"P 01-07..03-01"}, b.claims())
	assert.Equal(t, "Flat 9", b.address().Street)
	assert.Empty(t, b.Conflicts())
}

func TestDepartureEndsARowWhoseEndAPractitionerGave(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row := b.housed("01-05", "01-20")
	row.UpdatedBy = deliustest.Practitioner
	b.store(arrived(1, "01-05", "01-05", house)).settled()
	assert.Equal(t, []string{"P 01-05..01-20"}, b.claims())
	b.store(departed(1, "01-25", "01-25")).settled()
	assert.Equal(t, []string{"P 01-05..01-25"}, b.claims())
	assert.Equal(t, []deliustest.Conflict{{Subject: referral(1).String(), Field: "status", Replaced: "P 2024-01-20"}}, b.Conflicts())
}

func TestPractitionersEndStaysTheirsWhenAnotherFieldIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row := b.housed("01-05", "02-01")
	row.UpdatedBy = deliustest.Practitioner
	b.store(arrived(1, "01-05", "01-05", house), arrived(2, "02-01", "02-01", flat)).settled()
	b.store(rearrived(1, "02-02", "01-05", house.with(fields{"town": "York"})), arrived(3, "02-03", "01-20", flat)).settled()
	assert.Equal(t, "York", row.Town)
	assert.Equal(t, []string{"P 01-05..02-01", "P 01-20..02-01", "M 02-01.."}, b.claims())
}
