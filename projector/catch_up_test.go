package projector_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/store"
)

// refilled is a stream whose consumer is new: it delivers everything, after something has happened.
type refilled struct {
	*quiet
	first func()
}

func (r refilled) Follow(ctx context.Context) (projector.Follower, error) {
	r.first()
	return r.quiet.Follow(ctx)
}

// counted is an inbox that counts how many messages were put there one by one.
type counted struct {
	projector.Inbox
	n atomic.Int64
}

func (c *counted) Put(ctx context.Context, messages []store.Stored) error {
	c.n.Add(int64(len(messages)))
	return c.Inbox.Put(ctx, messages)
}

// catchesUp runs a projector on the stream from its start until some contacts stand and all was
// acknowledged that a new consumer delivers, after something has happened to what the projector has
// filled. It gives how many messages were put into the inbox then.
func (r *rig) catchesUp(t *testing.T, contacts int, first func(), delivered ...store.Stored) int64 {
	t.Helper()
	q := &quiet{stream: r.stream, replay: delivered, acked: make(chan struct{}, 100)}
	ports := r.db.Ports()
	inbox := &counted{Inbox: ports.Inbox}
	ports.Inbox = inbox
	p, err := projector.New(refilled{q, first}, ports, projector.Config{Sweep: 5 * time.Millisecond, Search: time.Hour, Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	<-q.acked
	require.Eventually(t, func() bool {
		return r.contacts(t) == contacts && len(r.due(t)) == 0 && len(r.ids(t, "select sequence from projection.damage")) == 0
	}, 20*time.Second, time.Millisecond)
	return inbox.n.Load()
}

// arrivals puts so many people's arrivals into the stream.
func (r *rig) arrivals(n byte) []store.Stored {
	var events []store.Event
	for i := range n {
		events = append(events, moved(i+1, []store.CRN{someone, another}[i%2], 0))
	}
	return r.stream.add(events...)
}

// Broken variant: whatever a new consumer delivers is put into the inbox once more.
func TestWhatHasFilledTheInboxPasses(t *testing.T) {
	t.Parallel()
	r := populated(t)
	all := r.arrivals(8)
	require.Zero(t, r.catchesUp(t, 8, func() {}, all...))
	r.requireAudited(t)
}

// Broken variant: what was filled once passes, although the database was restored to an older day
// since.
func TestWhatARestoredDatabaseLacksIsPutThereAgain(t *testing.T) {
	t.Parallel()
	r := populated(t)
	all := r.arrivals(8)
	lost := r.catchesUp(t, 8, func() {
		r.exec(t, "delete from projection.event where sequence > 3")
		r.exec(t, "delete from projection.due where referral not in (select referral from projection.event)")
	}, all...)
	require.EqualValues(t, 5, lost)
	require.Equal(t, []int64{8}, r.ids(t, "select count(*) from projection.event"))
}

// Broken variant: sequences alone are compared, so that the events of another stream pass for those
// that the inbox has. That the stream is another is found by the next search.
func TestEventsOfAnotherStreamDoNotPassForThoseOfTheFirst(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.arrivals(8)
	others := &stream{}
	others.add(moved(101, someone, 0), moved(102, another, 0), moved(103, someone, 0), moved(104, another, 0), moved(105, someone, 0))
	require.EqualValues(t, 5, r.catchesUp(t, 8, func() {}, others.messages...))
}

// Broken variant: it is put into the inbox once more.
func TestWhatAnotherProcessHasFilledIsReconciledByWhoeverComes(t *testing.T) {
	t.Parallel()
	r := populated(t)
	all := r.arrivals(8)
	another := r.db.Inbox
	require.NoError(t, another.Load(ctx, all[:6]))
	require.Zero(t, r.catchesUp(t, 8, func() {}, all...))
	r.requireAudited(t)
	require.Equal(t, []int64{8}, r.ids(t, "select count(*) from projection.applied"))
}

// Catches a message that is known to be damaged and passes, although it is whole by now.
func TestAMessageThatWasDamagedDoesNotPass(t *testing.T) {
	t.Parallel()
	r := populated(t)
	all := r.arrivals(5)
	r.catchesUp(t, 5, func() {
		r.exec(t, "insert into projection.damage (sequence, cause, referral) select sequence, 'message-gone', referral from projection.event where sequence = 2")
	}, all...)
}
