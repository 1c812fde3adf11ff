package cmd_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// BenchmarkLive measures live projection, from the stream to the commit in a database
// that waits for its disk, and beside it the handler that it replaces: one event after
// the other, each in a transaction of its own. Events of different people follow one
// another as they do in life, so that every batch holds many people. They are in the
// stream when the projector begins to follow it: what publishing takes is not measured.
//
// An iteration is one projection of the whole set of events.
func BenchmarkLive(b *testing.B) {
	people, serialPeople := 1600, 40
	if testing.Short() {
		people, serialPeople = 40, 4
	}
	var live, serial float64
	for b.Loop() {
		live += projectLive(b, asEmitted(people))
		serial += projectSerially(b, asEmitted(serialPeople))
	}
	b.ReportMetric(live/float64(b.N), "events/s")
	b.ReportMetric(serial/float64(b.N), "serial-events/s")
	b.ReportMetric(live/serial, "times-serial")
}

// emitted is many people with their events, in the order in which these were emitted.
type emitted struct {
	people []storetest.Person
	events []store.Event
}

func asEmitted(people int) (all emitted) {
	for h := range storetest.Generate(storetest.Options{Seed: 1, People: people}) {
		all.people = append(all.people, h.Person)
		for _, e := range h.Events {
			all.events = append(all.events, e.Event)
		}
	}
	slices.SortStableFunc(all.events, func(a, b store.Event) int { return a.Emitted.Compare(b.Emitted) })
	return all
}

// durableDelius is a database that waits for its disk, with these people. Events may name
// somebody by the one number or the other, so they do not tell who has both.
func durableDelius(b *testing.B, who []storetest.Person) *pgxpool.Pool {
	b.Helper()
	ctx := context.Background()
	cluster, err := postgrestest.Run(ctx, postgrestest.Options{Fsync: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, cluster.Stop()) })
	pool, err := projection.Delius(cluster.URL("postgres")).Connect(ctx, 4)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	require.NoError(b, postgrestest.CreateDelius(ctx, pool))
	require.NoError(b, postgres.Migrate(ctx, pool))
	d := postgrestest.Delius{Pool: pool}
	for _, region := range storetest.Regions() {
		for _, code := range storetest.Staff(region)[2:] {
			_, err := d.AddStaff(ctx, code)
			require.NoError(b, err)
		}
	}
	var people []postgrestest.Person
	for _, p := range who {
		people = append(people, postgrestest.Person{CRN: p.CRN, NOMS: p.NOMS, Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}})
	}
	require.NoError(b, d.AddPeople(ctx, people))
	return pool
}

// projectLive gives the events a second that the projector manages.
func projectLive(b *testing.B, all emitted) float64 {
	b.Helper()
	return projectLiveOn(b, all.events, durableDelius(b, all.people), nil)
}

// projectLiveOn does that on a database; committed is told of every step, if it is set.
func projectLiveOn(b *testing.B, events []store.Event, pool *pgxpool.Pool, committed func(projector.Applied)) float64 {
	b.Helper()
	asShipped(b)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	quiet := slog.New(slog.DiscardHandler)
	server := natstest.Start(b, natstest.Options{Lazy: true})
	log, err := jetstream.Connect(ctx, jetstream.Config{URL: server.URL(), Replicas: 1, Name: "bench"}, quiet)
	require.NoError(b, err)
	defer func() { require.NoError(b, log.Close()) }()
	require.NoError(b, log.Ensure(ctx))
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(b, err)
	var applied atomic.Int64
	all := make(chan struct{})
	applyAll := sync.OnceFunc(func() { close(all) }) // a step may find nothing more to apply after that
	stream := &backlog{Log: projection.NewLog(log), fill: func() { publishAll(b, log, slices.Values(events)) }}
	p, err := projector.New(stream, db.Ports(), projector.Config{Logger: quiet, Committed: func(a projector.Applied, _ time.Time) {
		if committed != nil {
			committed(a)
		}
		n := int64(0)
		for _, d := range a.People {
			n += int64(len(d.Applied))
		}
		if applied.Add(n) == int64(len(events)) {
			applyAll()
		}
	}})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-all
	took := time.Since(stream.followed)
	stop()
	require.NoError(b, <-done)
	return float64(len(events)) / took.Seconds()
}

// asShipped makes the garbage collector run as seldom as it does in the program.
func asShipped(b *testing.B) {
	b.Helper()
	percent := debug.SetGCPercent(300)
	b.Cleanup(func() { debug.SetGCPercent(percent) })
}

// backlog is a stream that is filled when the inbox has been held against it, so that all
// that it holds comes live.
type backlog struct {
	projector.Log
	fill     func()
	followed time.Time
}

// Follow implements projector.Log.
func (l *backlog) Follow(ctx context.Context) (projector.Follower, error) {
	l.fill()
	l.followed = time.Now()
	return l.Log.Follow(ctx)
}

