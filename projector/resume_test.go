package projector_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/verify"
	"casdelius/store"
)

// A person whose rows cannot be written, alone in an otherwise quiet service.
func TestOnePersonWhoCannotBeWrittenIsNoIllHealth(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.exec(t, `create function delius.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
		create trigger refuse before insert on delius.contact for each row execute function delius.refuse()`)
	r.put(t, moved(1, someone, 0))
	p, err := projector.New(r.stream, r.db.Ports(), projector.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for range 3 {
		_, err := p.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(1)}})
		require.NoError(t, err)
	}
	require.NoError(t, p.Healthy(ctx))
}

func TestVerifyingOnePersonFindsThatWhomTheirEventsNameWasLost(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0))
	r.reconcile(t)
	r.exec(t, "delete from projection.identity")
	verdict, err := r.Verify(ctx, verify.Verification{Selection: projector.Selection{CRNs: []store.CRN{someone}}, Grace: time.Nanosecond})
	require.NoError(t, err)
	require.Positive(t, verdict.Damaged)
}

func TestARebuildThatIsInterruptedAfterACommitCountsIt(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]int{"as fast as can be": 0, "limited": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			histories, events := generated(60)
			r := setup(t, histories)
			r.stream.add(events...)
			_, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{DryRun: true}})
			require.NoError(t, err)
			running, stop := context.WithCancel(ctx)
			defer stop()
			committed := 0
			p, err := projector.New(r.stream, r.db.Ports(), projector.Config{
				Workers: 1, Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
				Committed: func(a projector.Applied, _ time.Time) { committed += len(a.People); stop() },
			})
			require.NoError(t, err)
			_, err = p.Rebuild(running, projector.Rebuild{Rate: rate, By: "first"})
			require.ErrorIs(t, err, context.Canceled)
			lock, at, err := r.db.LockRebuild(ctx, "second", false, time.Now())
			require.NoError(t, err)
			lock.Release()
			require.Equal(t, committed, at.People)
		})
	}
}

