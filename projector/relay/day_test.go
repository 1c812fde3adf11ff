package relay_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/relay"
	"casdelius/store/torturetest"
)

// day lets the topic fail for a day, while a notice of one of some people is kept every few
// minutes, and lets the relay have an hour for what has piled up.
func day(t *testing.T, b *box, outbox relay.Outbox) (kept int64) {
	t.Helper()
	var down atomic.Bool
	down.Store(true)
	r := relay.New(outbox, topic(func(_ context.Context, messages []relay.Message) ([]error, error) {
		if down.Load() {
			return nil, errors.New("no such host")
		}
		return accept(messages)
	}), relay.Config{Holder: "me", Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	for ; kept < 24*20; kept++ {
		b.put(notice(kept, kept%50))
		<-time.After(3 * time.Minute)
	}
	down.Store(false)
	<-time.After(time.Hour)
	cancel()
	require.NoError(t, <-ended)
	return kept
}

// requireSent holds that all notices were sent, each person's in their order, and that few were
// in hand at any time.
func (b *box) requireSent(t testing.TB, kept int64) {
	t.Helper()
	require.LessOrEqual(t, b.most, 100, "notices pile up in memory")
	require.Len(t, b.sent, int(kept), "a notice was given up")
	last := map[int64]int64{}
	for _, number := range b.sent {
		require.Greater(t, number, last[number%50]-1, "a notice was overtaken by a later one of its person")
		last[number%50] = number
	}
}

// Catches, as the controls show, an outbox that gives a notice up after ten tries, and one that
// lets a person's notices go in any order.
func TestADayWithoutTheTopicGivesUpNoNoticeAndKeepsEachPersonsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		b.requireSent(t, day(t, b, b))
	})
}

func TestTheControlsOfADayWithoutTheTopicAreCaught(t *testing.T) {
	t.Parallel()
	for saying, broken := range map[string]func(*box) relay.Outbox{
		"was given up":  func(b *box) relay.Outbox { return impatient{b} },
		"was overtaken": func(b *box) relay.Outbox { b.unordered = true; return b },
		"pile up":       func(b *box) relay.Outbox { return greedy{b} },
	} {
		t.Run(saying, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &box{}
				kept := day(t, b, broken(b))
				torturetest.RequireCaught(t, saying, func(tb testing.TB) { b.requireSent(tb, kept) })
			})
		})
	}
}

// impatient takes what has failed ten times for sent.
type impatient struct{ *box }

func (i impatient) Settle(ctx context.Context, lease *relay.Lease, outcomes []relay.Outcome) (int, error) {
	n, err := i.box.Settle(ctx, lease, outcomes)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting = slices.DeleteFunc(i.waiting, func(r *row) bool { return r.Tries > 10 })
	return n, err
}

// greedy leases all that waits, whatever is asked for.
type greedy struct{ *box }

func (g greedy) Take(_ context.Context, holder string, length time.Duration, _ int) (relay.Lease, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	lease := relay.Lease{Holder: holder, End: time.Now().Add(length)}
	for _, r := range g.waiting {
		r.holder, r.end = holder, lease.End
		lease.Notices = append(lease.Notices, r.Notice)
	}
	g.most = max(g.most, len(lease.Notices))
	return lease, nil
}
