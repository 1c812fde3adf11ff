package projector_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/orders"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/requests"
	"casdelius/store"
	"casdelius/store/storetest"
)

// executor is one on the rig's database, by a projector that may be broken.
func (r *rig) executor(holder string, p requests.Projector) *requests.Executor {
	ports := requests.Ports{Sources: r.db.Sources(), Queue: r.db.Orders, Effects: requestEffects{r}, Projector: p}
	return requests.New(ports, requests.Config{
		Holder: holder, Every: time.Millisecond, Lease: time.Minute, Logger: slog.New(slog.DiscardHandler), Problem: error.Error,
	})
}

// requestEffects are those of the database.
type requestEffects struct{ *rig }

func (e requestEffects) RetryParked(ctx context.Context, who projector.Selection, cause delius.Cause, order *projector.Order) error {
	return e.db.RetryParked(ctx, who, cause, order)
}

func (e requestEffects) Review(ctx context.Context, conflict int64, order *projector.Order) error {
	return e.db.Orders.Review(ctx, conflict, order)
}

func (e requestEffects) Pause(ctx context.Context, paused bool, order *projector.Order) error {
	return e.db.Orders.Pause(ctx, paused, order)
}

func (e requestEffects) RebuiltBy(ctx context.Context) (string, error) { return e.db.RebuiltBy(ctx) }

// asked makes a request of what is planned now.
func (r *rig) asked(t require.TestingT, ask requests.Request) requests.Request {
	ask.ID, ask.Who, ask.Why = uuid.New(), "jane.smith", "in a test"
	if ask.Kind.Confirmed() && ask.PlanHash == "" {
		preview, err := r.db.Look(ctx, &ask)
		require.NoError(t, err)
		ask.PlanHash = preview.Hash
	}
	require.NoError(t, r.db.Orders.Add(ctx, &ask))
	return ask
}

// carryOut has the request that waits carried out, and gives what became of it.
func (r *rig) carryOut(t require.TestingT, ask requests.Request) requests.Request {
	taken, err := r.db.Orders.TakeThis(ctx, ask.ID, "one", time.Minute)
	require.NoError(t, err)
	require.NotNil(t, taken)
	r.executor("one", r.Projector).Execute(ctx, taken)
	is, err := r.db.Orders.Request(ctx, ask.ID)
	require.NoError(t, err)
	return *is
}

// entries are those of the audit for a request.
func (r *rig) entries(t require.TestingT, id uuid.UUID) (entries []audit.Entry) {
	all, err := r.db.Orders.Audit(ctx, orders.Entries{Limit: 1000})
	require.NoError(t, err)
	for _, e := range all {
		if e.Request == id {
			entries = append(entries, e)
		}
	}
	return entries
}

