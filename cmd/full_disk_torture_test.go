//go:build torture

package cmd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

// fills is how often the whole torture fills each disk.
const fills = 4

// TestTortureAFullDiskOfNATSLosesNothing fills the disk under load, which NATS takes so ill that
// it has to be started again once there is room: that is the runbook's step.
func TestTortureAFullDiskOfNATSLosesNothing(t *testing.T) {
	t.Parallel()
	f := fullNATS(t, nil)
	for _, part := range f.parts {
		before := f.ingest.counted(t, "ingest_dependency_failures_total", "log")
		f.fill(t, part, func() bool { return f.ingest.counted(t, "ingest_dependency_failures_total", "log") > before })
	}
	f.requireTwin(t)
	f.requireEveryMessageSomewhere(t, f.all)
	torturetest.Figure(t, "fills of NATS's disk", len(f.parts))
	torturetest.Figure(t, "events", len(f.all))
}

// TestTortureControlAFullDiskOfNATSCatchesAnAcknowledgementOfWhatIsNotStored: a log that takes
// the server's refusal for an acknowledgement.
func TestTortureControlAFullDiskOfNATSCatchesAnAcknowledgementOfWhatIsNotStored(t *testing.T) {
	t.Parallel()
	var lies atomic.Int64
	f := fullNATS(t, func(log *jetstream.Log) ingest.Log { return credulous{log, &lies} })
	f.fill(t, f.parts[0], func() bool { return lies.Load() > 0 })
	f.settle(t)
	torturetest.RequireCaught(t, "is lost", func(tb testing.TB) { f.requireEveryMessageSomewhere(tb, f.parts[0]) })
}

// credulous takes whatever answer for an acknowledgement.
type credulous struct {
	ingest.Log
	lies *atomic.Int64
}

func (c credulous) Append(ctx context.Context, e *store.Event) (store.Ack, error) {
	ack, err := c.Log.Append(ctx, e)
	if err != nil && ctx.Err() == nil {
		if c.lies != nil {
			c.lies.Add(1)
		}
		return store.Ack{Sequence: 1}, nil
	}
	return ack, err
}

// full is a system of which one part's disk is filled.
type full struct {
	*system
	disk   *torturetest.Disk
	all    []storetest.Raised
	parts  [][]storetest.Raised // what comes in while the disk is filled once
	ingest *instance
}

func fullNATS(t *testing.T, of func(*jetstream.Log) ingest.Log) *full {
	t.Helper()
	disk := torturetest.NewDisk(t)
	disk.Limit(t, 64<<20)
	db := postgrestest.New(t)
	s := setupOn(t, db.Delius, db.URL, natstest.Options{Dir: disk.Folder})
	s.logOfIngest = of
	f := newFull(t, s, disk)
	f.ingest = s.ingest(t)
	s.project(t)
	return f
}

// newFull makes up the events of so many people, in so many parts as the disk is filled.
func newFull(t *testing.T, s *system, disk *torturetest.Disk) *full {
	t.Helper()
	random := torturetest.Random(t)
	f := &full{system: s, disk: disk, parts: make([][]storetest.Raised, torturetest.Part(t, fills))}
	f.all = shuffled(random, s.generate(t, storetest.Options{Seed: random.Uint64N(1 << 32), People: 15 * len(f.parts)}))
	for i, e := range f.all {
		f.parts[i%len(f.parts)] = append(f.parts[i%len(f.parts)], e)
	}
	return f
}

// fill fills NATS's disk while events come in, until it has refused some, makes room again, and
// starts NATS again.
func (f *full) fill(t *testing.T, events []storetest.Raised, refused func() bool) {
	t.Helper()
	third := len(events) / 3
	f.raise(t, events[:third]...)
	free := f.fillDisk(t)
	f.raise(t, events[third:2*third]...)
	eventually(t, "NATS refuses", refused)
	f.raise(t, events[2*third:]...)
	free()
	f.nats.Stop()
	require.NoError(t, f.nats.Restart())
	eventually(t, "ingest receives again", func() bool { return f.ingest.ready(ctx) == nil })
}

// fillDisk takes what room there is, and returns what gives it back.
func (f *full) fillDisk(t *testing.T) (free func()) {
	t.Helper()
	path := filepath.Join(f.disk.Folder, "filler")
	file, err := os.Create(path)
	require.NoError(t, err)
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			require.NoError(t, err)
		}
	}
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(path)) }
}

// TestTortureAFullDiskOfPostgreSQLLosesNothing fills the disk under load. PostgreSQL goes on by
// itself once there is room; if it has ended, it is started again as its supervisor would.
func TestTortureAFullDiskOfPostgreSQLLosesNothing(t *testing.T) {
	t.Parallel()
	disk := torturetest.NewDisk(t)
	disk.Limit(t, 256<<20)
	cluster, err := postgrestest.Run(ctx, postgrestest.Options{Dir: disk.Folder, Settings: map[string]string{"min_wal_size": "32MB", "max_wal_size": "48MB"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	s := setupOnCluster(t, cluster)
	f := newFull(t, s, disk)
	s.ingest(t)
	p := s.project(t)
	ended := 0
	for _, events := range f.parts {
		half := len(events) / 2
		f.raise(t, events[:half]...)
		free := f.fillDisk(t)
		before := p.counted(t, "projector_retries_total", "")
		f.raise(t, events[half:]...)
		eventually(t, "the projector has met it", func() bool { return p.counted(t, "projector_retries_total", "") > before })
		eventually(t, "all are in the stream", func() bool {
			depth, err := s.sqs.Depth(queueName)
			return err == nil && depth.Visible+depth.InFlight == 0
		})
		free()
		eventually(t, "PostgreSQL is there", func() bool {
			if cluster.Start(ctx) == nil { // else it runs, mostly
				ended++
			}
			return s.delius.Pool.Ping(ctx) == nil
		})
	}
	s.requireTwin(t)
	s.requireStill(t)
	torturetest.Figure(t, "fills of PostgreSQL's disk", len(f.parts))
	torturetest.Figure(t, "ends of PostgreSQL by that", ended)
	torturetest.Figure(t, "events", len(f.all))
}

// TestTortureControlAFullDiskOfPostgreSQLCatchesARowThatIsGone: a commit that was lost.
func TestTortureControlAFullDiskOfPostgreSQLCatchesARowThatIsGone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	random := torturetest.Random(t)
	events := shuffled(random, s.generate(t, storetest.Options{Seed: random.Uint64N(1 << 32), People: 5}))
	s.run(t)
	s.raise(t, events...)
	s.requireTwin(t)
	_, err := s.delius.Pool.Exec(ctx, "delete from delius.contact where contact_id = (select max(contact_id) from delius.contact)")
	require.NoError(t, err)
	torturetest.RequireCaught(t, "a row is not as the events say", s.requireRows)
}
