package jetstream_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
)

func TestReadGivesARangeInOrder(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	const n = 1700 // several batches
	fill(t, f.log, 1, n)
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i + 1)
	}
	require.Equal(t, all, sequences(read(t, f.log, 0, 0)))
	require.Equal(t, all, sequences(read(t, f.log, 1, n)))
	require.Equal(t, all[9:20], sequences(read(t, f.log, 10, 20)))
	require.Equal(t, all[n-1:], sequences(read(t, f.log, n, 0)))
	require.Equal(t, all[n-2:], sequences(read(t, f.log, n-1, n+100)), "the last at the start is the end")
	require.Empty(t, read(t, f.log, n+1, 0))
	require.Empty(t, read(t, f.log, n+50, n+60))
	require.Empty(t, read(t, f.log, 20, 10))
}

func TestReadGivesEventsAsTheyWereStored(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	before := time.Now().Add(-time.Minute)
	_, err := f.log.Append(t.Context(), event(7))
	require.NoError(t, err)
	stored := read(t, f.log, 0, 0)[0]
	require.NoError(t, stored.Err)
	require.Equal(t, *event(7), stored.Event)
	require.Equal(t, uint64(1), stored.Sequence)
	require.WithinRange(t, stored.Stored, before, time.Now().Add(time.Minute))
	require.Equal(t, []string{event(7).Key().MessageID()}, stored.Header["Nats-Msg-Id"])
}

func TestReadOfAnEmptyStreamEnds(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	require.Empty(t, read(t, f.log, 0, 0))
	require.Empty(t, read(t, f.log, 5, 10))
}

func TestReadCanBeLeftEarly(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	fill(t, f.log, 1, 1200)
	for e, err := range f.log.Read(t.Context(), 0, 0) {
		require.NoError(t, err)
		if e.Sequence == 3 {
			break
		}
	}
	_, vendor := raw(t, f.server.URL())
	require.Eventually(t, func() bool { return consumers(t, vendor) == 0 }, patience, 10*time.Millisecond, "no consumer is left behind")
}

func TestReadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	fill(t, f.log, 1, 1600)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range f.log.Read(ctx, 0, 0) {
		cancel()
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
}

// Broken variant: what is gone is passed over, as if it had never been there.
func TestReadTellsWhatIsGone(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	_, vendor := raw(t, f.server.URL())
	require.NoError(t, vendor.DeleteStream(t.Context(), jetstream.EventsStream))
	stream, err := vendor.CreateStream(t.Context(), js.StreamConfig{Name: jetstream.EventsStream, Subjects: []string{store.Subjects}})
	require.NoError(t, err)
	fill(t, f.log, 1, 12)
	for _, gone := range []uint64{1, 5, 6, 11, 12} {
		require.NoError(t, stream.DeleteMsg(t.Context(), gone))
	}
	for _, r := range []struct{ from, to, first, last uint64 }{{0, 0, 1, 12}, {10, 12, 10, 12}, {11, 12, 11, 12}, {5, 6, 5, 6}, {4, 5, 4, 5}, {6, 7, 6, 7}} {
		want := r.first
		for _, s := range read(t, f.log, r.from, r.to) {
			require.Equal(t, want, s.Sequence)
			if slices.Contains([]uint64{1, 5, 6, 11, 12}, s.Sequence) {
				require.ErrorIs(t, s.Err, store.ErrGone)
				require.True(t, s.Damaged())
				require.Empty(t, s.Event)
			} else {
				require.NoError(t, s.Err)
			}
			want++
		}
		require.Equal(t, r.last, want-1)
	}
}

// Broken variant: a message with another body under stored headers counts as one of another
// hand, whose referral nobody knows.
func TestReadTellsWhatTheHeadersOfACorruptMessageSay(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	_, vendor := raw(t, f.server.URL())
	e := event(7)
	_, err := vendor.PublishMsg(t.Context(), &nats.Msg{Subject: e.Key().Subject(), Header: e.Header(), Data: []byte(`{}`)})
	require.NoError(t, err)
	stored := read(t, f.log, 0, 0)
	require.Len(t, stored, 1)
	require.ErrorIs(t, stored[0].Err, store.ErrCorrupt)
	require.True(t, stored[0].Damaged())
	require.False(t, stored[0].IsEvent())
	require.Equal(t, e.Key(), stored[0].Key())
	require.Equal(t, e.CRN, stored[0].CRN)
	require.Empty(t, stored[0].Body)
}

