package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"casdelius/store"
)

// Run projects until the context ends: what the inbox lacks first, then everyone who
// is due, then live. When told to stop it finishes what is in hand.
func (p *Projector) Run(ctx context.Context) error {
	follower, err := p.begin(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	// Steps in hand may finish after the stop, but not for ever.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(p.config.Grace, func() { cancel(errors.New("stopped: what was in hand took too long")) })
	})
	defer stop()
	group, running := errgroup.WithContext(ctx)
	p.follow(running, work, group, follower)
	group.Go(func() error { return p.sweep(running, work) })
	group.Go(func() error { return p.keepSearching(running) })
	err = group.Wait()
	if closed := follower.Close(); closed != nil {
		p.logger.Warn("events in hand could not be released: they are delivered again after their wait", "error", closed)
	}
	return stopped(ctx, err)
}

// begin fills the gaps and starts to follow the stream, again for as long as database or
// stream are not there.
func (p *Projector) begin(ctx context.Context) (Follower, error) {
	for attempt := 0; ; attempt++ {
		_, err := p.fillGaps(ctx, 0)
		if err == nil {
			var follower Follower
			if follower, err = p.log.Follow(ctx); err == nil {
				return follower, nil
			}
			err = fmt.Errorf("following the stream: %w", err)
		}
		if !errors.Is(err, ErrRetry) && !errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		p.logger.Warn("projection cannot begin yet", "attempt", attempt+1, "error", err)
		if err := wait(ctx, p.config.Retry, attempt); err != nil {
			return nil, err
		}
	}
}

// stopped turns the error of a run that was told to stop into none.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// put puts messages into the inbox, again while the moment is bad.
func (p *Projector) put(ctx context.Context, events []store.Stored) error {
	for i := range events {
		if events[i].Err != nil {
			p.unreadable(&events[i])
		}
	}
	for attempt := 0; ; attempt++ {
		err := p.db.Put(ctx, events)
		switch {
		case err == nil:
			p.metrics.events.Add(float64(len(events)))
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, ErrRetry):
			return err
		}
		p.metrics.retries.Inc()
		p.logger.Warn("filling the inbox again", "attempt", attempt+1, "error", err)
		if err := wait(ctx, p.config.Retry, attempt); err != nil {
			return err
		}
	}
}

// unreadable says that a message is no event.
func (p *Projector) unreadable(message *store.Stored) {
	p.metrics.unreadable.Inc()
	p.logger.Error("a message of the stream is no event: it stays there, and is left out", "sequence", message.Sequence, "error", message.Err)
}

// sweep reconciles whoever has been due for a while or is parked, on a schedule and
// after gaps were filled. What became due just now is in the hands of the workers.
func (p *Projector) sweep(ctx, work context.Context) error {
	ticker := time.NewTicker(p.config.Sweep)
	defer ticker.Stop()
	var measured time.Time
	for {
		if !p.config.Hold {
			if err := p.sweepOnce(ctx, work); err != nil {
				return stopped(ctx, err)
			}
		}
		if now := p.config.Now(); now.Sub(measured) >= 5*p.config.Sweep {
			p.measure(ctx)
			measured = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-p.wake:
		}
	}
}

// sweepOnce goes on while there is somebody due who can be had. Whoever cannot is left to
// the next sweep, and in nobody's way.
func (p *Projector) sweepOnce(ctx, work context.Context) error {
	var missed []store.Referral
	for ctx.Err() == nil {
		now := p.config.Now()
		due, err := p.db.Due(work, now, now.Add(-p.config.Sweep), p.config.Batch, slices.Concat(p.pauses.resting(now), missed))
		if errors.Is(err, ErrRetry) {
			p.metrics.retries.Inc()
			p.logger.Warn("nobody could be swept", "error", err)
			return nil
		}
		if err != nil || len(due) == 0 {
			return err
		}
		report, err := p.Reconcile(work, Pick{Referrals: due})
		if err != nil {
			return err
		}
		missed = append(missed, without(due, &report)...)
	}
	return nil
}
