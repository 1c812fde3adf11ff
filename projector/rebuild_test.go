package projector_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// Catches a rebuild that writes what the events say over what a practitioner has edited since. A
// bookmark that is ahead of what is done it does not: whoever is left out is due, and live's.
func TestARebuildThatIsKilledAnywhereBesideLiveEventsAndEditsGivesTheRowsOfTheTwin(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		events := slices.DeleteFunc(shuffled(r, histories), byAStranger)
		written := map[string]string{}
		deliver := func(most int) {
			n := rapid.IntRange(0, min(most, len(events))).Draw(r, "events")
			for _, e := range events[:n] {
				if rapid.Bool().Draw(r, "reaches the inbox") {
					rig.put(r, e)
				} else { // its consumer is slow: only the rebuild brings it in
					rig.stream.add(e)
					rig.twin.Store(e)
				}
			}
			events = events[n:]
		}
		deliver(len(events))
		if rapid.Bool().Draw(r, "live before") {
			rig.catchUp(r, histories)
			rig.edit(r, written)
		}
		restart := rapid.Bool().Draw(r, "restart")
		for kills := rapid.IntRange(0, 3).Draw(r, "kills"); ; kills-- {
			if rapid.Bool().Draw(r, "the inbox is lost") {
				rig.emptyInbox(r)
			}
			calls := -1
			if kills > 0 {
				calls = rapid.IntRange(0, 12).Draw(r, "calls until it is killed")
			}
			err := rig.rebuildBeside(r, projector.Rebuild{Restart: restart}, calls, func() {
				switch rapid.IntRange(0, 9).Draw(r, "beside") {
				case 8:
					deliver(2)
				case 9:
					rig.catchUp(r, histories)
					rig.edit(r, written)
				}
			})
			if err == nil {
				break
			}
			require.ErrorIs(r, err, errKilled)
		}
		// What came in after the rebuild had read the stream is live's.
		rig.catchUp(r, histories)
		rig.requireSettled(r, histories)
	})
}

// byAStranger says whether an event names a recorder whom Delius lacks. The contact is
// parked then, as it was left by whoever looked last; the twin does not look when a rebuild
// does.
func byAStranger(e store.Event) bool {
	o := delius.Read(&e, 1).Officer
	return o.Kind == delius.Recorder && (o.Region != "N50" && o.Region != "N58" || o.Staff == "N50A999")
}

// rebuildBeside rebuilds until it is done or killed, and before each of its steps does
// something beside.
func (r *rig) rebuildBeside(t require.TestingT, rebuild projector.Rebuild, calls int, beside func()) error {
	turn, done := make(chan chan struct{}), make(chan error, 1)
	db := &fault{Database: r.db, left: calls, beside: func() {
		over := make(chan struct{})
		turn <- over
		<-over
	}}
	p := r.on(t, db)
	go func() {
		_, err := p.Rebuild(ctx, rebuild)
		close(turn)
		done <- err
	}()
	defer func() { // also where beside fails
		for over := range turn {
			close(over)
		}
	}()
	for over := range turn {
		func() {
			defer close(over)
			beside()
		}()
	}
	return <-done
}

// catchUp does what live projection does by and by: it fills the inbox and looks at
// everybody, as the twin does.
func (r *rig) catchUp(t require.TestingT, histories []storetest.History) {
	require.NoError(t, r.db.Put(ctx, r.stream.messages))
	r.look(t, histories)
}

func (r *rig) emptyInbox(t require.TestingT) {
	_, err := r.delius.Pool.Exec(ctx, `
		delete from projection.event; delete from projection.other_sequence; delete from projection.applied;
		delete from projection.identity; delete from projection.stream`)
	require.NoError(t, err)
}

