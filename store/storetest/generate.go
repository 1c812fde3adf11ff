package storetest

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"casdelius/store"
)

// Raised is an event as CAS raised it.
type Raised struct {
	// Event is what ingest makes of it. Received is zero, Source the detail URL.
	store.Event
	// DetailPath is where the CAS API serves the detail, below the base URL:
	// /events/cas3/person-arrived/{id}.
	DetailPath string
	// Notification is the JSON of the event that is published, without an SNS
	// envelope.
	Notification []byte
}

// GoString shows the event to the reader of a failed property test.
func (r Raised) GoString() string {
	return fmt.Sprintf("\n\t%s emitted %s of %q %q: %s", r.Key(), r.Emitted.Format(time.RFC3339Nano), r.CRN, r.NOMS, r.Body)
}

// Person is how a person can be named. At most NOMS is "": not everyone has been in
// prison.
type Person struct {
	CRN  store.CRN
	NOMS store.NOMS
}

// History is one person with the events of all their referrals, in the order in
// which CAS raised them.
type History struct {
	Person Person
	Events []Raised
}

// Options steer [Generate]. Shares are from 0 to 1.
type Options struct {
	Seed    uint64
	First   int       // number of the first of them; people of other numbers are others
	People  int       // how many
	BaseURL string    // of the detail URLs; https://cas.example if ""
	Start   time.Time // nothing is raised before it; 2024-01-01 if zero
	Regions []string  // the probation regions of the recorders; [Regions] if empty

	Unknown    float64 // share of events that are followed by one of an unknown type
	BadDetail  float64 // share of known events of which no contact can be made
	BadAddress float64 // share of the other arrivals whose premises give no address
}

// Generate makes up the histories of o.People people, one after the other. It holds
// none of them, so a million events need no memory of their own.
func Generate(o Options) iter.Seq[History] {
	o.BaseURL = cmp.Or(o.BaseURL, "https://cas.example")
	if o.Start.IsZero() {
		o.Start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if len(o.Regions) == 0 {
		o.Regions = Regions()
	}
	lore := plausible(o.Regions)
	return func(yield func(History) bool) {
		t := &teller{lore: lore, base: o.BaseURL, badDetail: o.BadDetail, badAddress: o.BadAddress}
		seeds := rand.NewPCG(o.Seed, 0)
		for i := range o.People { // each with a seed of their own, so none depends on how much the others drew
			chance := rand.New(rand.NewPCG(seeds.Uint64(), seeds.Uint64()))
			t.dice = seeded{chance}
			l := life{Rand: chance, teller: t, unknown: o.Unknown}
			if !yield(l.tell(o.First+i, o.Start)) {
				return
			}
		}
	}
}

// Regions are codes of probation regions, as Delius names providers.
func Regions() []string {
	return []string{"N03", "N07", "N50", "N51", "N52", "N53", "N54", "N55", "N56", "N57", "N58", "N59"}
}

// Staff are the officer codes of the staff of a region who record what happens to
// its people. No other region has them.
func Staff(region string) []string {
	codes := make([]string, 8)
	for i := range codes {
		codes[i] = fmt.Sprintf("%sA%03d", region, i+1)
	}
	return codes
}

// person is number i of all people.
func person(i int) Person {
	p := Person{
		CRN:  store.CRN(fmt.Sprintf("%c%06d", 'A'+(23+i/1_000_000)%26, i%1_000_000)),
		NOMS: store.NOMS(fmt.Sprintf("%c%04d%c%c", 'A'+i/6_760_000%26, i%10_000, 'A'+i/260_000%26, 'A'+i/10_000%26)),
	}
	if i%10 == 7 {
		p.NOMS = ""
	}
	return p
}

// dice decides what is left to chance.
type dice interface {
	// below gives one of 0 to n-1; the lower it is, the more ordinary.
	below(n int) int
	// hit says whether something rare happens that has this share.
	hit(share float64) bool
}

// seeded is the dice of a seed.
type seeded struct{ *rand.Rand }

func (s seeded) below(n int) int        { return s.IntN(n) }
func (s seeded) hit(share float64) bool { return s.Float64() < share }

func pick[T any](d dice, of []T) T { return of[d.below(len(of))] }
