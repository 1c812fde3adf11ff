package jetstream_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
)

const durable = "projector"

func TestAFollowerGetsEverythingOfThePastAndWhatIsNew(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fill(t, f.log, 1, 50)
	follower := follow(t, f.log)
	past := fetch(t, follower, 50)
	fill(t, f.log, 51, 60)
	recent := fetch(t, follower, 10)
	require.Equal(t, sequences(read(t, f.log, 0, 0)), append(sequences(past), sequences(recent)...))
	require.Equal(t, *event(51), *byID(recent, "event-51"))
}

func TestFetchReturnsWithTheFirstEvent(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.Linger = patience })
	follower := follow(t, f.log)
	got := make(chan []store.Stored)
	go func() {
		events, _ := follower.Fetch(context.Background(), 500)
		got <- events
	}()
	fill(t, f.log, 1, 1)
	require.Len(t, <-got, 1)
	f.server.Stop() // so that the request does not linger
}

func TestFetchEndsWithItsContextAndWithTheFollower(t *testing.T) {
	t.Parallel()
	f := setup(t)
	follower := follow(t, f.log)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := follower.Fetch(ctx, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	waiting := make(chan error)
	go func() {
		_, err := follower.Fetch(context.Background(), 10)
		waiting <- err
	}()
	require.NoError(t, follower.Close())
	require.ErrorIs(t, <-waiting, jetstream.ErrClosed)
	require.NoError(t, follower.Close(), "a second time does nothing")
}

func TestTwoFollowersShareTheEvents(t *testing.T) {
	t.Parallel()
	small := func(c *jetstream.Config) { c.Batch = 10 }
	f := setupLazy(t, small)
	const n = 400
	fill(t, f.log, 1, n)
	var mu sync.Mutex
	times := map[uint64]int{}
	by := make([]int, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	for i := range by {
		follower := follow(t, connect(t, f.config))
		group.Go(func() {
			for {
				events, err := follower.Fetch(ctx, 7)
				if err != nil {
					return
				}
				mu.Lock()
				for _, e := range events {
					times[e.Sequence]++
				}
				by[i] += len(events)
				if len(times) == n {
					cancel()
				}
				mu.Unlock()
				if err := follower.Ack(events); err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	require.Len(t, times, n)
	for sequence, count := range times {
		require.Equal(t, 1, count, "event %d", sequence)
	}
	require.Positive(t, by[0])
	require.Positive(t, by[1])
}

func TestNothingIsAcknowledgedBeforeAck(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fill(t, f.log, 1, 20)
	follower := follow(t, f.log)
	events := fetch(t, follower, 20)
	waitHeld(t, f, 20)

	require.NoError(t, follower.Ack(events[:5]))
	waitHeld(t, f, 15)
	require.NoError(t, follower.Ack(events[:5]), "settled already")
	require.NoError(t, follower.Ack(events[5:]))
	waitHeld(t, f, 0)
}

func TestReleasedEventsGoToAnotherFollowerAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.AckWait = time.Hour })
	fill(t, f.log, 1, 30)
	leaving := follow(t, f.log)
	inHand := fetch(t, leaving, 10)
	require.NoError(t, leaving.Ack(inHand[:4]))
	require.NoError(t, leaving.Close())

	other := follow(t, connect(t, f.config))
	rest := fetch(t, other, 26)
	require.ElementsMatch(t, sequences(read(t, f.log, 5, 30)), sequences(rest))

	require.NoError(t, other.Release(rest[:1]))
	require.Equal(t, rest[0].Sequence, fetch(t, other, 1)[0].Sequence)
}

func TestWhatIsHeldIsNotDeliveredAgainHoweverLongItTakes(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.AckWait, c.Batch = time.Second, 5 })
	fill(t, f.log, 1, 9)
	slow := follow(t, f.log)
	events := fetch(t, slow, 1) // the others wait in its queue
	waitHeld(t, f, 9)
	other := follow(t, connect(t, f.config))
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // well beyond AckWait
	defer cancel()
	_, err := other.Fetch(ctx, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, slow.Ack(events))
}

// Catches signs of life that come as seldom as this version would have them, where the consumer
// that is there, and that nobody may change, waits for less.
func TestWhatIsHeldIsNotDeliveredAgainWhereTheConsumerWaitsForLess(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, vendor := raw(t, f.server.URL())
	_, err := vendor.CreateConsumer(t.Context(), jetstream.EventsStream, js.ConsumerConfig{
		Durable: durable, AckPolicy: js.AckExplicitPolicy, MaxDeliver: -1, AckWait: time.Second,
	})
	require.NoError(t, err)
	fill(t, f.log, 1, 9)
	slow := follow(t, f.log)
	events := fetch(t, slow, 9)
	other := follow(t, connect(t, f.config))
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // well beyond AckWait
	defer cancel()
	_, err = other.Fetch(ctx, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, slow.Ack(events))
}

func TestEventsOfAFollowerThatDiedGoToAnother(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.AckWait = 200 * time.Millisecond })
	fill(t, f.log, 1, 10)
	dying := connect(t, f.config)
	fetch(t, follow(t, dying), 10)
	require.NoError(t, dying.Close()) // the connection goes, the follower settles nothing

	rest := fetch(t, follow(t, f.log), 10)
	require.ElementsMatch(t, sequences(read(t, f.log, 0, 0)), sequences(rest))
}

