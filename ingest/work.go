package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"casdelius/store"
)

// work takes one message in hand to its end. When ctx ends, nothing is begun any more;
// attempts run under work, which ends later; what becomes of the message is settled
// under last, which ends when no time is left at all.
func (s *Service) work(ctx, work, last context.Context, j *job) {
	n, err := DecodeNotification([]byte(j.Body))
	work, span := s.span(work, j, &n)
	defer span.End()
	last = trace.ContextWithSpan(last, span)
	if err == nil && ctx.Err() == nil {
		s.intake.received(work, &n)
	}
	for {
		if !s.gate.enter(ctx, j) {
			s.finish(last, j, s.giveBack(ctx, last, j, &n))
			return
		}
		before := j.failures
		v := s.attempt(work, j, &n, err)
		s.gate.probed(j, j.failures > before)
		if v.outcome == held {
			s.metrics.outcomes.WithLabelValues(string(held)).Inc()
			if s.wait(ctx, j) {
				continue
			}
			v = s.giveBack(ctx, last, j, &n)
		}
		span.SetAttributes(attribute.String("outcome", string(v.outcome)))
		s.finish(last, j, v)
		return
	}
}

// wait lets a growing pause go by for a message that is held although the breaker is
// closed. It returns false when the message is to be given back instead.
func (s *Service) wait(ctx context.Context, j *job) bool {
	if ctx.Err() != nil || s.gate.holds(j) {
		return ctx.Err() == nil
	}
	pause := s.cfg.Pauses.at(j.failures)
	return time.Now().Add(pause).Before(j.expires) && sleep(ctx, pause)
}

// attempt tries to store the event of a message, or the message among the rejected,
// and says what is to become of the message. The decoding's error comes as an
// argument.
func (s *Service) attempt(ctx context.Context, j *job, n *Notification, err error) verdict {
	var ack store.Ack
	if err == nil {
		ack, err = s.store(ctx, j, n)
	}
	switch {
	case err == nil && ack.Duplicate:
		return verdict{outcome: duplicate}
	case err == nil:
		return verdict{outcome: appended}
	case errors.Is(err, errHeld):
		return verdict{outcome: held}
	}
	trace.SpanFromContext(ctx).RecordError(err)
	v := decide(err, s.circumstances(j))
	if v.outcome != rejected {
		s.logger.WarnContext(ctx, "an attempt failed", "message", j.ID, "outcome", v.outcome, "pause", v.pause, "receives", j.ReceiveCount, "error", err)
		return v
	}
	return s.reject(ctx, j, n, v)
}

func (s *Service) circumstances(j *job) circumstances {
	return circumstances{receives: j.ReceiveCount, limit: s.limit(), open: s.gate.open(), pauses: s.cfg.Pauses}
}

// errHeld says that the breaker opened before an attempt had begun.
var errHeld = errors.New("held by the circuit breaker")

// store fetches the detail and appends the event, and tells the breaker how the parts
// did that were asked.
func (s *Service) store(ctx context.Context, j *job, n *Notification) (store.Ack, error) {
	event, err := s.event(ctx, j, n)
	if err != nil {
		return store.Ack{}, err
	}
	ack, err := s.intake.log.Append(ctx, &event)
	s.logAnswered(ctx, j, err)
	if err == nil {
		s.gate.grow()
		s.metrics.seconds.Observe(time.Since(j.Received).Seconds())
	}
	return ack, err
}

// event fetches the detail when a fetch is free.
func (s *Service) event(ctx context.Context, j *job, n *Notification) (store.Event, error) {
	select {
	case s.fetches <- struct{}{}:
	case <-ctx.Done():
		return store.Event{}, ctx.Err()
	}
	defer func() { <-s.fetches }()
	if s.gate.holds(j) {
		return store.Event{}, errHeld
	}
	event, err := s.intake.event(ctx, n)
	event.Received = j.Received.UTC()
	var failure *DetailError
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &failure) && failure.Fault == DetailUnavailable:
		s.failed(ctx, j, api, n.DetailURL, err)
	case errors.As(err, &failure) && failure.Fault == TokenUnavailable:
		s.failed(ctx, j, token, "", err)
	case errors.As(err, &failure) && failure.Fault == URLForbidden, n.DetailURL == "":
		// Nobody was asked.
	default:
		s.answered(ctx, api, token)
	}
	return event, err
}

