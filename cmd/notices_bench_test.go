package cmd_test

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/relay"
	"casdelius/projector/retry"
	"casdelius/projector/sns"
	"casdelius/projector/sns/snstest"
)

// answerTime is how long the topic takes for an answer.
const answerTime = 20 * time.Millisecond

// slowTopic answers after a time.
func slowTopic(b *testing.B) *sns.Topic {
	b.Helper()
	server := snstest.Start(b)
	arn := server.CreateTopic("events")
	server.OnCall(func(ctx context.Context, _ string) { _ = retry.Pause(ctx, answerTime) })
	topic, err := sns.New(awssns.NewFromConfig(server.AWSConfig()), arn)
	require.NoError(b, err)
	return topic
}

// runRelay runs a relay on a database until the function that comes with it is called.
func runRelay(b *testing.B, pool *pgxpool.Pool, topic relay.Topic) (r *relay.Relay, box *outbox.Outbox, stop func()) {
	b.Helper()
	db, err := postgres.New(context.Background(), pool, postgres.Config{})
	require.NoError(b, err)
	r = relay.New(db.Outbox, topic, relay.Config{Holder: "bench", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return r, db.Outbox, func() {
		cancel()
		require.NoError(b, <-ended)
	}
}

// BenchmarkLiveNotices measures live projection with notices on, in turn with notices off: once
// where another process sends them, and once where a relay in this one sends them meanwhile, as
// fast as it can, which is what a catch-up on one small machine is like. The share of events that
// move an address is as in life.
func BenchmarkLiveNotices(b *testing.B) {
	people := 1600
	if testing.Short() {
		people = 40
	}
	all := asEmitted(people)
	if !testing.Short() {
		liveWithNotices(b, all, false, nil) // the first of all runs is slower, whichever it is
	}
	var off, on, sending, kept float64
	for b.Loop() {
		rate, _ := liveWithNotices(b, all, false, nil)
		off += rate
		rate, _ = liveWithNotices(b, all, true, nil)
		on += rate
		rate, n := liveWithNotices(b, all, true, slowTopic(b))
		sending, kept = sending+rate, kept+float64(n)
	}
	b.ReportMetric(off/float64(b.N), "off-events/s")
	b.ReportMetric(on/off, "on-of-off")
	b.ReportMetric(sending/off, "sending-of-off")
	b.ReportMetric(kept/float64(b.N)/float64(len(all.events)), "notices/event")
}

// liveWithNotices gives the events a second, and how many notices were kept.
func liveWithNotices(b *testing.B, all emitted, keep bool, topic relay.Topic) (rate float64, kept int) {
	b.Helper()
	pool := durableDelius(b, all.people)
	_, err := outbox.Keep(b.Context(), pool, keep)
	require.NoError(b, err)
	r, _, stop := runRelay(b, pool, topic)
	defer stop()
	var notices atomic.Int64
	rate = projectLiveOn(b, all.events, pool, func(a projector.Applied) {
		if notices.Add(int64(a.Notices)); a.Notices > 0 {
			r.Wake()
		}
	})
	return rate, int(notices.Load())
}

// BenchmarkPublish measures how fast a relay sends what waits, each notice of a person of its
// own, to a topic that answers after 20 ms.
func BenchmarkPublish(b *testing.B) {
	notices := 5000
	if testing.Short() {
		notices = 50
	}
	ctx := context.Background()
	var rate float64
	for b.Loop() {
		pool := durableDelius(b, nil)
		_, err := pool.Exec(ctx, `
			insert into projection.outbox (offender_address_id, offender_id, crn, kind, status, occurred, cause, trace)
			select n, n, 'X' || lpad(n::text, 6, '0'), 'updated', 'Main Address', now(), 'a benchmark', '' from generate_series(1, $1) n`, notices)
		require.NoError(b, err)
		topic := slowTopic(b)
		begin := time.Now()
		_, box, stop := runRelay(b, pool, topic)
		for waiting := notices; waiting > 0; {
			backlog, err := box.Backlog(ctx)
			require.NoError(b, err)
			waiting = backlog.Waiting
			require.NoError(b, retry.Pause(ctx, 10*time.Millisecond))
		}
		rate += float64(notices) / time.Since(begin).Seconds()
		stop()
	}
	b.ReportMetric(rate/float64(b.N), "notices/s")
}
