package cmd_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/store"
	"casdelius/store/jetstream/natstest"
)

// often has ingest send many canaries.
func often(c *ingest.Config) { c.Canary = 20 * time.Millisecond }

// Catches a canary that gets lost on its way, that is taken for an event or for damage anywhere,
// and one that is larger than was promised.
func TestACanaryComesAllTheWayAndTouchesNoCase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	before := s.rows(t)
	s.ingest(t, often)
	p := s.project(t)
	eventually(t, "canaries have come all the way", func() bool { return p.counted(t, "projector_canaries_total", "") >= 5 })
	require.InDelta(t, 0, p.gauge(t, "projector_canary_age_seconds"), 60)
	require.GreaterOrEqual(t, p.gauge(t, "projector_canary_leg_seconds"), 0.0)
	require.Equal(t, before, s.rows(t))
	for _, table := range []string{"event", "applied", "identity", "due", "parked", "contact", "address", "outbox"} {
		var n int
		require.NoError(t, s.delius.Pool.QueryRow(ctx, "select count(*) from projection."+table).Scan(&n))
		require.Zero(t, n, table)
	}
	require.Zero(t, s.said.count("NotificationReceived"))
	require.Zero(t, p.counted(t, "projector_unreadable_total", ""))
	s.requireNothingLost(t)

	info, err := s.log.Info(ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Bytes/info.Messages, uint64(300))
	sent := store.NewCanary(time.Now())
	require.LessOrEqual(t, len(sent.Message()), 300)
	verify := s.verifier(t)
	require.Zero(t, verify(false).Damaged)
	s.exec(t, "delete from projection.other_sequence")
	require.Zero(t, verify(false).Damaged, "nothing is missing without them")
}

// Catches what calls itself a canary and is let through to a case, and an envelope that makes
// one: only what was put into the queue itself can be.
func TestNothingOfACaseTravelsAsACanary(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	_, p := s.run(t)
	event := s.event(t, store.PersonArrived, newReferral(), "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, ""))
	canary := store.NewCanary(time.Now())
	all := says{}
	require.NoError(t, json.Unmarshal(event.Notification, &all))
	require.NoError(t, json.Unmarshal([]byte(canary.Message()), &all))
	s.cas.Put(event.DetailPath, event.Body)
	_, err := s.sqs.Send(queueName, string(asJSON(t, all)), nil)
	require.NoError(t, err)
	eventually(t, "it is a canary", func() bool { return p.counted(t, "projector_canaries_total", "") == 1 })
	s.settle(t)
	require.Empty(t, s.contacts(t, "urn:%"))
	for m, err := range s.log.Read(ctx, 0, 0) {
		require.NoError(t, err)
		require.NotNil(t, m.Canary)
		require.Equal(t, canary.ID, m.Canary.ID)
	}
}

// Catches a canary that stops ingest, or whatever else: where the queue's policy is older
// nobody may send, and everything else goes on.
func TestWithoutARightToSendEverythingElseGoesOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.sqs.FailCalls("SendMessage", 1_000_000, http.StatusBadRequest, "AccessDeniedException")
	i := s.ingest(t, often)
	s.project(t)
	eventually(t, "it was refused", func() bool { return i.counted(t, "ingest_queue_failures_total", "send") >= 2 })
	s.someonesArrival(t)
	s.settle(t)
	s.requireTwin(t)
	s.requireNothingLost(t)
	require.Zero(t, i.counted(t, "ingest_canaries_sent_total", ""))
	require.NoError(t, i.publishing(ctx))
	require.Contains(t, s.said.text(), "sqs:GetQueueUrl", "it says which right")
}

// Catches a message under the canaries' subjects that is none, as anybody who may publish can
// store it, and that stops whoever reads the stream.
func TestWhatIsNoCanaryUnderTheirSubjectsIsLeftOut(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	_, p := s.run(t)
	conn := dial(t, s.nats, natstest.Ingest)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	for _, subject := range []string{"cas.events.canary.x", "cas.events.canary.0b8a3f6e-5d0c-4a53-9c1f-2f4a4c1e7d11"} {
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: []byte(`{"sent":"soon"}`)})
		require.NoError(t, err)
	}
	s.someonesArrival(t)
	s.settle(t)
	s.requireTwin(t)
	require.GreaterOrEqual(t, p.counted(t, "projector_unreadable_total", ""), 2)
	require.Zero(t, p.counted(t, "projector_canaries_total", ""))
}
