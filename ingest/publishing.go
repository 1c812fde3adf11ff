package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// publishing sees whether the log takes what it is given.
type publishing struct {
	mu       sync.Mutex
	inFlight int
	since    time.Time // from when on nothing was acknowledged although it was to be; zero: all was
	failed   error     // the last answer, if it was none
}

// begin notes that something is published.
func (p *publishing) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight++
	if p.since.IsZero() {
		p.since = time.Now()
	}
}

// end notes the log's answer. What is too large for it says nothing of the log.
func (p *publishing) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if err != nil && !tooLarge(err) {
		p.failed = err
		return
	}
	p.failed, p.since = nil, time.Time{}
	if p.inFlight > 0 {
		p.since = time.Now()
	}
}

// stood is for how long nothing was acknowledged, and what the log says.
func (p *publishing) stood() (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0, nil
	}
	return time.Since(p.since), p.failed
}

// Publishing is nil unless messages are in hand and the log has acknowledged nothing for too
// long, whether it answers with errors or not at all.
func (s *Service) Publishing(context.Context) error {
	stood, failed := s.publishing.stood()
	_, inHand := s.gate.state()
	switch {
	case inHand == 0 || stood <= s.cfg.Stall:
		return nil
	case failed == nil:
		return fmt.Errorf("the log has acknowledged nothing for %s, and does not answer; %d messages are in hand", stood.Round(time.Second), inHand)
	}
	return fmt.Errorf("the log has acknowledged nothing for %s; %d messages are in hand: %w", stood.Round(time.Second), inHand, failed)
}
