package projector_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/projector/inspect"
	"casdelius/projector/verify"
)

// schedule is one of this process, whose verifications are counted.
func (r *rig) schedule(who string, registry prometheus.Registerer, runs *atomic.Int32) *verify.Schedule {
	s := &verify.Schedule{
		Runs: r.db.Verified, Interval: time.Hour, Every: time.Millisecond, Who: who, Problem: error.Error, Logger: slog.New(slog.DiscardHandler),
		Verify: func(ctx context.Context, v verify.Verification) (verify.Verdict, error) {
			runs.Add(1)
			v.Grace = time.Nanosecond
			return r.db.Verifier(r.stream, r.Projector, v).Run(ctx)
		},
	}
	s.Register(registry)
	return s
}

// The broken variants: each process asks when it verified last itself, and a run of a process
// that was killed is waited for.
func TestOneOfManyProjectorsVerifiesOnSchedule(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0))
	r.reconcile(t)
	r.exec(t, "update delius.contact set notes = 'damaged'")
	killed, err := r.db.Verified.Begin(ctx, verify.Run{Who: "killed", Scheduled: true, Began: time.Now()}, time.Time{}, time.Time{}, time.Hour)
	require.NoError(t, err)
	number, err := r.db.Verified.Begin(ctx, verify.Run{Who: "other", Scheduled: true, Began: time.Now()}, time.Time{}, time.Time{}, time.Hour)
	require.NoError(t, err)
	require.Zero(t, number, "one is under way")
	r.exec(t, "update projection.verified set lease_end = now() - interval '1 s' where verified = $1", killed)

	var runs atomic.Int32
	running, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	var registries []*prometheus.Registry
	for _, who := range []string{"one", "two", "three"} {
		registry := prometheus.NewRegistry()
		registries = append(registries, registry)
		s := r.schedule(who, registry, &runs)
		ended.Go(func() { _ = s.Run(running) })
	}
	shown := func(registry *prometheus.Registry) bool {
		return value(t, registry, "projector_verify_damaged") == 1 && value(t, registry, "projector_verify_timestamp_seconds") > 0
	}
	require.Eventually(t, func() bool { return shown(registries[0]) && shown(registries[1]) && shown(registries[2]) }, time.Minute, 10*time.Millisecond)
	stop()
	ended.Wait()
	require.Equal(t, int32(1), runs.Load())

	list, err := r.db.Verified.Runs(ctx, 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.True(t, list[1].Lost)
	require.Equal(t, []any{true, 1, 0, 1, ""}, []any{list[0].Scheduled, list[0].Damaged, list[0].Edited, list[0].Contacts, list[0].Error})
	found, err := r.db.Verified.Findings(ctx, list[0].Number, 0, 10)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, []any{"damaged", "notes", string(someone)}, []any{found[0].Severity, found[0].Differences[0].Field, found[0].CRN})
	require.ErrorIs(t, r.db.Verified.Renew(ctx, killed, verify.Reached{}, time.Minute), verify.ErrLost)
}

// value is that of a gauge without labels.
func value(t *testing.T, registry *prometheus.Registry, name string) float64 {
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no gauge is called %s", name)
	return 0
}

func TestFiguresAreKeptForAnHourByWhoeverIsFirst(t *testing.T) {
	t.Parallel()
	r := populated(t)
	is, err := r.db.Figures(ctx)
	require.NoError(t, err)
	require.Nil(t, is)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, after := range []time.Duration{0, time.Second, 10 * time.Second, 61 * time.Minute} {
		require.NoError(t, r.db.KeepFigures(ctx, inspect.Figures{At: at.Add(after), Behind: float64(i), Due: i}))
	}
	samples, err := r.db.Behind(ctx, time.Time{})
	require.NoError(t, err)
	require.Len(t, samples, 1, "the others are another projector's, or older than an hour")
	is, err = r.db.Figures(ctx)
	require.NoError(t, err)
	require.Equal(t, 3, is.Due)
	require.Positive(t, is.Schema)
}
