package verify

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"casdelius/projector"
	"casdelius/projector/retry"
	"casdelius/store"
)

// Run is a verification that is kept, with what it came to.
type Run struct {
	Who       string // runs it
	Scheduled bool
	Repair    bool
	CRNs      []store.CRN // nobody is everyone
	Began     time.Time
}

// Last is the last verification of everyone that ended without an error.
type Last struct {
	Ended                   time.Time // zero if there was none
	Damaged, Edited, Unseen int
}

// Runs keeps verifications.
type Runs interface {
	// Begin begins one, which is another's to begin anew once its lease has ended. A scheduled
	// one does not begin while one of everyone is under way, nor where one has begun since a
	// time, or has failed since another; it gives 0 then.
	Begin(ctx context.Context, run Run, since, failed time.Time, lease time.Duration) (number int64, err error)
	// Renew renews the lease, and keeps how far it is. The error is [ErrLost] once it has ended.
	Renew(ctx context.Context, number int64, reached Reached, lease time.Duration) error
	// End ends one with what it found; problem is what it failed by, "" for nothing.
	End(ctx context.Context, number int64, verdict Verdict, found []Finding, problem string) error
	// Last is the last of everyone.
	Last(ctx context.Context) (Last, error)
}

// ProcessEnded is the problem of a run whose process ended before it did: it begins anew.
const ProcessEnded = "its process ended before it did"

// ErrLost is the error of a verification whose lease has ended.
var ErrLost = errors.New("the lease of this verification has ended")

// Reached is how far a verification is.
type Reached struct {
	Phase       string
	Done, Total int
}

// mostFindings are kept of a run, damage before edits.
const mostFindings = 1000

// keptLease is how long a run is its process's that does not renew it.
const keptLease = 30 * time.Second

// Keep begins to keep a run of a verification. What it returns ends that.
func Keep(ctx context.Context, runs Runs, run Run, v *Verification, problem func(error) string) (func(context.Context, Verdict, error) error, error) {
	number, err := runs.Begin(ctx, run, time.Time{}, time.Time{}, keptLease)
	if err != nil {
		return nil, err
	}
	kept := keep(ctx, runs, number, keptLease, v, func(error) {})
	return func(ctx context.Context, verdict Verdict, err error) error {
		return kept.end(ctx, verdict, err, problem)
	}, nil
}

// keeping is a run that is kept.
type keeping struct {
	runs   Runs
	number int64
	stop   func()

	mu      sync.Mutex
	reached Reached
	damaged []Finding
	edited  []Finding
}

// keep has a run kept, and its lease renewed; lost is told once that has ended.
func keep(ctx context.Context, runs Runs, number int64, lease time.Duration, v *Verification, lost func(error)) *keeping {
	k := &keeping{runs: runs, number: number}
	found, progress := v.Found, v.Progress
	v.Found = func(f Finding) error {
		k.note(f)
		if found != nil {
			return found(f)
		}
		return nil
	}
	v.Progress = func(p projector.Progress) {
		k.mu.Lock()
		k.reached = Reached{string(p.Phase), p.Done, p.Total}
		k.mu.Unlock()
		if progress != nil {
			progress(p)
		}
	}
	renewing, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		for retry.Pause(renewing, lease/4) == nil {
			k.mu.Lock()
			reached := k.reached
			k.mu.Unlock()
			if err := runs.Renew(renewing, number, reached, lease); errors.Is(err, ErrLost) {
				lost(err)
			}
		}
	})
	k.stop = func() { cancel(); ended.Wait() }
	return k
}

func (k *keeping) note(f Finding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	to := &k.edited
	if f.Severity == Damaged {
		to = &k.damaged
	}
	if len(*to) < mostFindings {
		*to = append(*to, f)
	}
}

// end ends it with what it came to.
func (k *keeping) end(ctx context.Context, verdict Verdict, err error, problem func(error) string) error {
	k.stop()
	found := append(k.damaged, k.edited...)
	said := ""
	switch {
	case ctx.Err() != nil:
		said = ProcessEnded
	case err != nil:
		said = problem(err)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return k.runs.End(ending, k.number, verdict, found[:min(len(found), mostFindings)], said)
}

// Schedule verifies everyone again and again, one process at a time.
type Schedule struct {
	Runs     Runs
	Verify   func(ctx context.Context, v Verification) (Verdict, error)
	Interval time.Duration // between the beginnings of two; 0 is never
	Every    time.Duration // between two looks whether it is time; a minute
	Lease    time.Duration // 30 s
	Rate     int           // messages and rows a second; 0 is no limit
	Who      string        // this process
	Problem  func(error) string
	Logger   *slog.Logger
	Now      func() time.Time // default: time.Now

	ended, damaged, edited, unseen prometheus.Gauge
}

// Register registers the gauges of the last verification, whoever ran it.
func (s *Schedule) Register(registry prometheus.Registerer) {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "projector", Subsystem: "verify", Name: name, Help: help})
		registry.MustRegister(g)
		return g
	}
	s.ended = gauge("timestamp_seconds", "When the last verification of everyone ended without an error, whoever ran it; 0 if none has.")
	s.damaged = gauge("damaged", "What the last verification of everyone found damaged.")
	s.edited = gauge("edited", "Rows that people have edited, as the last verification of everyone found.")
	s.unseen = gauge("unseen", "Rows and messages that the last verification of everyone could not look at.")
}

// Run verifies until ctx ends.
func (s *Schedule) Run(ctx context.Context) error {
	s.Every, s.Lease = cmp.Or(s.Every, time.Minute), cmp.Or(s.Lease, keptLease)
	if s.Now == nil {
		s.Now = time.Now
	}
	for ctx.Err() == nil {
		if s.Interval > 0 {
			if err := s.once(ctx); err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "the scheduled verification has met an error: it is tried again", "error", err)
			}
		}
		s.show(ctx)
		if retry.Pause(ctx, s.Every) != nil {
			return nil
		}
	}
	return nil
}

// once verifies, if it is time and nobody else does.
func (s *Schedule) once(ctx context.Context) error {
	now := s.Now()
	number, err := s.Runs.Begin(ctx, Run{Who: s.Who, Scheduled: true, Began: now}, now.Add(-s.Interval), now.Add(-s.Interval/24), s.Lease)
	if err != nil || number == 0 {
		return err
	}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := Verification{Rate: s.Rate}
	kept := keep(ctx, s.Runs, number, s.Lease, &v, cancel)
	verdict, err := s.Verify(working, v)
	if cause := context.Cause(working); errors.Is(cause, ErrLost) {
		kept.stop()
		return cause
	}
	log := s.Logger.InfoContext
	if verdict.Damaged > 0 {
		log = s.Logger.ErrorContext
	}
	if err == nil {
		log(ctx, "everyone was verified", "damaged", verdict.Damaged, "edited", verdict.Edited, "unseen", len(verdict.Unseen), "took", s.Now().Sub(now).Round(time.Second).String())
	}
	return errors.Join(err, kept.end(ctx, verdict, err, s.Problem))
}

// show sets the gauges.
func (s *Schedule) show(ctx context.Context) {
	last, err := s.Runs.Last(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "what the last verification came to could not be read", "error", err)
		}
		return
	}
	if last.Ended.IsZero() {
		return
	}
	s.ended.Set(float64(last.Ended.UnixMilli()) / 1000)
	s.damaged.Set(float64(last.Damaged))
	s.edited.Set(float64(last.Edited))
	s.unseen.Set(float64(last.Unseen))
}
