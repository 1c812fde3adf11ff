package freshness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// Message is a message of the stream: the zero value is none.
type Message struct {
	Sequence uint64
	Stored   time.Time // when the stream took it
}

// Log is the stream of events.
type Log interface {
	Stream(ctx context.Context) (projector.Stream, error)
	// From gives the first message from a sequence on; none if there is none.
	From(ctx context.Context, sequence uint64) (Message, error)
	// Delivers is nil unless the stream delivers nothing to any projector, and says why.
	Delivers(ctx context.Context) error
}

// Inbox is the database's copy of the stream.
type Inbox interface {
	// Lacks says what is recorded after one sequence, up to another.
	Lacks(ctx context.Context, after, to uint64) (Recorded, error)
	// Waiting is the oldest event in the inbox that is not applied and for which a step is to
	// come, of all referrals but some.
	Waiting(ctx context.Context, except []store.Referral) (Message, error)
	// Backlog counts what waits.
	Backlog(ctx context.Context) (Backlog, error)
}

// Recorded is what the inbox has of a range of the stream.
type Recorded struct {
	Gap    uint64 // the lowest sequence that is not recorded, 0 if all are
	Others int    // sequences without an event of their own, of the range or before the gap
	Last   uint64 // the highest sequence that is recorded at all
}

// Backlog is what waits.
type Backlog struct {
	Due       int                    // referrals
	OldestDue time.Time              // since when the first of them is; zero if nobody is
	Conflicts int                    // ever recorded
	Unknown   int                    // events of types that have no effect
	Parked    map[string]ParkedCount // by cause
	Damaged   ParkedCount            // messages that the stream has lost, or that are corrupt
	Failing   ParkedCount            // referrals whose people met an unexpected error
	Open      int                    // conflicts that are neither reviewed nor restored
	Notices   ParkedCount            // that wait to be sent
}

// ParkedCount is what is parked for one cause.
type ParkedCount struct {
	Count int
	Since time.Time
}

// Projector is what works on it.
type Projector interface {
	Moved() time.Time          // when a step last committed
	Troubles() error           // what is being retried
	Failing() []store.Referral // that fail by themselves
}

// Config says how a monitor reads. A zero duration is its default.
type Config struct {
	Hold  bool          // no step ever commits
	Every time.Duration // between two readings; 3 s
	Count time.Duration // between two countings of what waits; 10 s
	Limit time.Duration // of one reading; 5 s
	Stall time.Duration // for how long a part may stand still; 18 s

	// Sampled is handed what was found each time that what waits has been counted, if it is set.
	Sampled  func(context.Context, inspect.Figures) error
	Canaries *Canaries // nil for none

	Logger   *slog.Logger
	Registry prometheus.Registerer
	Now      func() time.Time // default: time.Now
}

// Monitor reads how far everything is. See the package documentation.
type Monitor struct {
	log       Log
	inbox     Inbox
	projector Projector
	config    Config

	complete uint64    // the inbox lacks nothing up to this sequence
	others   int       // so many of these have no event of their own
	scanned  time.Time // when that was last found from the beginning
	lacking  Message   // the last that was asked for

	mu      sync.Mutex
	reading reading
	failed  error // of the last reading, nil if there was none
	backlog counted
}

// reading is how far everything was at one moment.
type reading struct {
	at      time.Time
	stream  projector.Stream
	last    uint64  // the highest sequence in the inbox
	others  int     // sequences without an event of their own
	lacking Message // the first that the inbox lacks
	waiting Message // the oldest in the inbox

	taking  time.Time // since when nothing was put into the inbox although the stream has more
	working time.Time // since when something waits in the inbox
}

// oldest is the older of what is not in the inbox and what waits there.
func (r *reading) oldest() Message {
	switch {
	case r.lacking.Sequence == 0:
		return r.waiting
	case r.waiting.Sequence == 0 || r.lacking.Stored.Before(r.waiting.Stored):
		return r.lacking
	}
	return r.waiting
}

// counted is what was waiting at one moment.
type counted struct {
	Backlog
	at time.Time
}

// New makes a monitor and registers its gauges.
func New(log Log, inbox Inbox, p Projector, config Config) *Monitor {
	config.Every = cmp.Or(config.Every, 3*time.Second)
	config.Count = cmp.Or(config.Count, 10*time.Second)
	config.Limit = cmp.Or(config.Limit, 5*time.Second)
	config.Stall = cmp.Or(config.Stall, 18*time.Second)
	if config.Now == nil {
		config.Now = time.Now
	}
	m := &Monitor{log: log, inbox: inbox, projector: p, config: config, reading: reading{at: config.Now()}}
	config.Registry.MustRegister(m)
	return m
}

