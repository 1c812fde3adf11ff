package deliustest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

// history draws the events of a few referrals of one person in random order. They
// collide as often as can be: few days, few places, few texts.
func history(r *rapid.T) []store.Event {
	count := rapid.IntRange(1, 12).Draw(r, "events")
	events := make([]store.Event, count)
	for i := range events {
		kind := rapid.SampledFrom(kinds).Draw(r, "type")
		emitted := fmt.Sprintf("2024-01-%02dT12:00:00Z", rapid.IntRange(1, 6).Draw(r, "emitted"))
		events[i] = event(kind, rapid.IntRange(1, 3).Draw(r, "referral"), fmt.Sprint(i), emitted, details(r))
		if rapid.IntRange(0, 4).Draw(r, "identity") == 0 {
			events[i] = named(events[i], "", "A1234AA")
		}
	}
	return events
}

// kinds weighs the types: what moves addresses comes up more often.
var kinds = append(store.Types(),
	store.PersonArrived, store.PersonArrivedUpdated, store.PersonDeparted, store.PersonDepartedUpdated,
	store.PersonArrived, store.PersonArrivedUpdated, store.PersonDeparted, store.PersonDepartedUpdated,
)

// details draws a detail that does for every type.
func details(r *rapid.T) fields {
	when := fmt.Sprintf("2024-01-%02dT12:00:00Z", rapid.IntRange(1, 6).Draw(r, "when"))
	text := rapid.SampledFrom([]string{"", "a", "b", "a\nb"}).Draw(r, "text")
	who := rapid.SampledFrom([]fields{officer, {"staffCode": "late", "probationRegionCode": "N07"}, nil}).Draw(r, "who")
	all := fields{
		"submittedAt": when, "updatedAt": when, "arrivedAt": when, "departedAt": when, "expectedArrivedAt": when,
		"applicationUrl": "u", "newStatus": fields{"label": text}, "cohort": fields{"longDisplayName": text},
		"notes": text, "reason": text, "cancellationReason": text,
		"bookedBy": who, "confirmedBy": who, "cancelledBy": who, "recordedBy": who,
		"premises": rapid.SampledFrom([]fields{house, house, flat, nil}).Draw(r, "premises"),
	}
	if rapid.IntRange(0, 9).Draw(r, "bad") == 0 {
		return nil
	}
	return all
}

// shown are the rows without what depends on how often and when they were written.
func (b *bench) shown() (all []string) {
	for _, c := range b.Contacts() {
		shown := *c
		shown.ID, shown.Version = 0, 0
		all = append(all, fmt.Sprintf("%+v", shown))
	}
	for _, a := range b.Addresses() {
		all = append(all, fmt.Sprint(a.Type, a.Status, a.Street, a.Postcode, day(a.Start), "..", day(a.End), a.Deleted))
	}
	slices.Sort(all)
	return all
}

func TestOrderAndTimingOfEventsDoNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		events := history(r)
		once, stepwise := setup(t), setup(t)
		for range rapid.IntRange(0, 2).Draw(r, "other addresses") {
			row := otherAddress(r)
			once.InsertAddress(row, once.clock)
			stepwise.InsertAddress(row, stepwise.clock)
		}
		once.store(events...)
		for _, e := range rapid.Permutation(events).Draw(r, "order") {
			stepwise.Store(e)
			switch rapid.IntRange(0, 3).Draw(r, "then") {
			case 0:
				stepwise.project()
			case 1:
				stepwise.Store(e)
			case 2:
				stepwise.ProjectPerson(crn, stepwise.clock)
			}
		}
		once.heal()
		stepwise.heal()
		require.Equal(r, once.shown(), stepwise.shown())
		require.Equal(r, once.Parked(), stepwise.Parked())
		require.Empty(r, stepwise.Conflicts())
	})
}

// heal brings the member of staff that some events name and Delius did not have.
func (b *bench) heal() {
	b.AddStaff(deliustest.Staff{Code: "late"})
	b.project()
}

func TestLostLedgerChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		b := setup(t)
		for _, e := range history(r) {
			b.Store(e)
			if rapid.Bool().Draw(r, "project") {
				b.project()
			}
		}
		b.heal()
		before := b.shown()
		b.DropLedger()
		b.project()
		require.Equal(r, before, b.shown())
	})
}

// otherAddress draws a row that no stay can take over.
func otherAddress(r *rapid.T) deliustest.Address {
	row := deliustest.Address{
		CRN: crn, Type: "A02", Status: rapid.SampledFrom([]string{"M", "P", "S", "PR", ""}).Draw(r, "status"),
		Start: drawDay(r, "start"), End: drawDay(r, "end"),
	}
	if row.Status == deliustest.Main {
		row.End = time.Time{}
	}
	return row
}

