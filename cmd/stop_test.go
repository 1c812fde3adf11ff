package cmd_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	cas "casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

func TestServicesThatAreStoppedUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 60})
	events := shuffled(chance, histories)
	s.raise(t, events...)
	for _, part := range []int{10, 3} { // once early, once later
		ingest, first, second := s.ingest(t), s.project(t), s.project(t)
		eventually(t, "a part is through", func() bool {
			info, err := s.log.Info(ctx)
			return err == nil && int(info.LastSequence) > len(events)/part
		})
		ingest.stop()
		s.requireEveryMessageSomewhere(t, events)
		first.stop()
		second.stop()
	}
	s.run(t)
	s.requireTwin(t)
}

// requireEveryMessageSomewhere holds that every event is in the stream, or its message
// among the rejected or in the queue.
func (s *system) requireEveryMessageSomewhere(t testing.TB, events []storetest.Raised) {
	t.Helper()
	queued, err := s.sqs.Messages(queueName)
	require.NoError(t, err)
	somewhere := map[store.Key]bool{}
	info, err := s.log.Info(ctx)
	require.NoError(t, err)
	for m, err := range s.log.Read(ctx, 1, info.LastSequence) {
		require.NoError(t, err)
		require.NoError(t, m.Err)
		somewhere[m.Key()] = true
	}
	bodies := map[string]int{}
	for _, m := range queued {
		bodies[notificationIn(t, m.Body)]++
	}
	for m, err := range s.log.Rejected(ctx) {
		require.NoError(t, err)
		bodies[notificationIn(t, string(m.Body))]++
	}
	for _, e := range events {
		require.True(t, somewhere[e.Key()] || bodies[string(e.Notification)] > 0, "%s is lost", e.Key())
	}
}

// Catches a consumer that begins with what is new, where the search finds no gap either: each
// alone is made up for by the other.
func TestAConsumerThatIsDeletedLeavesNoHole(t *testing.T) {
	t.Parallel()
	s := setup(t)
	histories := s.generate(t, storetest.Options{Seed: 5, People: 20})
	_, running := s.run(t)
	s.raiseAll(t, histories[:8])
	eventually(t, "some are there", func() bool { return len(s.rows(t).contacts) > 5 })
	s.deleteConsumer(t)
	s.raiseAll(t, histories[8:14])
	s.requireTwin(t)

	running.stop()
	s.deleteConsumer(t)
	s.raiseAll(t, histories[14:])
	s.project(t)
	s.requireTwin(t)
	s.requireStill(t)
}

func (s *system) deleteConsumer(t *testing.T) {
	t.Helper()
	conn := dial(t, s.nats, natstest.Administrator)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	require.NoError(t, js.DeleteConsumer(ctx, cas.EventsStream, projection.Durable))
}

func TestRowsThatTheInboxLostAreFetchedAgainBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	// Only a history that is found to lack events makes it search.
	s.ingest(t)
	s.project(t, func(c *projector.Config) { c.Search = time.Hour })
	booking := newReferral()
	s.raise(t,
		s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early")),
		s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T12:00:00Z", arrival("2024-06-09T12:00:00Z", hopeStreet, "Has a key")))
	s.requireTwin(t)
	before := s.contact(t, arrivalURN(booking))
	_, err := s.delius.Pool.Exec(ctx, "delete from projection.event where type = $1", string(store.PersonArrived))
	require.NoError(t, err)

	s.raise(t, s.event(t, store.PersonArrivedUpdated, booking, "2024-06-12T12:00:00Z", arrival("2024-06-09T12:00:00Z", canalRoad, "Lost the key")))
	s.requireTwin(t)
	require.Equal(t, before.RowVersion+1, s.contact(t, arrivalURN(booking)).RowVersion, "it is written once, when the history is whole")
}