func TestReadHandsOnWhatIsNoEventOfOurs(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	conn, vendor := raw(t, f.server.URL())
	fill(t, f.log, 1, 1)
	_, err := vendor.Publish(t.Context(), "cas.events.cas3.nonsense", []byte("hello"))
	require.NoError(t, err)
	_, err = vendor.Publish(t.Context(), "cas.events.cas2."+referral(1).String(), nil)
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	stored := read(t, f.log, 0, 0)
	require.Len(t, stored, 3)
	require.NoError(t, stored[0].Err)
	for i, s := range stored[1:] {
		require.ErrorContains(t, s.Err, "CAS_EVENTS")
		require.Equal(t, uint64(i+2), s.Sequence)
		require.Empty(t, s.Event)
	}
}

func TestReadWaitsOutARestart(t *testing.T) {
	t.Parallel()
	f := setupLazy(t, func(c *jetstream.Config) { c.Timeout = patience })
	const n = 2600
	fill(t, f.log, 1, n)
	var got []uint64
	for e, err := range f.log.Read(t.Context(), 0, 0) {
		require.NoError(t, err)
		if got = append(got, e.Sequence); len(got) == 700 {
			f.server.Stop()
			require.NoError(t, f.server.Restart())
		}
	}
	require.Len(t, got, n)
	for i, sequence := range got {
		require.Equal(t, uint64(i+1), sequence)
	}
}

func TestReadGivesUpWhereNothingComesBack(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	fill(t, f.log, 1, 2600)
	f.config.Timeout = 200 * time.Millisecond
	var failed error
	for e, err := range connect(t, f.config).Read(t.Context(), 0, 0) {
		failed = err
		if e.Sequence == 1 {
			f.server.Stop()
		}
	}
	require.ErrorIs(t, failed, jetstream.ErrUnavailable)
}

func TestHistoryIsOfOneReferralOnly(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	fill(t, f.log, 1, 60)
	mixed := event(30) // a CAS2 event of the same referral
	mixed.Type = store.ApplicationSubmitted
	_, err := f.log.Append(t.Context(), mixed)
	require.NoError(t, err)

	history, err := f.log.History(t.Context(), referral(10))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"event-30", "event-31", "event-32", "event-30"}, ids(history))
	require.IsIncreasing(t, sequences(history))
	require.Equal(t, store.ApplicationSubmitted, history[3].Type)

	none, err := f.log.History(t.Context(), referral(999))
	require.NoError(t, err)
	require.Empty(t, none)
}

// consumers counts the consumers of the stream of events, -1 if it cannot be told.
func consumers(tb testing.TB, vendor js.JetStream) int {
	tb.Helper()
	stream, err := vendor.Stream(tb.Context(), jetstream.EventsStream)
	if err != nil {
		return -1
	}
	return stream.CachedInfo().State.Consumers
}

func TestOnlyTheLeaderIsAskedWhereDirectReadsAreAllowed(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	fill(t, f.log, 1, 9)
	fill(t, f.log, 10, 12)
	conn, vendor := raw(t, f.server.URL())
	for _, name := range []string{jetstream.EventsStream, jetstream.RejectedStream} {
		stream, err := vendor.Stream(t.Context(), name)
		require.NoError(t, err)
		config := stream.CachedInfo().Config
		config.AllowDirect = true
		_, err = vendor.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	direct, err := conn.SubscribeSync("$JS.API.DIRECT.GET.>")
	require.NoError(t, err)
	require.NoError(t, conn.Flush())

	events, err := f.log.History(t.Context(), referral(1)) // it looks for more behind the last
	require.NoError(t, err)
	require.Len(t, events, 3)
	require.NoError(t, f.log.Reject(t.Context(), store.Rejection{Reason: store.NoPerson, MessageID: "x"}))
	_, err = f.log.RejectedBySequence(t.Context(), 1)
	require.NoError(t, err)

	stream, err := vendor.Stream(t.Context(), jetstream.EventsStream)
	require.NoError(t, err)
	_, err = stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	asked, err := direct.NextMsg(patience)
	require.NoError(t, err)
	require.Contains(t, string(asked.Data), `"seq":1`)
	pending, _, err := direct.Pending()
	require.NoError(t, err)
	require.Zero(t, pending, "the client's own question was the only one")
}
