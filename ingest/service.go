package ingest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// longestHiding is how long a message can stay hidden from its delivery on, at SQS.
const longestHiding = 12 * time.Hour

// Service moves notifications from a queue, as events, into a log. See the package
// documentation.
type Service struct {
	cfg     Config
	queue   Queue
	intake  *Intake
	logger  *slog.Logger
	metrics *Metrics

	gate    *gate
	settler *settler
	keeper  *keeper
	fetches chan struct{} // one for each fetch under way
	working sync.WaitGroup
	limits  atomic.Pointer[Limits] // the queue's own, as last read
	stopped chan struct{}          // closed when a stop has begun and no receive is under way any more
}

// New makes a service. Nothing is received before [Service.Run].
func New(cfg Config, queue Queue, intake *Intake, logger *slog.Logger) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	metrics := intake.metrics
	return &Service{
		cfg:     cfg,
		queue:   queue,
		intake:  intake,
		logger:  logger,
		metrics: metrics,
		gate:    newGate(cfg.InHand, newBreaker(cfg.BreakerLimit, cfg.Pauses)),
		settler: newSettler(queue, cfg.Linger),
		keeper:  &keeper{queue: queue, visibility: cfg.Visibility, metrics: metrics, logger: logger, jobs: map[*job]struct{}{}},
		fetches: make(chan struct{}, cfg.Fetches),
		stopped: make(chan struct{}),
	}, nil
}

// Run receives until ctx ends, whatever fails meanwhile. It then finishes what is in
// hand, gives the rest back to the queue, and returns nil, all within [Config.Stop]. It
// is called once.
func (s *Service) Run(ctx context.Context) error {
	if !s.readLimits(ctx) {
		return nil
	}
	work, finish := outlive(ctx, s.cfg.Stop/2)
	defer finish()
	last, cut := outlive(ctx, s.cfg.Stop)
	defer cut()

	var loops sync.WaitGroup
	for range s.cfg.Pollers {
		loops.Go(func() { s.poll(ctx, work, last) })
	}
	loops.Go(func() { s.probe(ctx, work, last) })
	loops.Go(func() {
		for sleep(ctx, limitsAge) {
			s.readLimits(ctx)
		}
	})
	keeping, stopKeeping := context.WithCancel(work)
	var keeper sync.WaitGroup
	keeper.Go(func() { s.keeper.run(keeping) })

	loops.Wait()
	close(s.stopped)
	s.working.Wait()
	stopKeeping()
	keeper.Wait()
	return nil
}

// Ready is nil while messages are being received.
func (s *Service) Ready(context.Context) error {
	if why, inHand := s.gate.state(); len(why) > 0 {
		return fmt.Errorf("nothing is received while %s fails: %d messages in hand, the next probe follows by itself", strings.Join(why, ", "), inHand)
	}
	return nil
}

// limitsAge is how old the queue's limits may become: an operator can change them.
const limitsAge = 5 * time.Minute

// readLimits asks the queue after how many deliveries it gives a message up, for as
// long as it takes: without the number, messages could be lost to the dead-letter
// queue. It returns false when ctx ended first.
func (s *Service) readLimits(ctx context.Context) bool {
	for n := 1; ; n++ {
		limits, err := s.queue.Limits(ctx)
		if err == nil {
			known := s.limits.Swap(&limits)
			if (known == nil || *known != limits) && s.limit() < defaultDeliveries {
				s.logger.WarnContext(ctx, "the queue gives messages up early: set maxReceiveCount of its redrive policy to 10 or more",
					"maxReceiveCount", limits.MaxReceiveCount)
			}
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

// limit is after how many deliveries a message is given up.
func (s *Service) limit() int { return cmp.Or(s.limits.Load().MaxReceiveCount, defaultDeliveries) }

// receiveTime is for how long a receive that is under way at a stop may still bring
// messages. What the queue has handed out already would stay hidden, and nobody would
// have it.
const receiveTime = time.Second

// poll receives batch after batch and starts the work on each message.
func (s *Service) poll(ctx, work, last context.Context) {
	receiving, stop := outlive(ctx, receiveTime)
	defer stop()
	failures := 0
	for {
		room, err := s.gate.reserve(ctx)
		if err != nil {
			return
		}
		messages, err := s.queue.Receive(receiving, room, s.cfg.Visibility)
		s.gate.release(room - len(messages))
		for _, m := range messages {
			s.start(ctx, work, last, s.newJob(m))
		}
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		failures++
		s.queueFailed(ctx, "receive", err)
		if !sleep(ctx, min(s.cfg.Pauses.at(failures), mostReceivePause)) {
			return
		}
	}
}

// mostReceivePause bounds the pauses between calls of the queue that fail: unlike a
// message, the queue is not worn out by trying.
const mostReceivePause = 30 * time.Second

// probe sees to the probes while the breaker is open.
func (s *Service) probe(ctx, work, last context.Context) {
	receiving, stop := outlive(ctx, receiveTime)
	defer stop()
	for {
		receive, err := s.gate.probe(ctx)
		if err != nil {
			return
		}
		if !receive {
			continue
		}
		// Nothing may be waiting in the queue: then, after a moment, a message that was
		// tried already has to do.
		fallback := time.AfterFunc(s.cfg.Pauses.First, s.gate.probeKept)
		messages, err := s.queue.Receive(receiving, 1, s.cfg.Visibility)
		fallback.Stop()
		s.gate.release(1 - len(messages))
		for _, m := range messages {
			j := s.newJob(m)
			j.probe = true
			s.start(ctx, work, last, j)
		}
		if len(messages) > 0 {
			continue
		}
		s.gate.probed(nil, err != nil)
		if err != nil && ctx.Err() == nil {
			s.queueFailed(ctx, "receive", err)
		}
	}
}

func (s *Service) newJob(m Message) *job {
	return &job{
		Message: m,
		expires: m.Received.Add(longestHiding - s.cfg.Visibility),
		hidden:  m.Received,
	}
}

// start works on j, for which there is room, in a goroutine of its own.
func (s *Service) start(ctx, work, last context.Context, j *job) {
	s.metrics.received.Inc()
	s.metrics.inHand.Inc()
	s.keeper.add(j)
	s.working.Go(func() {
		defer s.gate.release(1)
		defer s.metrics.inHand.Dec()
		s.work(ctx, work, last, j)
	})
}

func (s *Service) queueFailed(ctx context.Context, call string, err error) {
	s.metrics.queueFailures.WithLabelValues(call).Inc()
	s.logger.WarnContext(ctx, "the queue failed", "call", call, "error", err)
}

// outlive gives a context that ends d after ctx has.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		sleep(longer, d)
		end()
	})
	return longer, func() {
		forget()
		end()
	}
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