// Run reads until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	ticker := time.NewTicker(m.config.Every)
	defer ticker.Stop()
	for {
		m.read(ctx)
		m.count(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// read makes one reading.
func (m *Monitor) read(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, m.config.Limit)
	defer cancel()
	is, err := m.look(limited)
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed = err; err != nil {
		m.config.Logger.WarnContext(ctx, "how fresh Delius is could not be worked out", "since", m.reading.at, "error", err)
		return
	}
	is.since(&m.reading)
	m.reading = is
}

// since takes over from the reading before since when a part has had work and done none.
func (r *reading) since(was *reading) {
	if r.lacking.Sequence > 0 {
		r.taking = r.at
		if !was.taking.IsZero() && was.lacking == r.lacking && was.last == r.last {
			r.taking = was.taking
		}
	}
	if r.waiting.Sequence > 0 {
		r.working = r.at
		if !was.working.IsZero() {
			r.working = was.working
		}
	}
}

// look works out how far everything is.
func (m *Monitor) look(ctx context.Context) (reading, error) {
	is := reading{at: m.config.Now()}
	var err error
	if is.stream, err = m.log.Stream(ctx); err != nil {
		return is, fmt.Errorf("asking for the state of the stream: %w", err)
	}
	if is.lacking, is.last, err = m.lacks(ctx, is.stream.LastSequence); err != nil {
		return is, err
	}
	is.others = m.others
	is.waiting, err = m.inbox.Waiting(ctx, m.projector.Failing())
	return is, err
}

const (
	// stretch is how many sequences are looked for at once.
	stretch = 50_000

	// rescan is how often the inbox is looked through from the beginning: rows may be lost.
	rescan = 5 * time.Minute
)

// lacks finds the first message of the stream that the inbox lacks. What it has without a gap it
// is not asked for again, but for now and then; a reading that ends early goes on there.
func (m *Monitor) lacks(ctx context.Context, to uint64) (lacking Message, last uint64, err error) {
	if now := m.config.Now(); now.Sub(m.scanned) > rescan || m.complete > to {
		m.complete, m.others, m.scanned = 0, 0, now
	}
	for {
		end := min(m.complete+stretch, max(to, m.complete))
		is, err := m.inbox.Lacks(ctx, m.complete, end)
		if err != nil {
			return Message{}, 0, err
		}
		m.others += is.Others
		first := is.Gap
		switch {
		case first == 0 && end >= to:
			m.complete = end
			return Message{}, is.Last, nil
		case first == 0:
			m.complete = end
			continue
		}
		m.complete = first - 1
		if m.lacking.Sequence != first {
			if m.lacking, err = m.log.From(ctx, first); err != nil {
				return Message{}, 0, fmt.Errorf("asking the stream for message %d: %w", first, err)
			}
		}
		switch m.lacking.Sequence {
		case first:
			return m.lacking, is.Last, nil
		case 0: // the stream has none of the rest
			m.complete = to
		default: // a hole in the stream
			m.complete = m.lacking.Sequence - 1
		}
	}
}

// count counts what waits, if that was not done of late. It may take longer than a reading where
// very much does, and fail, which is no reason to say nothing of the rest.
func (m *Monitor) count(ctx context.Context) {
	now := m.config.Now()
	if now.Sub(m.backlog.at) < m.config.Count {
		return
	}
	limited, cancel := context.WithTimeout(ctx, m.config.Limit)
	defer cancel()
	backlog, err := m.inbox.Backlog(limited)
	if err != nil {
		if ctx.Err() == nil {
			m.config.Logger.WarnContext(ctx, "what waits could not be counted", "error", err)
		}
		return
	}
	m.mu.Lock()
	m.backlog = counted{backlog, now}
	m.mu.Unlock()
	if m.config.Sampled == nil {
		return
	}
	if err := m.config.Sampled(limited, m.figures()); err != nil && ctx.Err() == nil {
		m.config.Logger.WarnContext(ctx, "the figures could not be kept: the console does not see them", "error", err)
	}
}

// Readable is nil unless how far everything is could not be worked out for too long.
func (m *Monitor) Readable(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if stood := m.config.Now().Sub(m.reading.at); stood > m.config.Stall {
		return fmt.Errorf("how fresh Delius is has not been worked out for %s: %w", stood.Round(time.Second), cmp.Or(m.failed, errSlow))
	}
	return nil
}

var errSlow = errors.New("no answer")

// Intake is nil unless nothing is put into the inbox although the stream has something for it.
func (m *Monitor) Intake(ctx context.Context) error {
	m.mu.Lock()
	is := m.reading
	m.mu.Unlock()
	stood := m.config.Now().Sub(is.taking)
	if is.taking.IsZero() || stood <= m.config.Stall {
		return nil
	}
	err := fmt.Errorf("nothing has been put into the inbox for %s, and it lacks message %d of the stream, stored at %s",
		stood.Round(time.Second), is.lacking.Sequence, is.lacking.Stored.Format(time.RFC3339))
	return because(err, m.log.Delivers(ctx), m.projector.Troubles())
}

// Steps is nil unless no step commits although an event waits for one. On hold none ever does.
func (m *Monitor) Steps(context.Context) error {
	m.mu.Lock()
	is := m.reading
	m.mu.Unlock()
	since := is.working
	if moved := m.projector.Moved(); moved.After(since) {
		since = moved
	}
	stood := m.config.Now().Sub(since)
	if m.config.Hold || is.working.IsZero() || stood <= m.config.Stall {
		return nil
	}
	err := fmt.Errorf("no step has committed for %s, and message %d, stored at %s, waits in the inbox",
		stood.Round(time.Second), is.waiting.Sequence, is.waiting.Stored.Format(time.RFC3339))
	return because(err, m.projector.Troubles())
}

// because adds reasons to an error.
func because(err error, reasons ...error) error {
	for _, reason := range reasons {
		if reason != nil {
			err = fmt.Errorf("%w: %w", err, reason)
		}
	}
	return err
}
