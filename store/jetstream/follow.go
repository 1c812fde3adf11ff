package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"casdelius/store"
)

// Follower receives every event of the log, those of the past first, sharing them with
// all other followers of the same durable name. An event is given to one of them at a
// time, and again, to any, until one acknowledges it. It is safe for concurrent use.
//
// Events are fetched ahead of [Follower.Fetch], at most two batches. All that were
// fetched and not yet acknowledged or released are kept from going to another follower
// for as long as this one lives, those that wait in its queue too.
type Follower struct {
	log     *Log
	durable string

	stop     context.CancelFunc // ends fetching
	stopped  <-chan struct{}
	quit     chan struct{} // closed when all is released: no more signs of life
	close    func() error  // runs once
	fetcher  sync.WaitGroup
	extender sync.WaitGroup

	arrived chan struct{} // holds a token while the queue may have something
	taken   chan struct{} // holds a token when the queue got shorter

	mu             sync.Mutex
	unacknowledged map[uint64]js.Msg // fetched, neither acknowledged nor released, by sequence
	queue          []store.Stored    // of these, what nobody has taken yet, oldest first
}

// Follow starts to receive for the durable name. The consumer on the servers is made if it is
// missing, and left as it is if it is there: one with settings by which events would not come
// is a [SettingsError], other differences are warned of; [Log.UpdateConsumer] changes them. If
// it is deleted while it is followed, it is made again and begins again with the first event.
// ctx bounds the start only; [Follower.Close] ends the follower.
func (l *Log) Follow(ctx context.Context, durable string) (*Follower, error) {
	consumer, err := l.ensureConsumer(ctx, durable)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	f := &Follower{
		log:            l,
		durable:        durable,
		stop:           stop,
		stopped:        running.Done(),
		quit:           make(chan struct{}),
		arrived:        make(chan struct{}, 1),
		taken:          make(chan struct{}, 1),
		unacknowledged: map[uint64]js.Msg{},
	}
	f.close = sync.OnceValue(f.closeOnce)
	f.fetcher.Go(func() { f.pump(running, consumer) })
	f.extender.Go(func() { f.extendVisibility(consumer.CachedInfo().Config.AckWait) })
	return f, nil
}

// Fetch waits until there is at least one event and returns what is there then, up to
// max, in the order of the log but for what is delivered again. Without events it
// waits until ctx ends, also while NATS is down; after Close it fails with
// [ErrClosed].
func (f *Follower) Fetch(ctx context.Context, max int) ([]store.Stored, error) {
	if max < 1 {
		return nil, fmt.Errorf("fetch at most %d events: want at least 1", max)
	}
	for {
		select {
		case <-f.stopped:
			return nil, ErrClosed
		default:
		}
		if events := f.take(max); len(events) > 0 {
			return events, nil
		}
		select {
		case <-f.arrived:
		case <-f.stopped:
		case <-ctx.Done():
			return nil, fmt.Errorf("fetch events: %w", ctx.Err())
		}
	}
}

// Ack acknowledges events that Fetch returned: they come to no follower again. It is
// to be called once their effect is durable. If it fails they come again, which is all
// the harm there is.
func (f *Follower) Ack(events []store.Stored) error {
	return f.settle(events, "acknowledge", js.Msg.Ack)
}

// Release gives events that Fetch returned back unfinished: they are delivered again
// at once, to any follower.
func (f *Follower) Release(events []store.Stored) error {
	return f.settle(events, "release", js.Msg.Nak)
}

// Close stops fetching, which takes at most [Config.Linger], and releases all that was
// not acknowledged, so that other followers have it at once.
func (f *Follower) Close() error { return f.close() }

func (f *Follower) closeOnce() error {
	f.stop()
	f.fetcher.Wait()
	f.mu.Lock()
	unacknowledged := make([]store.Stored, 0, len(f.unacknowledged))
	for _, sequence := range slices.Sorted(maps.Keys(f.unacknowledged)) {
		unacknowledged = append(unacknowledged, store.Stored{Sequence: sequence})
	}
	f.queue = nil
	f.mu.Unlock()
	err := f.Release(unacknowledged)
	close(f.quit)
	f.extender.Wait()
	return err
}

// settle answers for the events, each with one small message that is not waited for.
func (f *Follower) settle(events []store.Stored, doing string, answer func(js.Msg) error) error {
	var failed error
	for _, msg := range f.drop(events) {
		if err := answer(msg); err != nil && failed == nil {
			failed = err
		}
	}
	return translate(fmt.Sprintf("%s %d events", doing, len(events)), failed)
}

