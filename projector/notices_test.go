package projector_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/relay"
	"casdelius/projector/relay/relaytest"
	"casdelius/projector/sns"
	"casdelius/projector/sns/snstest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// telling is a rig whose projectors keep notices, with a topic that somebody listens to.
type telling struct {
	*rig
	topic      relay.Topic
	subscriber *relaytest.Subscriber
}

// newTelling makes one. What projectors commit is recorded by a trigger.
func newTelling(t *testing.T) *telling {
	t.Helper()
	r := newRig(t)
	pool := projectorsPool(t, r.delius.URL)
	var err error
	r.db, err = postgres.New(ctx, pool, postgres.Config{RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, r.delius.RecordAddressChanges(ctx))
	_, err = outbox.Keep(ctx, pool, true)
	require.NoError(t, err)
	server := snstest.Start(t)
	arn := server.CreateTopic("events")
	topic, err := sns.New(awssns.NewFromConfig(server.AWSConfig()), arn)
	require.NoError(t, err)
	of := &telling{r, topic, &relaytest.Subscriber{}}
	server.Subscribe(arn, func(m snstest.Message) { of.subscriber.Hear(m) })
	return of
}

// projectorsPool connects as a projector does.
func projectorsPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	postgres.Settle(config.ConnConfig)
	config.ConnConfig.RuntimeParams["application_name"] = postgrestest.Projector
	pool, err := pgxpool.NewWithConfig(ctx, config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// forget begins to listen anew.
func (r *telling) forget(t require.TestingT) {
	_, err := r.delius.Pool.Exec(ctx, "truncate recorder.address_change, projection.outbox")
	require.NoError(t, err)
	r.subscriber.Forget()
}

// send has a relay send all that waits.
func (r *telling) send(t require.TestingT) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	sender := relay.New(r.db.Outbox, r.topic, relay.Config{Holder: "test", Poll: time.Millisecond})
	go func() { ended <- sender.Run(running) }()
	require.Eventually(t, func() bool {
		backlog, err := r.db.Outbox.Backlog(ctx)
		return err == nil && backlog.Waiting == 0
	}, 30*time.Second, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

// requireTold holds that what was heard is what was committed, in order for each person.
func (r *telling) requireTold(t require.TestingT) []postgrestest.AddressChange {
	r.send(t)
	changes, err := r.delius.AddressChanges(ctx)
	require.NoError(t, err)
	require.Empty(t, r.subscriber.Differences(changes))
	return changes
}

// What a subscriber hears, duplicates aside, is exactly what a trigger on the table saw
// projectors commit, in order for each person. It catches a notice that is written beside the
// transaction instead of in it, one for a row that did not move, a change whose kind of writing
// was forgotten (a whole row, a repair, a row brought back, another's row that ends, a row that a
// merge brings to somebody else), notices of
// a transaction in the order in which they were decided, and a status as it was read instead of
// as it was written.
func TestNoticesAreExactlyTheCommittedChangesOfAddressRows(t *testing.T) {
	t.Parallel()
	r := newTelling(t)
	told := 0
	rapid.Check(t, func(check *rapid.T) {
		histories := storetest.Histories().Draw(check, "histories")
		r.begin(check, histories)
		r.forget(check)
		events, into := shuffled(check, histories), map[store.CRN]store.CRN{}
		for i, e := range events {
			r.put(check, e)
			if i < len(events)-1 && !rapid.Bool().Draw(check, "act") {
				continue
			}
			r.act(check, histories, into)
		}
		told += len(r.requireTold(check))
	})
	require.NotZero(t, told)
}

// act lets somebody do something: the projector live, by a rebuild or by a repair, or a
// practitioner, or damage; or Delius merges people, or undoes that.
func (r *telling) act(t *rapid.T, histories []storetest.History, into map[store.CRN]store.CRN) {
	all := referrals(histories)
	switch rapid.SampledFrom([]string{"live", "live", "rebuild", "repair", "edit", "home", "merge", "merge"}).Draw(t, "what") {
	case "live":
		r.reconcile(t)
	case "rebuild":
		_, err := r.Rebuild(ctx, projector.Rebuild{})
		require.NoError(t, err)
	case "repair":
		r.damage(t)
		report, err := r.Reconcile(ctx, projector.Selection{Referrals: all, Repair: true, Quiet: true})
		require.NoError(t, err)
		require.Empty(t, report.Failed)
	case "edit":
		r.handle(t)
		report, err := r.Reconcile(ctx, projector.Selection{Referrals: all})
		require.NoError(t, err)
		require.Empty(t, report.Failed)
	case "merge":
		if len(histories) > 0 {
			r.mergeSomething(t, peopleOf(histories), into)
			_, err := r.Reconcile(ctx, projector.Selection{Referrals: all})
			require.NoError(t, err)
		}
	case "home":
		if len(histories) == 0 {
			return
		}
		start := time.Date(2024, 1, 1+rapid.IntRange(0, 700).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		_, err := r.delius.InsertAddress(ctx, postgrestest.Address{
			CRN: string(rapid.SampledFrom(histories).Draw(t, "whose").Person.CRN), Type: rapid.SampledFrom([]string{"A07", "A17"}).Draw(t, "type"),
			Status: rapid.SampledFrom([]string{"M", "P", "PR"}).Draw(t, "status"), StreetName: "9 Station Road", Postcode: "YO1 7HH", Start: start,
		})
		require.NoError(t, err)
	}
}

// handle changes an address as a practitioner may.
func (r *telling) handle(t *rapid.T) {
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	if len(addresses) == 0 {
		return
	}
	a := rapid.SampledFrom(addresses).Draw(t, "address")
	what := rapid.SampledFrom([]string{"status", "end", "no end", "start", "delete"}).Draw(t, "edit")
	require.NoError(t, r.delius.EditAddress(ctx, a.ID, func(a *postgrestest.Address) {
		switch what {
		case "status":
			a.Status = map[string]string{"M": "P", "P": "M", "PR": "M"}[a.Status]
		case "end":
			a.End = a.Start.AddDate(0, 0, 3)
		case "no end":
			a.End = time.Time{}
		case "start":
			a.Start = a.Start.AddDate(0, 0, 1)
		case "delete":
			a.SoftDeleted = !a.SoftDeleted
		}
	}))
}

// damage changes rows without a trace.
func (r *telling) damage(t *rapid.T) {
	statement := rapid.SampledFrom([]string{
		"update delius.offender_address set street_name = 'damaged'",
		"update delius.offender_address set soft_deleted = 1 where offender_address_id % 2 = 0",
		"update delius.offender_address set telephone_number = '1' where offender_address_id % 3 = 0",
		"delete from delius.offender_address where offender_address_id % 2 = 1",
	}).Draw(t, "damage")
	_, err := r.delius.Pool.Exec(ctx, statement)
	require.NoError(t, err)
}

// A departure before the start of the stay (D6) moves no row, and nothing says that one moved.
// It catches a notice for each event instead of for each row, as the older service sends.
func TestADepartureBeforeTheStartIsNotAnnounced(t *testing.T) {
	t.Parallel()
	r := newTelling(t)
	r.begin(t, []storetest.History{{Person: storetest.Person{CRN: right}}})
	r.put(t, arrival(1, "arrived", store.PersonArrived, 0, right))
	r.project(t)
	r.put(t, store.Event{
		ID: "left", Type: store.PersonDeparted, Referral: booking(1), CRN: right, Emitted: noon.Add(time.Hour),
		Body: []byte(`{"eventDetails":{"departedAt":"2026-02-01T12:00:00Z","reason":"Never came"}}`),
	})
	r.project(t)
	r.requireTwin(t)
	require.Len(t, r.requireTold(t), 1)
	require.Equal(t, "created", r.subscriber.Received()[0].Kind)
}

// A notice has the trace of the step that wrote the row. It catches a trace that ends at the
// database, and one of whoever sends.
func TestANoticeHasTheTraceOfItsStep(t *testing.T) {
	t.Parallel()
	r := newTelling(t)
	r.begin(t, []storetest.History{{Person: storetest.Person{CRN: right}}})
	r.put(t, arrival(1, "arrived", store.PersonArrived, 0, right))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	_, err := r.Reconcile(trace.ContextWithSpanContext(ctx, span), projector.Selection{Referrals: []store.Referral{booking(1)}})
	require.NoError(t, err)
	lease, err := r.db.Outbox.Take(ctx, "test", time.Minute, 1)
	require.NoError(t, err)
	require.Equal(t, "00-"+span.TraceID().String()+"-"+span.SpanID().String()+"-01", lease.Notices[0].Message().Trace)
}

// Whether notices are kept is decided by the setting at the commit: not one is kept while it is
// off, each one from then on when it is on, also of transactions that were under way when it was
// turned. It catches a setting that is read when the process starts, or without a lock: a
// transaction that has read "off" and commits after the change would say nothing.
func TestNoticesAreKeptFromTheCommitThatTurnsThemOn(t *testing.T) {
	t.Parallel()
	r := newTelling(t)
	pool := projectorsPool(t, r.delius.URL)
	people := make([]storetest.History, 12)
	for i := range people {
		people[i].Person.CRN = store.CRN(fmt.Sprintf("X10%04d", i))
	}
	r.begin(t, people)
	changed, err := outbox.Keep(ctx, pool, false)
	require.NoError(t, err)
	require.True(t, changed)
	// The trigger notes of each change what the setting is when the change commits.
	for _, statement := range []string{
		"alter table recorder.address_change add column kept boolean",
		`create function recorder.note() returns trigger language plpgsql security definer as $$ begin
			update recorder.address_change set kept = (select n.kept from projection.notices n) where number = new.number; return null; end $$`,
		`create constraint trigger note after insert on recorder.address_change deferrable initially deferred
			for each row execute function recorder.note()`,
	} {
		_, err := r.delius.Pool.Exec(ctx, statement)
		require.NoError(t, err)
	}
	var working sync.WaitGroup
	over := make(chan struct{})
	for i := range people {
		working.Go(func() {
			p := r.another(t, r.stream)
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				e := arrival(byte(i), fmt.Sprintf("%d-%d", i, n), store.PersonArrivedUpdated, n, people[i].Person.CRN)
				if err := r.db.Put(ctx, []store.Stored{{Event: e, Sequence: uint64(i*1_000_000 + n + 1), Stored: noon}}); err != nil {
					continue // somebody else put one there in the same moment
				}
				if _, err := p.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{e.Referral}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		for _, on := range []bool{true, false} {
			changed, err := outbox.Keep(ctx, pool, on)
			require.NoError(t, err)
			require.True(t, changed)
			r.awaitChanges(t)
		}
	}
	close(over)
	working.Wait()
	var kept, unkept, notices int
	require.NoError(t, r.delius.Pool.QueryRow(ctx, `
		select count(*) filter (where kept), count(*) filter (where not kept), (select count(*) from projection.outbox) from recorder.address_change`).
		Scan(&kept, &unkept, &notices))
	require.Equal(t, kept, notices)
	require.NotZero(t, kept)
	require.NotZero(t, unkept)
}

// awaitChanges waits until some more rows were changed.
func (r *telling) awaitChanges(t *testing.T) {
	t.Helper()
	count := func() (n int) {
		require.NoError(t, r.delius.Pool.QueryRow(ctx, "select count(*) from recorder.address_change").Scan(&n))
		return n
	}
	before := count()
	require.Eventually(t, func() bool { return count() >= before+3 }, 30*time.Second, time.Millisecond)
}
