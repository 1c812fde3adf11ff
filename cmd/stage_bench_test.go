package cmd_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// stage is where projector and handlers are measured in turn: one stream, and one database whose
// tables are emptied before each.
type stage struct {
	emitted
	log      *jetstream.Log
	admin    *pgxpool.Pool
	url      string
	postgres int // the process of which all others of PostgreSQL are children
	runs     int
}

func newStage(b *testing.B, all emitted) *stage {
	b.Helper()
	asShipped(b)
	s := &stage{emitted: all, log: newStream(b), admin: durableDelius(b, all.people)}
	s.url = s.admin.Config().ConnString()
	var backend int
	require.NoError(b, s.admin.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend))
	s.postgres, _ = statOf(backend)
	return s
}

// newStream makes a stream on a server of its own.
func newStream(b *testing.B) *jetstream.Log {
	b.Helper()
	server := natstest.Processes(b, natstest.Options{Lazy: true}, b.TempDir())[0]
	log, err := jetstream.Connect(ctx, jetstream.Config{URL: server.URL(), Replicas: 1, Name: "bench"}, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, log.Close()) })
	require.NoError(b, log.Ensure(ctx))
	return log
}

// publish fills the stream.
func (s *stage) publish(b *testing.B) { publishAll(b, s.log, slices.Values(s.events)) }

// course is what a run is given: a stream to follow, whom it tells that it begins, and what is
// committed.
type course struct {
	stream   *jetstream.Log
	database string
	follow   func() projector.Follower
	begins   func()
	done     func([]store.Stored)
}

// runner projects what there is to follow until its context ends.
type runner func(ctx context.Context, b *testing.B, c *course)

// figure is what a measurement came to.
type figure struct {
	rate float64       // events a second, or whatever else it is
	cpu  time.Duration // an event, of this process and PostgreSQL; 0 if that is not measured
}

// measure gives what a run over the first events of the stream comes to.
func (s *stage) measure(b *testing.B, events int, run runner) figure {
	b.Helper()
	var began time.Time
	var took, used time.Duration
	all := make(chan struct{})
	left := events
	s.run(b, run, func() { began, used = time.Now(), s.used() }, func(done []store.Stored) {
		if left -= len(done); left <= 0 && left > -len(done) {
			close(all)
		}
	}, func() {
		<-all
		took, used = time.Since(began), s.used()-used
	})
	return figure{rate: float64(events) / took.Seconds(), cpu: used / time.Duration(events)}
}

// pace gives how long each event takes that comes at a rate into a stream of its own, but for the
// first, until it runs.
func (s *stage) pace(b *testing.B, rate int, run runner) (took []time.Duration) {
	b.Helper()
	s.log = newStream(b)
	first := len(s.events) / 10
	warm, all := make(chan struct{}), make(chan struct{})
	n := 0
	s.run(b, run, func() {}, func(done []store.Stored) {
		at := time.Now()
		for i := range done {
			if n++; n > first {
				took = append(took, at.Sub(done[i].Stored))
			}
			switch n {
			case first:
				close(warm)
			case len(s.events):
				close(all)
			}
		}
	}, func() {
		publishAll(b, s.log, paced(s.events[:first], rate))
		<-warm
		publishAll(b, s.log, paced(s.events[first:], rate))
		<-all
	})
	return took
}

// run runs on empty tables until a condition holds, with a consumer of its own. done is never
// called twice at once.
func (s *stage) run(b *testing.B, run runner, begins func(), done func([]store.Stored), until func()) {
	b.Helper()
	s.runs++
	s.empty(b, slices.Concat(written, []string{"projection.stream", "projection.other_sequence", "projection.due", "projection.parked"}))
	var mu sync.Mutex
	running, stop := context.WithCancel(ctx)
	c := &course{stream: s.log, database: s.url, begins: begins, follow: func() projector.Follower {
		follower, err := s.log.Follow(ctx, fmt.Sprintf("run-%d", s.runs))
		require.NoError(b, err)
		return follower
	}, done: func(events []store.Stored) {
		mu.Lock()
		defer mu.Unlock()
		done(events)
	}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(running, b, c)
	}()
	until()
	stop()
	<-ended
}

