package ingest

import (
	"context"
	"errors"

	"casdelius/store"
)

// errHeld says that the breaker opened before an attempt had begun.
var errHeld = errors.New("held by the circuit breaker")

// watched are the details and the log of the service as an attempt at one message uses
// them: it waits for a free fetch, and tells the breaker how the parts did that were
// asked.
type watched struct {
	*Service
	job *job
}

// Fetch implements [Details].
func (w watched) Fetch(ctx context.Context, url string) ([]byte, error) {
	select {
	case w.fetches <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-w.fetches }()
	if w.gate.holds(w.job) {
		return nil, errHeld
	}
	detail, err := w.intake.details.Fetch(ctx, url)
	if ctx.Err() != nil {
		return detail, err
	}
	switch faultOf(err) {
	case DetailUnavailable:
		w.failed(ctx, api, url, err)
		if w.job.ReceiveCount >= w.limit() {
			w.opened(ctx, w.gate.lastDeliveryFailed(w.job.FirstReceived), api, err)
		}
	case DetailGarbled:
		w.failed(ctx, api, url, err)
	case TokenUnavailable:
		w.failed(ctx, token, "", err)
	case URLForbidden: // nobody was asked
	default:
		w.answered(ctx, api, token)
	}
	return detail, err
}

// Append implements [Log].
func (w watched) Append(ctx context.Context, e *store.Event) (store.Ack, error) {
	w.publishing.begin()
	ack, err := w.intake.log.Append(ctx, e)
	w.logAnswered(ctx, err)
	return ack, err
}

// AppendPerson implements [Log].
func (w watched) AppendPerson(ctx context.Context, e *store.PersonEvent) (store.Ack, error) {
	w.publishing.begin()
	ack, err := w.intake.log.AppendPerson(ctx, e)
	w.logAnswered(ctx, err)
	return ack, err
}

// AppendCanary implements [Log].
func (w watched) AppendCanary(ctx context.Context, c *store.Canary) (store.Ack, error) {
	w.publishing.begin()
	ack, err := w.intake.log.AppendCanary(ctx, c)
	w.logAnswered(ctx, err)
	return ack, err
}

// Reject implements [Log].
func (w watched) Reject(ctx context.Context, r store.Rejection) error {
	w.publishing.begin()
	err := w.intake.log.Reject(ctx, r)
	w.logAnswered(ctx, err)
	return err
}

func (w watched) logAnswered(ctx context.Context, err error) {
	w.publishing.end(err)
	switch {
	case err == nil, tooLarge(err):
		w.answered(ctx, sink)
	case ctx.Err() == nil:
		w.failed(ctx, sink, "", err)
	}
}

// failed tells the breaker of a failure that is not the message's own, as far as can be
// told.
func (w watched) failed(ctx context.Context, d dependency, detail string, err error) {
	w.job.failures++
	w.metrics.failures.WithLabelValues(d.String()).Inc()
	w.opened(ctx, w.gate.fail(d, detail), d, err)
}

func (w watched) opened(ctx context.Context, opened bool, d dependency, err error) {
	if opened {
		w.metrics.breakerOpen.Set(1)
		w.logger.ErrorContext(ctx, "the circuit breaker opened: nothing is received but probes", "dependency", d.String(), "error", err)
	}
}

func (w watched) answered(ctx context.Context, answered ...dependency) {
	if w.gate.answer(answered...) {
		w.metrics.breakerOpen.Set(0)
		w.logger.InfoContext(ctx, "the circuit breaker closed")
	}
}

// faultOf is the fault of a detail, 0 for any other error and for none.
func faultOf(err error) DetailFault {
	var failure *DetailError
	if !errors.As(err, &failure) {
		return 0
	}
	return failure.Fault
}
