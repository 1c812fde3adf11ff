package jetstream_test

import (
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"casdelius/store"
	"casdelius/store/jetstream"
)

// Catches a canary that comes out as an event, that is stored twice, or that a trace makes larger
// than 300 bytes.
func TestACanaryIsStoredOnceAndIsSmall(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() { otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator()) })
	f := setup(t)
	follower := follow(t, f.log)
	canary := store.NewCanary(time.Now())
	canary.Received = canary.Sent.Add(time.Second)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}))
	first, err := f.log.AppendCanary(ctx, &canary)
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 1}, first)
	second, err := f.log.AppendCanary(ctx, &canary)
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 1, Duplicate: true}, second)
	for _, out := range [][]store.Stored{read(t, f.log, 0, 0), fetch(t, follower, 1)} {
		require.Len(t, out, 1)
		require.NoError(t, out[0].Err)
		require.False(t, out[0].IsEvent())
		require.Nil(t, out[0].Person)
		require.Equal(t, &canary, out[0].Canary)
	}
	info, err := f.log.Info(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, info.Bytes, uint64(300))
}

// Catches a message that is looked for under its own sequence alone: behind a hole nothing would
// be found, and something would be waited for that never comes.
func TestTheFirstMessageFromASequenceOnIsFound(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fill(t, f.log, 1, 2)
	all := read(t, f.log, 0, 0)
	for _, from := range []uint64{1, 2} {
		sequence, stored, err := f.log.From(t.Context(), from)
		require.NoError(t, err)
		require.Equal(t, from, sequence)
		require.Equal(t, all[from-1].Stored, stored)
	}
	sequence, _, err := f.log.From(t.Context(), 3)
	require.NoError(t, err)
	require.Zero(t, sequence)
}

// Catches a consumer of which nobody is told that an administrator has paused it.
func TestAConsumerThatIsPausedSaysSo(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, vendor := raw(t, f.config.URL)
	require.Error(t, f.log.Delivers(t.Context(), "delius"), "there is none")
	consumer, err := vendor.CreateConsumer(t.Context(), jetstream.EventsStream, js.ConsumerConfig{Durable: "delius", AckPolicy: js.AckExplicitPolicy})
	require.NoError(t, err)
	require.NoError(t, f.log.Delivers(t.Context(), "delius"))
	_, err = vendor.PauseConsumer(t.Context(), jetstream.EventsStream, consumer.CachedInfo().Name, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.ErrorContains(t, f.log.Delivers(t.Context(), "delius"), "nats consumer resume CAS_EVENTS delius")
}
