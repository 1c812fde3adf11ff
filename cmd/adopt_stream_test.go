package cmd_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	roles "casdelius/deploy/nats"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/verify"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// A stream that is restored into an empty cluster, where it has another time of creation, is
// refused until it is adopted, and then nothing is lost of what came after its backup, whatever
// happened between. It catches an adoption that only notes the other time: what was in the
// inbox alone is then gone from the stream, or stands there under sequences of other events.
func TestARestoredStreamIsAdoptedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		backedUp float64 // of the events
		before   func(t *testing.T, s *system, more []storetest.Raised)
	}{
		"the backup is whole":            {backedUp: 1},
		"the backup is older":            {backedUp: 0.5},
		"there is no backup":             {backedUp: 0},
		"ingest was started too early":   {backedUp: 0.5, before: ingestTooEarly},
		"an adoption was interrupted":    {backedUp: 0.5, before: adoptHalf},
		"the inbox lacks some, too":      {backedUp: 0.5, before: loseOfInbox},
		"the backup is newer than inbox": {backedUp: 1, before: restoreOlderInbox},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			chance, seed := chance(t)
			histories := s.generate(t, storetest.Options{Seed: seed, People: 20, Unknown: 0.03, BadDetail: 0.05})
			events := shuffled(chance, histories)
			last := len(events) * 3 / 4
			backup := s.liveWithBackup(t, events[:last], c.backedUp)
			s.moveElsewhere(t)
			if backup != nil {
				backup.restore(t, s.nats)
			}
			s.makeStreams(t)
			if c.before != nil {
				c.before(t, s, events[last:last+(len(events)-last)/2])
			}
			_, err := s.rebuild(t)
			require.ErrorContains(t, err, "projector adopt-stream")

			a := s.adopt(t, true)
			if c.before == nil {
				require.InDelta(t, c.backedUp, float64(a.Common)/float64(a.Was.LastSequence), 0.3)
				require.Equal(t, c.backedUp == 1, a.Events == 0)
			}
			s.run(t)
			s.raise(t, events[last:]...)
			s.settle(t)
			s.requireTwin(t)
			require.Zero(t, s.verifier(t)(false).Damaged)
			s.requireEveryMessageSomewhere(t, events)
			again := s.adopt(t, false)
			require.True(t, again.Same())
		})
	}
}

// Another stream is never adopted. It catches a comparison that takes what the inbox lacks for
// agreement.
func TestAnotherStreamIsNotAdopted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	chance, seed := chance(t)
	histories := s.generate(t, storetest.Options{Seed: seed, People: 5})
	events := shuffled(chance, histories)
	s.liveWithBackup(t, events[:len(events)/2], 1)
	s.moveElsewhere(t)
	s.makeStreams(t)
	_, err := s.log.Append(ctx, &events[len(events)-1].Event)
	require.NoError(t, err)
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	_, err = s.compare(db)
	require.ErrorIs(t, err, verify.ErrForeign)
}

// moveElsewhere goes over to an empty cluster.
func (s *system) moveElsewhere(t *testing.T) {
	t.Helper()
	require.NoError(t, s.log.Close())
	s.nats = natstest.Start(t, natstest.Options{Roles: roles.Roles})
	s.log = s.connect(t, "elsewhere") // is closed with the system
}

// liveWithBackup projects events, and backs the stream up after a part of them; nil for none.
func (s *system) liveWithBackup(t *testing.T, events []storetest.Raised, part float64) (b *backup) {
	t.Helper()
	ingest, live := s.run(t)
	n := int(float64(len(events)) * part)
	s.raise(t, events[:n]...)
	s.settle(t)
	if n > 0 {
		b = backUpStream(t, s.nats)
	}
	s.raise(t, events[n:]...)
	s.settle(t)
	ingest.stop()
	live.stop()
	return b
}

func ingestTooEarly(t *testing.T, s *system, more []storetest.Raised) {
	t.Helper()
	ingest := s.ingest(t)
	s.raise(t, more...)
	eventually(t, "the queue is empty", func() bool {
		depth, err := s.sqs.Depth(queueName)
		return err == nil && depth.Visible+depth.InFlight == 0
	})
	ingest.stop()
}

