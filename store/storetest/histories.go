package storetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"casdelius/store"
)

// Histories draws the histories of one to three people, small and adversarial; see
// the package documentation. Recorders are of Staff("N50") and Staff("N58"), the
// first two of each, or one of nobody's region or nobody's staff. The events of one
// history differ in their identity.
func Histories() *rapid.Generator[[]History] {
	return rapid.Custom(func(t *rapid.T) []History {
		d := drawn{t}
		tell := &teller{dice: d, lore: sparse(), base: "https://cas.example", badDetail: 0.1, badAddress: 0.1}
		people := make([]History, 1+d.below(3))
		for i := range people {
			p := person(5 + i) // the third of them has no NOMS number
			people[i] = History{Person: p, Events: tell.history(p, i)}
		}
		return people
	})
}

// history draws the events of one to four referrals in any order at all.
func (t *teller) history(p Person, number int) []Raised {
	var events []Raised
	told := map[store.Key]bool{}
	for r := range 1 + t.below(4) {
		application, booking := numberedID(number, 2*r), numberedID(number, 2*r+1)
		tier2 := t.below(3) == 2
		for range t.below(7) {
			o := occurrence{person: p, application: application, booking: booking}
			o.typ, o.id, o.raised = t.typ(tier2), pick(t.dice, ids), pick(t.dice, instants)
			if o.typ.ReferralID("a", "b") == "a" {
				o.booking = store.Referral{}
			}
			if !o.typ.Known() {
				o.typ, o.booking = unknownType(t, o.typ, o.booking)
			}
			o.record = t.record()
			if event := t.raise(o); !told[event.Key()] {
				told[event.Key()] = true
				events = append(events, event)
			}
		}
	}
	return events
}

// typ draws an event type of one tier, arrivals and departures most often; what is
// drawn last is not known.
func (t *teller) typ(tier2 bool) store.Type {
	if tier2 {
		return pick(t.dice, []store.Type{
			store.ApplicationStatusUpdated, store.ApplicationSubmitted, "applications.cas2.application.assigned",
		})
	}
	return pick(t.dice, []store.Type{
		store.PersonArrived, store.PersonArrivedUpdated, store.PersonDeparted, store.PersonDepartedUpdated,
		store.BookingCancelled, store.BookingCancelledUpdated, store.BookingConfirmed, store.BookingProvisionallyMade,
		store.PersonArrived, store.PersonArrivedUpdated, store.PersonDeparted,
		store.ReferralSubmitted, "accommodation.cas3.booking.changed",
	})
}

func (t *teller) record() record {
	l := t.lore
	return record{
		happened: pick(t.dice, days), premises: pick(t.dice, l.premises), notes: pick(t.dice, l.notes),
		reason: pick(t.dice, l.reasons), context: pick(t.dice, l.contexts),
		cohort: pick(t.dice, l.cohorts), recorder: pick(t.dice, l.recorders),
	}
}

// sparse is the lore of property tests: so little that texts and addresses recur.
func sparse() *lore {
	n50, n58 := Staff("N50"), Staff("N58")
	return &lore{
		notes:        []string{"Came early", "Has a key", "Came early\nHas a key", "Has a key \r\n\r\nCame early\n", "  ", "Key\x00 lost\u00a0"},
		reasons:      []string{"Other", "Recalled", " Recalled", "Has a key"},
		contexts:     []string{"Came early", ""},
		descriptions: []string{"Came early", " "},
		details:      []string{"Health", "Other "},
		cohorts: []cohort{
			{"COURT_BAIL", "Court Bail", "courtBail"},
			{"HDC", "Home Detention Curfew", "homeDetentionCurfew"},
			{"ATCR", "Alternative to Custodial Recall (ATCR)", "other"},
			{"", " ", "somethingElse"},
		},
		premises: []premises{
			{line1: "1 Hope Street", postcode: "LS1 4AP", town: "Leeds", region: "Yorkshire & The Humber"},
			{line1: "1 Hope Street", line2: "Rear", postcode: "ls14ap", town: "Leeds", region: ""},
			{line1: "Flat 1, The Old Schoolhouse Annexe (rear)", line2: "1 Hope Street", postcode: "LS1 4AP "},
			{line1: "2 Canal Road", postcode: "NE1 7RU", town: "Newcastle", region: "Tyne and Wear, Northumberland and beyond"},
			{line1: "1 hope  street", line2: " ", postcode: " "},
			{line1: " ", line2: "ŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷŷ ŷ–", postcode: ""},
		},
		recorders: []recorder{
			{n50[0], "N50"}, {n50[1], "N50"}, {n58[0], "N58"}, {n58[1], "N58"}, {n50[0], "N58"}, {"N50A999", "N50"}, {n50[0], "ZZZ"}, {n50[0], ""},
		},
	}
}

var ids = []string{
	"a", "B", "b", "3f0c7a5e-58a5-4d0c-9b1e-0a8f3c1d2e4b", "domain_event.7~00ff",
	"c", "d", "e", "f", "g", "h", // enough for most events of a referral to be told
}

// instants are when events are raised: in winter, and around the end of summer time.
var instants = []time.Time{
	time.Date(2024, 1, 10, 9, 0, 0, 0, time.UTC),
	time.Date(2024, 1, 10, 9, 0, 0, 1_000, time.UTC), // the least difference that counts
	time.Date(2024, 1, 17, 9, 0, 0, 999, time.UTC),   // nanoseconds do not
	time.Date(2024, 1, 17, 9, 0, 0, 0, time.UTC),
	time.Date(2024, 10, 27, 0, 30, 0, 0, time.UTC), // 01:30 summer time
	time.Date(2024, 10, 27, 1, 30, 0, 0, time.UTC), // 01:30 again
}

// days are when things happen: neighbouring days, and midnights that are the day
// after in London.
var days = []time.Time{
	time.Date(2024, 6, 10, 12, 0, 0, 0, time.UTC),
	time.Date(2024, 6, 11, 12, 0, 0, 0, time.UTC),
	time.Date(2024, 6, 10, 23, 30, 0, 0, time.UTC), // the 11th
	time.Date(2024, 6, 12, 0, 0, 0, 0, time.UTC),
	time.Date(2024, 3, 31, 0, 59, 59, 999_999_999, time.UTC), // the last second of winter
	time.Date(2024, 6, 9, 12, 0, 0, 0, time.UTC),
}

// numberedID is a referral that shows in a failed test whose it is.
func numberedID(person, n int) store.Referral {
	r, err := store.ParseReferral(fmt.Sprintf("%08d-0000-4000-8000-%012d", person+1, n))
	if err != nil {
		panic(err) // unreachable: it has the form of a UUID
	}
	return r
}

// drawn is the dice of a rapid test.
type drawn struct{ t *rapid.T }

func (d drawn) below(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "choice") }

// hit takes every share for one in eight: what is rare in life is where the tests
// should look.
func (d drawn) hit(share float64) bool { return d.below(8) == 7 && share > 0 }
