package projector_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/store"
)

// locking is parts whose people of some referrals are locked by somebody else. Each step takes a
// millisecond, and notes when it was begun for whom.
type locking struct {
	*parts
	locked []store.Referral
	begun  [][]store.Referral
}

func (l *locking) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	<-time.After(time.Millisecond)
	l.mu.Lock()
	l.begun = append(l.begun, selection.Referrals)
	locked := l.locked
	l.mu.Unlock()
	is := func(r store.Referral) bool { return slices.Contains(locked, r) }
	free := slices.DeleteFunc(slices.Clone(selection.Referrals), is)
	s, err := l.parts.Begin(ctx, projector.Selection{Referrals: free, Messages: selection.Messages})
	return lockingStep{s, len(selection.Referrals) - len(free)}, err
}

// Due leaves all to the lane.
func (*locking) Due(context.Context, time.Time, time.Time, int, []store.Referral) ([]store.Referral, error) {
	return nil, nil
}

// asked is how many steps were begun for a referral.
func (l *locking) asked(referral store.Referral) (n int) {
	for _, referrals := range l.begun {
		if slices.Contains(referrals, referral) {
			n++
		}
	}
	return n
}

type lockingStep struct {
	projector.Step
	deferred int
}

func (s lockingStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	applied, err := s.Step.Apply(ctx, decisions, now)
	applied.Deferred = s.deferred
	return applied, err
}

// Catches a lane that asks for who is locked again and again before it looks at what has come
// since: then all of its attempts come first.
func TestNobodyWaitsForAPersonWhoIsLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &locking{parts: newParts(), locked: []store.Referral{of(1)}}
		pr, err := projector.New(l, projector.Ports{Inbox: l, Mender: l, Due: l, Steps: l}, projector.Config{Workers: 1, Sweep: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		running, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- pr.Run(running) }()
		for range 5 {
			l.append(1)
			<-time.After(5 * time.Millisecond)
		}
		synctest.Wait()
		l.mu.Lock()
		order, asked, inHand := slices.Clone(l.order), l.asked(of(1)), len(l.hand)
		l.mu.Unlock()
		require.Equal(t, []uint64{2, 3, 4, 5}, order)
		require.Greater(t, asked, 3, "it is asked for again meanwhile")
		require.Equal(t, 1, inHand, "its event is not acknowledged yet")
		<-time.After(time.Second)
		cancel()
		require.NoError(t, <-ended)
		require.Empty(t, l.hand, "the sweep is to take whoever is locked for longer")
	})
}
