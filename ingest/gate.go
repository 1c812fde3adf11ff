package ingest

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	batch = 10 // messages that a queue gives or takes in one call

	// maxKept bounds the messages in hand while the breaker is open, and is the window
	// to start with. No other receiver sees them, and it may well be able to reach what
	// this one cannot.
	maxKept = 10
)

// job is one message in hand.
type job struct {
	Message
	notification Notification // what it says
	malformed    error        // why it says nothing; nil if it does
	expires      time.Time    // when it is redelivered, whatever is done

	probe    bool          // it has leave to be tried although the breaker is open; under gate.mu
	admitted chan struct{} // closed to let it go on; under gate.mu
	failures int           // attempts in hand that a dependency failed; its own goroutine's
	failure  error         // of the last attempt, nil if there was none; likewise

	changing sync.Mutex // held while its visibility is changed, for good once it is settled
	extended time.Time  // when its visibility last began; under changing
}

// gate bounds the messages in hand and keeps them waiting while the breaker is open.
// The bound is a window that starts at maxKept, grows by one with every event
// stored, up to most, and falls back when the breaker opens: a service that meets an
// outage at its start, or again just after one, wears out the delivery counts of a
// few messages only.
type gate struct {
	most int

	mu      sync.Mutex
	breaker breaker
	window  int
	inHand  int           // messages in hand, and room reserved for those that come
	kept    []*job        // those that wait for the breaker, longest first
	changed chan struct{} // closed at the next change; nil while nobody waits for one
}

func newGate(most int, b breaker) *gate {
	return &gate{most: most, breaker: b, window: min(maxKept, most)}
}

// wait gives the channel that the next change closes. The caller holds mu.
func (g *gate) wait() <-chan struct{} {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed
}

// notify wakes all who wait for a change. The caller holds mu.
func (g *gate) notify() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// reserve waits for room for new messages and takes up to a batch of it. A wide
// window waits for room enough that receives do not degrade to single messages.
func (g *gate) reserve(ctx context.Context) (int, error) {
	for ctx.Err() == nil {
		g.mu.Lock()
		room, worthwhile := g.window-g.inHand, max(1, min(batch, g.window/8))
		if !g.breaker.open && room >= worthwhile {
			n := min(room, batch)
			g.inHand += n
			g.mu.Unlock()
			return n, nil
		}
		changed := g.wait()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return 0, ctx.Err()
}

// release gives room back.
func (g *gate) release(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inHand -= n
	g.notify()
}

// enter returns true when j may be tried: at once while the breaker is closed, else
// when it closes or when j is chosen as a probe. It returns false when j is to be
// given back: too many wait already, ctx ended, or it would be redelivered.
func (g *gate) enter(ctx context.Context, j *job) bool {
	g.mu.Lock()
	free := !g.breaker.open || j.probe
	if free || len(g.kept) >= maxKept || ctx.Err() != nil {
		g.mu.Unlock()
		return free && ctx.Err() == nil
	}
	j.admitted = make(chan struct{})
	g.kept = append(g.kept, j)
	g.notify()
	g.mu.Unlock()

	expired := time.NewTimer(time.Until(j.expires))
	defer expired.Stop()
	select {
	case <-j.admitted:
		return true
	case <-ctx.Done():
	case <-expired.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.kept, j)
	if i < 0 {
		return true // let go at the same moment
	}
	g.kept = slices.Delete(g.kept, i, i+1)
	return false
}

// holds reports whether j has to wait before it goes to a dependency.
func (g *gate) holds(j *job) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.open && !j.probe
}

// fail records a failure of d; see [breaker.fail]. It reports whether this opened the
// breaker.
func (g *gate) fail(d dependency, detail string) (opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	opened = g.breaker.fail(time.Now(), d, detail)
	g.narrow(opened)
	return opened
}

// lastDeliveryFailed records a failure of the API at a message's last delivery; see
// [breaker.lastDeliveryFailed]. It reports whether this opened the breaker.
func (g *gate) lastDeliveryFailed(first time.Time) (opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	opened = g.breaker.lastDeliveryFailed(time.Now(), first)
	g.narrow(opened)
	return opened
}

// narrow lets the window fall back if the breaker opened. The caller holds mu.
func (g *gate) narrow(opened bool) {
	if opened {
		g.window = min(maxKept, g.most)
		g.notify()
	}
}

// open reports whether the breaker is open.
func (g *gate) open() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.open
}

// answer records that dependencies answered, and lets everyone go on if that closes
// the breaker, which it reports.
func (g *gate) answer(answered ...dependency) (closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range answered {
		closed = g.breaker.answer(time.Now(), d) || closed
	}
	if closed {
		for len(g.kept) > 0 {
			g.letGo(0)
		}
		g.notify()
	}
	return closed
}

// grow widens the window: an event was stored.
func (g *gate) grow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.breaker.open {
		g.window = min(g.window+1, g.most)
	}
}

// letGo lets the ith of the kept go on. The caller holds mu.
func (g *gate) letGo(i int) *job {
	j := g.kept[i]
	g.kept = slices.Delete(g.kept, i, i+1)
	close(j.admitted)
	return j
}

// probe waits until a probe is due, and lets a message go that was not tried yet.
// With none in hand it returns true: the caller is to receive one, for which room is
// reserved, and to try it as a probe. Only with too many in hand for that is one
// chosen that was tried.
func (g *gate) probe(ctx context.Context) (receive bool, err error) {
	for ctx.Err() == nil {
		g.mu.Lock()
		i := slices.IndexFunc(g.kept, func(j *job) bool { return j.failures == 0 })
		room := g.inHand < maxKept
		if i < 0 && !room && len(g.kept) > 0 {
			i = 0
		}
		if (i >= 0 || room) && g.breaker.probe(time.Now()) {
			if i >= 0 {
				g.letGo(i).probe = true
			} else {
				g.inHand++
			}
			g.mu.Unlock()
			return i < 0, nil
		}
		changed, due := g.wait(), (<-chan time.Time)(nil)
		if g.breaker.open && !g.breaker.probing && (i >= 0 || room) {
			due = time.After(time.Until(g.breaker.next))
		}
		g.mu.Unlock()
		select {
		case <-changed:
		case <-due:
		case <-ctx.Done():
		}
	}
	return false, ctx.Err()
}

// probeKept lets the message go that waited longest, if the breaker is still open:
// there is none left that was not tried.
func (g *gate) probeKept() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.breaker.open && len(g.kept) > 0 {
		g.letGo(0).probe = true
	}
}

// probed records that a probe ended; j is nil where no message could be had for it.
func (g *gate) probed(j *job, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if j != nil {
		if !j.probe {
			return
		}
		j.probe = false
	}
	g.breaker.probed(time.Now(), failed)
	g.notify()
}

// state tells what keeps the breaker open, nothing while it is closed, and how many
// messages are in hand.
func (g *gate) state() (why []string, inHand int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.breaker.open {
		why = g.breaker.why()
	}
	return why, g.inHand
}
