package projector_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/requests"
	"casdelius/store"
)

// Broken variants: a plan that writes; a rebuild of another plan than was confirmed; one that is
// refused when another process goes on with it, because what was done by then is in no plan.
func TestEveryoneIsPlannedAndThenRebuiltAsWasConfirmed(t *testing.T) {
	t.Parallel()
	histories, events := generated(20)
	r := setup(t, histories)
	r.stream.add(events...)

	plan := r.carryOut(t, r.asked(t, requests.Request{Kind: requests.Plan}))
	require.Equal(t, requests.Done, plan.State, plan.Outcome)
	var planned requests.PlanResult
	require.NoError(t, json.Unmarshal(plan.Result, &planned))
	require.Positive(t, planned.Rows)
	require.Empty(t, r.notes(t), "a plan writes nothing")

	everyone := func(hash string) requests.Request {
		return r.asked(t, requests.Request{Kind: requests.Rebuild, Target: requests.Target{All: true}, PlanHash: hash})
	}
	other := r.carryOut(t, everyone("0000"))
	require.Equal(t, requests.Refused, other.State)
	require.Contains(t, other.Outcome, "something else by now than what was confirmed")
	require.Empty(t, r.notes(t))

	rebuilt := r.carryOut(t, everyone(planned.Hash))
	require.Equal(t, requests.Done, rebuilt.State, rebuilt.Outcome)
	require.Empty(t, r.plan(t))
	require.NotEmpty(t, r.notes(t))

	interrupted := everyone("of what was done by now")
	lock, _, err := r.db.LockRebuild(ctx, "request "+interrupted.ID.String(), false, time.Now())
	require.NoError(t, err)
	require.NoError(t, lock.Reached(ctx, projector.Bookmark{Person: 1, Since: time.Now(), Progress: projector.Progress{Phase: projector.Reconciling, Done: 1, Total: 2}}))
	lock.Release()
	interrupted = r.carryOut(t, interrupted)
	require.Equal(t, requests.Done, interrupted.State, interrupted.Outcome)
}

// Broken variant: a restore of an address that writes the row as it stands.
func TestARestoredAddressIsThePersonsUntilAnEventSaysSomethingNew(t *testing.T) {
	t.Parallel()
	r := populated(t)
	street := func() string {
		addresses, err := r.delius.Addresses(ctx)
		require.NoError(t, err)
		require.Len(t, addresses, 1)
		return addresses[0].StreetName
	}
	say := func(id, street string, after time.Duration) {
		r.put(t, store.Event{
			ID: id, Type: store.PersonArrivedUpdated, Referral: booking(1), CRN: someone, Emitted: noon.Add(after),
			Body: []byte(`{"eventDetails":{"premises":{"addressLine1":"` + street + `","postcode":"AB1 2CD"},"arrivedAt":"2026-03-01T12:00:00Z"}}`),
		})
		r.reconcile(t)
	}
	r.put(t, arrival(1, "first", store.PersonArrived, 0, someone))
	r.reconcile(t)
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	require.NoError(t, r.delius.EditAddress(ctx, addresses[0].ID, func(a *postgrestest.Address) { a.StreetName = "Theirs" }))
	say("later", "Later", time.Hour)
	require.Equal(t, "Later", street())
	list, err := r.db.OpenConflicts(ctx, 0, 10)
	require.NoError(t, err)
	at := -1
	for i, c := range list {
		if c.AddressID != 0 {
			at = i
		}
	}
	require.NotEqual(t, -1, at, "%v", list)
	require.Equal(t, []any{"lines", true}, []any{list[at].Field, list[at].Restorable})

	ask := r.carryOut(t, r.asked(t, requests.Request{Kind: requests.Restore, Target: requests.Target{Conflict: list[at].Number}}))
	require.Equal(t, requests.Done, ask.State, ask.Outcome)
	require.Equal(t, "Theirs", street())
	require.Equal(t, someone, r.entries(t, ask.ID)[0].CRN)
	say("later", "Later", time.Hour) // once more
	_, err = r.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	r.emptyInbox(t)
	_, err = r.Rebuild(ctx, projector.Rebuild{Restart: true})
	require.NoError(t, err)
	require.Equal(t, "Theirs", street())
	edited, damaged, _ := r.verify(t, false)
	require.Empty(t, edited)
	require.Empty(t, damaged)
	say("newest", "Newest", 2*time.Hour)
	require.Equal(t, "Newest", street())
	var open []inspect.Conflict
	open, err = r.db.OpenConflicts(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, open, 1, "the restored value is one that events have replaced")
}
