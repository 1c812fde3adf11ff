package ingest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// What docs/deploy.md says of a queue that allows three deliveries.

// Catches a second pause as short as the first, which would give a detail up after seconds.
func TestAQueueOfThreeDeliveriesWaitsFourMinutesForADetail(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.limits.MaxReceiveCount = 3
	f.fetch = func(string) error { return &DetailError{Fault: DetailNotFound, Err: errors.New("404")} }
	f.send(1)
	f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
		pass(time.Hour)
		require.Equal(t, map[string]store.Reason{"message 0": store.DetailNotFound}, f.rejected)
		times := f.fetched[detailURL(0)]
		require.Len(t, times, 3)
		require.Equal(t, time.Second, times[1].Sub(times[0]).Round(time.Second))
		require.Equal(t, 256*time.Second, times[2].Sub(times[1]).Round(time.Second))
	})
}

// Catches an outage that uses up more than one delivery in 12 h, and messages that go to the
// dead letters although the rejected would take them.
func TestAQueueOfThreeDeliveriesOutlastsHalfADayOfOutageAtLeast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail     func(*fake)
		messages int
		outlasts time.Duration // the deliveries by which an outage of the API is found out count, too
		rejected int           // in the end
	}{
		"of the API":                         {func(f *fake) { f.fetch = unavailable }, 5, 23 * time.Hour, 5},
		"of the API while few messages come": {func(f *fake) { f.fetch = unavailable }, 4, 11 * time.Hour, 4},
		"of the token endpoint": {func(f *fake) {
			f.fetch = func(string) error { return &DetailError{Fault: TokenUnavailable, Err: errors.New("500")} }
		}, 5, 35 * time.Hour, 5},
		"of the log, which cannot take what is rejected either": {
			func(f *fake) { f.append = func() error { return ErrUnavailable } }, 5, 35 * time.Hour, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.limits.MaxReceiveCount = 3
			c.fail(f)
			f.send(c.messages)
			f.run(t, DefaultConfig(), func(t *testing.T, _ *Service) {
				pass(c.outlasts)
				most, _ := f.receives()
				require.LessOrEqual(t, most, 3)
				inQueue, _, _ := f.left()
				require.Equal(t, c.messages, inQueue)
				pass(50*time.Hour - c.outlasts)
				inQueue, _, rejected := f.left()
				require.Equal(t, c.rejected, rejected)
				require.Equal(t, c.messages-c.rejected, inQueue)
				if c.rejected == 0 {
					most, _ := f.receives()
					require.Greater(t, most, 3, "a real queue has dead-lettered it instead")
				}
			})
		})
	}
}
