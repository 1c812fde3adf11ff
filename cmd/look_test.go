package cmd_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
)

// contact is the only contact under a URN.
func (s *system) contact(t *testing.T, urn string) postgrestest.Contact {
	t.Helper()
	found := s.contacts(t, urn)
	require.Len(t, found, 1, urn)
	return found[0]
}

// contacts are all under a URN, deleted ones too.
func (s *system) contacts(t *testing.T, urn string) []postgrestest.Contact {
	t.Helper()
	all, err := s.delius.Contacts(ctx)
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(c postgrestest.Contact) bool { return c.ExternalReference != urn })
}

// addresses are all of everyone, in the order in which they were inserted.
func (s *system) addresses(t testing.TB) []postgrestest.Address {
	t.Helper()
	all, err := s.delius.Addresses(ctx)
	require.NoError(t, err)
	slices.SortFunc(all, func(a, b postgrestest.Address) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// address is the only address that begins on a date.
func (s *system) address(t *testing.T, start string) postgrestest.Address {
	t.Helper()
	var found []postgrestest.Address
	for _, a := range s.addresses(t) {
		if a.Start.Equal(day(t, start)) {
			found = append(found, a)
		}
	}
	require.Len(t, found, 1, "addresses from %s", start)
	return found[0]
}

// day is a date as columns hold it.
func day(t *testing.T, date string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, date)
	require.NoError(t, err)
	return at
}

// everything is all rows that people see, with versions and times of writing.
type everything struct {
	contacts     []postgrestest.Contact
	addresses    []postgrestest.Address
	interactions []postgrestest.Interaction
}

func (s *system) rows(t testing.TB) everything {
	t.Helper()
	var all everything
	var err error
	all.contacts, err = s.delius.Contacts(ctx)
	require.NoError(t, err)
	all.addresses = s.addresses(t)
	all.interactions, err = s.delius.Interactions(ctx)
	require.NoError(t, err)
	return all
}

// requireTwin settles, and compares every row and what is parked with the twin's.
func (s *system) requireTwin(t testing.TB) {
	t.Helper()
	s.settle(t)
	s.twin.Project(time.Now())
	s.requireRows(t)
	wantParked := map[string]int{}
	for _, p := range s.twin.Parked() {
		wantParked[p.Cause]++
	}
	require.Equal(t, wantParked, s.parked(t))
	s.requireNothingLost(t)
}

// requireRows compares every row with the twin's.
func (s *system) requireRows(t testing.TB) {
	t.Helper()
	contacts, addresses, err := s.delius.Portable(ctx)
	require.NoError(t, err)
	wantContacts, wantAddresses, err := postgrestest.TwinPortable(s.twin)
	require.NoError(t, err)
	require.Equal(t, wantContacts, contacts, "a row is not as the events say")
	require.Equal(t, wantAddresses, addresses, "a row is not as the events say")
}

// requireNothingLost holds that no message was given up and none made two contacts.
func (s *system) requireNothingLost(t testing.TB) {
	t.Helper()
	dead, err := s.sqs.Messages(deadLetters)
	require.NoError(t, err)
	require.Empty(t, dead)
	for m, err := range s.log.Rejected(ctx) {
		require.NoError(t, err)
		require.Fail(t, "a message was rejected", "%s: %s", m.Reason, m.Problem)
	}
}

// requireStill holds that another look at everyone moves no row.
func (s *system) requireStill(t *testing.T) {
	t.Helper()
	before := s.rows(t)
	s.lookAgain(t)
	require.Equal(t, before, s.rows(t))
}

// lookAgain makes everyone due and waits for the projector to look.
func (s *system) lookAgain(t *testing.T) {
	t.Helper()
	_, err := s.delius.Pool.Exec(ctx, "insert into projection.due (referral) select distinct referral from projection.event order by 1")
	require.NoError(t, err)
	s.settle(t)
}

// parked counts what is parked, by cause.
func (s *system) parked(t testing.TB) map[string]int {
	t.Helper()
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	backlog, err := db.Backlog(ctx)
	require.NoError(t, err)
	counts := map[string]int{}
	for cause, p := range backlog.Parked {
		counts[cause] = p.Count
	}
	return counts
}

// inboxComplete says whether the inbox has all that was raised.
func (s *system) inboxComplete(t *testing.T) bool {
	depth, err := s.sqs.Depth(queueName)
	require.NoError(t, err)
	info, err := s.log.Info(ctx)
	require.NoError(t, err)
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	gaps, err := db.Missing(ctx, info.LastSequence)
	require.NoError(t, err)
	return depth.Visible+depth.InFlight == 0 && len(gaps) == 0
}

// notificationIn is the event in an SNS envelope.
func notificationIn(t testing.TB, body string) string {
	t.Helper()
	var envelope struct{ Message string }
	require.NoError(t, json.Unmarshal([]byte(body), &envelope))
	return envelope.Message
}

// stored is how many events are in the stream.
func (s *system) stored(t *testing.T) int {
	t.Helper()
	info, err := s.log.Info(ctx)
	require.NoError(t, err)
	return int(info.LastSequence)
}
