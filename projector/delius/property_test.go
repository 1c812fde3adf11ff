package delius_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// world is a Delius for the people of histories: everybody is managed by N50's staff;
// the odd recorders that the histories name are missing, as they are meant to be.
func world(histories []storetest.History) deliustest.World {
	w := deliustest.World{Providers: []string{"N50", "N58", "N03"}, Teams: []deliustest.Team{
		{Code: "N50HPT", Provider: "N50"}, {Code: "N58XXX", Provider: "N58"}, {Code: "N03T01", Provider: "N03"},
	}}
	for _, region := range []string{"N50", "N58"} {
		for _, code := range storetest.Staff(region) {
			w.Staff = append(w.Staff, deliustest.Staff{Code: code, Teams: []string{region + "HPT"}})
		}
	}
	for _, kind := range delius.Kinds() {
		w.ContactTypes = append(w.ContactTypes, deliustest.ContactType{Code: kind.Code})
	}
	for i, h := range histories {
		id := int64(i + 1)
		w.Offenders = append(w.Offenders, deliustest.Offender{ID: id, CRN: h.Person.CRN, NOMS: h.Person.NOMS})
		w.Managers = append(w.Managers, deliustest.Manager{ID: id, OffenderID: id, Provider: "N03", Team: "N03T01", Staff: "N03A001", Active: true})
	}
	return w
}

// pair is the projector's core and the twin side by side.
type pair struct {
	fake   *fake
	twin   *deliustest.Twin
	now    time.Time
	stored []store.Event
}

func newPair(histories []storetest.History) *pair {
	w := world(histories)
	return &pair{fake: newFake(w), twin: deliustest.New(w), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (p *pair) store(e store.Event) {
	p.fake.Store(e)
	p.twin.Store(e)
	p.stored = append(p.stored, e)
}

// project makes both look at everyone, and checks that they agree and settle.
func (p *pair) project(t require.TestingT) {
	p.now = p.now.Add(time.Minute)
	p.fake.Project(p.now)
	p.twin.Project(p.now)
	require.Equal(t, twinShown(p.twin), p.fake.shown())
	require.Zero(t, p.fake.Project(p.now.Add(time.Second)), "the second diff is empty")
}

func events(histories []storetest.History) []store.Event {
	var all []store.Event
	for _, h := range histories {
		for _, r := range h.Events {
			all = append(all, r.Event)
		}
	}
	return all
}

// shuffled draws an order by numbers, which read better in a report than events do.
func shuffled(r *rapid.T, all []store.Event) []store.Event {
	numbers := make([]int, len(all))
	for i := range numbers {
		numbers[i] = i
	}
	out := make([]store.Event, len(all))
	for i, n := range rapid.Permutation(numbers).Draw(r, "order") {
		out[i] = all[n]
	}
	return out
}

func TestCoreAgreesWithTheTwinWheneverItLooks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		p := newPair(histories)
		for _, e := range shuffled(r, events(histories)) {
			p.store(e)
			if rapid.IntRange(0, 3).Draw(r, "look") == 0 {
				p.project(r)
			}
		}
		p.project(r)
	})
}

func TestOrderDuplicatesAndLooksInBetweenDoNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		once, stepwise := newPair(histories), newPair(histories)
		// A contact that is parked shows its last state that was not, so everybody
		// whom events name is there.
		once.fake.addOddRecorders()
		stepwise.fake.addOddRecorders()
		for _, e := range events(histories) {
			once.fake.Store(e)
		}
		once.fake.Project(once.now)
		order := shuffled(r, events(histories))
		for i, e := range order {
			stepwise.fake.Store(e)
			switch rapid.IntRange(0, 4).Draw(r, "then") {
			case 0:
				stepwise.fake.Project(stepwise.now)
			case 1:
				again := order[rapid.IntRange(0, i).Draw(r, "again")]
				again.Body = []byte("{}")
				stepwise.fake.Store(again)
			}
		}
		stepwise.fake.Project(stepwise.now)
		require.Equal(r, ended(once.fake.shown()), ended(stepwise.fake.shown()))
		require.Empty(r, stepwise.fake.conflicts)
	})
}

