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

// inFlight is how many events are being appended at any moment.
const inFlight = 64

// load appends events from many callers, each again until it is acknowledged as a message
// that is delivered again is, and remembers what was.
type load struct {
	append func(context.Context, *store.Event) (sequence uint64, err error)
	// probing has, as while ingest's circuit breaker is open, one caller try again at a time
	// after a failure, and the others wait for it. Without it all go on at once.
	probing bool

	end   context.CancelFunc
	group sync.WaitGroup

	probe sync.Mutex // of whoever tries again while the breaker is open
	next  int

	mu           sync.Mutex
	acknowledged map[string]uint64
	retried      int   // appended again, as nobody knows what came of it
	failed       error // the last
	due          []due
}

// due is a channel that is closed when so many are acknowledged.
type due struct {
	count int
	done  chan struct{}
}

// appendTo is what a load does by itself.
func appendTo(log *jetstream.Log) func(context.Context, *store.Event) (uint64, error) {
	return func(ctx context.Context, e *store.Event) (uint64, error) {
		ack, err := log.Append(ctx, e)
		return ack.Sequence, err
	}
}

// start begins to append, until stop or the test's end.
func (l *load) start(tb testing.TB) {
	tb.Helper()
	if l.acknowledged == nil {
		l.acknowledged = map[string]uint64{}
	}
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	for range inFlight {
		l.group.Go(func() { l.run(ctx) })
	}
	tb.Cleanup(l.stop)
}

// stop ends the appending, and returns when nothing is in flight.
func (l *load) stop() {
	l.end()
	l.group.Wait()
}

func (l *load) run(ctx context.Context) {
	for ctx.Err() == nil {
		e := l.take()
		if !l.once(ctx, e) {
			l.retry(ctx, e)
		}
	}
}

// take gives the next event, once nobody probes.
func (l *load) take() *store.Event {
	l.probe.Lock()
	defer l.probe.Unlock()
	e := event(l.next)
	l.next++
	return e
}

// retry appends an event until it is acknowledged.
func (l *load) retry(ctx context.Context, e *store.Event) {
	if l.probing {
		l.probe.Lock()
		defer l.probe.Unlock()
	}
	l.mu.Lock()
	l.retried++
	l.mu.Unlock()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil && !l.once(ctx, e) {
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

func (l *load) once(ctx context.Context, e *store.Event) bool {
	sequence, err := l.append(ctx, e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = err
		return false
	}
	l.acknowledged[e.ID] = sequence
	for len(l.due) > 0 && l.due[0].count <= len(l.acknowledged) {
		close(l.due[0].done)
		l.due = l.due[1:]
	}
	return true
}

// after waits until n more are acknowledged than are now.
func (l *load) after(tb testing.TB, n int) {
	tb.Helper()
	l.mu.Lock()
	one := due{len(l.acknowledged) + n, make(chan struct{})}
	l.due = append(l.due, one)
	l.mu.Unlock()
	select {
	case <-one.done:
	case <-time.After(10 * patience): // elections take long where there is little of a processor for each
		l.mu.Lock()
		defer l.mu.Unlock()
		require.Fail(tb, "nothing is acknowledged any more", "%d are, the last error is: %v", len(l.acknowledged), l.failed)
	}
}

// requireKept holds that everything that was acknowledged is in the stream, under the
// sequence that was said, and nothing twice. The load is stopped.
func (l *load) requireKept(tb testing.TB, log *jetstream.Log) {
	tb.Helper()
	var stored []store.Stored
	require.Eventually(tb, func() bool { // servers may still elect a leader
		stored = nil
		for e, err := range log.Read(context.Background(), 0, 0) {
			if err != nil {
				return false
			}
			stored = append(stored, e)
		}
		return true
	}, 10*patience, 10*time.Millisecond, "the stream cannot be read")
	seen := map[string]uint64{}
	for _, e := range stored {
		require.NoError(tb, e.Err)
		require.Zero(tb, seen[e.ID], "%s is stored twice", e.ID)
		seen[e.ID] = e.Sequence
	}
	gone, moved := 0, 0
	for id, sequence := range l.acknowledged {
		switch at, is := seen[id]; {
		case !is:
			gone++
		case at != sequence:
			moved++
		}
	}
	require.Zero(tb, gone, "acknowledged but gone, of %d", len(l.acknowledged))
	require.Zero(tb, moved, "acknowledged under another sequence, of %d", len(l.acknowledged))
}