// corrected is a rig in which an event has replaced the start of somebody's contact, and its
// conflict.
func corrected(t *testing.T) (*rig, inspect.Conflict) {
	t.Helper()
	r := populated(t)
	r.put(t, arrival(1, "first", store.PersonArrived, 0, someone))
	r.reconcile(t)
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	require.NoError(t, r.delius.EditContact(ctx, contacts[0].ID, func(c *postgrestest.Contact) {
		c.StartTime = c.StartTime.Add(90 * time.Minute)
	}))
	r.put(t, store.Event{
		ID: "later", Type: store.PersonArrivedUpdated, Referral: booking(1), CRN: someone, Emitted: noon.Add(time.Hour),
		Body: []byte(`{"eventDetails":{"premises":{"addressLine1":"first Street","postcode":"AB1 2CD"},"arrivedAt":"2026-03-01T15:00:00Z","notes":"later"}}`),
	})
	r.reconcile(t)
	list, err := r.db.OpenConflicts(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.True(t, list[0].Restorable)
	return r, list[0]
}

func (r *rig) start(t require.TestingT) string {
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	return contacts[0].StartTime.UTC().Format(time.TimeOnly)
}

func TestARestoredValueIsThePersonsUntilAnEventSaysSomethingNew(t *testing.T) {
	t.Parallel()
	r, conflict := corrected(t)
	require.Equal(t, "start", conflict.Field)
	require.Equal(t, "15:00:00", r.start(t))
	ask := r.carryOut(t, r.asked(t, requests.Request{Kind: requests.Restore, Target: requests.Target{Conflict: conflict.Number}}))
	require.Equal(t, requests.Done, ask.State, ask.Outcome)
	require.Equal(t, "1 rows of 1 people written", ask.Outcome)
	require.Equal(t, "13:30:00", r.start(t))

	r.put(t, arrival(1, "first", store.PersonArrived, 0, someone))
	r.reconcile(t)
	_, err := r.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	r.emptyInbox(t)
	_, err = r.Rebuild(ctx, projector.Rebuild{Restart: true})
	require.NoError(t, err)
	require.Equal(t, "13:30:00", r.start(t))
	edited, damaged, _ := r.verify(t, false)
	require.Empty(t, edited, "the projector itself has written it")
	require.Empty(t, damaged)

	entries := r.entries(t, ask.ID)
	require.Len(t, entries, 1)
	require.Equal(t, []any{"jane.smith", audit.Restored, someone, "in a test"}, []any{entries[0].Who, entries[0].What, entries[0].CRN, entries[0].Why})
	is, err := r.db.Conflict(ctx, conflict.Number)
	require.NoError(t, err)
	require.Equal(t, []any{"restored", "jane.smith", false}, []any{is.SettledAs, is.SettledBy, is.Restorable})
	_, err = r.db.Look(ctx, &requests.Request{Kind: requests.Restore, Target: requests.Target{Conflict: conflict.Number}})
	require.ErrorContains(t, err, "is restored already")

	r.put(t, store.Event{
		ID: "newest", Type: store.PersonArrivedUpdated, Referral: booking(1), CRN: someone, Emitted: noon.Add(2 * time.Hour),
		Body: []byte(`{"eventDetails":{"premises":{"addressLine1":"first Street","postcode":"AB1 2CD"},"arrivedAt":"2026-03-01T17:00:00Z","notes":"newest"}}`),
	})
	r.reconcile(t)
	require.Equal(t, "17:00:00", r.start(t))
}

func TestARestoreIsRefusedWhereSomebodyHasBeenThereSince(t *testing.T) {
	t.Parallel()
	r, conflict := corrected(t)
	ask := r.asked(t, requests.Request{Kind: requests.Restore, Target: requests.Target{Conflict: conflict.Number}})
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	require.NoError(t, r.delius.EditContact(ctx, contacts[0].ID, func(c *postgrestest.Contact) { c.StartTime = c.StartTime.Add(time.Hour) }))
	ask = r.carryOut(t, ask)
	require.Equal(t, requests.Refused, ask.State)
	require.Contains(t, ask.Outcome, "start says something else by now")
	require.Equal(t, "16:00:00", r.start(t))
	require.JSONEq(t, fmt.Sprintf(`{"target":{"conflict":%d},"outcome":"refused: start says something else by now than what the events wrote"}`, conflict.Number),
		string(r.entries(t, ask.ID)[0].Detail))
}

// The broken variant is an executor that does not compare the plan with what was confirmed.
func TestARequestIsRefusedWhereThePlanHasChanged(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0))
	r.reconcile(t)
	r.exec(t, "update delius.contact set notes = 'damaged'")
	ask := r.asked(t, requests.Request{Kind: requests.Repair, Target: requests.Target{CRNs: []store.CRN{someone}}})
	stale := r.asked(t, requests.Request{Kind: requests.Repair, Target: requests.Target{CRNs: []store.CRN{someone}}})
	r.put(t, moved(1, someone, 1))
	stale = r.carryOut(t, stale)
	require.Equal(t, requests.Refused, stale.State)
	require.Contains(t, stale.Outcome, "something else by now than what was confirmed")
	require.Equal(t, []string{"damaged"}, r.notes(t), "nothing was written")

	r.exec(t, "delete from projection.event where id = '1.'")
	ask = r.carryOut(t, ask)
	require.Equal(t, requests.Done, ask.State, ask.Outcome)
	require.Contains(t, r.notes(t)[0], "notes first")
}

