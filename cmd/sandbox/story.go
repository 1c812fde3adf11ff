package main

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// Shares of what goes wrong on the way, and of what is wrong with an event itself.
const (
	twice   = 0.1  // messages that are delivered a second time
	late    = 0.1  // messages that are overtaken by others
	missing = 0.02 // details that answer 404 at first

	unknownTypes = 0.02
	badDetails   = 0.01
	badAddresses = 0.02
)

// story is everything that is going to happen. The same seed tells the same story.
type story struct {
	population
	messages []message            // in the order of their delivery
	visits   []*visit             // of practitioners
	withheld postgrestest.Officer // joins Delius late; the zero Officer if nobody does
	events   int                  // that end up in the stream
	wakeUps  int                  // person events, likewise
	merges   int                  // of people, each told by one of them
	late     int                  // of messages

	reference *deliustest.Twin
}

// message is one notification on its way, with the event that it tells of.
type message struct {
	*storetest.Raised
	id      string // the SNS message's
	misses  int    // how often its detail answers 404 before it is there
	resent  bool   // it was sent before
	overdue int    // how many messages overtake it

	then *wakeUp // what Delius raises right after it; nil if nothing
}

// plan makes up the story of people whose details are at a base URL.
func plan(seed uint64, people int, baseURL string) *story {
	chance := rand.New(rand.NewPCG(seed, 0x5a4d))
	s := &story{}
	s.employ()
	var histories []storetest.History
	for h := range storetest.Generate(storetest.Options{
		Seed: seed, People: people, BaseURL: baseURL,
		Unknown: unknownTypes, BadDetail: badDetails, BadAddress: badAddresses,
	}) {
		s.settle(h.Person)
		s.events += len(h.Events)
		histories = append(histories, h)
	}
	s.withheld = s.busiest(histories)

	s.reference = deliustest.New(s.world())
	s.moveIn()
	told := s.visitSome(chance, histories)
	slices.SortStableFunc(told, func(a, b *storetest.Raised) int { return a.Emitted.Compare(b.Emitted) })
	s.post(chance, told)
	s.wake(seed)
	s.mergeSome(seed, histories)
	return s
}

// busiest is the member of staff who recorded most, of those that are not in the
// stand-in already.
func (s *story) busiest(histories []storetest.History) postgrestest.Officer {
	recorded := map[string]int{}
	for _, h := range histories {
		for i := range h.Events {
			recorded[recorderOf(h.Events[i].Body)]++
		}
	}
	best := slices.MaxFunc(s.staff, func(a, b postgrestest.Officer) int {
		return cmp.Or(recorded[a.Staff]-recorded[b.Staff], cmp.Compare(b.Staff, a.Staff))
	})
	if recorded[best.Staff] == 0 {
		return postgrestest.Officer{}
	}
	return best
}

// recorderOf is the staff code of whoever recorded an event, "" if it names nobody.
func recorderOf(body []byte) string {
	type recorder struct{ StaffCode string }
	var detail struct {
		EventDetails struct{ BookedBy, ConfirmedBy, CancelledBy, RecordedBy recorder }
	}
	if json.Unmarshal(body, &detail) != nil {
		return "" // of a detail that is bad on purpose
	}
	d := detail.EventDetails
	return cmp.Or(d.BookedBy.StaffCode, d.ConfirmedBy.StaffCode, d.CancelledBy.StaffCode, d.RecordedBy.StaffCode)
}

// moveIn gives the reference the homes that stand in Delius before anything is raised.
func (s *story) moveIn() {
	for _, home := range s.homes {
		s.reference.InsertAddress(deliustest.Address{
			CRN: store.CRN(home.CRN), Type: home.Type, Status: home.Status,
			Street: home.StreetName, Town: home.TownCity, Postcode: home.Postcode, Start: home.Start,
		}, home.Created)
	}
}

// post puts messages into the order of their delivery. Most come as they were raised;
// some are overtaken, by a few others or by a fifth of them all, and some come twice.
func (s *story) post(chance *rand.Rand, told []*storetest.Raised) {
	type placed struct {
		message
		at int
	}
	delay := func() int {
		if chance.IntN(4) > 0 {
			return 1 + chance.IntN(30)
		}
		return 1 + chance.IntN(1+len(told)/5)
	}
	var all []placed
	for i, raised := range told {
		m := message{Raised: raised, id: messageID(chance)}
		if chance.Float64() < missing {
			m.misses = 1 + chance.IntN(2)
		}
		if chance.Float64() < late {
			m.overdue = delay()
			s.late++
		}
		all = append(all, placed{m, i + m.overdue})
		if chance.Float64() < twice {
			m.resent, m.misses = true, 0
			all = append(all, placed{m, i + m.overdue + delay()})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	for _, p := range all {
		s.messages = append(s.messages, p.message)
	}
}

func messageID(chance *rand.Rand) string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(chance.Uint32()) //nolint:gosec // eight of the bits are wanted
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4, RFC 9562
	return id.String()
}
