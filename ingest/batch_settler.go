package ingest

import (
	"context"
	"errors"
	"sync"
	"time"
)

// settlement is what is to happen to a message at the queue: deletion, or a visibility
// after which it is redelivered.
type settlement struct {
	delete     bool
	visibility time.Duration // where it is not deleted
}

// batchSettler gathers settlements of single messages into batch calls. A batch leaves
// when it is full, or when its first message has waited for the linger.
type batchSettler struct {
	queue  Queue
	linger time.Duration

	mu      sync.Mutex
	batches map[settlement]*settling
}

// settling is a batch that is being gathered or sent.
type settling struct {
	messages []Message
	due      *time.Timer
	sent     chan struct{} // closed when err is final
	err      error
}

func newBatchSettler(queue Queue, linger time.Duration) *batchSettler {
	return &batchSettler{queue: queue, linger: linger, batches: map[settlement]*settling{}}
}

// settle returns when the queue has answered for m. A batch that fails in part fails
// only for its own messages. The ctx of the call that fills or starts the batch is
// used for all of it.
func (s *batchSettler) settle(ctx context.Context, m Message, what settlement) error {
	s.mu.Lock()
	b := s.batches[what]
	if b == nil {
		b = &settling{sent: make(chan struct{})}
		s.batches[what] = b
		b.due = time.AfterFunc(s.linger, func() {
			if s.close(what, b) {
				s.send(ctx, what, b)
			}
		})
	}
	b.messages = append(b.messages, m)
	full := len(b.messages) == batch
	if full {
		delete(s.batches, what)
		b.due.Stop()
	}
	s.mu.Unlock()
	if full {
		s.send(ctx, what, b)
	}
	<-b.sent
	var partial *PartialError
	if errors.As(b.err, &partial) {
		return partial.Failed[m.ID]
	}
	return b.err
}

// close takes b off the batches being gathered; false if it left already.
func (s *batchSettler) close(what settlement, b *settling) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batches[what] != b {
		return false
	}
	delete(s.batches, what)
	return true
}

// settleTime bounds one batch call: what the queue has not taken by then is
// redelivered.
const settleTime = 4 * time.Second

func (s *batchSettler) send(ctx context.Context, what settlement, b *settling) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if what.delete {
		b.err = s.queue.Delete(ctx, b.messages)
	} else {
		b.err = s.queue.SetVisibility(ctx, b.messages, what.visibility)
	}
	close(b.sent)
}
