package cmd_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/rejected"
	"casdelius/ingest"
	"casdelius/projector"
	"casdelius/projector/requests"
	"casdelius/store"
)

// As their roles of NATS the projector asks and ingest answers. The broken variants: ingest may not
// listen, read what is asked about, or mark it; and what is asked twice is done twice.
func TestWhatTheConsoleAsksOfRejectedMessagesIngestDoes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	log, asking := s.connect(t, "ingest"), s.connect(t, "projector")
	t.Cleanup(func() {
		require.NoError(t, log.Close())
		require.NoError(t, asking.Close())
	})
	for _, id := range []string{"one", "two"} {
		require.NoError(t, log.Reject(ctx, store.Rejection{Reason: store.Malformed, Problem: "not JSON", MessageID: id, Body: []byte("nonsense " + id)}))
	}
	asks := projection.Rejected{Log: asking}
	_, err := asks.Ask(ctx, store.RejectedAsk{Sequence: 1, Dismiss: true, Who: "jane.smith"})
	require.ErrorIs(t, err, projector.ErrUnavailable, "no ingest listens yet")

	details := s.details(t)
	intake := ingest.NewIntake(details, log, s.said.logger("ingest"), ingest.NewMetrics(prometheus.NewRegistry()))
	listening, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- rejected.Messages{Log: log, Logger: s.said.logger("ingest")}.Answer(listening, intake)
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		details.Close()
	})
	var outcome string
	eventually(t, "ingest answers", func() bool {
		outcome, err = asks.Ask(ctx, store.RejectedAsk{Sequence: 1, Dismiss: true, Who: "jane.smith", Why: "a test message"})
		return err == nil
	})
	require.Equal(t, "dismissed", outcome)
	outcome, err = asks.Ask(ctx, store.RejectedAsk{Sequence: 1, Dismiss: true, Who: "somebody else"})
	require.NoError(t, err)
	require.Equal(t, "it is dismissed by jane.smith already", outcome)
	for _, sequence := range []uint64{1, 2, 99} {
		_, err = asks.Ask(ctx, store.RejectedAsk{Sequence: sequence, Who: "jane.smith"})
		var refusal *requests.Refusal
		require.ErrorAs(t, err, &refusal, "%d", sequence)
	}
	one, err := log.RejectedBySequence(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, &store.Mark{Dismissed: true, Who: "jane.smith", Why: "a test message"}, one.Mark)
}