// failing appends a few events, and then no more.
type failing struct {
	verify.Appender
	left atomic.Int64
}

func (f *failing) Append(ctx context.Context, e *store.Event) (store.Ack, error) {
	if f.left.Add(-1) < 0 {
		return store.Ack{}, errors.New("interrupted")
	}
	return f.Appender.Append(ctx, e)
}

func adoptHalf(t *testing.T, s *system, _ []storetest.Raised) {
	t.Helper()
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	a, err := s.compare(db)
	require.NoError(t, err)
	few := &failing{Appender: s.log}
	few.left.Store(7)
	require.ErrorContains(t, a.Adopt(ctx, db.Inbox, few, func(projector.Progress) {}), "interrupted")
}

func loseOfInbox(t *testing.T, s *system, _ []storetest.Raised) {
	t.Helper()
	s.exec(t, "delete from projection.event where sequence in (2, 3, 5)")
}

func restoreOlderInbox(t *testing.T, s *system, _ []storetest.Raised) {
	t.Helper()
	s.exec(t, "delete from projection.event where sequence > 20")
	s.exec(t, "delete from projection.other_sequence where sequence > 20")
	s.exec(t, "delete from projection.applied where sequence > 20")
}

func (s *system) compare(db *postgres.Database) (verify.Adoption, error) {
	return verify.CompareForAdoption(ctx, verify.Ports{Log: projection.NewLog(s.log), Inbox: db.Inbox}, db.Inbox, func(projector.Progress) {})
}

func (s *system) adopt(t *testing.T, accept bool) verify.Adoption {
	t.Helper()
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	a, err := s.compare(db)
	require.NoError(t, err)
	if accept {
		require.NoError(t, a.Adopt(ctx, db.Inbox, s.log, func(projector.Progress) {}))
	}
	return a
}

// backup is a stream's, as the NATS command line makes it.
type backup struct {
	config, state json.RawMessage
	chunks        [][]byte
}

const backupPatience = 30 * time.Second

func backUpStream(t *testing.T, server *natstest.Server) *backup {
	t.Helper()
	conn := dial(t, server, natstest.Administrator)
	defer conn.Close()
	chunks, err := conn.SubscribeSync(conn.NewInbox())
	require.NoError(t, err)
	reply, err := conn.Request("$JS.API.STREAM.SNAPSHOT."+jetstream.EventsStream, []byte(`{"deliver_subject":"`+chunks.Subject+`","no_consumers":true,"jsck":true}`), backupPatience)
	require.NoError(t, err)
	b := &backup{}
	var head struct {
		Config, State json.RawMessage
		Error         any
	}
	require.NoError(t, json.Unmarshal(reply.Data, &head))
	require.Nil(t, head.Error)
	b.config, b.state = head.Config, head.State
	for {
		chunk, err := chunks.NextMsg(backupPatience)
		require.NoError(t, err)
		if len(chunk.Data) == 0 {
			return b
		}
		b.chunks = append(b.chunks, chunk.Data)
		if chunk.Reply != "" {
			require.NoError(t, chunk.Respond(nil))
		}
	}
}

func (b *backup) restore(t *testing.T, server *natstest.Server) {
	t.Helper()
	conn := dial(t, server, natstest.Administrator)
	defer conn.Close()
	request, err := json.Marshal(map[string]any{"config": b.config, "state": b.state})
	require.NoError(t, err)
	reply, err := conn.Request("$JS.API.STREAM.RESTORE."+jetstream.EventsStream, request, backupPatience)
	require.NoError(t, err)
	var head struct {
		DeliverSubject string `json:"deliver_subject"`
		Error          any
	}
	require.NoError(t, json.Unmarshal(reply.Data, &head))
	require.Nil(t, head.Error)
	for _, chunk := range append(b.chunks, nil) {
		reply, err = conn.Request(head.DeliverSubject, chunk, backupPatience)
		require.NoError(t, err)
	}
	require.NotContains(t, string(reply.Data), `"error"`)
}
