package jetstream_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
)

// The broken variants: everybody answers, and who asks nobody waits for ever.
func TestWhatIsAskedOfIngestOneOfThemAnswers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ask := store.RejectedAsk{Sequence: 17, Dismiss: true, Who: "jane.smith", Why: "a test message: ä"}
	_, err := f.log.Ask(t.Context(), ask)
	require.ErrorIs(t, err, jetstream.ErrUnavailable)
	require.ErrorContains(t, err, "no ingest listens")

	listening, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var asked []store.RejectedAsk
	var ended sync.WaitGroup
	for range 2 {
		ended.Go(func() {
			_ = f.log.Answer(listening, func(_ context.Context, ask store.RejectedAsk) store.RejectedAnswer {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, ask)
				return store.RejectedAnswer{Done: true, Outcome: ask.Why}
			})
		})
	}
	require.Eventually(t, func() bool {
		answer, err := f.log.Ask(t.Context(), ask)
		return err == nil && answer == store.RejectedAnswer{Done: true, Outcome: ask.Why}
	}, time.Minute, 10*time.Millisecond)
	mu.Lock()
	asked = nil
	mu.Unlock()
	answer, err := f.log.Ask(t.Context(), ask)
	require.NoError(t, err)
	require.True(t, answer.Done)
	stop()
	ended.Wait()
	require.Equal(t, []store.RejectedAsk{ask}, asked)
}
