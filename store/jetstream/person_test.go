package jetstream_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func personEvent(kind store.PersonType) *store.PersonEvent {
	return &store.PersonEvent{
		Type: kind, ID: uuid.NewString(), CRNs: []store.CRN{"X123456", "X654321"},
		Emitted: time.Date(2026, 7, 9, 12, 0, 0, 1000, time.UTC), Body: []byte(`{"eventType":"` + string(kind) + `"}`),
	}
}

// It catches a stream that does not take the subject of person events, one that knows them
// again by their MessageId alone, and a way out that hands them on as events or as neither.
func TestAPersonEventIsStoredOnceAndComesOutAsWhatItIs(t *testing.T) {
	t.Parallel()
	f := setup(t)
	follower := follow(t, f.log)
	fill(t, f.log, 1, 1)
	merge := personEvent(store.MergeCompleted)
	first, err := f.log.AppendPerson(t.Context(), merge)
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 2}, first)
	again := *merge
	again.Body = []byte("{}")
	second, err := connect(t, f.config).AppendPerson(t.Context(), &again)
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 2, Duplicate: true}, second)
	unmerge := personEvent(store.UnmergeCompleted)
	unmerge.ID = merge.ID
	third, err := f.log.AppendPerson(t.Context(), unmerge)
	require.NoError(t, err)
	require.Equal(t, store.Ack{Sequence: 3}, third)

	for _, out := range [][]store.Stored{read(t, f.log, 0, 0), fetch(t, follower, 3)} {
		require.Equal(t, []uint64{1, 2, 3}, sequences(out))
		require.True(t, out[0].IsEvent())
		for i, want := range []*store.PersonEvent{merge, unmerge} {
			got := out[i+1]
			require.NoError(t, got.Err)
			require.False(t, got.IsEvent())
			require.Equal(t, want, got.Person)
			require.Empty(t, got.Event)
			require.Equal(t, []string{want.Key().MessageID()}, got.Header["Nats-Msg-Id"])
		}
	}
	history, err := f.log.History(t.Context(), referral(0))
	require.NoError(t, err)
	require.Len(t, history, 1, "it is of no referral")
}

// It catches a reader that takes a person event's word without its checksum, or stops at it.
func TestAPersonEventWithAWrongChecksumIsNeither(t *testing.T) {
	t.Parallel()
	f := setup(t)
	merge := personEvent(store.MergeCompleted)
	header := nats.Header(merge.Header())
	conn, _ := raw(t, f.server.URL())
	_, err := conn.RequestMsg(&nats.Msg{Subject: merge.Key().Subject(), Header: header, Data: []byte("{}")}, patience)
	require.NoError(t, err)
	fill(t, f.log, 1, 1)
	out := read(t, f.log, 0, 0)
	require.ErrorContains(t, out[0].Err, "checksum")
	require.Nil(t, out[0].Person)
	require.False(t, out[0].IsEvent())
	require.True(t, out[1].IsEvent())
}
