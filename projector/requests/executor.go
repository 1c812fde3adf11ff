package requests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/retry"
)

// Queue is the requests, as those who carry them out see them.
type Queue interface {
	// Take takes the request that waits longest, or whose holder's lease has ended; nil if there
	// is none. Those that take long are a line of their own.
	Take(ctx context.Context, holder string, long bool, lease time.Duration) (*Request, error)
	// Renew renews the lease. Like the others it fails with [projector.ErrTaken] where the
	// request is not the holder's any more.
	Renew(ctx context.Context, id uuid.UUID, holder string, lease time.Duration) error
	// Release ends the lease: somebody else may go on.
	Release(ctx context.Context, id uuid.UUID, holder string) error
	// End ends a request with its entry in the audit.
	End(ctx context.Context, id uuid.UUID, holder string, end End) error
}

// End is how a request ends.
type End struct {
	State   State
	Outcome string
	Result  []byte // JSON; nil for none
	Entry   audit.Entry
}

// Projector is what writes.
type Projector interface {
	Reconcile(ctx context.Context, selection projector.Selection) (projector.Report, error)
	Rebuild(ctx context.Context, r projector.Rebuild) (projector.Tally, error)
}

// Refusal is the error of what cannot be done as it was asked for: nothing was.
type Refusal struct{ text string }

// Error implements error.
func (r *Refusal) Error() string { return r.text }

// Refuse makes a refusal.
func Refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Config says how requests are carried out. A zero duration is its default.
type Config struct {
	Holder string        // names this process, and no other
	Every  time.Duration // between two looks for requests; 1 s
	Lease  time.Duration // after which a request of one that does not renew it is another's; 12 s
	Tries  int           // of a request that meets transient errors, before it fails; 10

	Logger   *slog.Logger
	Registry prometheus.Registerer
	Problem  func(error) string // what may be told of an unexpected error
}

// Ports are what an executor calls.
type Ports struct {
	Sources
	Queue     Queue
	Effects   Effects
	Projector Projector
	Rejected  Rejected
}

// Executor carries out requests.
type Executor struct {
	ports  Ports
	config Config
	ended  *prometheus.CounterVec
}

// New makes an executor and registers its metrics.
func New(ports Ports, config Config) *Executor {
	config.Every = cmp.Or(config.Every, time.Second)
	config.Lease = cmp.Or(config.Lease, 12*time.Second)
	config.Tries = cmp.Or(config.Tries, 10)
	e := &Executor{ports: ports, config: config, ended: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "projector", Name: "requests_total", Help: "Requests that were carried out here, by kind and by how they ended: done, refused or failed.",
	}, []string{"kind", "state"})}
	if config.Registry != nil {
		config.Registry.MustRegister(e.ended)
	}
	return e
}

// Run takes requests until ctx ends. Those that take long are nobody else's hindrance.
func (e *Executor) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	for _, long := range []bool{false, true} {
		group.Go(func() error { return e.line(running, long) })
	}
	return group.Wait()
}

func (e *Executor) line(ctx context.Context, long bool) error {
	for ctx.Err() == nil {
		r, err := e.ports.Queue.Take(ctx, e.config.Holder, long, e.config.Lease)
		if err != nil && ctx.Err() == nil {
			e.config.Logger.WarnContext(ctx, "no request could be taken", "error", err)
		}
		if r != nil {
			e.Execute(ctx, r)
			continue
		}
		if retry.Pause(ctx, e.config.Every) != nil {
			return nil
		}
	}
	return nil
}

// renewals is how often a lease is renewed in its time.
const renewals = 4

// Execute carries out a request that was taken. What became of it is written down.
func (e *Executor) Execute(ctx context.Context, r *Request) {
	work, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		for retry.Pause(work, e.config.Lease/renewals) == nil {
			if err := e.ports.Queue.Renew(work, r.ID, e.config.Holder, e.config.Lease); errors.Is(err, projector.ErrTaken) {
				cancel(err)
			}
		}
	}()
	order := &projector.Order{Request: r.ID, Holder: e.config.Holder, Entry: r.Entry(), Confirm: func([]projector.Decision) error { return nil }}
	end, err := e.carryOut(work, r, order)
	if cause := context.Cause(work); errors.Is(cause, projector.ErrTaken) {
		err = cause
	}
	cancel(nil)
	<-renewed
	e.end(ctx, r, order, end, err)
}

// end writes down what became of a request, where that is not yet.
func (e *Executor) end(ctx context.Context, r *Request, order *projector.Order, end End, err error) {
	log := e.config.Logger.With("request", r.ID.String(), "kind", string(r.Kind), "who", r.Who)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.Lease/renewals)
	defer cancel()
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case errors.Is(err, projector.ErrTaken):
		log.WarnContext(ctx, "a request was carried out elsewhere, or by a commit whose answer was lost")
		return
	case err != nil && ctx.Err() != nil:
		_ = e.ports.Queue.Release(after, r.ID, e.config.Holder) // or its lease ends
		return
	case refused:
		end = End{State: Refused, Outcome: refusal.text}
	case err != nil && isTransient(err) && r.Tries < e.config.Tries:
		log.WarnContext(ctx, "a request is tried again", "error", err)
		_ = e.ports.Queue.Renew(after, r.ID, e.config.Holder, e.config.Every) // or its lease ends later
		return
	case err != nil:
		end = End{State: Failed, Outcome: e.problem(err)}
		log.ErrorContext(ctx, "a request has failed", "error", err)
	case end.State == "": // written down with what it did
		end = End{State: Done, Outcome: order.Outcome}
		e.tell(ctx, log, r, &end)
		return
	}
	end.Entry = order.Entry
	if err := e.ports.Queue.End(after, r.ID, e.config.Holder, end); err != nil {
		log.WarnContext(ctx, "what became of a request could not be written down: it is tried again", "error", err)
		return
	}
	e.tell(ctx, log, r, &end)
}

func (e *Executor) tell(ctx context.Context, log *slog.Logger, r *Request, end *End) {
	e.ended.WithLabelValues(string(r.Kind), string(end.State)).Inc()
	log.InfoContext(ctx, "a request has ended", "state", string(end.State), "why", r.Why, "outcome", end.Outcome)
}

func (e *Executor) problem(err error) string {
	switch {
	case errors.Is(err, projector.ErrOlder):
		return "a newer version of the projector has written: this one does not"
	case errors.Is(err, projector.ErrUnavailable):
		return "the stream or the database was not there"
	case errors.Is(err, projector.ErrRetry):
		return "rows that it concerns were locked by other transactions, or too many at once: ask again"
	}
	return e.config.Problem(err)
}

func isTransient(err error) bool { return errors.Is(err, projector.ErrRetry) }

// Entry is the entry of a request in the audit.
func (r *Request) Entry() audit.Entry {
	entry := audit.Entry{Who: r.Who, What: string(r.Kind), Why: r.Why, Request: r.ID}
	if len(r.Target.CRNs) == 1 {
		entry.CRN = r.Target.CRNs[0]
	}
	if len(r.Target.Referrals) == 1 {
		entry.Referral = r.Target.Referrals[0]
	}
	return entry.With(map[string]any{"target": r.Target})
}
