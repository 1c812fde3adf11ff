package ingest

import (
	"errors"
	"time"

	"casdelius/store"
)

// outcome is what becomes of one delivery of a message.
type outcome string

const (
	appended  outcome = "appended"  // its event is on disk; deleted
	duplicate outcome = "duplicate" // was on disk before; deleted
	rejected  outcome = "rejected"  // it is among the rejected; deleted
	retried   outcome = "retried"   // redelivered after a pause: its visibility
	released  outcome = "released"  // given back at once, untried or without a result
	held      outcome = "held"      // stays in hand; not an end
	dropped   outcome = "dropped"   // a canary that could not be stored; deleted
)

func outcomes() []outcome {
	return []outcome{appended, duplicate, rejected, retried, released, held, dropped}
}

// verdict is what to do with a message after an attempt.
type verdict struct {
	outcome outcome
	reason  store.Reason  // why it is rejected
	problem string        // the same for a person
	answer  []byte        // what came instead of a detail, where it is rejected for that
	pause   time.Duration // until it is redelivered, where retried
}

// circumstances are what a verdict depends on besides the error.
type circumstances struct {
	receives int    // deliveries of the message, this one counted
	limit    int    // deliveries after which the queue gives a message up
	open     bool   // the breaker is open
	pauses   Pauses // between deliveries
}

// decide is the one place where retry, hold or reject is chosen for a failed attempt.
//
// What is wrong with the message itself rejects it. What is wrong with the detail is
// tried again in growing pauses, at the cost of one delivery each, and rejected when
// the queue would give the message up. What is wrong with a part that every message
// needs keeps the message in hand, which costs no delivery.
func decide(err error, c circumstances) verdict {
	var rejection *RejectionError
	if errors.As(err, &rejection) {
		return verdict{outcome: rejected, reason: rejection.Reason, problem: rejection.Problem}
	}
	if tooLarge(err) {
		return verdict{outcome: rejected, reason: store.DetailTooLarge, problem: clip(err.Error(), maxProblem)}
	}
	var detail *DetailError
	if !errors.As(err, &detail) {
		return verdict{outcome: held}
	}
	problem := clip(err.Error(), maxProblem)
	retryOrReject := func(reason store.Reason) verdict {
		if c.receives >= c.limit {
			return verdict{outcome: rejected, reason: reason, problem: problem}
		}
		return verdict{outcome: retried, pause: retryPause(c)}
	}
	switch detail.Fault {
	case DetailNotFound:
		return retryOrReject(store.DetailNotFound)
	case DetailRefused:
		return retryOrReject(store.DetailRefused)
	case DetailTooLarge:
		return verdict{outcome: rejected, reason: store.DetailTooLarge, problem: problem}
	case URLForbidden:
		return verdict{outcome: rejected, reason: store.ForbiddenURL, problem: problem}
	case DetailUnavailable:
		if !c.open {
			return retryOrReject(store.DetailRefused)
		}
	case DetailGarbled:
		if !c.open {
			v := retryOrReject(store.DetailInvalid)
			v.answer = detail.Answer
			return v
		}
	case TokenUnavailable:
	}
	return verdict{outcome: held}
}

// defaultDeliveries is how often a message is tried if the queue never gives one up.
const defaultDeliveries = 10

// retryPause doubles with every delivery. A queue that gives up sooner than usual
// gets, after one short pause, the later ones of the sequence, so that a detail that
// is missing for some minutes is still waited for.
func retryPause(c circumstances) time.Duration {
	n := max(1, c.receives)
	if n > 1 {
		n += max(0, defaultDeliveries-c.limit)
	}
	return c.pauses.at(n)
}
