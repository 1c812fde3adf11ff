package cmd_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

var sizes = flag.String("events", "10000,100000", "how large the streams of the benchmarks are, in events; up to 1000000")

// BenchmarkRebuild measures `projector rebuild`, the program as it is shipped, on a
// database that waits for its disk:
//
//   - into empty tables, and against its limit: reading the stream with no work, plus
//     copying every row that the rebuild wrote into the same tables
//   - where nothing changes, with the inbox complete and with it empty
//   - the most memory that any of the three took
//
// An iteration is one of each.
func BenchmarkRebuild(b *testing.B) {
	bySize(b, func(b *testing.B, program string, events int) {
		for b.Loop() {
			measureRebuild(b, program, events)
		}
	})
}

// bySize measures the program with each of the sizes; with a small one only where time
// is short.
func bySize(b *testing.B, measure func(b *testing.B, program string, events int)) {
	b.Helper()
	program := buildProjector(b)
	for _, events := range streamSizes(b) {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) { measure(b, program, events) })
	}
}

func streamSizes(b *testing.B) (out []int) {
	b.Helper()
	if testing.Short() {
		return []int{10_000}
	}
	for size := range strings.SplitSeq(*sizes, ",") {
		events, err := strconv.Atoi(size)
		require.NoError(b, err)
		out = append(out, events)
	}
	return out
}

func measureRebuild(b *testing.B, program string, events int) {
	b.Helper()
	l := newLarge(b, program, events)
	fill := l.rebuild(b)
	limit := l.drain(b) + l.copyAll(b)
	l.exec(b, "vacuum analyze") // as in tables that have stood for a while
	same := l.rebuild(b)
	l.exec(b, "truncate projection.event, projection.other_sequence, projection.applied, projection.identity, projection.stream")
	refill := l.rebuild(b)
	rate := func(r ran) float64 { return float64(events) / r.took.Seconds() }
	b.ReportMetric(rate(fill), "events/s")
	b.ReportMetric(fill.took.Seconds()/limit.Seconds(), "times-limit")
	b.ReportMetric(rate(same), "unchanged-events/s")
	b.ReportMetric(rate(refill), "unchanged-empty-inbox-events/s")
	b.ReportMetric(float64(max(fill.memory, same.memory, refill.memory))/(1<<20), "peak-MiB")
}

// large is a stream and a Delius of a given size.
type large struct {
	program string
	nats    *natstest.Server
	log     *jetstream.Log
	pool    *pgxpool.Pool
	live    *pgxpool.Pool // the live projector's: a service keeps its connections
	url     string
	events  int
	raised  int // how often events were raised for it
}

// newLarge fills a stream, which is synced only from then on, and makes a Delius that has
// everybody whom it names.
func newLarge(b *testing.B, program string, events int) *large {
	b.Helper()
	dir := b.TempDir()
	people := fillStream(b, dir, events)
	l := &large{program: program, events: events, nats: natstest.Start(b, natstest.Options{Dir: dir})}
	l.log = connect(b, l.nats)

	cluster, err := postgrestest.Run(ctx, postgrestest.Options{Fsync: true, Settings: map[string]string{
		"shared_buffers": "3GB", "max_wal_size": "8GB",
	}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, cluster.Stop()) })
	l.url = cluster.URL("postgres")
	l.pool, err = projection.Delius(l.url).Connect(ctx, 4)
	require.NoError(b, err)
	b.Cleanup(l.pool.Close)
	l.live, err = projection.Delius(l.url).Connect(ctx, 2)
	require.NoError(b, err)
	b.Cleanup(l.live.Close)
	require.NoError(b, postgrestest.CreateDelius(ctx, l.pool))
	require.NoError(b, postgres.Migrate(ctx, l.pool))
	delius := postgrestest.Delius{Pool: l.pool}
	for _, region := range storetest.Regions() {
		for _, code := range storetest.Staff(region)[2:] {
			_, err := delius.AddStaff(ctx, code)
			require.NoError(b, err)
		}
	}
	require.NoError(b, delius.AddPeople(ctx, people))
	l.exec(b, "vacuum analyze")
	return l
}

func inDelius(p storetest.Person) postgrestest.Person {
	return postgrestest.Person{CRN: p.CRN, NOMS: p.NOMS, Manager: manager}
}

// fillStream fills a stream in a folder and gives whom it names.
func fillStream(b *testing.B, dir string, events int) (people []postgrestest.Person) {
	b.Helper()
	server, err := natstest.Run(natstest.Options{Dir: dir, Lazy: true})
	require.NoError(b, err)
	defer server.Shutdown()
	log := connect(b, server)
	require.NoError(b, log.Ensure(ctx))
	publishAll(b, log, manyEvents(events, func(p storetest.Person) { people = append(people, inDelius(p)) }))
	return people
}

