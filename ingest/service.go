package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// longestVisibility is how long a message can be kept from being redelivered, at SQS.
const longestVisibility = 12 * time.Hour

// Service moves notifications from a queue, as events, into a log. See the package
// documentation.
type Service struct {
	cfg     Config
	queue   Queue
	intake  *Intake
	logger  *slog.Logger
	metrics *Metrics

	gate       *gate
	settler    *batchSettler
	extender   *visibilityExtender
	publishing *publishing
	fetches    chan struct{} // one for each fetch under way
	working    sync.WaitGroup
	limits     atomic.Pointer[Limits] // the queue's own, as last read
	stopped    chan struct{}          // closed when a stop has begun and no receive is under way any more
}

// New makes a service. Nothing is received before [Service.Run].
func New(cfg Config, queue Queue, intake *Intake, logger *slog.Logger) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	metrics := intake.metrics
	return &Service{
		cfg:        cfg,
		queue:      queue,
		intake:     intake,
		logger:     logger,
		metrics:    metrics,
		gate:       newGate(cfg.InHand, newBreaker(cfg.BreakerLimit, cfg.Pauses)),
		settler:    newBatchSettler(queue, cfg.Linger),
		extender:   &visibilityExtender{queue: queue, visibility: cfg.Visibility, metrics: metrics, logger: logger, jobs: map[*job]struct{}{}},
		publishing: &publishing{},
		fetches:    make(chan struct{}, cfg.Fetches),
		stopped:    make(chan struct{}),
	}, nil
}

// Run receives until ctx ends, whatever fails meanwhile. It then finishes what is in
// hand, gives the rest back to the queue, and returns nil, all within [Config.Stop]. It
// is called once. Only a queue whose settings lose messages makes it fail, at its start.
func (s *Service) Run(ctx context.Context) error {
	if err := s.checkQueue(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	until, end := newLifetimes(ctx, s.cfg.Stop)
	defer end()

	var loops sync.WaitGroup
	for range s.cfg.Pollers {
		loops.Go(func() { s.poll(until) })
	}
	loops.Go(func() { s.probe(until) })
	loops.Go(func() {
		for sleep(ctx, limitsAge) {
			s.readLimits(ctx)
		}
	})
	loops.Go(func() { s.sendCanaries(ctx) })
	extending, stopExtending := context.WithCancel(until.finish)
	var extender sync.WaitGroup
	extender.Go(func() { s.extender.run(extending) })

	loops.Wait()
	close(s.stopped)
	s.working.Wait()
	stopExtending()
	extender.Wait()
	return nil
}

// Ready is nil while messages are being received.
func (s *Service) Ready(context.Context) error {
	if why, inHand := s.gate.state(); len(why) > 0 {
		return fmt.Errorf("the circuit breaker is open because %s fails: nothing is received but probes, which follow by themselves; %d messages are in hand", strings.Join(why, ", "), inHand)
	}
	return nil
}

// receiveTime is for how long a receive that is under way at a stop may still bring
// messages. What the queue has handed out already would not be redelivered before its
// visibility ends, and nobody would have it.
const receiveTime = time.Second

// poll receives batch after batch and starts the work on each message.
func (s *Service) poll(until lifetimes) {
	ctx := until.begin
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
			s.start(until, s.newJob(m))
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
func (s *Service) probe(until lifetimes) {
	ctx := until.begin
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
			s.start(until, j)
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
		Message:  m,
		expires:  m.Received.Add(longestVisibility - s.cfg.Visibility),
		extended: m.Received,
	}
}

// start works on j, for which there is room, in a goroutine of its own.
func (s *Service) start(until lifetimes, j *job) {
	s.metrics.received.Inc()
	s.metrics.inHand.Inc()
	s.extender.add(j)
	s.working.Go(func() {
		defer s.gate.release(1)
		defer s.metrics.inHand.Dec()
		s.work(until, j)
	})
}

func (s *Service) queueFailed(ctx context.Context, call string, err error) {
	s.metrics.queueFailures.WithLabelValues(call).Inc()
	s.logger.WarnContext(ctx, "a call to the queue failed", "call", call, "error", err)
}
