package projector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

func TestWhatIsParkedOfNobodyIsWhatTheLatestLookFound(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rig.begin(t, nil)
	bad := arrival(1, "bad", store.PersonArrived, 0, someone)
	bad.Body = []byte(`{"eventDetails":{}}`)
	rig.put(t, bad)
	first := rig.take(t, booking(1))
	rig.put(t, moved(1, someone, 1))
	second := rig.take(t, booking(1))
	second.apply(t)
	require.Empty(t, second.People(), "the first has the referral")
	first.apply(t)
	rig.reconcile(t)
	parked := rig.parked(t)
	require.Len(t, parked, 1)
	require.Contains(t, parked[0], "person-not-found")

	// Whoever is found in Delius later gets what was parked.
	require.NoError(t, rig.delius.AddPeople(ctx, []postgrestest.Person{{CRN: someone, Manager: manager}}))
	later := time.Now().Add(time.Hour)
	due, err := rig.db.Due(ctx, later, later, 100, nil)
	require.NoError(t, err)
	require.Equal(t, []store.Referral{booking(1)}, due)
}

func TestANumberThatIsBlankNamesNobody(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.exec(t, "update delius.offender set noms_number = ''")
	rig.put(t, moved(1, someone, 0), moved(2, another, 0))
	for _, n := range []byte{1, 2} { // neither is in the other's way
		require.Len(t, rig.take(t, booking(n)).People(), 1)
	}
}

func TestWhatIsParkedIsNotDue(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rig.begin(t, nil)
	rig.put(t, moved(1, someone, 0))
	history, err := rig.db.ReferralHistory(ctx, booking(1))
	require.NoError(t, err)
	require.True(t, history.Due)
	rig.reconcile(t)
	require.Len(t, rig.parked(t), 1)
	history, err = rig.db.ReferralHistory(ctx, booking(1))
	require.NoError(t, err)
	require.False(t, history.Due)
}

func TestWhoeverIsNotDueIsNotLookedAt(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0))
	rig.reconcile(t)
	report, err := rig.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(1), booking(1)}, Due: true})
	require.NoError(t, err)
	require.Zero(t, report)
}