// Catches a search that finds no gap: everything was acknowledged.
func TestADatabaseThatWasRestoredToAnOlderDayCatchesUp(t *testing.T) {
	t.Parallel()
	s := setup(t)
	histories := s.generate(t, storetest.Options{Seed: 6, People: 20, BadDetail: 0.02})
	var early, late []storetest.Raised
	for _, h := range histories {
		early = append(early, h.Events[:len(h.Events)/2]...)
		late = append(late, h.Events[len(h.Events)/2:]...)
	}
	_, running := s.run(t)
	s.raise(t, early...)
	s.requireTwin(t)
	running.stop()
	restore := s.backUp(t)

	running = s.project(t)
	s.raise(t, late...)
	s.requireTwin(t)
	running.stop()
	restore()
	require.NotEmpty(t, s.unsettled(t), "the older day is back")
	s.project(t)
	s.requireTwin(t)
	s.requireStill(t)
}

// backUp copies the database, and returns what puts the copy in its place. Nobody may
// be connected meanwhile.
func (s *system) backUp(t *testing.T) (restore func()) {
	t.Helper()
	config := s.delius.Pool.Config().ConnConfig
	name := config.Database
	do := func(statements ...string) {
		t.Helper()
		s.delius.Pool.Reset()
		elsewhere := config.Copy()
		elsewhere.Database = "postgres"
		conn, err := pgx.ConnectConfig(ctx, elsewhere)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(ctx)) }()
		for _, statement := range statements {
			eventually(t, statement, func() bool {
				_, err = conn.Exec(ctx, statement)
				return err == nil
			})
		}
	}
	do("create database " + name + "_backup template " + name)
	return func() {
		do("drop database "+name+" with (force)", "alter database "+name+"_backup rename to "+name)
	}
}

// setupOnCluster is setup on a PostgreSQL of its own.
func setupOnCluster(t *testing.T, cluster *postgrestest.Cluster) *system {
	t.Helper()
	url := cluster.URL("postgres")
	pool, err := pgxpool.New(ctx, url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, postgrestest.CreateDelius(ctx, pool))
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	require.NoError(t, granted(ctx, conn))
	require.NoError(t, conn.Close(ctx))
	return setupOn(t, postgrestest.Delius{Pool: pool}, postgrestest.AsRole(url))
}

// Catches a log that takes an error for an acknowledgement: ingest goes on receiving, and deletes
// what is nowhere else.
func TestPostgreSQLAndNATSMayCrashAtAnyTime(t *testing.T) {
	t.Parallel()
	cluster, err := postgrestest.Run(ctx, postgrestest.Options{Memory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	s := setupOnCluster(t, cluster)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 50})
	events := shuffled(chance, histories)
	ingest := s.ingest(t)
	projectors := []*instance{s.project(t), s.project(t)}
	part := len(events) / 4
	goesOn := func() (wait func()) { // until more is committed than by now
		before, _ := s.progress.now()
		return func() {
			eventually(t, "projection goes on", func() bool {
				steps, _ := s.progress.now()
				return steps > before
			})
		}
	}
	begin := goesOn()
	s.raise(t, events[:part]...)
	begin()
	cluster.Kill()
	s.raise(t, events[part:2*part]...)
	eventually(t, "the projectors have met it", func() bool {
		return projectors[0].counted(t, "projector_retries_total", "")+projectors[1].counted(t, "projector_retries_total", "") > 0
	})
	goOn := goesOn()
	require.NoError(t, cluster.Start(ctx))
	goOn()

	s.nats.Stop()
	s.raise(t, events[2*part:3*part]...)
	eventually(t, "ingest receives no more", func() bool { return ingest.ready(ctx) != nil })
	goOn = goesOn()
	require.NoError(t, s.nats.Restart())
	s.raise(t, events[3*part:]...)

	goOn()
	cluster.Kill()
	s.nats.Stop()
	require.NoError(t, cluster.Start(ctx))
	require.NoError(t, s.nats.Restart())
	s.requireTwin(t)
	s.requireStill(t)
	depth, err := s.sqs.Depth(deadLetters)
	require.NoError(t, err)
	require.Equal(t, sqstest.Depth{}, depth)
}
