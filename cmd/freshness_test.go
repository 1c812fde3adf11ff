package cmd_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/ingest"
	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/store"
	stream "casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// closely is how a projector is watched that stands still: often, and after a moment.
func closely() *freshness.Config {
	return &freshness.Config{Every: 20 * time.Millisecond, Count: 20 * time.Millisecond, Limit: time.Second, Stall: 300 * time.Millisecond}
}

// someonesArrival is an arrival that nothing parks.
func (s *system) someonesArrival(t *testing.T) {
	t.Helper()
	s.raise(t, s.event(t, store.PersonArrived, newReferral(), "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "")))
}

// gauge is the value of a gauge.
func (i *instance) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := i.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// saysSo waits until a check says something.
func saysSo(t *testing.T, check func(context.Context) error, why string) {
	t.Helper()
	eventually(t, "health says "+why, func() bool {
		err := check(ctx)
		return err != nil && strings.Contains(err.Error(), why)
	})
}

// isWell waits until a check finds nothing.
func isWell(t *testing.T, check func(context.Context) error) {
	t.Helper()
	eventually(t, "it is well", func() bool { return check(ctx) == nil })
}

// administer gives JetStream as an administrator has it.
func (s *system) administer(t *testing.T) jetstream.JetStream {
	t.Helper()
	conn := dial(t, s.nats, natstest.Administrator)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js
}

// Catches a freshness that is read in the inbox alone: while the consumer is paused by hand
// nothing comes there, every gauge is 0, and the service is ready.
func TestAConsumerThatIsPausedIsSeen(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.watching = closely()
	s.admit(t, someone)
	s.ingest(t)
	p := s.project(t, func(c *projector.Config) { c.Search = time.Hour }) // which would fill the gap
	s.someonesArrival(t)
	s.settle(t)
	js := s.administer(t)
	_, err := js.PauseConsumer(ctx, stream.EventsStream, projection.Durable, time.Now().Add(time.Hour))
	require.NoError(t, err)
	s.someonesArrival(t)
	saysSo(t, p.monitor.Intake, "is paused for")
	require.Positive(t, p.gauge(t, "projector_oldest_unapplied_seconds"))
	require.NoError(t, p.monitor.Steps(ctx), "it is not these that stand still")
	require.NoError(t, p.monitor.Readable(ctx))

	_, err = js.ResumeConsumer(ctx, stream.EventsStream, projection.Durable)
	require.NoError(t, err)
	isWell(t, p.monitor.Intake)
	s.settle(t)
	s.requireTwin(t)
	eventually(t, "all is applied", func() bool { return p.gauge(t, "projector_oldest_unapplied_seconds") == 0 })
}

// Catches gauges that are measured where the steps are run, and a readiness that takes a step
// which is retried for ever for a busy one.
func TestATableThatIsLockedIsSeen(t *testing.T) {
	t.Parallel()
	for table, part := range map[string]func(*freshness.Monitor) func(context.Context) error{
		"delius.contact":   func(m *freshness.Monitor) func(context.Context) error { return m.Steps },
		"projection.event": func(m *freshness.Monitor) func(context.Context) error { return m.Readable },
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.watching = closely()
			s.admit(t, someone)
			_, p := s.run(t)
			s.someonesArrival(t)
			s.settle(t)
			administrator, err := s.delius.Pool.Begin(ctx)
			require.NoError(t, err)
			t.Cleanup(func() { _ = administrator.Rollback(ctx) })
			_, err = administrator.Exec(ctx, "lock table "+table)
			require.NoError(t, err)
			s.someonesArrival(t)
			saysSo(t, part(p.monitor), "lock timeout")
			eventually(t, "it is not fresh", func() bool { return p.gauge(t, "projector_oldest_unapplied_seconds") > 0.3 })

			require.NoError(t, administrator.Rollback(ctx))
			for _, check := range projection.Checks(p.monitor) {
				isWell(t, check.Run)
			}
			s.settle(t)
			s.requireTwin(t)
		})
	}
}

// Catches a projector on hold that is not ready, and events that count as fresh there.
func TestOnHoldTheProjectorIsReady(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.watching = closely()
	s.watching.Stall = time.Millisecond
	s.admit(t, someone)
	s.ingest(t)
	p := s.project(t, func(c *projector.Config) { c.Hold = true })
	s.someonesArrival(t)
	eventually(t, "it waits", func() bool { return p.gauge(t, "projector_oldest_unapplied_seconds") > 0.2 && s.inboxComplete(t) })
	require.NoError(t, p.monitor.Steps(ctx))
}

// Catches parked contacts, events that have no effect and people who fail in the age of what is
// not applied: it would grow for ever, and nobody would look at it any more.
func TestWhatNoWaitingHealsIsNotCountedAsUnapplied(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.watching = closely()
	s.admit(t, someone)
	_, p := s.run(t)
	late := arrival("2024-06-10T12:00:00Z", hopeStreet, "")
	late["recordedBy"] = recordedBy(unknown)
	s.raise(t,
		s.event(t, store.PersonArrived, newReferral(), "2024-06-10T12:00:00Z", late),
		s.event(t, "accommodation.cas3.assessment.updated", newReferral(), "2024-06-10T12:00:00Z", nil),
	)
	eventually(t, "one is parked, one is of another type, and all else is applied", func() bool {
		return s.parked(t)["staff-not-found"] == 1 && p.gauge(t, "projector_unknown_type_events") == 1 &&
			p.gauge(t, "projector_oldest_unapplied_seconds") == 0
	})
	require.Positive(t, p.gauge(t, "projector_stream_bytes"))
	s.exec(t, "insert into projection.due (referral) select distinct referral from projection.event")
	require.NoError(t, p.monitor.Steps(ctx))
}

// Catches a full stream that readiness does not see: NATS answers, both streams can be read, and
// nothing is stored.
func TestAFullStreamIsSeenByIngest(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	i := s.ingest(t, func(c *ingest.Config) { c.Stall = 300 * time.Millisecond })
	js := s.administer(t)
	full, err := js.Stream(ctx, stream.EventsStream)
	require.NoError(t, err)
	config := full.CachedInfo().Config
	size := config.MaxBytes
	config.MaxBytes = 10
	_, err = js.UpdateStream(ctx, config)
	require.NoError(t, err)
	s.someonesArrival(t)
	saysSo(t, i.publishing, "the stream is full")
	require.NoError(t, s.log.Ready(ctx), "NATS itself is well")

	config.MaxBytes = size
	_, err = js.UpdateStream(ctx, config)
	require.NoError(t, err)
	isWell(t, i.publishing)
	s.project(t)
	s.settle(t)
	s.requireTwin(t)
	s.requireNothingLost(t)
}
