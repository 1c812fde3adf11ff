package projector

import (
	"context"
	"slices"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"

	"casdelius/projector/trace"
	"casdelius/store"
)

// liveAttempts is how often a lane asks again for people whom somebody else has locked, in pauses
// that grow from a millisecond. That is for as long as a step or a rebuild's chunk has them; whoever
// is locked for longer is the sweep's.
const (
	liveAttempts     = 30
	longestLivePause = 2 // doublings of a millisecond
)

// lane reconciles the shares that fall to it. Of those of which somebody is locked it keeps a few,
// which are asked for again between the steps of the others: nobody waits for a person who is
// locked but that person's own events.
type lane struct {
	*Live
	follower Follower
	locked   []share
	retryAt  <-chan time.Time // when the locked are to be asked for; nil: there are none
}

// run reconciles shares until there are no more.
func (l *lane) run(ctx context.Context, shares <-chan share) error {
	for shares != nil || len(l.locked) > 0 {
		coming := shares
		if len(l.locked) >= cap(shares) {
			coming = nil // or they would pile up
		}
		var work []share
		select {
		case first, open := <-coming:
			if !open {
				shares = nil
				continue
			}
			work = merge(first, coming, l.config.Batch)
		case <-l.retryAt:
			work, l.locked, l.retryAt = l.locked, nil, nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := l.reconcile(ctx, work); err != nil {
			return err
		}
	}
	return nil
}

// reconcile reconciles shares in one step, acknowledges what is done by that, and keeps the rest
// for another time.
func (l *lane) reconcile(ctx context.Context, work []share) error {
	referrals, traces := []store.Referral{}, []oteltrace.Link{}
	for _, s := range work {
		referrals, traces = append(referrals, s.referrals...), append(traces, s.traces...)
	}
	step, end := trace.Span(ctx, traces, len(referrals))
	left, err := l.reconciler.reconcileFree(step, Selection{Referrals: referrals, Due: true, DryRun: l.config.Hold}, func(*Report) {})
	end.End()
	if err != nil {
		return err
	}
	for _, s := range work {
		s.referrals = slices.DeleteFunc(s.referrals, func(referral store.Referral) bool { return !slices.Contains(left, referral) })
		if s.attempts++; len(s.referrals) > 0 && s.attempts <= liveAttempts {
			l.locked = append(l.locked, s)
		} else {
			l.done(ctx, s)
		}
	}
	if l.retryAt == nil && len(l.locked) > 0 {
		l.retryAt = time.After(time.Millisecond << min(l.locked[0].attempts-1, longestLivePause))
	}
	return nil
}

// done acknowledges the batch of a share with which its last lane is done. Whoever is left is due:
// the sweep takes them.
func (l *lane) done(ctx context.Context, s share) {
	if s.of.left.Add(-1) > 0 {
		return
	}
	l.ack(ctx, l.follower, s.of.events)
}

// merge takes the first of a lane's shares together with what has piled up behind it.
func merge(first share, shares <-chan share, most int) []share {
	merged, n := []share{first}, len(first.referrals)
	for n < most {
		select {
		case next, open := <-shares:
			if !open {
				return merged
			}
			merged, n = append(merged, next), n+len(next.referrals)
		default:
			return merged
		}
	}
	return merged
}