// drop forgets the events and returns their messages. Those that are settled already have
// none.
func (f *Follower) drop(events []store.Stored) []js.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	msgs := make([]js.Msg, 0, len(events))
	for _, e := range events {
		if msg, ok := f.unacknowledged[e.Sequence]; ok {
			msgs = append(msgs, msg)
			delete(f.unacknowledged, e.Sequence)
		}
	}
	return msgs
}

// take removes up to max events from the queue.
func (f *Follower) take(max int) []store.Stored {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(max, len(f.queue))
	events := slices.Clone(f.queue[:n])
	f.queue = slices.Delete(f.queue, 0, n)
	if n > 0 {
		signal(f.taken)
	}
	if len(f.queue) > 0 {
		signal(f.arrived) // for another caller of Fetch
	}
	return events
}

// put queues what arrived. What is unacknowledged already was redelivered, because our
// signs of life did not get through: the latest delivery is the one to answer for.
func (f *Follower) put(msg js.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		f.log.logger.Warn("ignored a message that no stream delivered", "subject", msg.Subject(), "error", err)
		return
	}
	m := message{msg.Subject(), msg.Headers(), msg.Data(), meta.Sequence.Stream, meta.Timestamp.UTC(), 0}
	event := m.event()
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, redelivered := f.unacknowledged[m.sequence]; !redelivered {
		f.queue = append(f.queue, event)
	}
	f.unacknowledged[m.sequence] = msg
	signal(f.arrived)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pump keeps the queue filled until ctx ends.
func (f *Follower) pump(ctx context.Context, consumer js.Consumer) {
	const shortest, longest = 50 * time.Millisecond, 5 * time.Second
	pause := shortest
	for f.waitForRoom(ctx) {
		err := f.pull(consumer)
		if err == nil {
			pause = shortest
			continue
		}
		f.log.logger.WarnContext(ctx, "cannot fetch events, retrying", "consumer", f.durable, "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longest)
		if errors.Is(err, js.ErrConsumerDeleted) || errors.Is(err, nats.ErrNoResponders) {
			consumer = f.renew(ctx, consumer)
		}
	}
}

// renew makes the consumer again if it is gone. That nobody answers for it can also
// mean that its servers are starting, so this does not wait long.
func (f *Follower) renew(ctx context.Context, old js.Consumer) js.Consumer {
	ctx, cancel := context.WithTimeout(ctx, f.log.cfg.Timeout/4)
	defer cancel()
	consumer, err := f.log.ensureConsumer(ctx, f.durable)
	if err != nil {
		f.log.logger.WarnContext(ctx, "cannot read or make the consumer, retrying", "consumer", f.durable, "error", err)
		return old
	}
	return consumer
}

// waitForRoom waits until the next batch would not be the third ahead; false means
// that ctx has ended.
func (f *Follower) waitForRoom(ctx context.Context) bool {
	for ctx.Err() == nil {
		f.mu.Lock()
		room := len(f.queue) <= f.log.cfg.Batch
		f.mu.Unlock()
		if room {
			return true
		}
		select {
		case <-f.taken:
		case <-ctx.Done():
		}
	}
	return false
}

// pull asks for one batch and queues the events as they come. The request is never cut
// short but runs out by itself: the servers would go on to hand out events to a request
// that nobody listens to, and these would be late by the whole AckWait.
func (f *Follower) pull(consumer js.Consumer) error {
	if !f.log.conn.IsConnected() {
		return nats.ErrDisconnected // the library would leave a subscription behind
	}
	batch, err := consumer.Fetch(f.log.cfg.Batch, js.FetchMaxWait(f.log.cfg.Linger))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		f.put(msg)
	}
	return batch.Error()
}

// extendVisibility tells the servers of every event that is not acknowledged that it is
// being worked on, often enough for three such signs to be lost.
func (f *Follower) extendVisibility(ackWait time.Duration) {
	ticker := time.NewTicker(min(f.log.cfg.AckWait, ackWait) / 4)
	defer ticker.Stop()
	for {
		select {
		case <-f.quit:
			return
		case <-ticker.C:
		}
		f.mu.Lock()
		unacknowledged := make([]js.Msg, 0, len(f.unacknowledged))
		for _, msg := range f.unacknowledged {
			unacknowledged = append(unacknowledged, msg)
		}
		f.mu.Unlock()
		for _, msg := range unacknowledged {
			if err := msg.InProgress(); err != nil && !errors.Is(err, js.ErrMsgAlreadyAckd) {
				f.log.logger.Warn("cannot extend the visibility of events: they may be redelivered", "consumer", f.durable, "events", len(unacknowledged), "error", err)
				break
			}
		}
	}
}
