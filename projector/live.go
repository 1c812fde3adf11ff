package projector

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"casdelius/store"
)

// Live projection is one intake and several lanes. The intake fetches batches, puts
// them into the inbox, and deals their referrals out by whom they name, so that a
// person is always in the same lane and no two lanes want the same locks. A lane
// reconciles what has piled up for it in one step: whoever came several times is
// looked at once. A batch is acknowledged when every lane is done with its part.

// batch is what was fetched at once, until all lanes are done with it.
type batch struct {
	events []store.Stored
	left   atomic.Int32 // parts that are not reconciled yet
}

// part is the part of a batch that falls to one lane.
type part struct {
	of        *batch
	referrals []store.Referral
	traces    []trace.Link
}

// follow starts the intake and the lanes. They end when ctx does; what is in hand then
// is finished with the context work.
func (p *Projector) follow(ctx, work context.Context, group *errgroup.Group, follower Follower) {
	lanes := make([]chan part, p.config.Workers)
	for i := range lanes {
		lanes[i] = make(chan part, 4)
		group.Go(func() error { return p.lane(work, lanes[i], follower) })
	}
	group.Go(func() error {
		defer func() {
			for _, lane := range lanes {
				close(lane)
			}
		}()
		return p.intake(ctx, work, lanes, follower)
	})
}

// intake fills the inbox and the lanes.
func (p *Projector) intake(ctx, work context.Context, lanes []chan part, follower Follower) error {
	for attempt := 0; ; {
		events, err := follower.Fetch(ctx, p.config.Batch)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.logger.Warn("no events from the stream", "error", err)
			if wait(ctx, p.config.Retry, attempt) != nil {
				return nil
			}
			attempt++
			continue
		}
		attempt = 0
		if err := p.put(work, events); err != nil {
			return errors.Join(err, follower.Release(events))
		}
		for i, next := range deal(events, len(lanes)) {
			select {
			case lanes[i] <- next:
			case <-ctx.Done():
				return nil // the inbox has them, and they are due
			}
		}
	}
}

var seed = maphash.MakeSeed()

// deal divides a batch among the lanes, by whom an event names.
func deal(events []store.Stored, lanes int) []part {
	all := &batch{events: events}
	all.left.Store(int32(lanes)) //nolint:gosec // a handful
	parts := make([]part, lanes)
	seen := map[store.Referral]bool{}
	for i := range events {
		e := &events[i]
		if e.Err != nil || seen[e.Referral] {
			continue
		}
		seen[e.Referral] = true
		name := string(e.CRN)
		if name == "" {
			name = string(e.NOMS)
		}
		lane := &parts[maphash.String(seed, name)%uint64(lanes)] //nolint:gosec // a handful
		lane.referrals = append(lane.referrals, e.Referral)
	}
	traces := links(events)
	for i := range parts {
		parts[i].of, parts[i].traces = all, traces
	}
	return parts
}

// lane reconciles its parts, as many at once as have piled up.
func (p *Projector) lane(ctx context.Context, parts <-chan part, follower Follower) error {
	for first := range parts {
		hand := []part{first}
		referrals, traces := append([]store.Referral{}, first.referrals...), first.traces
	pile:
		for len(referrals) < p.config.Batch {
			select {
			case next, open := <-parts:
				if !open {
					break pile
				}
				hand, referrals, traces = append(hand, next), append(referrals, next.referrals...), slices.Concat(traces, next.traces)
			default:
				break pile
			}
		}
		step, end := span(ctx, traces, len(referrals))
		err := p.take(step, referrals)
		end.End()
		if err != nil {
			return err
		}
		for _, done := range hand {
			if done.of.left.Add(-1) > 0 {
				continue
			}
			if err := follower.Ack(done.of.events); err != nil {
				p.logger.Warn("events could not be acknowledged: they will come again", "error", err)
			}
		}
	}
	return nil
}

// take reconciles the people of referrals that the inbox has. Somebody whom another
// projector has in hand, or a practitioner, is left out: they are asked for again for
// as long as that usually takes, then left to the sweep.
func (p *Projector) take(ctx context.Context, referrals []store.Referral) error {
	for attempt := 0; ; attempt++ {
		report, err := p.Reconcile(ctx, Pick{Referrals: referrals, Due: true, DryRun: p.config.Hold})
		if err != nil || p.config.Hold || attempt == insistence || report.PutOff == 0 && !report.Skipped {
			return err
		}
		// The others of the lane wait as well, so it asks often.
		if err := wait(ctx, time.Millisecond, min(attempt, 2)); err != nil {
			return err
		}
	}
}

// How often a lane, and a rebuild, ask again for people whom somebody else has in hand.
const (
	insistence = 30
	patience   = 8
)