func TestAFollowerIsAtMostTwoBatchesAhead(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.Batch = 10 })
	fill(t, f.log, 1, 100)
	follower := follow(t, f.log)
	waitHeld(t, f, 20)
	other := follow(t, connect(t, f.config))
	var rest []uint64
	for len(rest) < 80 { // all but what waits for the first follower
		events := fetch(t, other, 1)
		require.NoError(t, other.Ack(events))
		rest = append(rest, sequences(events)...)
	}
	require.Equal(t, sequences(read(t, f.log, 21, 100)), rest)
	require.Len(t, fetch(t, follower, 20), 20)
}

func TestADeletedConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fill(t, f.log, 1, 3)
	follower := follow(t, f.log)
	require.NoError(t, follower.Ack(fetch(t, follower, 3)))

	_, vendor := raw(t, f.server.URL())
	require.NoError(t, vendor.DeleteConsumer(t.Context(), jetstream.EventsStream, durable))
	fill(t, f.log, 4, 6)

	seen := map[uint64]bool{}
	for len(seen) < 6 {
		for _, e := range fetch(t, follower, 1) {
			seen[e.Sequence] = true
		}
	}
}

func TestAFollowerGoesOnAfterARestartOfTheServer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fill(t, f.log, 1, 3)
	follower := follow(t, f.log)
	require.NoError(t, follower.Ack(fetch(t, follower, 3)))
	f.server.Stop()
	require.NoError(t, f.server.Restart())
	require.Eventually(t, func() bool { return f.log.Ready(t.Context()) == nil }, patience, 10*time.Millisecond)
	fill(t, f.log, 4, 6)
	for seen := map[uint64]bool{}; !seen[4] || !seen[5] || !seen[6]; {
		for _, e := range fetch(t, follower, 1) {
			seen[e.Sequence] = true
		}
	}
}

