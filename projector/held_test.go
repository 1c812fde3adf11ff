package projector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
)

func TestPeopleWhomAPractitionerHoldsAreLeftDue(t *testing.T) {
	t.Parallel()
	histories, events := generated(4)
	rig := setup(t, histories)
	rig.stream.add(events...)
	tx, err := rig.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(ctx)) }()
	_, err = tx.Exec(ctx, "select from delius.offender where crn = $1 for update", histories[0].Person.CRN)
	require.NoError(t, err)
	tally, err := rig.on(t, rig.db).Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Positive(t, tally.Left)
	require.Equal(t, len(histories)-1, tally.People)
	due, err := rig.db.Due(ctx, time.Now(), time.Now(), 100, nil)
	require.NoError(t, err)
	require.Len(t, due, tally.Left)
}

func TestARebuildWaitsForNobodyWhoIsAsDesired(t *testing.T) {
	t.Parallel()
	histories, events := generated(4)
	rig := setup(t, histories)
	rig.stream.add(events...)
	p := rig.on(t, rig.db)
	_, err := p.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	practitioner, err := rig.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = practitioner.Rollback(ctx) }() // or a failure would wait for it
	_, err = practitioner.Exec(ctx, "select from delius.offender for update")
	require.NoError(t, err)
	tally, err := p.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Zero(t, tally.Left)
	require.Equal(t, len(histories), tally.People)
	require.Equal(t, len(events), tally.Events)

	// What is parked and should not be has to go, and for that the person is locked.
	_, err = rig.delius.Pool.Exec(ctx, `insert into projection.parked (referral, urn, address, event, cause, problem, since, tries)
		values ($1, 'urn:of:nothing', false, '', 'staff-not-found', 'nothing', now(), 1)`, histories[0].Events[0].Referral)
	require.NoError(t, err)
	tally, err = p.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Positive(t, tally.Left)
	require.Equal(t, len(histories)-1, tally.People)
	require.NoError(t, practitioner.Rollback(ctx))
	tally, err = p.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Zero(t, tally.Left)
	backlog, err := rig.db.Backlog(ctx)
	require.NoError(t, err)
	require.Empty(t, backlog.Parked)
	require.Zero(t, backlog.Due)
}
