// Package retry runs again what may succeed the next time, in growing pauses. It is the one
// place where that is done; what may succeed is decided by whoever runs it.
package retry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Retrier runs again what met an error that passes.
type Retrier struct {
	First     time.Duration // the first pause, doubled with every attempt up to 30 times that
	Transient func(error) bool
	Logger    *slog.Logger
	Retried   prometheus.Counter

	Troubles *Troubles // are kept of what is retried
}

// While is the retrier with another rule of what is run again.
func (r Retrier) While(transient func(error) bool) Retrier {
	r.Transient = transient
	return r
}

// Do runs f until it meets no error that passes; doing says what it is for.
func (r Retrier) Do(ctx context.Context, doing string, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		switch {
		case err == nil:
			r.Troubles.end(doing)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !r.Transient(err):
			return err
		}
		r.Retried.Inc()
		r.Troubles.note(doing, err)
		r.Logger.WarnContext(ctx, "retrying after a transient error", "doing", doing, "attempt", attempt+1, "error", err)
		if err := r.Wait(ctx, attempt); err != nil {
			return err
		}
	}
}

// Troubles are the errors that are being retried, by what is done: whoever looks for what
// stands still finds the reason here. The zero value has none.
type Troubles struct {
	mu sync.Mutex
	of map[string]error
}

func (t *Troubles) note(doing string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]error{}
	}
	t.of[doing] = err
}

func (t *Troubles) end(doing string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, doing)
}

// All is what is being retried; nil if nothing is.
func (t *Troubles) All() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []error
	for _, doing := range slices.Sorted(maps.Keys(t.of)) {
		all = append(all, fmt.Errorf("%s: %w", doing, t.of[doing]))
	}
	return errors.Join(all...)
}

// Wait pauses after so many attempts.
func (r Retrier) Wait(ctx context.Context, attempt int) error { return Wait(ctx, r.First, attempt) }

// Wait pauses for base, doubled with every attempt up to 30 times that.
func Wait(ctx context.Context, base time.Duration, attempt int) error {
	return Pause(ctx, min(base<<min(attempt, 5), 30*base))
}

// Pause waits for a time, or until the context ends, whose cause it returns then.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