// ended leaves out who wrote a row last, which depends on how often it was written.
func ended(rows []shown) []shown {
	for i := range rows {
		rows[i].UpdatedBy = ""
	}
	return rows
}

func TestCoreAgreesWithTheTwinWhateverPractitionersDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		p := newPair(histories)
		p.foreignRows(r)
		for _, e := range shuffled(r, events(histories)) {
			p.store(e)
			if rapid.Bool().Draw(r, "look") {
				p.project(r)
			}
			for range rapid.IntRange(0, 2).Draw(r, "acts") {
				p.act(r)
			}
		}
		p.project(r)
	})
}

// Whoever has a stay that has not ended, and has not moved on, has one main address: unless
// people set the status or end of a row concerned, or something of the addresses is parked.
func TestWhoeverIsHousedHasOneMainAddress(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		p := newPair(histories)
		entered := p.rowsOfStays(r, events(histories))
		for _, e := range shuffled(r, events(histories)) {
			p.store(e)
			if rapid.IntRange(0, 3).Draw(r, "look") == 0 {
				p.project(r)
			}
		}
		p.project(r)
		for _, o := range p.fake.offenders {
			if last, housed := p.lastStay(o.ID); housed && !p.movedOn(o.ID, last, entered) && !p.addressParked(o.ID) {
				require.Equal(r, 1, p.mains(o.ID), "main addresses of %s", o.CRN)
			}
		}
	})
}

// rowsOfStays enters rows without an end where and when people arrive, and somewhere else
// before.
func (p *pair) rowsOfStays(r *rapid.T, all []store.Event) (entered []int64) {
	for i := range all {
		e := delius.Read(&all[i], 1)
		if e.Premises.Pieces == 0 || e.Problem != "" || rapid.IntRange(0, 2).Draw(r, "entered") == 0 {
			continue
		}
		o := slices.IndexFunc(p.fake.offenders, func(o deliustest.Offender) bool { return o.CRN == e.CRN })
		if o < 0 {
			continue
		}
		row := delius.AddressRow{
			OffenderID: p.fake.offenders[o].ID, A17: rapid.Bool().Draw(r, "A17"), Created: p.now, Start: store.Date(e.At), Lines: e.Premises.Lines,
			Status: rapid.SampledFrom([]string{"M", "PR", "PR", "S", ""}).Draw(r, "status"),
		}
		if !row.A17 {
			row.Start = row.Start.AddDate(0, 0, -rapid.IntRange(1, 30).Draw(r, "days before"))
		}
		entered = append(entered, p.enter(row))
	}
	return entered
}

// lastStay is when the person's latest stay began, and whether it has not ended. Whoever has
// a booking from before the stream is passed over: which row that takes decides too.
func (p *pair) lastStay(person int64) (start time.Time, lives bool) {
	desired := delius.Fold(p.fake.byPerson()[person])
	for _, s := range desired.Stays {
		if !s.HasBase {
			return start, false
		}
		if s.Arrived && !s.Start.Before(start) {
			ended := !s.Departure.IsZero() && !s.Departure.Before(s.Start)
			lives = !ended && (!s.Start.Equal(start) || lives)
			start = s.Start
		}
	}
	return start, lives
}

// movedOn says whether somebody entered a main address for a day after a stay's start.
func (p *pair) movedOn(person int64, stay time.Time, entered []int64) bool {
	return slices.ContainsFunc(entered, func(id int64) bool {
		a := p.fake.addresses[id]
		return a.OffenderID == person && a.Start.After(stay)
	})
}

func (p *pair) addressParked(person int64) bool {
	return slices.ContainsFunc(p.fake.parked[person], func(k delius.Parked) bool { return k.Address || k.Cause == delius.BadAddress })
}

// mains counts the person's live rows at M.
func (p *pair) mains(person int64) (count int) {
	for _, a := range p.fake.addresses {
		if a.OffenderID == person && a.Status == delius.MainStatus && !a.Deleted {
			count++
		}
	}
	return count
}

