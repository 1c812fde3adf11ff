package projector_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// ctx is for what has to be done also while a test is being cleaned up after.
var ctx = context.Background()

// rig is a projector over a database of its own, with a stream in memory and a twin
// that knows the same world.
type rig struct {
	*projector.Projector
	db     *postgres.Database
	delius postgrestest.Database
	twin   *deliustest.Twin
	stream *stream
}

// setup makes a rig whose Delius has the people of the histories.
func setup(t *testing.T, histories []storetest.History) *rig {
	t.Helper()
	r := newRig(t)
	r.begin(t, histories)
	return r
}

// newRig makes a rig without people, and every member of staff that histories name,
// but for those that are meant to be missing.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{delius: postgrestest.New(t)}
	var err error
	for _, region := range []string{"N50", "N58"} {
		for _, code := range storetest.Staff(region)[2:] {
			_, err = r.delius.AddStaff(ctx, code)
			require.NoError(t, err)
		}
	}
	r.db, err = postgres.New(ctx, r.delius.Projector, postgres.Config{
		RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, RebuildLease: 2 * time.Second,
		LocksTimeout: time.Minute, // the machine may be busy
	})
	require.NoError(t, err)
	return r
}

// begin begins anew with the people of other histories.
func (r *rig) begin(t require.TestingT, histories []storetest.History) {
	for _, table := range []string{
		"projection.stream", "projection.event", "projection.other_sequence", "projection.applied", "projection.identity",
		"projection.due", "projection.contact", "projection.address", "projection.address_term", "projection.contact_fingerprint",
		"projection.address_fingerprint", "projection.conflict",
		"projection.parked", "projection.rebuild", "projection.outbox", "projection.failing", "projection.damage", "delius.audited_interaction", "delius.contact", "delius.offender_address",
		"delius.offender_manager", "delius.additional_identifier", "delius.offender",
	} {
		_, err := r.delius.Pool.Exec(ctx, "delete from "+table)
		require.NoError(t, err)
	}
	var people []postgrestest.Person
	for _, h := range histories {
		people = append(people, postgrestest.Person{
			CRN: h.Person.CRN, NOMS: h.Person.NOMS,
			Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"},
		})
	}
	require.NoError(t, r.delius.AddPeople(ctx, people))
	r.stream = &stream{}
	r.Projector = r.another(t, r.stream)
	world, err := r.delius.World(ctx)
	require.NoError(t, err)
	r.twin = deliustest.New(world)
}

// another is one more projector on the same database.
func (r *rig) another(t require.TestingT, log projector.Log) *projector.Projector {
	p, err := projector.New(log, r.db.Ports(), projector.Config{
		Sweep: 20 * time.Millisecond, Search: 100 * time.Millisecond, Retry: time.Millisecond, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	require.NoError(t, err)
	return p
}

// put puts events into the stream and the inbox.
func (r *rig) put(t require.TestingT, events ...store.Event) {
	messages := r.stream.add(events...)
	err := r.db.Put(ctx, messages)
	for errors.Is(err, projector.ErrRetry) { // somebody else put one there in the same moment
		err = r.db.Put(ctx, messages)
	}
	require.NoError(t, err)
	for _, e := range events {
		r.twin.Store(e)
	}
}

// project reconciles everyone who is due, and makes the twin look, too.
func (r *rig) project(t require.TestingT) {
	r.reconcile(t)
	r.twin.Project(time.Now())
}

func (r *rig) reconcile(t require.TestingT) {
	due, err := r.db.Due(ctx, time.Now(), time.Now(), 10_000, nil)
	require.NoError(t, err)
	report, err := r.Reconcile(ctx, projector.Selection{Referrals: due})
	require.NoError(t, err)
	require.Empty(t, report.Failed)
	require.Zero(t, report.Lost)
}

// requireTwin compares every row with the twin's.
func (r *rig) requireTwin(t require.TestingT) {
	contacts, addresses, err := r.delius.Portable(ctx)
	require.NoError(t, err)
	wantContacts, wantAddresses, err := postgrestest.TwinPortable(r.twin)
	require.NoError(t, err)
	require.Equal(t, wantContacts, contacts)
	require.Equal(t, wantAddresses, addresses)
	require.Equal(t, r.twinParked(), r.parked(t))
}

// parked lists what is parked, one text each.
func (r *rig) parked(t require.TestingT) []string {
	rows, err := r.delius.Pool.Query(ctx, `
		select concat_ws(' ', cause, referral, case when address then 'address' when event = '' then urn else event end)
		from projection.parked`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	slices.Sort(all)
	return all
}

func (r *rig) twinParked() []string {
	all := []string{}
	for _, p := range r.twin.Parked() {
		subject := p.Subject
		if p.Type != "" {
			subject = string(p.Type) + " " + subject
		}
		all = append(all, fmt.Sprintf("%s %s %s", p.Cause, p.Referral, subject))
	}
	slices.Sort(all)
	return all
}

// requireAudited holds that every insert and every update of a contact wrote one
// interaction, as it must be where nobody else writes.
func (r *rig) requireAudited(t require.TestingT) {
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	updates := 0
	for _, c := range contacts {
		updates += int(c.RowVersion)
	}
	interactions, err := r.delius.Interactions(ctx)
	require.NoError(t, err)
	count := map[string]int{}
	for _, i := range interactions {
		count[i.Code]++
		require.Equal(t, "P", i.Outcome)
		require.Regexp(t, `^contactId='\d+',offenderId='\d+'$`, i.Parameters)
	}
	require.Equal(t, len(contacts), count["CLBI003"])
	require.Equal(t, updates, count["CLBI007"])
}

// referrals lists those of all histories.
func referrals(histories []storetest.History) []store.Referral {
	seen := map[store.Referral]bool{}
	out := []store.Referral{}
	for _, h := range histories {
		for _, e := range h.Events {
			if !seen[e.Referral] {
				seen[e.Referral] = true
				out = append(out, e.Referral)
			}
		}
	}
	return out
}

// stream is a stream of events in memory.
type stream struct{ messages []store.Stored }

var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// add appends events as they come, duplicates too, and returns them as stored.
func (s *stream) add(events ...store.Event) []store.Stored {
	for _, e := range events {
		n := uint64(len(s.messages) + 1)
		s.messages = append(s.messages, store.Stored{Event: e, Sequence: n, Stored: created.Add(time.Duration(n) * time.Second)})
	}
	return s.messages[len(s.messages)-len(events):]
}

func (s *stream) Stream(context.Context) (projector.Stream, error) {
	return projector.Stream{Created: created, LastSequence: uint64(len(s.messages))}, nil
}

func (s *stream) Read(_ context.Context, from, to uint64) iter.Seq2[store.Stored, error] {
	return func(yield func(store.Stored, error) bool) {
		for _, m := range s.messages[from-1 : to] {
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (s *stream) Follow(context.Context) (projector.Follower, error) {
	panic("not followed in these tests")
}
