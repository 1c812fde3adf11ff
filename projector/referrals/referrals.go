// Package referrals is what a process remembers of referrals until it ends. What has to outlive it
// is kept in the database.
package referrals

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"casdelius/store"
)

// Pauses remembers referrals that met an unexpected error, so that they are not tried
// in a tight loop. It is forgotten when the process ends.
type Pauses struct {
	base time.Duration
	mu   sync.Mutex
	of   map[store.Referral]pause
}

type pause struct {
	until time.Time
	tries int
}

// NewPauses makes pauses of which the first is base.
func NewPauses(base time.Duration) *Pauses {
	return &Pauses{base: base, of: map[store.Referral]pause{}}
}

// Fail has referrals left alone, longer each time.
func (p *Pauses) Fail(referrals []store.Referral, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range referrals {
		was := p.of[r]
		p.of[r] = pause{until: now.Add(min(p.base<<min(was.tries, 20), 1500*p.base)), tries: was.tries + 1}
	}
}

// Over forgets referrals that were reconciled.
func (p *Pauses) Over(referrals []store.Referral) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range referrals {
		delete(p.of, r)
	}
}

// Persistent is how often a referral may fail before its events are no longer what waits.
const Persistent = 3

// Persistent lists the referrals that have failed so often that it is their own fault.
func (p *Pauses) Persistent() (out []store.Referral) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r, is := range p.of {
		if is.tries >= Persistent {
			out = append(out, r)
		}
	}
	return out
}

// Resting lists the referrals that are to be left alone now, and forgets those that
// have been left alone for long since.
func (p *Pauses) Resting(now time.Time) []store.Referral {
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

// Losses remembers of which referrals the history lacks events, until it is whole again or
// the process ends.
type Losses struct {
	mu sync.Mutex
	of map[store.Referral]string // contacts and stays
}

// New notes what the history of a person, whose the referrals are, lacks events of, and
// says whether that is another thing than before.
func (l *Losses) New(referrals []store.Referral, lost []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(lost) == 0 {
		for _, r := range referrals {
			delete(l.of, r)
		}
		return false
	}
	what := strings.Join(lost, " ")
	known := slices.ContainsFunc(referrals, func(r store.Referral) bool { return l.of[r] == what })
	if l.of == nil {
		l.of = map[store.Referral]string{}
	}
	for _, r := range referrals {
		l.of[r] = what
	}
	return !known
}

// Strays counts the referrals that have begun to fail since a step last wrote something. Where
// there are many it is hardly their own fault. Who has failed for longer is no news: a night in
// which nothing else comes raises no alarm.
type Strays struct {
	mu    sync.Mutex
	count int
	since time.Time
	last  string
}

// manyStrays are more than would begin to fail by chance.
const manyStrays = 5

// Add counts a referral that has failed for the first time, by a problem.
func (s *Strays) Add(problem string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; s.count == 1 {
		s.since = now
	}
	s.last = problem
}

// Forget begins anew, after a step that wrote something.
func (s *Strays) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count = 0
}

// Err is nil unless there are many.
func (s *Strays) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count < manyStrays {
		return nil
	}
	return fmt.Errorf("no step has written anything since %s, and %d referrals have begun to fail, the last by %s",
		s.since.UTC().Format(time.RFC3339), s.count, s.last)
}
