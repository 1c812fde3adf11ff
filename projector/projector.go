package projector

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"casdelius/projector/retry"
	"casdelius/store"
)

// Stream is the state of the stream of events.
type Stream struct {
	Created      time.Time
	LastSequence uint64
	Bytes        uint64
	MaxBytes     int64
}

// Log is the stream of events, as the projector reads it.
type Log interface {
	Stream(ctx context.Context) (Stream, error)
	// Read yields the messages of a range of sequences, both ends included.
	Read(ctx context.Context, from, to uint64) iter.Seq2[store.Stored, error]
	// Follow begins to receive what nobody has acknowledged yet.
	Follow(ctx context.Context) (Follower, error)
}

// Follower receives events, shared with the other projectors.
type Follower interface {
	Fetch(ctx context.Context, max int) ([]store.Stored, error)
	Ack(events []store.Stored) error
	Release(events []store.Stored) error
	Close() error
}

// Range is a range of stream sequences, both ends included.
type Range struct{ From, To uint64 }

// Ports are what the workers call of the database, each by itself.
type Ports struct {
	Inbox  Inbox
	Mender Mender
	Due    Due
	Steps  Steps
	People People
	Finder Finder
	Locks  RebuildLocks
}

// Config says how the projector runs. A zero duration or number is its default.
type Config struct {
	Hold    bool          // fill the inbox and plan, but write nothing to Delius
	Workers int           // batches at once; default 2
	Batch   int           // events of one; default 500
	Sweep   time.Duration // between looks at who is due; default 1 s
	Search  time.Duration // between searches for gaps; default 5 min
	Retry   time.Duration // first pause after an error, doubling to 30 times that; default 200 ms
	Grace   time.Duration // to finish what is in hand when told to stop; default 9 s

	Logger   *slog.Logger          // default: slog.Default()
	Registry prometheus.Registerer // default: one of its own
	Now      func() time.Time      // default: time.Now

	// Committed is told of every step that committed, if it is set. What must not be lost with
	// the process is written by the step itself, in package write.
	Committed func(Applied, time.Time)

	// Received is told of messages that were put into the inbox, if it is set.
	Received func([]store.Stored)
}

// Validate fills in the defaults and names the field and value that cannot be.
func (c *Config) Validate() error {
	defaultTo(&c.Workers, 2)
	defaultTo(&c.Batch, 500)
	defaultTo(&c.Sweep, time.Second)
	defaultTo(&c.Search, 5*time.Minute)
	defaultTo(&c.Retry, 200*time.Millisecond)
	defaultTo(&c.Grace, 9*time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for name, value := range map[string]int64{
		"workers": int64(c.Workers), "batch": int64(c.Batch), "sweep": int64(c.Sweep), "search": int64(c.Search),
		"retry": int64(c.Retry), "grace": int64(c.Grace),
	} {
		if value < 0 {
			return fmt.Errorf("%s is %d: it must be positive", name, value)
		}
	}
	return nil
}

func defaultTo[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Projector makes what stands in Delius what the events say. Its workers [Live] and
// [Rebuilder] share the one way into the inbox and the one way into Delius, the [Reconciler].
type Projector struct {
	reconciler *Reconciler
	live       *Live
	rebuilder  func(Rebuild) *Rebuilder
	filler     *filler
}

// New makes a projector. It fails if the configuration cannot be.
func New(log Log, ports Ports, config Config) (*Projector, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("projector configuration: %w", err)
	}
	metrics := newMetrics(config.Registry)
	transient := retry.Retrier{First: config.Retry, Transient: isTransient, Logger: config.Logger, Retried: metrics.retries, Troubles: &retry.Troubles{}}
	service := transient.While(isNotRefused) // nothing else ends it once it runs
	filling := filler{log: log, inbox: ports.Inbox, due: ports.Due, retry: transient, logger: config.Logger, metrics: metrics, notify: config.Received}
	live := filling
	live.retry = service
	reconciler := newReconciler(ports.Steps, transient, metrics, &config)
	return &Projector{
		reconciler: reconciler, filler: &filling,
		live: &Live{log: log, due: ports.Due, mender: ports.Mender, filler: &live, reconciler: reconciler, retry: service, metrics: metrics, config: config, wake: make(chan struct{}, 1)},
		rebuilder: func(r Rebuild) *Rebuilder {
			return newRebuilder(r, rebuilderParts{
				people: ports.People, finder: ports.Finder, locks: ports.Locks, mender: ports.Mender, due: ports.Due,
				filler: &filling, reconciler: reconciler, retry: transient, config: &config,
			})
		},
	}, nil
}

// Reconcile reconciles the people of the selected referrals: again where an error is
// transient, and one referral after another where the batch met an unexpected error, so that
// nobody is in anybody's way.
func (p *Projector) Reconcile(ctx context.Context, selection Selection) (Report, error) {
	return p.reconciler.Reconcile(ctx, selection)
}

// Run projects until the context ends: what the inbox lacks first, then everyone who
// is due, then live. When told to stop it finishes what is in hand.
func (p *Projector) Run(ctx context.Context) error { return p.live.Run(ctx) }

// Healthy is nil unless every step of late was denied by an unexpected error, which it then
// says.
func (p *Projector) Healthy(context.Context) error { return p.reconciler.healthy() }

// Moved is when a step last committed; zero if none has yet.
func (p *Projector) Moved() time.Time { return p.reconciler.moved() }

// Troubles are the errors that are being retried now; nil if there are none.
func (p *Projector) Troubles() error { return p.reconciler.retry.Troubles.All() }

// Failing are the referrals that have met unexpected errors of their own again and again.
func (p *Projector) Failing() []store.Referral { return p.reconciler.failing() }

// Rebuild fills the inbox from the stream and then reconciles whom r selects, while
// live projection goes on. When it is interrupted, or the process is killed, the next
// rebuild of everyone goes on where this one was.
//
// It raises no telemetry. People whom somebody else has locked for longer than a moment
// are left due, as are those that met an unexpected error.
func (p *Projector) Rebuild(ctx context.Context, r Rebuild) (Tally, error) {
	return p.rebuilder(r).run(ctx)
}

// VerifyStream holds the inbox against the stream and gives its state: the inbox may not have
// been filled from another one.
func (p *Projector) VerifyStream(ctx context.Context) (Stream, error) {
	return p.filler.stream(ctx, true)
}

// Wait pauses before something is asked for again, longer after each attempt.
func (p *Projector) Wait(ctx context.Context, attempt int) error {
	return p.reconciler.retry.Wait(ctx, attempt)
}

// Retry runs f, in growing pauses, until it meets no transient error; doing says what for.
func (p *Projector) Retry(ctx context.Context, doing string, f func() error) error {
	return p.reconciler.retry.Do(ctx, doing, f)
}
