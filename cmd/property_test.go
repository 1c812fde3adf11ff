package cmd_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// Events of several people come shuffled, some of them twice, in a few rounds; before
// each round practitioners change what they like while the projector is down. When it
// is up again, every row must be the twin's.
func TestAnyDeliveryAndAnyEditGiveTheRowsOfTheTwin(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"first", "second", "third", "fourth"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			chance, seed := chance(t)
			histories := s.generate(t, storetest.Options{Seed: seed, People: 8, Unknown: 0.03, BadDetail: 0.05, BadAddress: 0.05})
			s.ingest(t)
			events := shuffled(chance, histories)
			for rounds := 4; rounds > 0; rounds-- {
				n := len(events)
				if rounds > 1 {
					n = chance.IntN(n + 1)
				}
				s.raise(t, events[:n]...)
				events = events[n:]
				eventually(t, "the queue is empty", func() bool {
					depth, err := s.sqs.Depth(queueName)
					return err == nil && depth.Visible+depth.InFlight == 0
				})
				for range chance.IntN(12) {
					s.editSomething(t, chance, histories)
				}
				running := s.project(t)
				s.settle(t)
				s.lookAgain(t) // also at those of whom nothing new has come
				s.requireTwin(t)
				s.requireStill(t)
				running.stop()
			}
		})
	}
}

// editSomething lets a practitioner change one row, in Delius and in the twin.
func (s *system) editSomething(t *testing.T, chance *rand.Rand, histories []storetest.History) {
	t.Helper()
	rows := s.rows(t)
	switch kind := chance.IntN(10); {
	case kind < 5 && len(rows.contacts) > 0:
		s.editContact(t, chance, rows.contacts[chance.IntN(len(rows.contacts))])
	case kind < 9 && len(rows.addresses) > 0:
		s.editAddress(t, chance, rows.addresses[chance.IntN(len(rows.addresses))])
	default:
		s.addAddress(t, chance, histories[chance.IntN(len(histories))].Person)
	}
}

func (s *system) editContact(t *testing.T, chance *rand.Rand, c postgrestest.Contact) {
	t.Helper()
	changes := []func(*postgrestest.Contact){
		func(c *postgrestest.Contact) { c.Notes += "\r\nThe practitioner called. " },
		func(c *postgrestest.Contact) { c.Notes = "The practitioner called.\n" + c.Notes },
		func(c *postgrestest.Contact) { c.Notes = "All of it was wrong." },
		func(c *postgrestest.Contact) { _, c.Notes, _ = strings.Cut(c.Notes, "\n") },
		func(c *postgrestest.Contact) { c.Description = "Checked" },
		func(c *postgrestest.Contact) { c.SoftDeleted = !c.SoftDeleted },
		func(c *postgrestest.Contact) { c.Officer, c.TrustProviderTeam = manager, manager.Team },
		func(c *postgrestest.Contact) {
			c.StartTime = c.StartTime.Add(-95 * time.Minute)
			c.Date = store.Date(c.StartTime)
		},
	}
	change := changes[chance.IntN(len(changes))]
	require.NoError(t, s.delius.EditContact(ctx, c.ID, change))
	change(&c)
	for _, twin := range s.twin.Contacts() {
		if twin.URN == c.ExternalReference {
			twin.Notes, twin.Description, twin.Date, twin.Start, twin.Deleted = c.Notes, c.Description, c.Date, c.StartTime, c.SoftDeleted
			twin.Provider, twin.Team, twin.Staff = c.Provider, c.Team, c.Staff
			s.twin.Edited(twin, time.Now())
		}
	}
}

func (s *system) editAddress(t *testing.T, chance *rand.Rand, a postgrestest.Address) {
	t.Helper()
	was := a
	changes := []func(*postgrestest.Address){
		func(a *postgrestest.Address) { a.End = someDay(chance) },
		func(a *postgrestest.Address) { a.Status, a.End = "P", someDay(chance) },
		func(a *postgrestest.Address) { a.Status, a.End = "M", time.Time{} },
		func(a *postgrestest.Address) { a.Status, a.End = "P", time.Time{} },
		func(a *postgrestest.Address) { a.Start = someDay(chance) },
		func(a *postgrestest.Address) { a.BuildingName = "Flat 2" },
		func(a *postgrestest.Address) { a.SoftDeleted = !a.SoftDeleted },
	}
	changes[chance.IntN(len(changes))](&a)
	same := func(twin *deliustest.Address) bool {
		return string(twin.CRN) == was.CRN && twin.Type == was.Type && twin.Status == was.Status && twin.Start.Equal(was.Start) && twin.End.Equal(was.End) &&
			twin.Building == was.BuildingName && twin.Street == was.StreetName && twin.Postcode == was.Postcode && twin.Deleted == was.SoftDeleted
	}
	twins := slices.DeleteFunc(s.twin.Addresses(), func(twin *deliustest.Address) bool { return !same(twin) })
	if len(twins) != 1 {
		return // which of them is which cannot be seen
	}
	require.NoError(t, s.delius.EditAddress(ctx, a.ID, func(row *postgrestest.Address) { *row = a }))
	twin := twins[0]
	twin.Status, twin.Start, twin.End, twin.Building, twin.Deleted = a.Status, a.Start, a.End, a.BuildingName, a.SoftDeleted
	s.twin.Edited(twin, time.Now())
}

func (s *system) addAddress(t *testing.T, chance *rand.Rand, person storetest.Person) {
	t.Helper()
	a := postgrestest.Address{
		CRN: string(person.CRN), Type: []string{"A07", "A17"}[chance.IntN(2)], Status: []string{"M", "P"}[chance.IntN(2)],
		StreetName: "9 Station Road", Postcode: "YO1 7HH", Start: someDay(chance), Created: time.Now().UTC(),
	}
	if a.Status == "P" {
		a.End = a.Start.AddDate(0, chance.IntN(6), 0)
	}
	_, err := s.delius.InsertAddress(ctx, a)
	require.NoError(t, err)
	s.twin.InsertAddress(deliustest.Address{
		CRN: person.CRN, Type: a.Type, Status: a.Status, Street: a.StreetName, Postcode: a.Postcode, Start: a.Start, End: a.End,
	}, a.Created)
}

// someDay is one of the days on which generated people live.
func someDay(chance *rand.Rand) time.Time {
	return time.Date(2024, 1, 1+chance.IntN(700), 0, 0, 0, 0, time.UTC)
}
