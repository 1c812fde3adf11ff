package projector

import (
	"sync"
	"time"

	"casdelius/store"
)

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
