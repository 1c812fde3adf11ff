package projector_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
)

// slow is a database to which more referrals than so many at once are too slow, and one alone
// for ever.
type slow struct {
	*postgres.Database
	most  int
	never store.Referral

	mu    sync.Mutex
	begun []int // how many referrals each step was begun with
	alone int   // steps with the one alone
}

func (s *slow) Ports() projector.Ports {
	ports := s.Database.Ports()
	ports.Steps = s
	return ports
}

func (s *slow) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = append(s.begun, len(selection.Referrals))
	hasIt := false
	for _, referral := range selection.Referrals {
		hasIt = hasIt || referral == s.never
	}
	if hasIt && len(selection.Referrals) == 1 {
		s.alone++
	}
	if hasIt || len(selection.Referrals) > s.most {
		return nil, fmt.Errorf("%w: in a test", projector.ErrTooSlow)
	}
	return s.Database.Begin(ctx, selection)
}

// Catches a batch that is tried again as large as it was, one that is taken apart at once, and
// people who are looked at twice because their referrals are in both halves.
func TestABatchThatIsTooSlowIsHalvedUntilItIsNot(t *testing.T) {
	t.Parallel()
	histories, events := generated(20)
	rig := setup(t, histories)
	rig.put(t, events...)
	all := referrals(histories)
	database := &slow{Database: rig.db, most: 3}
	report, err := rig.on(t, database).Reconcile(ctx, projector.Selection{Referrals: all})
	require.NoError(t, err)
	require.Empty(t, report.Failed)
	require.Len(t, report.People, len(histories))
	require.Equal(t, len(all), database.begun[0])
	require.Equal(t, (len(all)+1)/2, database.begun[1])
	require.Equal(t, (len(all)+3)/4, database.begun[2])
	rig.reconcile(t)
	require.NotEmpty(t, rig.ids(t, "select contact_id from delius.contact"))
}

// Catches one person who is tried for ever, and keeps the others of the batch waiting.
func TestOnePersonAloneWhoIsTooSlowThreeTimesFails(t *testing.T) {
	t.Parallel()
	histories, events := generated(8)
	rig := setup(t, histories)
	rig.put(t, events...)
	all := referrals(histories)
	database := &slow{Database: rig.db, most: len(all), never: all[len(all)/2]}
	report, err := rig.on(t, database).Reconcile(ctx, projector.Selection{Referrals: all})
	require.NoError(t, err)
	require.Len(t, report.Failed, 1)
	require.Equal(t, database.never, report.Failed[0].Referral)
	require.Equal(t, 3, database.alone)
}
