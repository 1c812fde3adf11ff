package jetstream_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

func TestRejectedMessagesAreListedWhole(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var want []store.Rejection
	for i, reason := range store.Reasons() {
		want = append(want, store.Rejection{
			Reason:       reason,
			Problem:      "event type \"x\ny\" is not ours — 100% 日本",
			MessageID:    referral(i).String(),
			ReceiveCount: i,
			Body:         []byte("{\"not\": \x00\xff json"),
		})
	}
	for _, r := range want {
		require.NoError(t, f.log.Reject(t.Context(), r))
	}
	list := rejected(t, f.log)
	require.Len(t, list, len(want))
	for i, r := range list {
		require.NoError(t, r.Err)
		require.Equal(t, want[i], r.Rejection)
		require.Equal(t, uint64(i+1), r.Sequence)
		require.Nil(t, r.Mark)
		require.False(t, r.Stored.IsZero())
	}
}

func TestTheAnswerThatCameInsteadOfADetailIsKeptBesideTheMessage(t *testing.T) {
	t.Parallel()
	f := setupSmall(t, 64<<10)
	want := []store.Rejection{
		{Reason: store.DetailInvalid, MessageID: "short", Body: []byte("body"), Answer: []byte("<html>Back soon")},
		{Reason: store.DetailInvalid, MessageID: "long", Body: []byte("body"), Answer: bytes.Repeat([]byte("Back soon. "), 6_000)},
		{Reason: store.DetailInvalid, MessageID: "nothing but an answer", Body: []byte{}, Answer: []byte("{}")},
	}
	for _, r := range want {
		require.NoError(t, f.log.Reject(t.Context(), r))
	}
	for i, r := range rejected(t, f.log) {
		require.NoError(t, r.Err)
		require.Equal(t, want[i], r.Rejection)
	}
}

func TestAMessageRejectedTwiceIsListedOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, id := range []string{"a", "a", " a", "a ", "a\r\n", "", "日本", "日本", strings.Repeat("x", 100_000)} {
		require.NoError(t, f.log.Reject(t.Context(), store.Rejection{Reason: store.Malformed, MessageID: id, Body: []byte("body")}))
	}
	list := rejected(t, f.log)
	var got []string
	for _, r := range list {
		require.NoError(t, r.Err)
		got = append(got, r.MessageID)
	}
	require.Equal(t, []string{"a", " a", "a ", "a\r\n", "", "日本", strings.Repeat("x", 4096)}, got)
}

func TestAReplayIsMarkedAndTheMessageStays(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, id := range []string{"one", "two", "three"} {
		require.NoError(t, f.log.Reject(t.Context(), store.Rejection{Reason: store.DetailNotFound, MessageID: id, Body: []byte(id)}))
	}
	require.NoError(t, f.log.Mark(t.Context(), 2, store.Mark{Who: "jane.smith", Why: "mended: ä"}))
	require.NoError(t, f.log.Mark(t.Context(), 2, store.Mark{Who: "jane.smith", Why: "mended: ä"}))

	list := rejected(t, f.log)
	require.Len(t, list, 3)
	for _, r := range list {
		require.Equal(t, r.MessageID == "two", r.Mark != nil)
	}
	one, err := f.log.RejectedBySequence(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, &store.Mark{Who: "jane.smith", Why: "mended: ä"}, one.Mark)
	require.Equal(t, []byte("two"), one.Body)

	_, err = f.log.RejectedBySequence(t.Context(), 4)
	require.ErrorIs(t, err, jetstream.ErrNotFound, "that is the mark")
	require.ErrorIs(t, f.log.Mark(t.Context(), 4, store.Mark{}), jetstream.ErrNotFound)
	_, err = f.log.RejectedBySequence(t.Context(), 99)
	require.ErrorIs(t, err, jetstream.ErrNotFound)
}

func TestARejectedMessageThatDoesNotFitIsCompressed(t *testing.T) {
	t.Parallel()
	f := setupSmall(t, 64<<10)
	body := bytes.Repeat([]byte("notification "), 20_000)
	require.NoError(t, f.log.Reject(t.Context(), store.Rejection{Reason: store.Malformed, MessageID: "large", Body: body}))
	list := rejected(t, f.log)
	require.Len(t, list, 1)
	require.NoError(t, list[0].Err)
	require.Equal(t, body, list[0].Body)

	noise := make([]byte, 200_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	err := f.log.Reject(t.Context(), store.Rejection{Reason: store.Malformed, MessageID: "noise", Body: noise})
	requireTooLarge(t, err)
}

func TestWithoutTheStreamThereIsNothingToListAndNoneIsMade(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	log := connect(t, jetstream.Config{URL: server.URL(), Replicas: 1})
	for _, err := range log.Rejected(t.Context()) {
		require.ErrorIs(t, err, jetstream.ErrNotFound)
		require.ErrorContains(t, err, "there is no stream CAS_REJECTED")
	}
	_, err := log.RejectedBySequence(t.Context(), 1)
	require.ErrorIs(t, err, jetstream.ErrNotFound)
	require.ErrorContains(t, err, "there is no stream CAS_REJECTED")
	require.Error(t, log.Ready(t.Context()))
}

func TestWhatIsNoRejectionIsListedWithItsError(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, vendor := raw(t, f.server.URL())
	_, err := vendor.Publish(t.Context(), "cas.rejected.by-hand", []byte("?"))
	require.NoError(t, err)
	list := rejected(t, f.log)
	require.Len(t, list, 1)
	require.ErrorContains(t, list[0].Err, "by-hand")
	require.Equal(t, uint64(1), list[0].Sequence)
}

// rejected collects the whole list.
func rejected(tb testing.TB, log *jetstream.Log) []jetstream.RejectedMessage {
	tb.Helper()
	var list []jetstream.RejectedMessage
	for r, err := range log.Rejected(tb.Context()) {
		require.NoError(tb, err)
		list = append(list, r)
	}
	return list
}