// on is a projector with one worker on a database that may fail.
func (r *rig) on(t require.TestingT, db interface{ Ports() projector.Ports }) *projector.Projector {
	p, err := projector.New(r.stream, db.Ports(), projector.Config{Workers: 1, Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return p
}

// generated are histories of many people, as they are in life.
func generated(people int) (histories []storetest.History, events []store.Event) {
	for h := range storetest.Generate(storetest.Options{Seed: 7, People: people, Regions: []string{"N50", "N58"}}) {
		histories = append(histories, h)
		for _, e := range h.Events {
			events = append(events, e.Event)
		}
	}
	return histories, events
}

func TestARebuildGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	histories, events := generated(60)
	rig := setup(t, histories)
	for _, e := range events {
		rig.twin.Store(e)
	}
	rig.stream.add(events...)
	killed, counted := &fault{Database: rig.db, left: -1, beside: func() {}}, 0
	_, err := rig.on(t, killed).Rebuild(ctx, projector.Rebuild{By: "the first", Progress: func(p projector.Progress) {
		if p.Phase == projector.Reconciling && p.Done > 0 {
			if counted++; counted == 2 { // the place was kept after the first chunk
				killed.kill()
			}
		}
	}})
	require.ErrorIs(t, err, errKilled)

	var from projector.Bookmark
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{By: "the second", Resumed: func(p projector.Bookmark) { from = p }})
	require.NoError(t, err)
	require.Positive(t, from.People)
	require.Equal(t, len(histories), tally.People, "of both runs together")
	require.Equal(t, len(events), tally.Messages, "the inbox was complete")
	rig.twin.Project(time.Now())
	rig.requireTwin(t)

	tally, err = rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Equal(t, len(histories), tally.People, "one that has ended is not taken up again")
	require.Zero(t, tally.Rows)
}

