package jetstream_test

import (
	"strconv"
	"testing"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
)

// Broken variants: what is marked later stays; the list of a stream that is no more stays, or what
// another has up to there is passed over.
func TestTheListOfOpenRejectedMessagesIsKept(t *testing.T) {
	t.Parallel()
	f := setupLazy(t)
	_, vendor := raw(t, f.server.URL())
	open := f.log.OpenRejected()
	same := func(want ...string) {
		t.Helper()
		list, err := open.List(t.Context())
		require.NoError(t, err)
		got := []string{}
		for _, r := range list {
			require.NoError(t, r.Err)
			require.Equal(t, store.Malformed, r.Reason)
			require.Empty(t, r.Body, "it is not kept")
			got = append(got, r.MessageID)
		}
		require.Equal(t, append([]string{}, want...), got)
	}
	reject := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			require.NoError(t, f.log.Reject(t.Context(), store.Rejection{Reason: store.Malformed, MessageID: id, Body: []byte("body"), Answer: []byte("answer")}))
		}
	}
	same()
	reject("a", "b", "c")
	same("a", "b", "c")
	same("a", "b", "c")
	require.NoError(t, f.log.Mark(t.Context(), 2, store.Mark{}))
	reject("d")
	same("a", "c", "d")
	require.NoError(t, f.log.Mark(t.Context(), 1, store.Mark{Dismissed: true}))
	same("c", "d")

	require.NoError(t, vendor.DeleteStream(t.Context(), jetstream.RejectedStream))
	_, err := open.List(t.Context())
	require.ErrorIs(t, err, jetstream.ErrNotFound)
	_, err = vendor.CreateStream(t.Context(), js.StreamConfig{Name: jetstream.RejectedStream, Subjects: []string{store.RejectedSubjects}})
	require.NoError(t, err)
	var others []string
	for i := range 9 { // more than the other had
		others = append(others, "x"+strconv.Itoa(i))
	}
	reject(others...)
	same(others...)
}