func (r *rig) notes(t require.TestingT) (notes []string) {
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	for _, c := range contacts {
		notes = append(notes, c.Notes)
	}
	return notes
}

// stalled is a projector that stops for a while when its step is about to write.
type stalled struct {
	*projector.Projector
	reached, goOn chan struct{}
}

func (h *stalled) Reconcile(ctx context.Context, selection projector.Selection) (projector.Report, error) {
	close(h.reached)
	<-h.goOn
	return h.Projector.Reconcile(ctx, selection)
}

// The broken variant writes without asking whose the request is by now.
func TestARequestIsCarriedOutOnceThoughTwoProjectorsHaveIt(t *testing.T) {
	t.Parallel()
	r, conflict := corrected(t)
	ask := r.asked(t, requests.Request{Kind: requests.Reviewed, Target: requests.Target{Conflict: conflict.Number}})
	rebuild := r.asked(t, requests.Request{Kind: requests.Rebuild, Target: requests.Target{CRNs: []store.CRN{someone}}})
	r.carryOut(t, ask)

	one, err := r.db.Orders.TakeThis(ctx, rebuild.ID, "killed", time.Minute)
	require.NoError(t, err)
	h := &stalled{r.Projector, make(chan struct{}), make(chan struct{})}
	var ended sync.WaitGroup
	ended.Go(func() { r.executor("killed", h).Execute(ctx, one) })
	<-h.reached
	two, err := r.db.Orders.Take(ctx, "two", false, time.Minute)
	require.NoError(t, err)
	require.Nil(t, two, "it is another's, who has not lost it")
	r.exec(t, "update projection.request set lease_end = now() - interval '1 s' where id = $1", [16]byte(rebuild.ID))
	two, err = r.db.Orders.Take(ctx, "two", false, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 2, two.Tries)
	r.executor("two", r.Projector).Execute(ctx, two)
	close(h.goOn)
	ended.Wait()

	entries := r.entries(t, rebuild.ID)
	require.Len(t, entries, 1)
	is, err := r.db.Orders.Request(ctx, rebuild.ID)
	require.NoError(t, err)
	require.Equal(t, requests.Done, is.State)
	require.Len(t, r.entries(t, ask.ID), 1)
}

func TestManyRequestsAreEachCarriedOutOnceByTwoProjectors(t *testing.T) {
	t.Parallel()
	r, conflict := corrected(t)
	var all []requests.Request
	for range 20 {
		all = append(all, r.asked(t, requests.Request{Kind: requests.Reviewed, Target: requests.Target{Conflict: conflict.Number}}))
	}
	running, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	for _, holder := range []string{"one", "two"} {
		ended.Go(func() { _ = r.executor(holder, r.Projector).Run(running) })
	}
	require.Eventually(t, func() bool {
		open := r.ids(t, "select 1::bigint from projection.request where state in ('waiting', 'working')")
		return len(open) == 0
	}, time.Minute, 10*time.Millisecond)
	stop()
	ended.Wait()
	for i := range all {
		require.Len(t, r.entries(t, all[i].ID), 1)
	}
}

