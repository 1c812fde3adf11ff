package ingest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// flown are the canaries that came into the log, and how many were sent.
func (f *fake) flown() (stored, sent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.canaries), f.sent
}

// Catches a canary that is not sent at the start, or not again, or whose times are not its own.
func TestCanariesAreSentAndStored(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(), DefaultConfig()
	cfg.Canary = 10 * time.Minute
	f.run(t, cfg, func(t *testing.T, _ *Service) {
		began := time.Now()
		pass(time.Hour + time.Minute)
		stored, sent := f.flown()
		require.Equal(t, 7, sent)
		require.Equal(t, 7, stored)
		inQueue, events, rejected := f.left()
		require.Zero(t, inQueue+events+rejected)
		last := f.canaries[6]
		require.WithinDuration(t, began.Add(time.Hour), last.Sent, time.Second)
		require.False(t, last.Received.Before(last.Sent))
	})
}

// Catches an interval of 0 that sends without a pause.
func TestWithoutAnIntervalNoneIsSent(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(time.Hour)
		_, sent := f.flown()
		require.Zero(t, sent)
	})
}

// Catches canaries that are given back, dead-lettered or rejected while the log is away, and such
// as wear out the deliveries of what counts: those in hand wait, and a stop drops them.
func TestACanaryIsNeverRejectedNorGivenBack(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(), DefaultConfig()
	cfg.Canary = 10 * time.Minute
	f.limits.MaxReceiveCount = 1 // each delivery is the last
	f.append = func() error { return errors.New("no answer") }
	f.run(t, cfg, func(t *testing.T, _ *Service) {
		pass(30 * time.Minute)
		_, sent := f.flown()
		require.Equal(t, 4, sent)
		f.set(func(f *fake) { f.append = nil }) // what is rejected while it stops is taken
	})
	stored, _ := f.flown()
	_, _, rejected := f.left()
	require.Zero(t, stored)
	require.Zero(t, rejected)
	most, _ := f.receives()
	require.LessOrEqual(t, most, 1, "none was given back to be delivered again")
}

// Catches what is let through as a canary although nobody here sent it so: with an envelope, of
// which anybody who may publish to the topic makes one, and with an id that could be a subject.
func TestOnlyWhatWasPutIntoTheQueueIsACanary(t *testing.T) {
	t.Parallel()
	canary := store.NewCanary(time.Now())
	n, err := DecodeNotification([]byte(canary.Message()))
	require.NoError(t, err)
	require.Equal(t, &canary, n.Canary)
	require.Equal(t, store.CanaryType, n.EventType())
	for name, body := range map[string]string{
		"in an envelope":   `{"Type":"Notification","Message":"{\"eventType\":\"casdelius.canary\",\"version\":1,\"id\":\"` + canary.ID + `\",\"sent\":\"2026-01-01T00:00:00Z\"}"}`,
		"beside a message": `{"Message":"{}","eventType":"casdelius.canary","version":1,"id":"` + canary.ID + `","sent":"2026-01-01T00:00:00Z"}`,
		"without an id":    `{"eventType":"casdelius.canary","version":1,"sent":"2026-01-01T00:00:00Z"}`,
		"with a subject":   `{"eventType":"casdelius.canary","version":1,"id":"a.b","sent":"2026-01-01T00:00:00Z"}`,
		"without a time":   `{"eventType":"casdelius.canary","version":1,"id":"` + canary.ID + `"}`,
	} {
		n, err := DecodeNotification([]byte(body))
		var rejection *RejectionError
		require.ErrorAs(t, err, &rejection, name)
		require.NotEmpty(t, rejection.Reason, name)
		require.Nil(t, n.Canary, name)
	}
}

// Catches a service that is ready while the log refuses everything, or does not answer at all,
// and one that is not because of a failure that is over or of nothing in hand.
func TestALogThatTakesNothingIsSeen(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(release <-chan struct{}) error{
		"it refuses":         func(<-chan struct{}) error { return errors.New("the stream is full") },
		"it does not answer": func(release <-chan struct{}) error { <-release; return errors.New("the stream is full") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.run(t, DefaultConfig(), func(t *testing.T, s *Service) {
				release := make(chan struct{})
				pass(time.Hour)
				require.NoError(t, s.Publishing(t.Context()), "nothing was to be stored")
				f.append = func() error {
					f.mu.Unlock()
					defer f.mu.Lock()
					return fault(release)
				}
				f.send(1)
				pass(10 * time.Second)
				require.NoError(t, s.Publishing(t.Context()), "not for long")
				pass(20 * time.Second)
				require.ErrorContains(t, s.Publishing(t.Context()), "acknowledged nothing")
				f.set(func(f *fake) { f.append = nil })
				close(release)
				pass(time.Hour)
				_, stored, _ := f.left()
				require.Equal(t, 1, stored)
				require.NoError(t, s.Publishing(t.Context()))
			})
		})
	}
}