// drawDay draws a day or none.
func drawDay(r *rapid.T, label string) time.Time {
	n := rapid.IntRange(0, 6).Draw(r, label)
	if n == 0 {
		return time.Time{}
	}
	return on(fmt.Sprintf("01-%02d", n))
}

func TestSecondLookChangesNothingWhateverPractitionersDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		b := setup(t)
		for _, e := range history(r) {
			if rapid.IntRange(0, 5).Draw(r, "somebody else's") == 0 {
				e = named(e, "A000002", "")
			}
			b.Store(e)
			if rapid.Bool().Draw(r, "project") {
				b.project()
			}
			for range rapid.IntRange(0, 2).Draw(r, "acts") {
				b.act(r)
			}
		}
		b.project()
		before := b.everything()
		b.project()
		require.Equal(r, before, b.everything())
	})
}

func TestPractitionersLineSurvivesEveryEvent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		b := setup(t)
		for _, e := range history(r) {
			b.Store(e)
			if !rapid.Bool().Draw(r, "edit") {
				continue
			}
			b.project()
			for _, row := range b.Contacts() {
				row.Notes = rapid.SampledFrom([]string{"mine", row.Notes + "\nmine", "mine\n" + row.Notes}).Draw(r, "notes")
				b.edited(row)
			}
			if rapid.IntRange(0, 4).Draw(r, "drop") == 0 {
				b.DropLedger()
			}
		}
		b.heal()
		for _, row := range b.Contacts() {
			if row.UpdatedBy == deliustest.Practitioner || row.Version > 0 {
				require.Contains(r, strings.Split(row.Notes, "\n"), "mine")
			}
		}
	})
}

// act is one thing that somebody does to a row by hand.
func (b *bench) act(r *rapid.T) {
	contacts, addresses := b.Contacts(), b.Addresses()
	switch what := rapid.IntRange(0, 6).Draw(r, "act"); {
	case what == 6:
		b.project()
		b.obey(func() bool { return rapid.IntRange(0, 4).Draw(r, "left undone") > 0 })
		b.project()
	case what == 0:
		row := otherAddress(r)
		row.Type = rapid.SampledFrom([]string{"A02", "A17"}).Draw(r, "type")
		row.UpdatedBy = rapid.SampledFrom([]string{deliustest.Practitioner, deliustest.CAS3User}).Draw(r, "user")
		row.Street, row.Postcode = "1 Long Lane", rapid.SampledFrom([]string{"ab12cd", "LS9 9LS", ""}).Draw(r, "postcode")
		b.InsertAddress(row, b.clock)
	case what == 1 && rapid.IntRange(0, 3).Draw(r, "drop") == 0:
		b.DropLedger()
	case what == 1 && rapid.IntRange(0, 3).Draw(r, "heal") == 0:
		b.heal()
	case what <= 2 && len(contacts) > 0:
		b.editContact(r, rapid.SampledFrom(contacts).Draw(r, "contact"))
	case len(addresses) > 0:
		b.editAddress(r, rapid.SampledFrom(addresses).Draw(r, "address"))
	}
}

func (b *bench) editContact(r *rapid.T, row *deliustest.Contact) {
	switch rapid.IntRange(0, 6).Draw(r, "edit") {
	case 0:
		row.Notes = rapid.SampledFrom([]string{"", "mine", row.Notes + "\nmine", "mine\n" + row.Notes, "a", "b \r\na"}).Draw(r, "notes")
	case 1:
		row.Start = row.Start.Add(time.Hour)
	case 2:
		row.Staff = rapid.SampledFrom([]string{"N03A001", "other"}).Draw(r, "staff")
	case 3:
		row.Description = "mine"
	case 4:
		row.Deleted = !row.Deleted
	case 5:
		b.Remove(row)
		return
	case 6:
		another := *row
		another.ID, another.Deleted = 0, rapid.Bool().Draw(r, "deleted")
		b.InsertContact(another)
	}
	b.edited(row)
}

func (b *bench) editAddress(r *rapid.T, row *deliustest.Address) {
	switch rapid.IntRange(0, 6).Draw(r, "edit") {
	case 0, 1:
		row.Status, row.End = rapid.SampledFrom([]string{"M", "P", "S", "PR", ""}).Draw(r, "status"), drawDay(r, "end")
	case 2:
		row.Start = drawDay(r, "start")
	case 3:
		row.Street = "mine"
	case 4:
		row.Deleted = !row.Deleted
	case 5:
		b.Remove(row)
		return
	case 6:
		row.End = drawDay(r, "end")
	}
	b.edited(row)
}
