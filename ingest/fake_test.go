package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// fake is everything that the service talks to, in memory, so that days of outage
// pass in a moment of a synctest bubble. It is Queue, Details and Log at once.
type fake struct {
	limits Limits
	fetch  func(url string) error  // nil: the detail is served
	page   func(url string) []byte // nil: it is served as it is; else what comes instead, unless nil
	append func() error            // nil: the event is stored
	hide   func() error            // nil: the message is hidden
	limit  func() error            // nil: the limits are told
	refuse func() error            // nil: what is sent is taken
	queue  func() error            // nil: the queue answers
	slow   time.Duration           // that a detail takes
	mixed  bool                    // it hands out its messages in any order, as SQS may; else the oldest first

	mu       sync.Mutex
	messages map[string]*queued
	changed  chan struct{}
	fetched  map[string][]time.Time
	stored   map[string]bool         // by URL
	rejected map[string]store.Reason // by message id
	answers  map[string][]byte       // of the rejected; by message id
	canaries []store.Canary
	sent     int
	raised   int               // messages that send has made
	sends    []*queued         // what is in the queue, as it came
	times    map[int]time.Time // when messages were stored, by number
	worn     int               // highest receive count of a message
	deletes  []int             // sizes of the batches
	hiding   int               // most messages hidden at once
}

type queued struct {
	Message
	visible time.Time
}

func newFake() *fake {
	return &fake{
		limits: Limits{
			MaxReceiveCount: 10, DeadLetterQueue: "dlq", DeadLetterRetention: goodRetention,
			VisibilityTimeout: 2 * time.Minute, Retention: goodRetention,
		},
		messages: map[string]*queued{},
		changed:  make(chan struct{}),
		fetched:  map[string][]time.Time{},
		stored:   map[string]bool{},
		rejected: map[string]store.Reason{},
		answers:  map[string][]byte{},
		times:    map[int]time.Time{},
	}
}

// run runs a service for f in a bubble while in runs, then stops it.
func (f *fake) run(t *testing.T, cfg Config, in func(t *testing.T, s *Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f.changed = make(chan struct{})
		quiet := slog.New(slog.DiscardHandler)
		s, err := New(cfg, f, NewIntake(f, f, quiet, NewMetrics(prometheus.NewRegistry())), quiet)
		require.NoError(t, err)
		runWhile(t, s, func() { in(t, s) })
	})
}

// runWhile runs a service while in runs, then stops it: also where an assertion of in
// fails, for a bubble whose test ends before its goroutines panics, with all of their
// stacks and long after what failed.
func runWhile(t *testing.T, s *Service, in func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	in()
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

const detailURLs = "https://cas.example/%d"

func detailURL(i int) string { return fmt.Sprintf(detailURLs, i) }

// send puts n messages into the queue, with the URLs from the next number on.
func (f *fake) send(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		i := f.raised
		f.raised++
		id := fmt.Sprint("message ", i)
		m := &queued{Message: Message{ID: id, Body: fmt.Sprintf(
			`{"eventType":"accommodation.cas3.person.arrived","version":1,"detailUrl":%q,"personReference":{"identifiers":[{"type":"CRN","value":"X123456"}]}}`,
			detailURL(i))}}
		f.messages[id], f.sends = m, append(f.sends, m)
	}
	f.wake()
}

