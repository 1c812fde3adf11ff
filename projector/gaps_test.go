package projector_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/store"
	"casdelius/store/storetest"
)

// quiet is a stream whose consumer has nothing to deliver: all was acknowledged, or
// the consumer is another one than it was. What replay holds comes once, again.
type quiet struct {
	*stream
	replay []store.Stored
	acked  chan struct{} // gets a token when all of replay is acknowledged; may be nil
}

func (q *quiet) Follow(context.Context) (projector.Follower, error) { return q, nil }

func (q *quiet) Fetch(ctx context.Context, _ int) ([]store.Stored, error) {
	if again := q.replay; again != nil {
		q.replay = nil
		return again, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (q *quiet) Ack([]store.Stored) error {
	if q.acked != nil {
		q.acked <- struct{}{}
	}
	return nil
}

func (*quiet) Release([]store.Stored) error { return nil }
func (*quiet) Close() error                 { return nil }

// spoken is what was logged.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *spoken) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.text.Bytes(), []byte(text))
}

// runs runs a projector that only finds what it searches for, and gives what it says.
func (r *rig) runs(t *testing.T, log projector.Log) *spoken {
	t.Helper()
	said := &spoken{}
	p, err := projector.New(log, r.db.Ports(), projector.Config{
		Sweep: 5 * time.Millisecond, Search: 20 * time.Millisecond, Retry: time.Millisecond, Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	require.NoError(t, err)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return said
}

// losses are ways to lose something that the search for gaps must find, and what is
// said then.
var losses = map[string]struct {
	statements []string
	says       string
}{
	"rows of the inbox": {
		[]string{"delete from projection.event where sequence % 3 = 0"}, "filling gaps in the inbox",
	},
	"the note of a duplicate": {
		[]string{"delete from projection.other_sequence"}, "filling gaps in the inbox",
	},
	"everything since a day": {[]string{
		"delete from projection.event where sequence > 5", "delete from projection.other_sequence where sequence > 5",
		"delete from projection.applied where sequence > 5", "delete from projection.due",
		"delete from projection.identity i where not exists (select from projection.event e where e.referral = i.referral)",
		"delete from projection.contact", "delete from projection.contact_fingerprint", "delete from projection.address", "delete from projection.address_fingerprint",
		"delete from projection.address_term", "delete from delius.contact", "delete from delius.offender_address",
		"delete from projection.applied", "delete from projection.parked",
	}, "filling gaps in the inbox"},
	"that events were to be applied": {[]string{
		"delete from projection.applied", "delete from projection.parked", "delete from projection.contact", "delete from projection.address",
		"delete from projection.contact_fingerprint", "delete from projection.address_fingerprint", "delete from projection.address_term",
		"delete from delius.contact", "delete from delius.offender_address",
	}, "events in the inbox were never applied"},
	"whom events name": {[]string{
		"delete from projection.identity", "delete from projection.parked", "delete from projection.contact", "delete from projection.address",
		"delete from projection.contact_fingerprint", "delete from projection.address_fingerprint", "delete from projection.address_term",
		"delete from delius.contact", "delete from delius.offender_address",
	}, "events in the inbox were never applied"},
}

func TestWhatWasLostIsFoundOnStartAndWhileItRuns(t *testing.T) {
	t.Parallel()
	var histories []storetest.History
	for h := range storetest.Generate(storetest.Options{Seed: 3, People: 3}) {
		histories = append(histories, h)
	}
	for name, loss := range losses {
		for _, when := range []string{"on start", "while it runs"} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				rig := setup(t, histories)
				for _, h := range histories {
					for _, e := range h.Events {
						rig.put(t, e.Event)
					}
				}
				rig.put(t, histories[0].Events[0].Event)
				rig.project(t)
				rig.requireTwin(t)
				log := &quiet{stream: rig.stream}
				lose := func() {
					tx, err := rig.delius.Pool.Begin(ctx)
					require.NoError(t, err)
					for _, statement := range loss.statements {
						_, err := tx.Exec(ctx, statement)
						require.NoError(t, err)
					}
					require.NoError(t, tx.Commit(ctx))
				}
				if when == "on start" {
					lose()
				}
				said := rig.runs(t, log)
				if when != "on start" {
					lose()
				}
				require.Eventually(t, func() bool { return said.has(loss.says) && rig.whole(t) }, time.Minute, 10*time.Millisecond)
				rig.requireTwin(t)
				_, damaged, _ := rig.verify(t, false)
				require.Empty(t, damaged)
			})
		}
	}
}

// whole says whether the inbox lacks nothing and nobody is due.
func (r *rig) whole(t *testing.T) bool {
	gaps, err := r.db.Missing(ctx, uint64(len(r.stream.messages)))
	require.NoError(t, err)
	backlog, err := r.db.Backlog(ctx)
	require.NoError(t, err)
	forgotten, err := r.db.Unprocessed(ctx, nil)
	require.NoError(t, err)
	return len(gaps) == 0 && backlog.Due == 0 && len(forgotten) == 0
}

func TestAConsumerThatBeginsAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := history(t)
	rig := setup(t, []storetest.History{h})
	for _, e := range h.Events {
		rig.put(t, e.Event)
	}
	rig.project(t)
	before := rig.rows(t)
	log := &quiet{stream: rig.stream, replay: rig.stream.messages, acked: make(chan struct{}, 1)}
	rig.runs(t, log)
	<-log.acked
	require.Equal(t, before, rig.rows(t))
}
