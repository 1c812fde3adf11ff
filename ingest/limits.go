package ingest

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

const (
	// limitsAge is how old the queue's limits may become: an operator can change them.
	limitsAge = 5 * time.Minute

	// goodRetention is SQS's longest: an outage of anything may last for days.
	goodRetention = 14 * 24 * time.Hour

	// leastRetention is what no queue may go below: a deployment that goes wrong, or a
	// maintenance of the CAS API, is longer than that, and what it outlasts is gone.
	leastRetention = time.Hour

	// leastVisibility is SQS's default.
	leastVisibility = 30 * time.Second
)

// Limits are the settings of a queue that decide how often and for how long a message may
// be tried.
type Limits struct {
	MaxReceiveCount     int           // deliveries before the queue dead-letters a message; 0: it never does
	DeadLetterQueue     string        // where it goes then; "" if nowhere
	DeadLetterRetention time.Duration // how long it stays there; 0 if that cannot be read
	VisibilityTimeout   time.Duration // the queue's own; ingest always names one
	Retention           time.Duration // how long the queue keeps a message
}

// losing says why messages will be lost with these settings, and what to do; nil if they
// will not.
func (l Limits) losing() error {
	if l.Retention < leastRetention {
		return fmt.Errorf("the queue keeps a message for %s only (MessageRetentionPeriod): whatever is down for longer loses events. Set it to 14 days (1209600), at least to 1 hour", l.Retention)
	}
	return nil
}

// weaknesses are the settings that are less than they should be, each with what to do.
func (l Limits) weaknesses() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if l.Retention < goodRetention {
		add("the queue keeps a message for %s: set MessageRetentionPeriod to 14 days (1209600), or events are lost in an outage that is longer", l.Retention)
	}
	if l.VisibilityTimeout < leastVisibility {
		add("the queue's visibility timeout is %s: ingest names its own, but to any other receiver a message is redelivered at once; set VisibilityTimeout to 120", l.VisibilityTimeout)
	}
	switch {
	case l.MaxReceiveCount == 0:
		add("the queue has no dead-letter queue: set a RedrivePolicy with maxReceiveCount 10 or more, or what neither the log nor the rejected can take is lost when its retention ends")
	case l.MaxReceiveCount < defaultDeliveries:
		add("the queue dead-letters a message after %d deliveries: set maxReceiveCount of its RedrivePolicy to 10 or more, or details that are missing for a while are given up early", l.MaxReceiveCount)
	}
	if l.DeadLetterRetention > 0 && l.DeadLetterRetention < goodRetention {
		add("the dead-letter queue %s keeps a message for %s, counted from when it was first sent: set its MessageRetentionPeriod to 14 days (1209600)", l.DeadLetterQueue, l.DeadLetterRetention)
	}
	return found
}

// checkQueue reads the queue's limits for the first time, and fails if they lose
// messages.
func (s *Service) checkQueue(ctx context.Context) error {
	if !s.readLimits(ctx) {
		return nil
	}
	return s.limits.Load().losing()
}

// readLimits asks the queue for its limits, for as long as it takes: without knowing
// after how many deliveries it gives a message up, messages could be lost to the
// dead-letter queue. What has changed for the worse is told. It returns false when ctx
// ended first.
func (s *Service) readLimits(ctx context.Context) bool {
	for n := 1; ; n++ {
		limits, err := s.queue.Limits(ctx)
		if err == nil {
			s.tellLimits(ctx, s.limits.Swap(&limits), limits)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.queueFailed(ctx, "limits", err)
		if !sleep(ctx, min(s.cfg.Pauses.at(n), mostReceivePause)) {
			return false
		}
	}
}

// tellLimits warns of limits that are new and weak, all in one list.
func (s *Service) tellLimits(ctx context.Context, known *Limits, limits Limits) {
	if known != nil && *known == limits {
		return
	}
	weaknesses := limits.weaknesses()
	if err := limits.losing(); err != nil && known != nil {
		s.logger.ErrorContext(ctx, "the queue's settings were changed so that events can be lost: the next start is refused", "error", err)
	}
	if len(weaknesses) > 0 {
		s.logger.WarnContext(ctx, "the queue's settings are weaker than they should be", "weaknesses", weaknesses)
	}
}

// limit is after how many deliveries a message is given up.
func (s *Service) limit() int { return cmp.Or(s.limits.Load().MaxReceiveCount, defaultDeliveries) }
