package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
)

// An older version rejects person events as not-cas. It catches a replay that takes a person
// event by another identity than the queue's way, or asks for its detail.
func TestAPersonEventThatAnOlderVersionRejectedIsReplayedOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := uuid.NewString()
	body := sqstest.EnvelopeSNS(`{"eventType":"probation-case.merge.completed","version":1,"additionalInformation":{"sourceCRN":"X123456","targetCRN":"Y654321"}}`,
		string(store.MergeCompleted), id, time.Now())
	nobody := sqstest.EnvelopeSNS(`{"eventType":"probation-case.merge.completed","version":1}`, string(store.MergeCompleted), uuid.NewString(), time.Now())
	for _, r := range []store.Rejection{
		{Reason: store.NotCAS, Problem: "not of CAS", MessageID: id, ReceiveCount: 1, Body: []byte(body)},
		{Reason: store.NotCAS, Problem: "not of CAS", MessageID: "another", ReceiveCount: 1, Body: []byte(nobody)},
	} {
		require.NoError(t, w.log.Reject(t.Context(), r))
	}
	for _, sequence := range []string{"1", "1"} { // a second time, because the first was killed before it had marked it, say
		code, stdout, stderr := w.tool(t, "rejected", "replay", sequence)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "1 replayed, 0 failed")
	}
	code, _, stderr := w.tool(t, "rejected", "replay", "2")
	require.NotZero(t, code)
	require.Contains(t, stderr, "2: no-person")

	var stored []store.Stored
	for e, err := range w.log.Read(t.Context(), 0, 0) {
		require.NoError(t, err)
		stored = append(stored, e)
	}
	require.Len(t, stored, 1)
	require.NoError(t, stored[0].Err)
	require.Equal(t, store.PersonKey{Type: store.MergeCompleted, ID: id}, stored[0].Person.Key())
	require.Zero(t, w.api.TokenRequests())
}
