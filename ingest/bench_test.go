package ingest_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
)

// benchmarkInFlight is how many events both benchmarks have on their way at once.
const benchmarkInFlight = 512

// benchmarkPatience is how long everything that a benchmark waits for may take.
const benchmarkPatience = 10 * time.Minute

// setupBenchmark starts the parts so that nothing which is merely slow counts as an
// outage. On a busy disk the last of that many events wait for longer than a test does;
// the bare publishing would fail then, and ingest would be measured with its circuit
// breaker open.
func setupBenchmark(b *testing.B) *parts {
	b.Helper()
	return setupWaiting(b, benchmarkPatience, benchmarkPatience)
}

// BenchmarkIngest takes messages from the SQS endpoint until they are deleted, which
// is after the log has acknowledged their events. In turn with that it publishes as
// many events of the same kind with nothing else to do, so that both meet the same
// disk, and reports both rates and the ratio.
func BenchmarkIngest(b *testing.B) {
	p := setupBenchmark(b)
	cfg := ingest.DefaultConfig()
	cfg.InHand = benchmarkInFlight
	p.start(b, cfg)
	const round = 2000
	var ingesting, publishing time.Duration
	b.ResetTimer()
	for left := b.N; left > 0; left -= round {
		n := min(left, round)
		ingesting += p.ingest(b, n)
		b.StopTimer()
		publishing += p.publish(b, n)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)/ingesting.Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/publishing.Seconds(), "bare-events/s")
	b.ReportMetric(100*publishing.Seconds()/ingesting.Seconds(), "%-of-bare")
}

// ingest puts n events into the queue of a running service and returns the time until
// the queue is empty.
func (p *parts) ingest(b *testing.B, n int) time.Duration {
	b.Helper()
	messages := make([]string, n)
	for i := range messages {
		messages[i] = p.event().message
	}
	started := time.Now()
	for _, m := range messages {
		p.put(b, m)
	}
	require.Eventually(b, func() bool {
		depth, err := p.sqs.Depth(queueName)
		return err == nil && depth == sqstest.Depth{}
	}, benchmarkPatience, time.Millisecond)
	return time.Since(started)
}

// BenchmarkBarePublish is the limit that BenchmarkIngest is held against.
func BenchmarkBarePublish(b *testing.B) {
	p := setupBenchmark(b)
	b.ResetTimer()
	b.ReportMetric(float64(b.N)/p.publish(b, b.N).Seconds(), "events/s")
}

// publish appends n events as ingest would and returns the time that it took.
func (p *parts) publish(b *testing.B, n int) time.Duration {
	b.Helper()
	events := make([]store.Event, n)
	for i := range events {
		e := p.event()
		events[i] = store.Event{
			ID: e.id, Type: store.PersonArrived, Referral: e.referral, CRN: "X123456", NOMS: "A1234BC",
			Emitted: time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC), Occurred: time.Date(2024, 5, 1, 9, 0, 0, 0, time.UTC),
			Source: e.url, Body: e.body,
		}
	}
	next := make(chan *store.Event, n)
	for i := range events {
		next <- &events[i]
	}
	close(next)
	started := time.Now()
	var publishers sync.WaitGroup
	for range benchmarkInFlight {
		publishers.Go(func() {
			for e := range next {
				if _, err := p.log.Append(b.Context(), e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	publishers.Wait()
	return time.Since(started)
}

// BenchmarkDecode is the work on a message that is ingest's own: envelope and detail to
// event.
func BenchmarkDecode(b *testing.B) {
	booking := uuid.NewString()
	message := []byte(notification(store.PersonArrived, "https://cas.example.com/events/cas3/person-arrived/1", "X123456"))
	detail := fmt.Appendf(nil, `{"id":"1","timestamp":"2024-05-01T10:00:00Z","eventDetails":{"bookingId":%q,"notes":%q}}`, booking, "He arrived.")
	b.ReportAllocs()
	for b.Loop() {
		n, err := ingest.DecodeNotification(message)
		require.NoError(b, err)
		_, err = n.Event(detail)
		require.NoError(b, err)
	}
}
