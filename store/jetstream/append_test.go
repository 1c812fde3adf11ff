package jetstream_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

func TestAppendedTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	first, err := f.log.Append(t.Context(), event(1))
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 1}, first)

	rewritten := event(1)
	rewritten.Body = []byte(`{"rewritten":"later"}`)
	second, err := connect(t, f.config).Append(t.Context(), rewritten)
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 1, Duplicate: true}, second)

	stored := read(t, f.log, 0, 0)
	require.Len(t, stored, 1)
	require.Equal(t, *event(1), stored[0].Event, "the body that came first counts")
}

func TestEventsThatDifferInAnyPartOfTheirIdentityAreDifferent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var want []store.Event
	for _, id := range []string{
		"a", "A", " a", "a ", "a.b", "a.*", ">", "*", "cas.events.>", "%20", "a%", "ä", "日本", "\"", "'", ":", "a:b",
		strings.Repeat("x", 128), strings.Repeat("日", 128),
	} {
		for _, kind := range []store.Type{store.PersonArrived, store.PersonArrivedUpdated, store.ApplicationSubmitted, "accommodation.cas3.x. *.>"} {
			for n := range 2 {
				e := event(1)
				e.ID, e.Type, e.Referral = id, kind, referral(n)
				want = append(want, *e)
			}
		}
	}
	for i := range want {
		ack, err := f.log.Append(t.Context(), &want[i])
		require.NoError(t, err)
		require.False(t, ack.Duplicate, want[i].Key())
	}
	var got []store.Event
	for _, s := range read(t, f.log, 0, 0) {
		require.NoError(t, s.Err)
		got = append(got, s.Event)
	}
	require.Equal(t, want, got)
}

func TestHundredsOfCallersAppendAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const callers, each = 300, 10
	acks := make([]store.Ack, callers*each)
	errs := make([]error, callers*each)
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for n := c * each; n < (c+1)*each; n++ {
				acks[n], errs[n] = f.log.Append(t.Context(), event(n))
			}
		})
	}
	group.Wait()
	stored := read(t, f.log, 0, 0)
	require.Len(t, stored, callers*each)
	for n, ack := range acks {
		require.NoError(t, errs[n])
		require.Equal(t, event(n).ID, stored[ack.Sequence-1].ID, "an acknowledgement is of its own event")
	}
}

func TestAFullStreamRefusesAndKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.MaxBytes, c.RejectedMaxBytes = 20_000, 2_000 })
	acknowledged := 0
	var err error
	for n := 0; err == nil; n++ {
		if _, err = f.log.Append(t.Context(), event(n)); err == nil {
			acknowledged++
		}
	}
	require.ErrorIs(t, err, jetstream.ErrFull)
	require.Len(t, read(t, f.log, 0, 0), acknowledged)
	ack, err := f.log.Append(t.Context(), event(0))
	require.NoError(t, err, "what is there already is acknowledged all the same")
	require.True(t, ack.Duplicate)

	err = f.log.Reject(t.Context(), store.Rejection{Reason: store.Malformed, MessageID: "m", Body: make([]byte, 3_000)})
	require.ErrorIs(t, err, jetstream.ErrFull)
}

func TestWhatNoServerTakesFailsForGood(t *testing.T) {
	t.Parallel()
	f := setupSmall(t, 100_000)
	large := event(1)
	large.Body = make([]byte, 100_001)
	_, err := f.log.Append(t.Context(), large)
	requireTooLarge(t, err)

	wordy := event(1)
	wordy.Source = strings.Repeat("x", 70_000)
	_, err = f.log.Append(t.Context(), wordy)
	requireTooLarge(t, err)
}

// requireTooLarge holds that callers can tell, also those that do not know the package.
func requireTooLarge(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, jetstream.ErrTooLarge)
	var refusal interface{ TooLarge() bool }
	require.ErrorAs(t, err, &refusal)
	require.True(t, refusal.TooLarge())
}

func TestAnEventThatIsStillBeingStoredIsSentAgainUntilItIs(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	conn, _ := raw(t, server.URL())
	answers := []string{
		`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}`,
		`{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}`,
		`{"stream":"CAS_EVENTS","seq":7,"duplicate":true}`,
	}
	_, err := conn.Subscribe(store.Subjects, func(m *nats.Msg) { // in the stream's place
		answer := answers[0]
		answers = answers[1:]
		assert.NoError(t, m.Respond([]byte(answer)))
	})
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	log := connect(t, jetstream.Config{URL: server.URL(), Replicas: 1})
	ack, err := log.Append(t.Context(), event(1))
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 7, Duplicate: true}, ack)
}

func TestAppendWithoutStreamOrServerIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	log := connect(t, jetstream.Config{URL: server.URL(), Replicas: 1, Timeout: time.Second})
	_, err := log.Append(t.Context(), event(1))
	require.ErrorIs(t, err, jetstream.ErrUnavailable)
	require.ErrorIs(t, log.Ready(t.Context()), jetstream.ErrUnavailable)

	require.NoError(t, log.Ensure(t.Context()))
	require.NoError(t, log.Ready(t.Context()))
	server.Stop()
	_, err = log.Append(t.Context(), event(1))
	require.ErrorIs(t, err, jetstream.ErrUnavailable)
	require.ErrorIs(t, log.Ready(t.Context()), jetstream.ErrUnavailable)

	require.NoError(t, server.Restart())
	require.Eventually(t, func() bool { return log.Ready(t.Context()) == nil }, patience, 10*time.Millisecond)
	_, err = log.Append(t.Context(), event(1))
	require.NoError(t, err)
}

func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.log.Append(ctx, event(1))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, jetstream.ErrUnavailable)
}

func TestTraceContextTravelsWithTheEvent(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	f := setup(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	_, err := f.log.Append(trace.ContextWithSpanContext(t.Context(), span), event(1))
	require.NoError(t, err)
	stored := read(t, f.log, 0, 0)
	require.Len(t, stored, 1)
	require.Equal(t, []string{"00-01000000000000000000000000000000-0200000000000000-01"}, stored[0].Header["traceparent"])
}
