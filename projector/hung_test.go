package projector_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/store/storetest"
)

// hung are steps that never begin: a lost network path, a process that stands still.
type hung struct{ projector.Steps }

func (hung) Begin(ctx context.Context, _ projector.Selection) (projector.Step, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// head is a stream as a monitor sees it.
type head struct{ *quiet }

func (h head) From(_ context.Context, sequence uint64) (freshness.Message, error) {
	m := h.stream.messages[sequence-1]
	return freshness.Message{Sequence: m.Sequence, Stored: m.Stored}, nil
}

func (head) Delivers(context.Context) error { return nil }

// Catches gauges and a readiness that depend on a step that comes to an end: these never do, and
// meet no error.
func TestAHungReconcilerIsSeen(t *testing.T) {
	t.Parallel()
	h := history(t)
	rig := setup(t, []storetest.History{h})
	for _, e := range h.Events {
		rig.put(t, e.Event)
	}
	ports := rig.db.Ports()
	ports.Steps = hung{ports.Steps}
	log, quietly := head{&quiet{stream: rig.stream}}, slog.New(slog.DiscardHandler)
	p, err := projector.New(log, ports, projector.Config{Sweep: time.Millisecond, Grace: time.Millisecond, Logger: quietly})
	require.NoError(t, err)
	m := freshness.New(log, rig.db.Inbox, p, freshness.Config{
		Every: 10 * time.Millisecond, Stall: 100 * time.Millisecond, Logger: quietly, Registry: prometheus.NewRegistry(),
	})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 2)
	go func() { ended <- p.Run(running) }()
	go func() { ended <- m.Run(running) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool { return m.Steps(ctx) != nil }, time.Minute, 10*time.Millisecond)
	require.ErrorContains(t, m.Steps(ctx), "no step has committed")
	require.NoError(t, m.Intake(ctx))
}
