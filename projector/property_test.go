package projector_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// shuffled draws an order of the histories' events, with some of them twice.
func shuffled(r *rapid.T, histories []storetest.History) []store.Event {
	var all []store.Event
	for _, h := range histories {
		for _, e := range h.Events {
			all = append(all, e.Event)
		}
	}
	if len(all) == 0 {
		return nil
	}
	numbers := make([]int, 0, 2*len(all))
	for i := range all {
		numbers = append(numbers, i)
	}
	for range rapid.IntRange(0, 3).Draw(r, "twice") {
		numbers = append(numbers, rapid.IntRange(0, len(all)-1).Draw(r, "which"))
	}
	out := make([]store.Event, len(numbers))
	for i, n := range rapid.Permutation(numbers).Draw(r, "order") {
		out[i] = all[n]
	}
	return out
}

func TestAnyOrderBatchesAndReconcilesGiveTheRowsOfTheTwin(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		for events := shuffled(r, histories); len(events) > 0; {
			n := rapid.IntRange(1, len(events)).Draw(r, "batch")
			rig.put(r, events[:n]...)
			events = events[n:]
			if rapid.Bool().Draw(r, "reconcile") {
				rig.project(r)
				rig.requireTwin(r)
			}
		}
		rig.project(r)
		rig.requireTwin(r)
		rig.requireSettled(r, histories)
		rig.requireAudited(r)
	})
}

// requireSettled reconciles everybody once more and holds that no row moves.
func (r *rig) requireSettled(t require.TestingT, histories []storetest.History) {
	before := r.rows(t)
	report, err := r.Reconcile(ctx, projector.Selection{Referrals: referrals(histories)})
	require.NoError(t, err)
	require.Zero(t, report.Changes)
	require.Equal(t, before, r.rows(t))
}

type rows struct {
	contacts     []postgrestest.Contact
	addresses    []postgrestest.Address
	interactions []postgrestest.Interaction
}

// rows are all rows with their versions and times.
func (r *rig) rows(t require.TestingT) rows {
	var out rows
	var err error
	out.contacts, err = r.delius.Contacts(ctx)
	require.NoError(t, err)
	out.addresses, err = r.delius.Addresses(ctx)
	require.NoError(t, err)
	out.interactions, err = r.delius.Interactions(ctx)
	require.NoError(t, err)
	return out
}
