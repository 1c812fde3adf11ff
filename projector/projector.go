package projector

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// Inbox is the database's copy of the stream.
type Inbox interface {
	// Last is the highest sequence that the inbox holds, 0 if none.
	Last(ctx context.Context) (uint64, error)
	// Attach holds the inbox, whose highest sequence was held, against the stream.
	Attach(ctx context.Context, held uint64, stream Stream) error
	Put(ctx context.Context, messages []store.Stored) error
	Missing(ctx context.Context, to uint64) ([]Range, error)
	Due(ctx context.Context, now, before time.Time, limit int, except []store.Referral) ([]store.Referral, error)
	MarkForgotten(ctx context.Context) (int, error)
	Backlog(ctx context.Context) (Backlog, error)
}

// Database is the inbox and Delius.
type Database interface {
	Inbox
	Loader
	Roll
	Inspector
	Begin(ctx context.Context, pick Pick) (Step, error)
}

// Range is a range of stream sequences, both ends included.
type Range struct{ From, To uint64 }

// Backlog is what waits.
type Backlog struct {
	Due             int                    // referrals
	OldestDue       time.Time              // since when the first of them is; zero if nobody is
	Conflicts       int                    // ever recorded
	OldestUnapplied time.Time              // when the log took it; zero if all is applied
	Parked          map[string]ParkedCount // by cause
}

// ParkedCount is what is parked for one cause.
type ParkedCount struct {
	Count int
	Since time.Time
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

	// Committed is told of every step that committed, if it is set.
	Committed func(Applied, time.Time)
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

// Projector makes what stands in Delius what the events say.
type Projector struct {
	log     Log
	db      Database
	config  Config
	logger  *slog.Logger
	metrics *metrics
	wake    chan struct{} // holds a token when there is reason to sweep at once
	search  chan struct{} // holds a token when a history was found to lack events
	pauses  *pauses
	losses  losses
}

// New makes a projector. It fails if the configuration cannot be.
func New(log Log, db Database, config Config) (*Projector, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("projector configuration: %w", err)
	}
	return &Projector{
		log: log, db: db, config: config, logger: config.Logger,
		metrics: newMetrics(config.Registry),
		wake:    make(chan struct{}, 1),
		search:  make(chan struct{}, 1),
		pauses:  newPauses(config.Retry),
		losses:  losses{of: map[store.Referral]string{}},
	}, nil
}