// reject moves a message to the rejected. If that fails the log is down, and the
// message stays in hand. For one that is too large even for there, no place is left but
// the queue, which dead-letters it in the end.
func (s *Service) reject(ctx context.Context, j *job, n *Notification, v verdict) verdict {
	err := s.intake.log.Reject(ctx, store.Rejection{
		Reason:       v.reason,
		Problem:      v.problem,
		MessageID:    cmp.Or(n.MessageID, j.ID),
		ReceiveCount: j.ReceiveCount,
		Body:         []byte(j.Body),
	})
	s.logAnswered(ctx, j, err)
	if err != nil {
		s.logger.WarnContext(ctx, "a message could not be put among the rejected", "message", j.ID, "reason", v.reason, "error", err)
		if tooLarge(err) {
			return verdict{outcome: retried, pause: retryPause(s.circumstances(j))}
		}
		return verdict{outcome: held}
	}
	s.metrics.rejected.WithLabelValues(string(v.reason)).Inc()
	s.logger.ErrorContext(ctx, "a message was rejected", "message", j.ID, "reason", v.reason, "problem", v.problem, "receives", j.ReceiveCount)
	return v
}

// lastTime bounds the rejection of a message that is given back, with time left to
// stop.
const lastTime = time.Second

// giveBack decides for a message that goes back without a result: it does, unless the
// queue would then dead-letter it. At its last delivery it is rejected instead, if the
// log takes it. At a stop it goes back only when no receive of ours can take it up again.
func (s *Service) giveBack(ctx, last context.Context, j *job, n *Notification) verdict {
	if ctx.Err() != nil {
		<-s.stopped
	}
	if most := s.limits.Load().MaxReceiveCount; most > 0 && j.ReceiveCount >= most {
		ctx, cancel := context.WithTimeout(last, lastTime)
		defer cancel()
		problem := fmt.Sprintf("no result after %d deliveries, of which the queue allows %d: replay it", j.ReceiveCount, most)
		if v := s.reject(ctx, j, n, verdict{outcome: rejected, reason: store.DetailRefused, problem: problem}); v.outcome == rejected {
			return v
		}
	}
	return verdict{outcome: released}
}

func (s *Service) logAnswered(ctx context.Context, j *job, err error) {
	switch {
	case err == nil, tooLarge(err):
		s.answered(ctx, sink)
	case ctx.Err() == nil:
		s.failed(ctx, j, sink, "", err)
	}
}

// failed tells the breaker of a failure that is not the message's own, as far as can be
// told.
func (s *Service) failed(ctx context.Context, j *job, d dependency, detail string, err error) {
	j.failures++
	s.metrics.failures.WithLabelValues(d.String()).Inc()
	opened := s.gate.fail(d, detail)
	if d == api && j.ReceiveCount >= s.limit() {
		opened = s.gate.despair(j.FirstReceived) || opened
	}
	if opened {
		s.metrics.breakerOpen.Set(1)
		s.logger.ErrorContext(ctx, "the circuit breaker opened: nothing is received but probes", "dependency", d.String(), "error", err)
	}
}

func (s *Service) answered(ctx context.Context, answered ...dependency) {
	if s.gate.answer(answered...) {
		s.metrics.breakerOpen.Set(0)
		s.logger.InfoContext(ctx, "the circuit breaker closed")
	}
}

// finish tells the queue what became of the message. What the queue does not take is
// delivered again: an event or a rejected message is stored once all the same.
func (s *Service) finish(ctx context.Context, j *job, v verdict) {
	s.metrics.outcomes.WithLabelValues(string(v.outcome)).Inc()
	what, call := settlement{hide: v.pause}, "hide"
	switch v.outcome {
	case appended, duplicate, rejected:
		what, call = settlement{delete: true}, "delete"
	case retried, released, held:
	}
	s.keeper.drop(j)
	if err := s.settler.settle(ctx, j.Message, what); err != nil {
		trace.SpanFromContext(ctx).SetStatus(codes.Error, call)
		s.queueFailed(ctx, call, err)
	}
}

// span starts the span of a message as a child of whatever the sender was doing.
func (s *Service) span(ctx context.Context, j *job, n *Notification) (context.Context, trace.Span) {
	carrier := n.Trace
	if j.Attributes["traceparent"] != "" {
		carrier = j.Attributes
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(carrier))
	return otel.Tracer("casdelius/ingest").Start(ctx, "ingest notification",
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("messaging.message.id", j.ID), attribute.String("eventType", string(n.Type))))
}
