package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/store"
	cas "casdelius/store/jetstream"
)

// linger makes whoever inserts a contact of a person stay in the middle of the transaction,
// with the person locked, until the function that it gives is called.
func (w *world) linger(crn string) (end func()) {
	w.t.Helper()
	var offender int64
	require.NoError(w.t, w.delius.Pool.QueryRow(ctx, "select offender_id from delius.offender where crn = $1", crn).Scan(&offender))
	w.exec("create function delius.linger() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$")
	w.exec(fmt.Sprintf("create trigger linger before insert on delius.contact for each row when (new.offender_id = %d) execute function delius.linger()", offender))
	return func() {
		w.t.Helper()
		w.exec("set lock_timeout = '30s'; drop trigger linger on delius.contact")
	}
}

// count is the number that a query gives.
func (w *world) count(query string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.delius.Pool.QueryRow(ctx, "select count(*) "+query).Scan(&n))
	return n
}

// caught makes something befall the projector in the middle of a transaction that has the first
// person locked, and takes it back where it was too late for that.
func (w *world) caught(befall, takeBack func()) {
	w.t.Helper()
	for {
		require.Eventually(w.t, func() bool {
			return w.count("from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'") > 0
		}, patience, time.Millisecond)
		befall()
		if w.count("from (select from delius.offender where crn = 'X000001' for update skip locked) free") == 0 {
			return
		}
		takeBack()
	}
}

// practise writes to the first person, as a practitioner who waits for ten seconds at most.
func (w *world) practise() {
	w.t.Helper()
	w.exec("set lock_timeout = '10s'; update delius.offender set noms_number = 'A0001AA' where crn = 'X000001'")
}

// arrivalOf is an arrival of a person, in a booking of its own.
func arrivalOf(crn store.CRN, n int) store.Event {
	e := raised(store.PersonArrived, n, fmt.Sprintf("arrived-%d", n), "2024-03-08T13:00:00Z", `"arrivedAt":"2024-03-08T12:00:00Z",`+house+`,`+recorded)
	e.CRN = crn
	return e
}

func (s *process) append(events ...store.Event) {
	s.t.Helper()
	for i := range events {
		_, err := s.log.Append(ctx, &events[i])
		require.NoError(s.t, err)
	}
}

// applied waits until a person has so many contacts that were made of events.
func (w *world) applied(crn store.CRN, contacts int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		all, err := w.delius.Contacts(ctx)
		require.NoError(w.t, err)
		n := 0
		for _, c := range all {
			if c.CRN == string(crn) {
				n++
			}
		}
		return n == contacts
	}, patience, 20*time.Millisecond, "%s has %d contacts", crn, contacts)
}

// Catches limits of a minute, and limits that the client has to see to: a practitioner's own
// update waited for as long as the process was stopped. The other event is one that the stopped
// process was given and never looked at: it comes to another process by the consumer's wait.
func TestAStoppedProjectorHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := setup(t)
	end := w.linger("X000001")
	nats, log := stream(t, []store.Event{arrivalOf("X000001", 1)})
	stopped := startBeside(t, w, w.delius.URL, nats, log)
	signal := func(s syscall.Signal) func() {
		return func() { require.NoError(t, stopped.cmd.Process.Signal(s)) }
	}
	w.caught(signal(syscall.SIGSTOP), signal(syscall.SIGCONT))
	stopped.append(arrivalOf("X000002", 2))
	w.practise()

	end()
	require.Equal(t, 12*time.Second, ackWait(t, nats), "after which another projector has what the stopped one was given")
	other := startBeside(t, w, w.delius.URL, nats, log)
	w.applied("X000002", 1)
	w.applied("X000001", 1)
	signal(syscall.SIGCONT)()
	stopped.append(arrivalOf("X000001", 3))
	w.applied("X000001", 2)
	require.Zero(t, stopped.stop())
	require.Zero(t, other.stop())
}

// ackWait is the consumer's, as the server has it.
func ackWait(t *testing.T, url string) time.Duration {
	t.Helper()
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	consumer, err := js.Consumer(ctx, cas.EventsStream, projection.Durable)
	require.NoError(t, err)
	return consumer.CachedInfo().Config.AckWait
}

// Catches a server that waits for the network's own limits, a quarter of an hour, and a pool
// that goes on with connections over which nothing comes any more.
func TestACutPathToTheDatabaseHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := setup(t)
	end := w.linger("X000001")
	network, database := newPath(t, w.delius.URL)
	target := network.target
	s := startOn(t, w, database, []store.Event{arrivalOf("X000001", 1)})
	w.caught(network.cut, func() { network.lead(target) })
	w.practise()

	end()
	network.lead(target)
	s.append(arrivalOf("X000002", 2))
	w.applied("X000001", 1)
	w.applied("X000002", 1)
	require.Zero(t, s.stop())
}

// Catches a batch that is tried again as a whole for ever, and one slow person who is tried in
// a tight loop.
func TestOnePersonWhoIsTooSlowIsInNobodysWay(t *testing.T) {
	t.Parallel()
	w := setup(t)
	end := w.linger("X000001")
	s := startOn(t, w, w.delius.URL, []store.Event{arrivalOf("X000001", 1), arrivalOf("X000002", 2)})
	w.applied("X000002", 1)
	s.metric("failures_total [1-9]")
	end()
	w.applied("X000001", 1)
	require.Zero(t, s.stop())
}