// Catches a follower that changes the consumer: of two versions in a rolling deploy each would
// undo what the other did.
func TestOnlyAnUpdateChangesAConsumerThatIsThere(t *testing.T) {
	t.Parallel()
	var said lines
	f := setup(t)
	log, err := jetstream.Connect(t.Context(), f.config, slog.New(slog.NewTextHandler(&said, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	_, vendor := raw(t, f.server.URL())
	older := js.ConsumerConfig{Durable: "older", AckPolicy: js.AckExplicitPolicy, MaxDeliver: -1, AckWait: time.Minute, MaxAckPending: 10}
	_, err = vendor.CreateConsumer(t.Context(), jetstream.EventsStream, older)
	require.NoError(t, err)
	config := func() js.ConsumerConfig {
		consumer, err := vendor.Consumer(t.Context(), jetstream.EventsStream, "older")
		require.NoError(t, err)
		return consumer.CachedInfo().Config
	}
	follower, err := log.Follow(t.Context(), "older")
	require.NoError(t, err)
	require.NoError(t, follower.Close())
	require.Equal(t, time.Minute, config().AckWait)
	require.Equal(t, 10, config().MaxAckPending)
	require.Contains(t, said.String(), "ack_wait: have 1m0s → want 12s (run `projector migrate`)")
	require.Contains(t, said.String(), "max_ack_pending")

	changes, err := log.UpdateConsumer(t.Context(), "older")
	require.NoError(t, err)
	require.Len(t, changes, 2)
	require.Equal(t, 12*time.Second, config().AckWait)
	changes, err = log.UpdateConsumer(t.Context(), "older")
	require.NoError(t, err)
	require.Empty(t, changes)
	changes, err = log.UpdateConsumer(t.Context(), "nobody")
	require.NoError(t, err)
	require.Empty(t, changes, "none is made")
}

// Catches a follower that takes a consumer which drops events or hides some of them.
func TestAConsumerByWhichEventsWouldNotComeIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, vendor := raw(t, f.server.URL())
	for setting, config := range map[string]js.ConsumerConfig{
		"max_deliver: have 3 → want -1":      {AckPolicy: js.AckExplicitPolicy, MaxDeliver: 3},
		"deliver_policy: have new":           {AckPolicy: js.AckExplicitPolicy, MaxDeliver: -1, DeliverPolicy: js.DeliverNewPolicy},
		"ack_policy: have none":              {AckPolicy: js.AckNonePolicy, MaxDeliver: -1},
		"filter_subjects: have [cas.events.": {AckPolicy: js.AckExplicitPolicy, MaxDeliver: -1, FilterSubject: "cas.events.cas2.>"},
		"headers_only: have true":            {AckPolicy: js.AckExplicitPolicy, MaxDeliver: -1, HeadersOnly: true},
	} {
		config.Durable = "odd"
		_, err := vendor.CreateConsumer(t.Context(), jetstream.EventsStream, config)
		require.NoError(t, err)
		_, err = f.log.Follow(t.Context(), "odd")
		require.ErrorContains(t, err, setting)
		require.ErrorContains(t, err, `consumer "odd"`)
		var weak *jetstream.SettingsError
		require.ErrorAs(t, err, &weak)

		_, err = f.log.UpdateConsumer(t.Context(), "odd")
		if err != nil { // that cannot be changed
			require.ErrorAs(t, err, &weak)
			require.ErrorContains(t, err, "delete it")
		} else {
			follower, err := f.log.Follow(t.Context(), "odd")
			require.NoError(t, err, setting)
			require.NoError(t, follower.Close())
		}
		require.NoError(t, vendor.DeleteConsumer(t.Context(), jetstream.EventsStream, "odd"))
	}
}

// follow starts a follower that ends with the test.
func follow(tb testing.TB, log *jetstream.Log) *jetstream.Follower {
	tb.Helper()
	follower, err := log.Follow(tb.Context(), durable)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = follower.Close() }) // its server may be stopped already
	return follower
}

// fetch fetches until it has n events.
func fetch(tb testing.TB, follower *jetstream.Follower, n int) []store.Stored {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var events []store.Stored
	for len(events) < n {
		more, err := follower.Fetch(ctx, n-len(events))
		require.NoError(tb, err, "after %d of %d events", len(events), n)
		events = append(events, more...)
	}
	return events
}

// waitHeld waits until so many events are in the hands of followers.
func waitHeld(tb testing.TB, f fixture, n int) {
	tb.Helper()
	_, vendor := raw(tb, f.server.URL())
	require.Eventually(tb, func() bool {
		consumer, err := vendor.Consumer(tb.Context(), jetstream.EventsStream, durable)
		return err == nil && consumer.CachedInfo().NumAckPending == n
	}, patience, 10*time.Millisecond)
}

func byID(events []store.Stored, id string) *store.Event {
	for i := range events {
		if events[i].ID == id {
			return &events[i].Event
		}
	}
	return nil
}