// foreignRows adds addresses that practitioners or the older service entered.
func (p *pair) foreignRows(r *rapid.T) {
	for range rapid.IntRange(0, 2).Draw(r, "foreign rows") {
		p.insertAddress(r)
	}
}

func (p *pair) insertAddress(r *rapid.T) {
	day := func(label string) time.Time {
		if rapid.IntRange(0, 3).Draw(r, label+" is null") == 0 {
			return time.Time{}
		}
		return p.someDate(r, label)
	}
	o := rapid.SampledFrom(p.fake.offenders).Draw(r, "person")
	row := delius.AddressRow{
		OffenderID: o.ID, A17: rapid.Bool().Draw(r, "A17"), Status: rapid.SampledFrom([]string{"M", "M", "P", "S", "PR", ""}).Draw(r, "status"),
		Start: day("start"), End: day("end"), Created: p.now, ByCAS3: rapid.Bool().Draw(r, "by CAS3"), Lines: p.someLines(r),
	}
	p.enter(row)
}

// enter enters a row on both sides, under the same number, so that ties are broken alike.
func (p *pair) enter(row delius.AddressRow) int64 {
	row.ID = max(p.fake.last, lastOf(p.twin)) + 1
	p.fake.last = row.ID
	p.fake.addresses[row.ID] = &row
	twin := deliustest.Address{
		ID: row.ID, CRN: store.CRN(p.fake.crn(row.OffenderID)), Type: "A02", Status: row.Status, Start: row.Start, End: row.End,
		Building: row.Lines.Building, Street: row.Lines.Street, District: row.Lines.District,
		Town: row.Lines.Town, County: row.Lines.County, Postcode: row.Lines.Postcode, Created: p.now, CreatedBy: deliustest.Practitioner,
	}
	if row.A17 {
		twin.Type = deliustest.CAS3Address
	}
	if row.ByCAS3 {
		twin.CreatedBy = deliustest.CAS3User
	}
	p.twin.InsertAddress(twin, p.now)
	return row.ID
}

func lastOf(t *deliustest.Twin) int64 {
	last := int64(0)
	for _, a := range t.Addresses() {
		last = max(last, a.ID)
	}
	for _, c := range t.Contacts() {
		last = max(last, c.ID)
	}
	return last
}

// someDate is a date that stands somewhere or is near one.
func (p *pair) someDate(r *rapid.T, label string) time.Time {
	var dates []time.Time
	for _, id := range slices.Sorted(maps.Keys(p.fake.addresses)) {
		dates = append(dates, p.fake.addresses[id].Start)
	}
	for _, k := range sortedKeys(p.fake.events) {
		dates = append(dates, store.Date(p.fake.events[k].At))
	}
	dates = slices.DeleteFunc(dates, time.Time.IsZero)
	if len(dates) == 0 {
		return time.Date(2024, 1, 3, 0, 0, 0, 0, time.UTC)
	}
	return rapid.SampledFrom(dates).Draw(r, label).AddDate(0, 0, rapid.IntRange(-1, 1).Draw(r, label+" off"))
}

// someLines are lines that stand somewhere, or others.
func (p *pair) someLines(r *rapid.T) delius.Lines {
	all := []delius.Lines{{Street: "9 Elsewhere", Postcode: "ZZ9 9ZZ"}, {Street: "No postcode"}}
	for _, k := range sortedKeys(p.fake.events) {
		if e := p.fake.events[k]; e.Premises.Pieces > 0 {
			all = append(all, e.Premises.Lines)
		}
	}
	return rapid.SampledFrom(all).Draw(r, "lines")
}

func sortedKeys(m map[store.Key]*delius.Event) []store.Key {
	return slices.SortedFunc(maps.Keys(m), store.Key.Compare)
}