func TestTheAuditIsAddedToOnly(t *testing.T) {
	t.Parallel()
	r := populated(t)
	require.NoError(t, r.db.Orders.Record(ctx, audit.Entry{Who: "jane.smith", What: audit.Viewed, CRN: someone}))
	for _, statement := range []string{
		"update projection.audit set who = 'nobody'", "delete from projection.audit", "truncate projection.audit", "delete from projection.audit where false",
	} {
		_, err := r.delius.Pool.Exec(ctx, statement)
		require.ErrorContains(t, err, "added only", statement)
	}
	list, err := r.db.Orders.Audit(ctx, orders.Entries{CRN: someone, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// The broken variant moves what was applied as well, so that the next look writes the events' value
// as if it were news.
func TestRestoredValuesSurviveDuplicatesShufflesAndARebuild(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	restored := 0
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		written := map[string]string{}
		for _, e := range shuffled(r, histories) {
			rig.put(r, e)
			if rapid.Bool().Draw(r, "reconcile") {
				rig.look(r, histories)
				restored += rig.restoreOne(r, histories)
				rig.edit(r, written)
			}
		}
		rig.look(r, histories)
		restored += rig.restoreOne(r, histories)
		rig.put(r, shuffled(r, histories)...)
		rig.look(r, histories)
		_, err := rig.on(r, rig.db).Rebuild(ctx, projector.Rebuild{Restart: true})
		require.NoError(r, err)
		rig.requireTwin(r)
		rig.requireSettled(r, histories)
	})
	require.NotZero(t, restored, "no value was ever restored")
}

// restoreOne restores a value of which the twin can be told, and says how many that were.
func (r *rig) restoreOne(t *rapid.T, histories []storetest.History) int {
	open, err := r.db.OpenConflicts(ctx, 0, 100)
	require.NoError(t, err)
	if len(open) == 0 || !rapid.Bool().Draw(t, "restore") {
		return 0
	}
	conflict := rapid.SampledFrom(open).Draw(t, "conflict")
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	var contact *deliustest.Contact
	var address *deliustest.Address
	for _, c := range contacts {
		if c.ExternalReference == conflict.URN && conflict.URN != "" {
			contact = one(r.twin.Contacts(), func(o *deliustest.Contact) bool { return o.URN == c.ExternalReference })
		}
	}
	for _, a := range addresses {
		if a.ID == conflict.AddressID {
			address = one(r.twin.Addresses(), func(o *deliustest.Address) bool {
				return string(o.CRN) == a.CRN && o.Status == a.Status && o.Start.Equal(a.Start) && o.End.Equal(a.End) &&
					o.Street == a.StreetName && o.Postcode == a.Postcode && o.Deleted == a.SoftDeleted
			})
		}
	}
	if contact == nil && address == nil {
		return 0
	}
	ask := requests.Request{Kind: requests.Restore, Target: requests.Target{Conflict: conflict.Number}}
	if _, err := r.db.Look(ctx, &ask); err != nil {
		_, refused := errors.AsType[*requests.Refusal](err)
		require.True(t, refused, err)
		return 0
	}
	done := r.carryOut(t, r.asked(t, ask))
	require.Equal(t, requests.Done, done.State, done.Outcome)
	r.restoreInTwin(t, conflict, contact, address)
	r.look(t, histories)
	return 1
}

// restoreInTwin has the twin's practitioner enter the value once more.
func (r *rig) restoreInTwin(t *rapid.T, conflict inspect.Conflict, contact *deliustest.Contact, address *deliustest.Address) {
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	for _, c := range contacts {
		if contact != nil && c.ExternalReference == contact.URN {
			contact.Description, contact.Date, contact.Start, contact.Deleted = c.Description, c.Date, c.StartTime, c.SoftDeleted
			r.twin.Edited(contact, time.Now())
			contact.UpdatedBy = c.UpdatedBy
		}
	}
	for _, a := range addresses {
		if address != nil && a.ID == conflict.AddressID {
			address.Status, address.Start, address.End, address.Deleted = a.Status, a.Start, a.End, a.SoftDeleted
			address.Building, address.Street, address.District = a.BuildingName, a.StreetName, a.District
			address.Town, address.County, address.Postcode = a.TownCity, a.County, a.Postcode
			r.twin.Edited(address, time.Now())
			address.UpdatedBy = a.UpdatedBy
		}
	}
}

// An entry that somebody wrote with another program must not be in the way of all others.
func TestARequestThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	r := populated(t)
	id := uuid.New()
	r.exec(t, "insert into projection.request (id, kind, target, who, why) values ($1, 'retry', '{\"crns\": 7}', 'jane.smith', '')", [16]byte(id))
	is := r.carryOut(t, requests.Request{ID: id})
	require.Equal(t, []any{requests.Refused, "its target cannot be read"}, []any{is.State, is.Outcome})
}