func TestARebuildThatGoesOnDoesNotReportAsFailedWhoWasRebuiltSince(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.stream.add(moved(1, someone, 0), moved(2, another, 0))
	r.exec(t, `create function delius.refuse() returns trigger language plpgsql as $$ begin if new.external_reference like '%0001' then raise exception 'no'; end if; return new; end $$;
		create trigger refuse before insert on delius.contact for each row execute function delius.refuse()`)
	running, stop := context.WithCancel(ctx)
	defer stop()
	_, err := r.on(t, r.db).Rebuild(running, projector.Rebuild{By: "first", Progress: func(p projector.Progress) {
		if p.Phase == projector.Reconciling && p.Done == p.Total {
			stop()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	r.exec(t, "drop trigger refuse on delius.contact")
	tally, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{By: "second"})
	require.NoError(t, err)
	contacts, _ := r.live(t)
	require.Len(t, contacts, 2, "everyone is as desired")
	require.Empty(t, tally.Failed)
	require.Equal(t, 2, tally.People)
}

func TestARepairOfAContactWhoseKeptContentHasNoURNGoesOn(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0))
	r.reconcile(t)
	// Somebody took the URN away, the fingerprint was lost, and the contact cannot be inserted anew.
	r.exec(t, `update delius.contact set external_reference = null, row_version = row_version + 1, last_updated_datetime = last_updated_datetime + interval '1 second'`)
	r.exec(t, "delete from projection.contact_fingerprint; update delius.offender_manager set active_flag = 0")
	_, _, _ = r.verify(t, true)
	r.exec(t, "update delius.contact set notes = 'altered'")
	require.NotPanics(t, func() { _, _, _ = r.verify(t, true) })
}

// brokenPeople cannot be listed: one chunk for good, the others for now.
type brokenPeople struct {
	projector.People
	first chan struct{}
	after int64
}

var errBroken = errors.New("broken")

func (b *brokenPeople) ReferralsOf(_ context.Context, offenders []int64) ([]store.Referral, error) {
	if offenders[0] == b.after {
		<-b.first // the other chunk is in hand
		return nil, errBroken
	}
	select {
	case <-b.first:
	default:
		close(b.first)
	}
	return nil, fmt.Errorf("%w: the connection is lost", projector.ErrRetry)
}

func TestARebuildThatCannotGoOnEndsThoughAnotherWorkerRetries(t *testing.T) {
	t.Parallel()
	histories, events := generated(60)
	r := setup(t, histories)
	r.stream.add(events...)
	r.put(t, events...)
	all, err := r.db.OffendersAfter(ctx, 0)
	require.NoError(t, err)
	ports := r.db.Ports()
	ports.People = &brokenPeople{ports.People, make(chan struct{}), all[0]}
	p, err := projector.New(r.stream, ports, projector.Config{Workers: 2, Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Rebuild(running, projector.Rebuild{})
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-time.After(20 * time.Second):
		stop()
		t.Log(<-ended)
		t.Fatal("it goes on though one worker has failed for good")
	}
	require.ErrorIs(t, err, errBroken)
}

// read counts the rows that are read of what grows with the people.
func TestFindingWhomACRNMeansReadsFewRows(t *testing.T) {
	t.Parallel()
	r := populated(t)
	const people = 5000
	r.exec(t, "insert into delius.offender (crn, noms_number) select 'B' || lpad(i::text, 6, '0'), 'A' || lpad(i::text, 4, '0') || 'AA' from generate_series(1, $1::int) i", people)
	r.exec(t, "insert into projection.identity select gen_random_uuid(), crn, noms_number from delius.offender where crn like 'B%'")
	r.exec(t, "analyze delius.offender, projection.identity")
	config := r.delius.Projector.Config()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, config)
	require.NoError(t, err)
	defer pool.Close()
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(t, err)
	read := func() (n int) {
		_, err := pool.Exec(ctx, "select pg_stat_force_next_flush()")
		require.NoError(t, err)
		require.NoError(t, pool.QueryRow(ctx, "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables where relname in ('identity', 'offender')").Scan(&n))
		return n
	}
	before := read()
	naming, err := db.ReferralsNaming(ctx, []store.CRN{"B000777"})
	require.NoError(t, err)
	require.Len(t, naming, 1)
	require.Less(t, read()-before, 100)
}

func TestARebuildThatGoesOnCountsNobodyTwice(t *testing.T) {
	t.Parallel()
	r := populated(t)
	events := []store.Event{moved(1, someone, 0), moved(2, another, 0)}
	for n := range byte(60) {
		events = append(events, moved(10+n, "Z999999", 0)) // nobody's
	}
	r.stream.add(events...)
	running, stop := context.WithCancel(ctx)
	defer stop()
	_, err := r.on(t, r.db).Rebuild(running, projector.Rebuild{By: "first", Progress: func(p projector.Progress) {
		if p.Phase == projector.Reconciling && p.Done > 2 {
			stop()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	tally, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{By: "second"})
	require.NoError(t, err)
	require.Equal(t, 62, tally.People)
}

func TestARebuildThatGoesOnCountsTheMessagesOfBothRuns(t *testing.T) {
	t.Parallel()
	histories, events := generated(60)
	r := setup(t, histories)
	r.stream.add(events...)
	running, stop := context.WithCancel(ctx)
	defer stop()
	_, err := r.on(t, r.db).Rebuild(running, projector.Rebuild{By: "first", Rate: 400, Progress: func(p projector.Progress) {
		if p.Phase == projector.FillingInbox && p.Done > 0 {
			stop()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	tally, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{By: "second"})
	require.NoError(t, err)
	require.Equal(t, len(events), tally.Messages)
}

// A practitioner has one of two damaged rows open.
func TestARepairWritesBackTheRowsThatNobodyIsEditing(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0), moved(2, someone, 0))
	r.reconcile(t)
	r.exec(t, "update delius.contact set notes = 'altered'")
	practitioner, err := r.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = practitioner.Rollback(ctx) }()
	_, err = practitioner.Exec(ctx, "select from delius.contact where contact_id = (select min(contact_id) from delius.contact) for update")
	require.NoError(t, err)
	_, err = r.Verify(ctx, verify.Verification{Selection: projector.Selection{Repair: true}, Grace: time.Nanosecond})
	require.NoError(t, err)
	require.Len(t, r.ids(t, "select contact_id from delius.contact where notes = 'altered'"), 1)
}

func TestMigratingKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0), moved(2, another, 0))
	r.reconcile(t)
	r.put(t, arrival(2, "again", store.PersonArrivedUpdated, 30, another))
	r.reconcile(t)
	r.exec(t, "alter table projection.contact_fingerprint rename to contact_seal")
	r.exec(t, "alter table projection.address_fingerprint rename to address_seal")
	r.exec(t, "alter index projection.address_fingerprint_offender rename to address_seal_offender")
	r.exec(t, "alter table projection.address_term rename to address_memory")
	r.exec(t, "alter table projection.rebuild drop column tally, add column changed bigint not null default 0")
	for _, table := range []string{"contact", "address"} {
		r.exec(t, "alter table projection."+table+" drop column placed_by, drop column placed_on")
	}
	r.exec(t, "drop table projection.outbox, projection.notices, projection.fold, projection.failing, projection.damage")
	r.exec(t, "drop table projection.audit, projection.request, projection.verified_finding, projection.verified, projection.figure")
	r.exec(t, "drop function projection.keep_audit")
	r.exec(t, "drop table projection.session_end, projection.session")
	for _, table := range []string{"contact", "address"} {
		r.exec(t, "alter table projection."+table+"_seal drop column edited_user, drop column edited_at")
	}
	r.exec(t, "drop index projection.parked_cause")
	for _, column := range []string{"phase", "phase_since", "phase_from", "done", "total", "rate", "reached", "paused_by"} {
		r.exec(t, "alter table projection.rebuild drop column "+column)
	}
	for _, column := range []string{"value", "edited_user", "edited_at", "settled", "settled_as", "settled_by", "settled_why"} {
		r.exec(t, "alter table projection.conflict drop column "+column)
	}
	for _, index := range []string{"conflict_crn", "conflict_urn", "conflict_address", "conflict_at"} {
		r.exec(t, "drop index projection."+index)
	}
	r.exec(t, "alter table projection.rebuild drop column fence, drop column lease_end")
	r.exec(t, "drop sequence projection.rebuild_fence")
	r.exec(t, "drop index projection.event_other_type")
	r.exec(t, "update projection.schema_version set version = 2")
	r.exec(t, "insert into projection.rebuild (worker, since, started, person, people, changed) select 'old', now(), now(), max(offender_id), 2, 2 from delius.offender")
	require.NoError(t, postgres.Migrate(ctx, r.delius.Projector))
	_, damaged, _ := r.verify(t, false)
	require.Empty(t, damaged)
	require.Empty(t, r.plan(t))
	tally, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{By: "new"})
	require.NoError(t, err)
	require.Equal(t, 2, tally.People)
	require.Equal(t, 2, tally.Changed)
}