func (s *stage) empty(b *testing.B, tables []string) {
	b.Helper()
	s.exec(b, "truncate "+strings.Join(tables, ", "))
	s.exec(b, "checkpoint")
}

func (s *stage) exec(b *testing.B, query string) {
	b.Helper()
	_, err := s.admin.Exec(ctx, query)
	require.NoError(b, err)
}

// used is the CPU time that this process and those of PostgreSQL have taken.
func (s *stage) used() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	all := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		var pid int
		_, _ = fmt.Sscan(filepath.Base(process), &pid)
		parent, took := statOf(pid)
		if pid == s.postgres || parent == s.postgres {
			all += took
		}
	}
	return all
}

// statOf is the parent of a process and the CPU time that it has taken, with that of its children
// that have ended, as Linux tells it; zero if it has ended.
func statOf(pid int) (parent int, took time.Duration) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	after := string(text[strings.LastIndexByte(string(text), ')')+1:])
	fields := strings.Fields(after)
	if len(fields) < 15 {
		return 0, 0
	}
	_, _ = fmt.Sscan(fields[1], &parent)
	for _, field := range fields[11:15] {
		var ticks time.Duration
		_, _ = fmt.Sscan(field, &ticks)
		took += ticks * (time.Second / 100)
	}
	return parent, took
}

// figures are those of all rounds, by name.
type figures map[string][]figure

func (f figures) add(name string, is figure) { f[name] = append(f[name], is) }

func (f figures) last(name string) figure { return f[name][len(f[name])-1] }

// report reports the medians.
func (f figures) report(b *testing.B) {
	b.Helper()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		var rates, cpus []float64
		for _, is := range f[name] {
			rates, cpus = append(rates, is.rate), append(cpus, float64(is.cpu.Nanoseconds())/1000)
		}
		slices.Sort(rates)
		slices.Sort(cpus)
		unit := name
		if middle := cpus[len(cpus)/2]; middle > 0 {
			b.ReportMetric(middle, name+"-cpu-µs/event")
			unit += "-events/s"
		}
		b.ReportMetric(rates[len(rates)/2], unit)
		b.Logf("%s: %.1f %.0f", name, rates, cpus)
	}
}

// live runs the projector on what comes while it follows.
func live(ctx context.Context, b *testing.B, c *course) {
	b.Helper()
	project(ctx, b, c, &unseen{Log: projection.NewLog(c.stream), course: c})
}

// catchUp runs it on what is there before it starts for the first time.
func catchUp(ctx context.Context, b *testing.B, c *course) {
	b.Helper()
	c.begins()
	c.begins = func() {}
	project(ctx, b, c, &unseen{Log: projection.NewLog(c.stream), course: c, seen: true})
}

func project(ctx context.Context, b *testing.B, c *course, log projector.Log) {
	b.Helper()
	pool, err := projection.Delius(c.database).Connect(ctx, 2)
	require.NoError(b, err)
	defer pool.Close()
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(b, err)
	p, err := projector.New(log, db.Ports(), projector.Config{Logger: slog.New(slog.DiscardHandler), Committed: func(a projector.Applied, _ time.Time) {
		var events []store.Stored
		for i := range a.People {
			for _, f := range a.People[i].Applied {
				events = append(events, store.Stored{Sequence: f.Sequence, Stored: f.Stored})
			}
		}
		c.done(events)
	}})
	require.NoError(b, err)
	require.NoError(b, p.Run(ctx))
}

// unseen is a stream with a consumer of the run's own, and which looks empty until it is followed,
// unless it is to be caught up with.
type unseen struct {
	projection.Log
	*course
	seen bool
}

// Stream implements projector.Log.
func (u *unseen) Stream(ctx context.Context) (projector.Stream, error) {
	stream, err := u.Log.Stream(ctx)
	if !u.seen {
		stream.LastSequence = 0
	}
	return stream, err
}

// Follow implements projector.Log.
func (u *unseen) Follow(context.Context) (projector.Follower, error) {
	u.seen = true
	u.begins()
	return u.follow(), nil
}
