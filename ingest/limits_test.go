package ingest

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestEveryWeakSettingOfAQueueIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	good := newFake().limits
	require.Empty(t, good.weaknesses())
	require.NoError(t, good.losing())
	unknown := good
	unknown.DeadLetterRetention = 0
	require.Empty(t, unknown.weaknesses(), "what may not be read is not judged")

	for _, c := range []struct {
		weaken func(*Limits)
		want   []string
	}{
		{func(l *Limits) { l.Retention = 4 * 24 * time.Hour }, []string{"for 96h0m0s: set MessageRetentionPeriod to 14 days"}},
		{func(l *Limits) { l.VisibilityTimeout = time.Second }, []string{"visibility timeout is 1s"}},
		{func(l *Limits) { l.MaxReceiveCount = 3 }, []string{"after 3 deliveries: set maxReceiveCount"}},
		{func(l *Limits) { l.DeadLetterRetention = time.Hour }, []string{"dead-letter queue dlq keeps a message for 1h0m0s"}},
		{
			func(l *Limits) { *l = Limits{Retention: time.Minute, VisibilityTimeout: time.Second} },
			[]string{"for 1m0s", "visibility timeout is 1s", "no dead-letter queue"},
		},
	} {
		limits := good
		c.weaken(&limits)
		found := limits.weaknesses()
		require.Len(t, found, len(c.want))
		for i, want := range c.want {
			require.Contains(t, found[i], want)
		}
	}
}

func TestAQueueThatLosesEventsIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.limits.Retention = time.Hour - time.Second
		f.send(1)
		err := logged(t, f, &bytes.Buffer{}).Run(t.Context())
		require.ErrorContains(t, err, "59m59s")
		require.ErrorContains(t, err, "MessageRetentionPeriod")
		inQueue, stored, _ := f.left()
		require.Equal(t, 1, inQueue)
		require.Zero(t, stored)
	})
}

func TestWeakSettingsAreToldOnceAndAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.changed = make(chan struct{})
		f.limits.MaxReceiveCount, f.limits.Retention = 3, 24*time.Hour
		var log bytes.Buffer
		s := logged(t, f, &log)
		const told = "the queue's settings are weaker"
		runWhile(t, s, func() { // and it goes on with what is changed meanwhile
			pass(time.Hour)
			require.Equal(t, 1, bytes.Count(log.Bytes(), []byte(told)))
			require.Contains(t, log.String(), "24h0m0s")
			require.Contains(t, log.String(), "after 3 deliveries")
			f.set(func(f *fake) { f.limits.Retention = time.Minute })
			pass(limitsAge)
			require.Equal(t, 2, bytes.Count(log.Bytes(), []byte(told)))
			require.Contains(t, log.String(), "the next start is refused")
		})
	})
}

// logged makes a service for f that writes its log.
func logged(t *testing.T, f *fake, log *bytes.Buffer) *Service {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(log, nil))
	s, err := New(DefaultConfig(), f, NewIntake(f, f, logger, NewMetrics(prometheus.NewRegistry())), logger)
	require.NoError(t, err)
	return s
}
