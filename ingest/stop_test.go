package ingest

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestWhatAReceiveStillBringsAtAStopGoesBackUntried(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.run(t, DefaultConfig(), func(*testing.T, *Service) {
		pass(time.Second)
		time.AfterFunc(receiveTime/2, func() { f.send(3) }) // when the stop has begun
	})
	require.Len(t, f.messages, 3)
	for _, m := range f.messages {
		require.Equal(t, 1, m.ReceiveCount)
		require.WithinDuration(t, m.Received, m.visible, time.Second)
	}
	require.Empty(t, f.fetched)
}

func TestNothingIsReceivedOnceAStopHasBegun(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.send(200)
	f.run(t, DefaultConfig(), func(*testing.T, *Service) {
		pass(time.Minute)
		f.send(5) // for the receives that are under way
	})
	most, _ := f.receives()
	require.LessOrEqual(t, most, 1)
}

func TestAStopEndsInTimeWhateverHangs(t *testing.T) {
	t.Parallel()
	for name, deliveries := range map[string]int{"at the last delivery": 1, "with deliveries to spare": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := hung{newFake()}
				h.limits.MaxReceiveCount = deliveries
				h.send(100)
				quiet := slog.New(slog.DiscardHandler)
				s, err := New(DefaultConfig(), h, NewIntake(h, h, quiet, NewMetrics(prometheus.NewRegistry())), quiet)
				require.NoError(t, err)
				var began time.Time
				runWhile(t, s, func() {
					pass(s.cfg.Visibility/3 + time.Second) // the visibility extender hangs, too
					_, inHand := s.gate.state()
					require.NotZero(t, inHand)
					began = time.Now()
				})
				require.LessOrEqual(t, time.Since(began), s.cfg.Stop)
			})
		})
	}
}

// hung is a fake that delivers messages, and then answers nothing any more.
type hung struct{ *fake }

func (hung) Delete(ctx context.Context, _ []Message) error { return hang(ctx) }

func (hung) SetVisibility(ctx context.Context, _ []Message, _ time.Duration) error { return hang(ctx) }

func (hung) Append(ctx context.Context, _ *store.Event) (store.Ack, error) {
	return store.Ack{}, hang(ctx)
}

func (hung) Reject(ctx context.Context, _ store.Rejection) error { return hang(ctx) }

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