func TestAnInterruptedRebuildCountsWhoeverIsDone(t *testing.T) {
	t.Parallel()
	histories, events := generated(600)
	rig := setup(t, histories)
	rig.stream.add(events...)
	p, err := projector.New(rig.stream, rig.db.Ports(), projector.Config{Workers: 4, Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	interrupted, interrupt := context.WithCancel(ctx)
	var last projector.Progress
	tally, err := p.Rebuild(interrupted, projector.Rebuild{By: "the first", Progress: func(p projector.Progress) {
		if last = p; p.Phase == projector.Reconciling && p.Done > 0 {
			interrupt()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	done := len(rig.ids(t, "select distinct offender_id from delius.contact"))
	require.Less(t, done, len(histories))
	require.Equal(t, done, last.Done, "whoever is done is counted, whichever worker did it")
	require.Equal(t, done, tally.People)

	tally, err = p.Rebuild(ctx, projector.Rebuild{By: "the second"})
	require.NoError(t, err)
	require.Equal(t, len(histories), tally.People, "of both runs together")
	contacts, err := rig.delius.Contacts(ctx)
	require.NoError(t, err)
	addresses, err := rig.delius.Addresses(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, tally.Rows, len(contacts)+len(addresses))
}

func TestARestartedRebuildBeginsAnew(t *testing.T) {
	t.Parallel()
	histories, events := generated(40)
	rig := setup(t, histories)
	rig.stream.add(events...)
	_, err := rig.on(t, &fault{Database: rig.db, left: 6, beside: func() {}}).Rebuild(ctx, projector.Rebuild{})
	require.ErrorIs(t, err, errKilled)
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{Restart: true})
	require.NoError(t, err)
	require.Equal(t, len(histories), tally.People)
}

func TestASecondRebuildOfEveryoneSaysWhoRunsTheFirst(t *testing.T) {
	t.Parallel()
	histories, events := generated(3)
	rig := setup(t, histories)
	rig.stream.add(events...)
	var second error
	try := sync.OnceFunc(func() {
		_, second = rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{By: "process 2 on host-b", Restart: true})
	})
	_, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{By: "process 1 on host-a", Progress: func(projector.Progress) { try() }})
	require.NoError(t, err)
	require.ErrorIs(t, second, projector.ErrRebuildRunning)
	require.ErrorContains(t, second, "process 1 on host-a runs it since 20")
}

// Whoever killed a rebuild need not wait and try again: the next one takes its lease when that
// has ended. It catches a lease that only its holder can give back.
func TestTheLeaseOfAKilledRebuildIsTakenWhenItHasEnded(t *testing.T) {
	t.Parallel()
	histories, events := generated(3)
	rig := setup(t, histories)
	rig.stream.add(events...)
	rig.exec(t, `insert into projection.rebuild (worker, since, started, fence, lease_end)
		values ('killed', now(), now(), nextval('projection.rebuild_fence'), now() + interval '2 seconds')`)
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Equal(t, len(histories), tally.People)
}

// A rebuild that hung for longer than its lease, and another took it, writes nothing more. It
// catches chunks that do not look at the lease's number.
func TestARebuildThatWasOvertakenWritesNothingMore(t *testing.T) {
	t.Parallel()
	histories, events := generated(30)
	rig := setup(t, histories)
	rig.stream.add(events...)
	overtake := sync.OnceFunc(func() {
		rig.exec(t, "update projection.rebuild set fence = nextval('projection.rebuild_fence'), worker = 'another'")
	})
	_, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{Progress: func(p projector.Progress) {
		if p.Phase == projector.Reconciling {
			overtake()
		}
	}})
	require.ErrorIs(t, err, projector.ErrRebuildRunning)
	contacts, addresses := rig.live(t)
	require.Empty(t, contacts)
	require.Empty(t, addresses)
	var by string
	require.NoError(t, rig.delius.Pool.QueryRow(ctx, "select worker from projection.rebuild").Scan(&by))
	require.Equal(t, "another", by, "its bookmark and its lease stay")
}

// Every connection that waits is cut in the middle of a rebuild, which goes on with new ones.
func TestARebuildWhoseConnectionsAreCutGoesOn(t *testing.T) {
	t.Parallel()
	histories, events := generated(30)
	rig := setup(t, histories)
	for _, e := range events {
		rig.twin.Store(e)
	}
	rig.stream.add(events...)
	cut := sync.OnceFunc(func() {
		_, err := rig.delius.Pool.Exec(ctx, `
			select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid()`)
		require.NoError(t, err)
	})
	_, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{Progress: func(p projector.Progress) {
		if p.Phase == projector.Reconciling {
			cut()
		}
	}})
	require.NoError(t, err)
	rig.twin.Project(time.Now())
	rig.requireTwin(t)
}

func TestARebuildBringsBackContactsButThoseThatPeopleDeleted(t *testing.T) {
	t.Parallel()
	histories, events := generated(10)
	rig := setup(t, histories)
	rig.put(t, events...)
	rig.project(t)
	contacts, err := rig.delius.Contacts(ctx)
	require.NoError(t, err)
	deleted := contacts[len(contacts)/2]
	require.NoError(t, rig.delius.DeleteContact(ctx, deleted.ID))
	before, _, err := rig.delius.Portable(ctx)
	require.NoError(t, err)

	_, err = rig.delius.Pool.Exec(ctx, "delete from delius.contact where soft_deleted = 0")
	require.NoError(t, err)
	rig.emptyInbox(t)
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Equal(t, len(contacts)-1, tally.Rows)
	after, _, err := rig.delius.Portable(ctx)
	require.NoError(t, err)
	require.Equal(t, before, after)

	// Also where nothing is left of the rows that people deleted.
	_, err = rig.delius.Pool.Exec(ctx, "delete from delius.contact")
	require.NoError(t, err)
	tally, err = rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Equal(t, len(contacts)-1, tally.Rows)
	contacts, err = rig.delius.Contacts(ctx)
	require.NoError(t, err)
	require.Len(t, contacts, tally.Rows)
	require.False(t, slices.ContainsFunc(contacts, func(c postgrestest.Contact) bool { return c.ExternalReference == deleted.ExternalReference }))
	for range 2 { // and a repair does not miss them
		_, damaged, _ := rig.verify(t, true)
		require.Empty(t, damaged)
	}
	require.Empty(t, rig.plan(t))

	// What the ledger knows of it can be forgotten, should the stream lose its events.
	lost := rig.ids(t, "select cardinality(events) from projection.contact where contact_id is null")
	require.Len(t, lost, 1)
	rig.exec(t, "delete from projection.event")
	var referrals []store.Referral
	for i := range events {
		referrals = append(referrals, events[i].Referral)
	}
	require.NoError(t, rig.db.Forget(ctx, referrals))
	require.Equal(t, []int64{0}, rig.ids(t, "select cardinality(events) from projection.contact where contact_id is null"))
}

func TestALimitedRebuildFillsTheInboxBitByBit(t *testing.T) {
	t.Parallel()
	histories, events := generated(5)
	rig := setup(t, histories)
	rig.put(t, events[0]) // the first is there already
	rig.stream.add(events[1:]...)
	var filled []int
	_, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{Rate: 400, Progress: func(p projector.Progress) {
		if p.Phase == projector.FillingInbox {
			filled = append(filled, p.Done)
			require.Equal(t, len(events), p.Total)
		}
	}})
	require.NoError(t, err)
	require.Equal(t, []int{1, len(events)}, []int{filled[0], filled[len(filled)-1]})
	for i := range len(filled) - 1 {
		require.LessOrEqual(t, filled[i+1]-filled[i], 20)
	}
}