// pausing has a rebuild's lock say for a while that it is to pause.
type pausing struct {
	*postgres.Database
	asked func() bool
}

func (p pausing) Ports() projector.Ports {
	ports := p.Database.Ports()
	ports.Locks = p
	return ports
}

func (p pausing) LockRebuild(ctx context.Context, by string, restart bool, now time.Time) (projector.RebuildLock, projector.Bookmark, error) {
	lock, at, err := p.Database.LockRebuild(ctx, by, restart, now)
	return pausedLock{lock, p}, at, err
}

type pausedLock struct {
	projector.RebuildLock
	pausing
}

func (l pausedLock) Paused(context.Context) (bool, error) { return l.asked(), nil }

// The broken variant asks once, and goes on with the next chunk.
func TestARebuildPausesBetweenTwoChunks(t *testing.T) {
	t.Parallel()
	histories, events := generated(80)
	r := setup(t, histories)
	r.stream.add(events...)
	_, err := r.on(t, r.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	var mu sync.Mutex
	done, total := 0, 0
	var reached []int // at each time that it asked while it was to pause
	db := pausing{r.db, func() bool {
		mu.Lock()
		defer mu.Unlock()
		if done > 0 {
			reached = append(reached, done)
		}
		return done > 0 && len(reached) < 5
	}}
	_, err = r.on(t, db).Rebuild(ctx, projector.Rebuild{Restart: true, Progress: func(p projector.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if p.Phase == projector.Reconciling {
			done, total = p.Done, p.Total
		}
	}})
	require.NoError(t, err)
	require.Equal(t, total, done)
	require.Less(t, reached[1], total)
	require.Equal(t, reached[1], reached[4], "nothing was done while it was to pause")
}

func TestAPauseIsKeptForTheSameRebuildAndSeenByWhoeverLooks(t *testing.T) {
	t.Parallel()
	r := populated(t)
	lock, _, err := r.db.LockRebuild(ctx, "request 1", false, time.Now())
	require.NoError(t, err)
	require.NoError(t, lock.Reached(ctx, projector.Bookmark{
		Person: 1, People: 5, Since: time.Now().Add(-10 * time.Second), From: 1, Rate: 100,
		Progress: projector.Progress{Phase: projector.Reconciling, Done: 5, Total: 9},
	}))
	pause := r.carryOut(t, r.asked(t, requests.Request{Kind: requests.Pause}))
	require.Equal(t, requests.Done, pause.State, pause.Outcome)
	paused, err := lock.Paused(ctx)
	require.NoError(t, err)
	require.True(t, paused)
	is, err := r.db.Rebuilding(ctx)
	require.NoError(t, err)
	require.Equal(t, []any{"jane.smith", true, 5, 9, 100}, []any{is.PausedBy, is.Running, is.Done, is.Total, is.Limit})
	require.InDelta(t, 0.4, is.Rate, 0.2)
	require.InDelta(t, 10, is.Left, 6)
	lock.Release()

	for _, next := range []struct {
		by    string
		stays bool
	}{{"request 1", true}, {"a shell", false}} {
		lock, _, err := r.db.LockRebuild(ctx, next.by, false, time.Now())
		require.NoError(t, err)
		paused, err := lock.Paused(ctx)
		require.NoError(t, err)
		require.Equal(t, next.stays, paused, next.by)
		lock.Release()
	}
	resume := r.carryOut(t, r.asked(t, requests.Request{Kind: requests.Resume}))
	require.Equal(t, requests.Done, resume.State)
	is, err = r.db.Rebuilding(ctx)
	require.NoError(t, err)
	require.Empty(t, is.PausedBy)
}
