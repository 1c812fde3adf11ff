package projector_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/store"
)

func TestWhoeverIsStuckKeepsNobodyElseFromBeingSwept(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0), moved(2, another, 0), moved(3, another, 0))
	practitioner, err := rig.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = practitioner.Rollback(ctx) })
	_, err = practitioner.Exec(ctx, "select from delius.offender where crn = $1 for update", someone)
	require.NoError(t, err)

	p, err := projector.New(&quiet{stream: rig.stream}, rig.db.Ports(), projector.Config{
		Sweep: time.Millisecond, Batch: 1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	swept := func(n int) func() bool {
		return func() bool {
			contacts, _ := rig.live(t)
			return len(contacts) == n
		}
	}
	require.Eventually(t, swept(2), time.Minute, time.Millisecond)
	require.NoError(t, practitioner.Rollback(ctx))
	require.Eventually(t, swept(3), time.Minute, time.Millisecond)
}

func TestThePausesOfWhatIsParkedAreOfTheProjectorsClock(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"behind the database's": -time.Hour, "ahead of it": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			rig.begin(t, nil)
			now := time.Now().Add(ahead)
			p, err := projector.New(rig.stream, rig.db.Ports(), projector.Config{Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			rig.put(t, moved(1, someone, 0))
			_, err = p.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(1)}})
			require.NoError(t, err)
			require.Len(t, rig.parked(t), 1)

			due := func(at time.Time) []store.Referral {
				all, err := rig.db.Due(ctx, at, at, 10, nil)
				require.NoError(t, err)
				return all
			}
			require.Empty(t, due(now))
			require.Equal(t, []store.Referral{booking(1)}, due(now.Add(time.Second)))
			order := projector.Order{Entry: audit.Entry{Who: "somebody", What: audit.Retried}}
			require.NoError(t, rig.db.RetryParked(ctx, projector.Selection{}, "", &order))
			require.Equal(t, "1 parked item will be retried at once by the running projector", order.Outcome)
			require.Equal(t, []store.Referral{booking(1)}, due(now))
		})
	}
}