// wake ends the waiting of receivers. The caller holds mu.
func (f *fake) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) Receive(ctx context.Context, limit int, visibility time.Duration) ([]Message, error) {
	end := time.After(20 * time.Second)
	for {
		if err := f.reach(); err != nil {
			return nil, err
		}
		taken, next, changed := f.take(limit, visibility)
		if len(taken) > 0 {
			return taken, nil
		}
		select {
		case <-changed:
		case <-time.After(time.Until(next)):
		case <-end:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take delivers what is visible, or says when something will be.
func (f *fake) take(limit int, visibility time.Duration) (taken []Message, next time.Time, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	next = now.Add(time.Hour)
	hidden := 0
	for m := range f.inOrder() {
		switch {
		case m.visible.After(now):
			hidden++
			if m.visible.Before(next) {
				next = m.visible
			}
		case len(taken) < limit:
			hidden++
			m.ReceiveCount++
			f.worn = max(f.worn, m.ReceiveCount)
			if m.ReceiveCount == 1 {
				m.FirstReceived = now
			}
			m.Received, m.visible = now, now.Add(visibility)
			taken = append(taken, m.Message)
		}
	}
	f.hiding = max(f.hiding, hidden)
	return taken, next, f.changed
}

// inOrder are the messages as they are handed out. The caller holds mu.
func (f *fake) inOrder() iter.Seq[*queued] {
	if f.mixed {
		return maps.Values(f.messages)
	}
	f.sends = slices.DeleteFunc(f.sends, func(m *queued) bool { return f.messages[m.ID] != m })
	return slices.Values(f.sends)
}

// reach is the error of a queue that does not answer.
func (f *fake) reach() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queue == nil {
		return nil
	}
	return f.queue()
}

func (f *fake) Delete(_ context.Context, messages []Message) error {
	if err := f.reach(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deletes = append(f.deletes, len(messages))
	for _, m := range messages {
		delete(f.messages, m.ID)
	}
	return nil
}

func (f *fake) SetVisibility(_ context.Context, messages []Message, d time.Duration) error {
	if err := f.reach(); err != nil {
		return err
	}
	if f.hide != nil {
		if err := f.hide(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := map[string]error{}
	for _, m := range messages {
		q := f.messages[m.ID]
		if q == nil || time.Now().Add(d).After(q.Received.Add(12*time.Hour)) || q.visible.Before(time.Now()) {
			failed[m.ID] = errors.New("its visibility cannot be changed any more")
			continue
		}
		q.visible = time.Now().Add(d)
	}
	f.wake()
	if len(failed) > 0 {
		return &PartialError{Failed: failed}
	}
	return nil
}

func (f *fake) Limits(context.Context) (Limits, error) {
	if err := f.reach(); err != nil {
		return Limits{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit != nil {
		if err := f.limit(); err != nil {
			return Limits{}, err
		}
	}
	return f.limits, nil
}

func (f *fake) Fetch(_ context.Context, url string) ([]byte, error) {
	if f.slow > 0 {
		<-time.After(f.slow)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched[url] = append(f.fetched[url], time.Now())
	if f.fetch != nil {
		if err := f.fetch(url); err != nil {
			return nil, err
		}
	}
	if f.page != nil {
		if page := f.page(url); page != nil {
			return page, nil
		}
	}
	return fmt.Appendf(nil, `{"id":%q,"timestamp":"2024-05-01T10:00:00Z","eventDetails":{"bookingId":%q}}`, url, uuid.NewString()), nil
}

func (f *fake) Append(_ context.Context, e *store.Event) (store.Ack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.append != nil {
		if err := f.append(); err != nil {
			return store.Ack{}, err
		}
	}
	if number := 0; !f.stored[e.Source] {
		if _, err := fmt.Sscanf(e.Source, detailURLs, &number); err == nil {
			f.times[number] = time.Now()
		}
	}
	f.stored[e.Source] = true
	return store.Ack{Sequence: uint64(len(f.stored))}, nil
}

func (f *fake) AppendPerson(_ context.Context, e *store.PersonEvent) (store.Ack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.append != nil {
		if err := f.append(); err != nil {
			return store.Ack{}, err
		}
	}
	f.stored[e.ID] = true
	return store.Ack{Sequence: uint64(len(f.stored))}, nil
}

func (f *fake) AppendCanary(_ context.Context, c *store.Canary) (store.Ack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.append != nil {
		if err := f.append(); err != nil {
			return store.Ack{}, err
		}
	}
	f.canaries = append(f.canaries, *c)
	return store.Ack{Sequence: uint64(len(f.canaries))}, nil
}

func (f *fake) Send(_ context.Context, body string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(); err != nil {
			return err
		}
	}
	f.sent++
	id := fmt.Sprint("sent ", f.sent)
	m := &queued{Message: Message{ID: id, Body: body}}
	f.messages[id], f.sends = m, append(f.sends, m)
	f.wake()
	return nil
}

func (f *fake) Reject(_ context.Context, r store.Rejection) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.append != nil {
		if err := f.append(); err != nil {
			return err
		}
	}
	f.rejected[r.MessageID], f.answers[r.MessageID] = r.Reason, r.Answer
	return nil
}

// set changes how f answers, between calls.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// receives is the highest receive count in the queue, and how many messages were
// received at all.
func (f *fake) receives() (most, messages int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.messages {
		most = max(most, m.ReceiveCount)
		if m.ReceiveCount > 0 {
			messages++
		}
	}
	return most, messages
}

func (f *fake) left() (inQueue, stored, rejected int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.messages), len(f.stored), len(f.rejected)
}