func TestARebuildMendsBodiesThatAreNotWhatTheirChecksumSays(t *testing.T) {
	t.Parallel()
	histories, events := generated(5)
	rig := setup(t, histories)
	rig.put(t, events...)
	rig.project(t)
	_, err := rig.delius.Pool.Exec(ctx, `update projection.event set body = '{}' where sequence in (2, 3, 7)`)
	require.NoError(t, err)
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Equal(t, 3, tally.Messages)
	require.Zero(t, tally.Rows)
	broken, err := rig.db.CorruptSequences(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, broken)
}

func TestARebuildOfOnePersonLeavesTheOthers(t *testing.T) {
	t.Parallel()
	histories, events := generated(3)
	rig := setup(t, histories)
	rig.stream.add(events...)
	p := rig.on(t, rig.db)
	_, err := p.Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{CRNs: []store.CRN{histories[1].Person.CRN}}})
	require.NoError(t, err)
	_, err = p.Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{Referrals: []store.Referral{histories[2].Events[0].Referral}}})
	require.NoError(t, err)
	contacts, err := rig.delius.Contacts(ctx)
	require.NoError(t, err)
	who := map[string]bool{}
	for _, c := range contacts {
		who[c.CRN] = true
	}
	require.Equal(t, map[string]bool{string(histories[1].Person.CRN): true, string(histories[2].Person.CRN): true}, who)

	_, err = p.Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{CRNs: []store.CRN{"Z999999"}}})
	require.EqualError(t, err, "no event in the stream names Z999999")
	_, err = p.Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{Referrals: []store.Referral{{1}}}})
	require.EqualError(t, err, "no event of referral 01000000-0000-0000-0000-000000000000 is in the stream")
}

func TestARebuildParksTheReferralsOfPeopleWhomDeliusDoesNotKnow(t *testing.T) {
	t.Parallel()
	histories, events := generated(4)
	rig := setup(t, histories[1:])
	rig.stream.add(events...)
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Positive(t, tally.Parked)
	backlog, err := rig.db.Backlog(ctx)
	require.NoError(t, err)
	require.Equal(t, tally.Parked, backlog.Parked["person-not-found"].Count)
	require.Zero(t, backlog.Due)
}

// A reader that looks all the time sees no contact vanish, no two of one URN, and no
// two main addresses, while several rebuilds follow one another beside live events.
func TestAReaderSeesNothingOddDuringRebuilds(t *testing.T) {
	t.Parallel()
	histories, events := generated(25)
	rig := setup(t, histories)
	half := len(events) / 2
	rig.put(t, events[:half]...)
	all := rig.stream.messages
	for _, e := range events[half:] {
		rig.twin.Store(e)
	}
	live := &stream{messages: append(all[:half:half], (&stream{messages: all}).add(events[half:]...)...)}

	reading, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	var looks atomic.Int64
	odd := make(chan string, 1)
	watch.Go(func() {
		contacts := 0
		for reading.Err() == nil {
			was := contacts
			var twice, mains int
			err := rig.delius.Pool.QueryRow(ctx, `
				select (select count(*) from delius.contact where soft_deleted = 0),
					(select count(*) from (select from delius.contact where soft_deleted = 0 group by external_reference having count(*) > 1) d),
					(select count(*) from (
						select from delius.offender_address a join delius.r_standard_reference_list s on s.standard_reference_list_id = a.address_status_id
						where soft_deleted = 0 and code_value = 'M' group by offender_id having count(*) > 1) m)`).Scan(&contacts, &twice, &mains)
			if err != nil || contacts < was || twice > 0 || mains > 0 {
				odd <- time.Now().String()
				t.Errorf("contacts were %d and are %d, %d URNs twice, %d people with two main addresses: %v", was, contacts, twice, mains, err)
				return
			}
			looks.Add(1)
		}
	})
	var rebuild sync.WaitGroup
	rebuild.Go(func() {
		for range 3 {
			p, err := projector.New(live, rig.db.Ports(), projector.Config{Workers: 2, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				_, err = p.Rebuild(ctx, projector.Rebuild{})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := half; i < len(events); i++ {
		err := rig.db.Put(ctx, live.messages[i:i+1])
		for errors.Is(err, projector.ErrRetry) { // the rebuild puts it there in the same moment
			err = rig.db.Put(ctx, live.messages[i:i+1])
		}
		require.NoError(t, err)
		_, err = rig.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{events[i].Referral}, Due: true})
		require.NoError(t, err)
	}
	rebuild.Wait()
	stop()
	watch.Wait()
	require.Positive(t, looks.Load())
	require.Empty(t, odd)
	rig.reconcile(t)
	rig.twin.Project(time.Now())
	rig.requireTwin(t)
}