// act is one thing that a practitioner does to a row, in both.
func (p *pair) act(r *rapid.T) {
	contacts := slices.Sorted(maps.Keys(p.fake.contacts))
	addresses := slices.Sorted(maps.Keys(p.fake.addresses))
	switch what := rapid.IntRange(0, 11).Draw(r, "act"); {
	case what > 9:
		p.thereAndBack(r)
	case what == 0:
		p.insertAddress(r)
	case what == 1 && rapid.IntRange(0, 3).Draw(r, "drop") == 0:
		p.fake.dropLedger()
		p.twin.DropLedger()
	case what < 6 && len(contacts) > 0:
		p.actOnContact(r, rapid.SampledFrom(contacts).Draw(r, "contact"))
	case len(addresses) > 0:
		p.actOnAddress(r, rapid.SampledFrom(addresses).Draw(r, "address"))
	}
}

func (p *pair) actOnContact(r *rapid.T, id int64) {
	row := p.fake.contacts[id]
	twin := only(p.twin.Contacts(), func(c *deliustest.Contact) bool {
		return c.URN == row.URN && c.Notes == row.Notes && c.Deleted == row.Deleted && c.Start.Equal(row.Start)
	})
	if twin == nil {
		return
	}
	switch rapid.IntRange(0, 5).Draw(r, "edit") {
	case 0:
		row.Notes = rapid.SampledFrom([]string{"", "by hand", row.Notes + "\nby hand", "by hand\n" + row.Notes, "by hand\r\n" + row.Notes + " \r\n"}).Draw(r, "notes")
	case 1:
		row.Start = row.Start.Add(time.Hour)
	case 2:
		row.Description = "by hand"
	case 3:
		row.Deleted = !row.Deleted
	case 4:
		row.Posting = delius.Posting{Provider: "N03", Team: "N03T01", Staff: fmt.Sprintf("N03A00%d", rapid.IntRange(1, 2).Draw(r, "staff"))}
	case 5:
		delete(p.fake.contacts, id)
		p.twin.Remove(twin)
		return
	}
	row.UpdatedBy = deliustest.Practitioner
	twin.Notes, twin.Start, twin.Description, twin.Deleted = row.Notes, row.Start, row.Description, row.Deleted
	twin.Provider, twin.Team, twin.Staff = row.Posting.Provider, row.Posting.Team, row.Posting.Staff
	p.twin.Edited(twin, p.now)
}

func (p *pair) actOnAddress(r *rapid.T, id int64) {
	row := p.fake.addresses[id]
	twin := p.twinOf(row)
	if twin == nil {
		return
	}
	switch rapid.IntRange(0, 6).Draw(r, "edit") {
	case 0:
		row.Status = rapid.SampledFrom([]string{"M", "P", "S", "PR"}).Draw(r, "status")
	case 1:
		row.End = p.someDate(r, "end")
	case 2:
		row.End = time.Time{}
	case 3:
		row.Start = p.someDate(r, "start")
	case 4:
		row.Lines.Street = "by hand"
	case 5:
		row.Deleted = !row.Deleted
	case 6:
		delete(p.fake.addresses, id)
		p.twin.Remove(twin)
		return
	}
	row.ByCAS3 = false
	twin.Status, twin.Start, twin.End, twin.Street, twin.Deleted = row.Status, row.Start, row.End, row.Lines.Street, row.Deleted
	p.twin.Edited(twin, p.now)
}

// twinOf is the twin's row of an address.
func (p *pair) twinOf(row *delius.AddressRow) *deliustest.Address {
	return only(p.twin.Addresses(), func(a *deliustest.Address) bool {
		return string(a.CRN) == p.fake.crn(row.OffenderID) && a.Status == row.Status && a.Street == row.Lines.Street &&
			a.Start.Equal(row.Start) && a.End.Equal(row.End) && a.Deleted == row.Deleted && a.Postcode == row.Lines.Postcode
	})
}

// only is the one row of the twin that is like ours, whose numbers differ; nil if there
// are several, because nobody could say which is meant.
func only[R any](rows []*R, like func(*R) bool) *R {
	var found *R
	for _, row := range rows {
		if like(row) {
			if found != nil {
				return nil
			}
			found = row
		}
	}
	return found
}
