package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"casdelius/store"
)

// retrier runs again what met a transient error, in growing pauses. It is the one place
// where that is done.
type retrier struct {
	pause   time.Duration // the first one
	logger  *slog.Logger
	metrics *metrics

	troubles *troubles
}

// do runs f until it meets no transient error; doing says what it is for.
func (r retrier) do(ctx context.Context, doing string, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		switch {
		case err == nil:
			r.troubles.end(doing)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !isTransient(err):
			return err
		}
		r.metrics.retries.Inc()
		r.troubles.note(doing, err)
		r.logger.WarnContext(ctx, "retrying after a transient error", "doing", doing, "attempt", attempt+1, "error", err)
		if err := r.wait(ctx, attempt); err != nil {
			return err
		}
	}
}

// troubles are the errors that are being retried, by what is done: whoever looks for what
// stands still finds the reason here.
type troubles struct {
	mu sync.Mutex
	of map[string]error
}

func (t *troubles) note(doing string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of[doing] = err
}

func (t *troubles) end(doing string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, doing)
}

func (t *troubles) all() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []error
	for _, doing := range slices.Sorted(maps.Keys(t.of)) {
		all = append(all, fmt.Errorf("%s: %w", doing, t.of[doing]))
	}
	return errors.Join(all...)
}

// wait pauses after so many attempts.
func (r retrier) wait(ctx context.Context, attempt int) error { return wait(ctx, r.pause, attempt) }

// wait pauses for base, doubled with every attempt up to 30 times that.
func wait(ctx context.Context, base time.Duration, attempt int) error {
	return Pause(ctx, min(base<<min(attempt, 5), 30*base))
}

// Pause waits for a time, or until the context ends, whose cause it returns then.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// signal leaves a token, unless one is there already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pauses remembers referrals that met an unexpected error, so that they are not tried
// in a tight loop. It is forgotten when the process ends.
type pauses struct {
	base time.Duration
	mu   sync.Mutex
	of   map[store.Referral]pause
}

type pause struct {
	until time.Time
	tries int
}

func newPauses(base time.Duration) *pauses {
	return &pauses{base: base, of: map[store.Referral]pause{}}
}

func (p *pauses) fail(referrals []store.Referral, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range referrals {
		was := p.of[r]
		p.of[r] = pause{until: now.Add(min(p.base<<min(was.tries, 20), 1500*p.base)), tries: was.tries + 1}
	}
}

// over forgets referrals that were reconciled.
func (p *pauses) over(referrals []store.Referral) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range referrals {
		delete(p.of, r)
	}
}

// persistent lists the referrals that have failed so often that it is their own fault.
func (p *pauses) persistent() (out []store.Referral) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r, is := range p.of {
		if is.tries >= persistentTries {
			out = append(out, r)
		}
	}
	return out
}

// persistentTries is how often a referral may fail before its events are no longer what waits.
const persistentTries = 3

// resting lists the referrals that are to be left alone now, and forgets those that
// have been left alone for long since.
func (p *pauses) resting(now time.Time) []store.Referral {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []store.Referral
	for r, is := range p.of {
		switch {
		case now.Before(is.until):
			out = append(out, r)
		case now.Sub(is.until) > 3000*p.base:
			delete(p.of, r)
		}
	}
	return out
}