// projectSerially gives the events a second of a handler that looks up and writes each
// event's contact in a transaction of its own.
func projectSerially(b *testing.B, all emitted) float64 {
	b.Helper()
	ctx := context.Background()
	events := all.events
	pool := durableDelius(b, all.people)
	start := time.Now()
	for i := range events {
		require.NoError(b, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return handle(ctx, tx, &events[i]) }))
	}
	return float64(len(events)) / time.Since(start).Seconds()
}

// handle is what a handler has to do at the least: find the person, whoever recorded
// the event, and the contact and its type; write the contact and the audit row; end the
// main address and add another when the person arrives.
func handle(ctx context.Context, tx pgx.Tx, stored *store.Event) error {
	e := delius.Read(stored, 1)
	kind := delius.KindOf(e.Type)
	if kind == nil {
		return nil
	}
	var person, provider, team, staff, contactType, contact, user, interaction int64
	one := func(id *int64, query string, args ...any) error {
		return tx.QueryRow(ctx, query, args...).Scan(id)
	}
	err := errors.Join(
		one(&person, "select offender_id from delius.offender where crn = $1 or noms_number = $2 limit 1", string(e.CRN), string(e.NOMS)),
		one(&contactType, "select contact_type_id from delius.r_contact_type where code = $1", kind.Code),
		one(&user, "select user_id from delius.user_ where distinguished_name = 'Cas3AndDelius'"),
		one(&interaction, "select business_interaction_id from delius.business_interaction where business_interaction_code = 'CLBI003'"),
	)
	if o := e.Officer; o.Kind == delius.Recorder {
		err = errors.Join(err,
			one(&provider, "select probation_area_id from delius.probation_area where code = $1", o.Region),
			one(&team, "select team_id from delius.team where code = $1", o.Team()),
			one(&staff, "select staff_id from delius.staff where officer_code = $1", o.Staff))
	} else {
		err = errors.Join(err, tx.QueryRow(ctx, `select probation_area_id, team_id, allocation_staff_id from delius.offender_manager
			where offender_id = $1 and active_flag = 1 and soft_deleted = 0`, person).Scan(&provider, &team, &staff))
	}
	if err != nil {
		return err
	}
	urn := kind.URN(e.Referral)
	err = one(&contact, "select contact_id from delius.contact where external_reference = $1", urn)
	switch {
	case err == nil:
		_, err = tx.Exec(ctx, `update delius.contact set notes = concat(notes, E'\n', $2::text), row_version = row_version + 1, last_updated_datetime = now()
			where contact_id = $1`, contact, e.Text)
	case errors.Is(err, pgx.ErrNoRows):
		err = one(&contact, `insert into delius.contact (offender_id, contact_type_id, contact_date, contact_start_time, staff_id, team_id,
			probation_area_id, notes, external_reference, created_by_user_id, last_updated_user_id, trust_provider_team_id)
			values ($1, $2, $3::timestamptz::date, $3::timestamptz, $4, $5, $6, $7, $8, $9, $9, $5) returning contact_id`,
			person, contactType, e.At, staff, team, provider, e.Text, urn, user)
	}
	if err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, `insert into delius.audited_interaction (date_time, business_interaction_id, user_id, outcome, interaction_parameters)
		values (now(), $1, $2, 'P', concat('contactId=', $3::bigint, ',offenderId=', $4::bigint))`, interaction, user, contact, person); err != nil {
		return err
	}
	if kind.Code != "EAAR" {
		return nil
	}
	return move(ctx, tx, e, person, user)
}

// move ends the person's main address and adds another.
func move(ctx context.Context, tx pgx.Tx, e *delius.Event, person, user int64) error {
	var main, previous, a17 int64
	for _, row := range []struct {
		id        *int64
		set, code string
	}{{&main, "ADDRESS STATUS", "M"}, {&previous, "ADDRESS STATUS", "P"}, {&a17, "ADDRESS TYPE", "A17"}} {
		if err := tx.QueryRow(ctx, `select standard_reference_list_id from delius.r_standard_reference_list join delius.r_reference_data_master using (reference_data_master_id)
			where code_set_name = $1 and code_value = $2`, row.set, row.code).Scan(row.id); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `update delius.offender_address set address_status_id = $3, end_date = $2::timestamptz::date
		where offender_id = $1 and address_status_id = $4 and soft_deleted = 0`, person, e.At, previous, main); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `insert into delius.offender_address (offender_id, address_type_id, address_status_id, street_name, postcode, start_date, created_by_user_id, last_updated_user_id)
		values ($1, $2, $3, $4, $5, $6::timestamptz::date, $7, $7)`, person, a17, main, e.Premises.Lines.Street, e.Premises.Lines.Postcode, e.At, user)
	return err
}