func connect(b *testing.B, server *natstest.Server) *jetstream.Log {
	b.Helper()
	log, err := jetstream.Connect(ctx, jetstream.Config{URL: server.URL(), Replicas: 1, Name: "bench", MaxBytes: 8 << 30}, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, log.Close()) })
	return log
}

// manyEvents are events of as many people as it takes, ten of each referral: what CAS
// raised of it, and updates that follow.
func manyEvents(events int, person func(storetest.Person)) iter.Seq[store.Event] {
	const each = 10
	return func(yield func(store.Event) bool) {
		left := events
		for h := range storetest.Generate(storetest.Options{Seed: 1, People: events}) {
			person(h.Person)
			of := map[store.Referral][]store.Event{}
			for _, e := range h.Events {
				of[e.Referral] = append(of[e.Referral], e.Event)
			}
			for _, known := range of {
				for i := range each {
					e := known[i%len(known)]
					if again := i / len(known); again > 0 {
						e.ID = fmt.Sprintf("%s-%d", e.ID, again)
						e.Emitted = e.Emitted.Add(time.Duration(again) * time.Hour)
					}
					if left--; left < 0 || !yield(e) {
						return
					}
				}
			}
		}
	}
}

// publishAll appends events with many in flight.
func publishAll(b *testing.B, log *jetstream.Log, events iter.Seq[store.Event]) {
	b.Helper()
	next := make(chan store.Event, 512)
	var group sync.WaitGroup
	for range 512 {
		group.Go(func() {
			for e := range next {
				if _, err := log.Append(ctx, &e); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for e := range events {
		next <- e
	}
	close(next)
	group.Wait()
}

func (l *large) exec(b *testing.B, query string) {
	b.Helper()
	_, err := l.pool.Exec(ctx, query)
	require.NoError(b, err)
}

// buildProjector builds the program.
func buildProjector(b testing.TB) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "projector")
	out, err := exec.Command("go", "build", "-o", program, "casdelius/cmd/projector").CombinedOutput()
	require.NoError(b, err, "%s", out)
	return program
}

func (l *large) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = append(os.Environ(), "DELIUS_DATABASE_URL="+l.url, "NATS_URL="+l.nats.URL(), "LOG_LEVEL=warn")
	return cmd
}

// rebuild rebuilds everyone.
func (l *large) rebuild(b *testing.B) ran {
	b.Helper()
	r := run(b, l.command(ctx, "rebuild", "--json"))
	b.Logf("%d events in %s: %s", l.events, r.took.Round(time.Millisecond), r.out)
	return r
}

// drain reads the stream and does nothing.
func (l *large) drain(b *testing.B) time.Duration {
	b.Helper()
	start := time.Now()
	n := 0
	for _, err := range l.log.Read(ctx, 0, 0) {
		require.NoError(b, err)
		n++
	}
	require.Equal(b, l.events, n)
	return time.Since(start)
}

// written are the tables that a rebuild or live projection writes.
var written = []string{ // what others refer to first
	"projection.event", "projection.identity", "projection.applied",
	"delius.contact", "delius.offender_address", "delius.audited_interaction",
	"projection.contact", "projection.contact_fingerprint", "projection.address", "projection.address_fingerprint", "projection.address_term",
}

// copyAll empties the tables and copies every row that the rebuild wrote back into
// them, indexes and constraints and all. It gives the time that the writing took.
func (l *large) copyAll(b *testing.B) (took time.Duration) {
	b.Helper()
	folder := b.TempDir()
	file := func(table string) string { return filepath.Join(folder, table) }
	conn, err := l.pool.Acquire(ctx)
	require.NoError(b, err)
	defer conn.Release()
	for _, table := range written {
		out, err := os.Create(file(table))
		require.NoError(b, err)
		_, err = conn.Conn().PgConn().CopyTo(ctx, out, "copy "+table+" to stdout (format binary)")
		require.NoError(b, errors.Join(err, out.Close()))
	}
	l.exec(b, "truncate "+strings.Join(written, ", "))
	for _, table := range written {
		in, err := os.Open(file(table))
		require.NoError(b, err)
		start := time.Now()
		_, err = conn.Conn().PgConn().CopyFrom(ctx, in, "copy "+table+" from stdin (format binary)")
		took += time.Since(start)
		require.NoError(b, errors.Join(err, in.Close()))
	}
	return took
}
