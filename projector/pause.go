package projector

import (
	"context"
	"sync"
	"time"

	"casdelius/store"
)

// wait pauses for base, doubled with every attempt up to 30 times that.
func wait(ctx context.Context, base time.Duration, attempt int) error {
	pause := min(base<<min(attempt, 5), 30*base)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
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
