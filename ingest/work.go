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

// work takes one message in hand to its end.
func (s *Service) work(until lifetimes, j *job) {
	j.notification, j.malformed = DecodeNotification([]byte(j.Body))
	span := s.span(until.finish, j)
	defer span.End()
	until = until.in(span)
	if j.malformed == nil && !until.stopping() {
		s.intake.received(until.finish, &j.notification)
	}
	for {
		if !s.gate.enter(until.begin, j) {
			s.finish(until, j, s.giveBack(until, j))
			return
		}
		before := j.failures
		v := s.attempt(until.finish, j)
		s.gate.probed(j, j.failures > before)
		if v.outcome == held {
			s.metrics.outcomes.WithLabelValues(string(held)).Inc()
			if s.wait(until.begin, j) {
				continue
			}
			v = s.giveBack(until, j)
		}
		span.SetAttributes(attribute.String("outcome", string(v.outcome)))
		s.finish(until, j, v)
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
// and says what is to become of the message.
func (s *Service) attempt(ctx context.Context, j *job) verdict {
	ack, err := s.store(ctx, j)
	switch {
	case err == nil && ack.Duplicate:
		return verdict{outcome: duplicate}
	case err == nil:
		return verdict{outcome: appended}
	case errors.Is(err, errHeld):
		return verdict{outcome: held}
	}
	j.failure = err
	trace.SpanFromContext(ctx).RecordError(err)
	v := decide(err, s.circumstances(j))
	if v.outcome != held && j.notification.Canary != nil {
		v = verdict{outcome: dropped}
	}
	if v.outcome != rejected {
		s.logger.WarnContext(ctx, "an attempt at a message failed", "message", j.ID, "outcome", v.outcome, "pause", v.pause,
			"receiveCount", j.ReceiveCount, "error", err)
		return v
	}
	return s.reject(ctx, j, v)
}

func (s *Service) circumstances(j *job) circumstances {
	return circumstances{receives: j.ReceiveCount, limit: s.limit(), open: s.gate.open(), pauses: s.cfg.Pauses}
}

// store takes a message all the way into the log.
func (s *Service) store(ctx context.Context, j *job) (store.Ack, error) {
	if j.malformed != nil {
		return store.Ack{}, j.malformed
	}
	parts := watched{s, j}
	_, ack, err := s.intake.with(parts, parts).store(ctx, &j.notification, nil, j.Received)
	if err == nil {
		s.gate.grow()
		s.metrics.seconds.Observe(time.Since(j.Received).Seconds())
	}
	return ack, err
}

// reject moves a message to the rejected. If that fails the log is down, and the
// message stays in hand. For one that is too large even for there, no place is left but
// the queue, which dead-letters it in the end.
func (s *Service) reject(ctx context.Context, j *job, v verdict) verdict {
	err := watched{s, j}.Reject(ctx, store.Rejection{
		Reason:       v.reason,
		Problem:      v.problem,
		MessageID:    cmp.Or(j.notification.MessageID, j.ID),
		ReceiveCount: j.ReceiveCount,
		Body:         []byte(j.Body),
		Answer:       v.answer,
	})
	if err != nil {
		s.logger.WarnContext(ctx, "a message could not be put among the rejected", "message", j.ID, "reason", v.reason, "error", err)
		if tooLarge(err) {
			return verdict{outcome: retried, pause: retryPause(s.circumstances(j))}
		}
		return verdict{outcome: held}
	}
	s.metrics.rejected.WithLabelValues(string(v.reason)).Inc()
	s.logger.ErrorContext(ctx, "a message was rejected", "message", j.ID, "reason", v.reason, "problem", v.problem, "receiveCount", j.ReceiveCount)
	return v
}

// lastTime bounds the rejection of a message that is given back, with time left to
// stop.
const lastTime = time.Second

// giveBack decides for a message that goes back without a result: it does, unless the
// queue would then dead-letter it. At its last delivery it is rejected instead, if the
// log takes it. At a stop it goes back only when no receive of ours can take it up again.
func (s *Service) giveBack(until lifetimes, j *job) verdict {
	if j.notification.Canary != nil {
		return verdict{outcome: dropped} // another one follows
	}
	if until.stopping() {
		<-s.stopped
	}
	if most := s.limits.Load().MaxReceiveCount; most > 0 && j.ReceiveCount >= most {
		ctx, cancel := context.WithTimeout(until.settle, lastTime)
		defer cancel()
		if v := s.reject(ctx, j, withoutResult(j, most)); v.outcome == rejected {
			return v
		}
	}
	return verdict{outcome: released}
}

// withoutResult rejects a message after the last of its deliveries.
func withoutResult(j *job, most int) verdict {
	v := verdict{outcome: rejected, reason: store.DetailRefused}
	v.problem = fmt.Sprintf("no result after %d deliveries, of which the queue allows %d: replay it", j.ReceiveCount, most)
	var failure *DetailError
	if errors.As(j.failure, &failure) && failure.Fault == DetailGarbled {
		v.reason, v.answer = store.DetailInvalid, failure.Answer
		v.problem = clip(v.problem+"; "+failure.Error(), maxProblem)
	}
	return v
}

// finish tells the queue what became of the message. What the queue does not take is
// redelivered: an event or a rejected message is stored once all the same.
func (s *Service) finish(until lifetimes, j *job, v verdict) {
	s.metrics.outcomes.WithLabelValues(string(v.outcome)).Inc()
	what, call := settlement{visibility: v.pause}, "hide"
	switch v.outcome {
	case appended, duplicate, rejected, dropped:
		what, call = settlement{delete: true}, "delete"
	case retried, released, held:
	}
	s.extender.drop(j)
	if err := s.settler.settle(until.settle, j.Message, what); err != nil {
		trace.SpanFromContext(until.settle).SetStatus(codes.Error, call)
		s.queueFailed(until.settle, call, err)
	}
}

// span starts the span of a message as a child of whatever the sender was doing. A canary has
// none.
func (s *Service) span(ctx context.Context, j *job) trace.Span {
	if j.notification.Canary != nil {
		return trace.SpanFromContext(context.Background()) // none
	}
	carrier := j.notification.Trace
	if j.Attributes["traceparent"] != "" {
		carrier = j.Attributes
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(carrier))
	_, span := otel.Tracer("casdelius/ingest").Start(ctx, "ingest notification",
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("messaging.message.id", j.ID), attribute.String("eventType", j.notification.EventType())))
	return span
}
