package sqstest

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// maxVisibility is how long a message can be hidden, counted from its delivery.
const maxVisibility = 12 * time.Hour

// delivery is what one receive hands out: a copy of what changes of a message, and its
// receipt.
type delivery struct {
	*message // only what does not change once it is sent

	received int
	first    time.Time
	receipt  string
	source   string
}

// send puts a new message into a queue.
func (s *Server) send(q *queue, body string, attributes map[string]attribute) *message {
	m := &message{id: uuid.NewString(), body: body, digest: digest([]byte(body)), attributes: attributes}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	m.number, m.sent = s.number, s.now()
	q.add(m)
	return m
}

// receive takes up to n messages out of a queue and hides them, waiting until there is
// one or the wait is over.
func (s *Server) receive(ctx context.Context, q *queue, n int, visibility, wait time.Duration) []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := s.now().Add(wait)
	for ctx.Err() == nil {
		taken := s.take(q, n, visibility)
		left := deadline.Sub(s.now())
		if len(taken) > 0 || left <= 0 {
			return taken
		}
		s.await(ctx, q, left)
	}
	if q.visible.Len() > 0 { // it may have been this poll that was told of them
		q.wakeOne()
	}
	return nil
}

// await gives up the lock until there may be a message, for at most d.
func (s *Server) await(ctx context.Context, q *queue, d time.Duration) {
	woken := make(chan struct{})
	place := q.waiters.PushBack(woken)
	q.arm(s)
	s.mu.Unlock()
	timer := time.NewTimer(d)
	select {
	case <-woken:
	case <-timer.C:
	case <-ctx.Done():
	}
	timer.Stop()
	s.mu.Lock()
	q.waiters.Remove(place) // does nothing if it was woken
}

// take hands out up to n visible messages, and moves those away that were delivered
// too often.
func (s *Server) take(q *queue, n int, visibility time.Duration) []delivery {
	now := s.now()
	q.release(now)
	var taken []delivery
	for len(taken) < n && q.visible.Len() > 0 {
		m := q.visible.Front().Value.(*message) // show pushes nothing else
		if dead := s.queues[q.settings.deadLetters]; dead != nil && m.received >= q.settings.maxReceives {
			q.remove(m)
			m.source = q.arn
			dead.add(m)
			continue
		}
		m.received++
		m.last = now
		if m.received == 1 {
			m.first = now
		}
		q.hide(m, now.Add(visibility))
		taken = append(taken, delivery{m, m.received, m.first, receipt(q, m), m.source})
	}
	q.arm(s)
	return taken
}

// receipt names the latest delivery of a message.
func receipt(q *queue, m *message) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s", m.number, m.received, q.name))
}

// find is the message that a receipt names. It is nil if it is gone; current tells
// whether the receipt is that of its latest delivery.
func (q *queue) find(receipt string) (m *message, current bool, err error) {
	var (
		number   uint64
		received int
		name     string
	)
	raw, err := base64.StdEncoding.DecodeString(receipt)
	if err == nil {
		_, err = fmt.Sscanf(string(raw), "%d %d %s", &number, &received, &name)
	}
	if err != nil || name != q.name {
		return nil, false, failure("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	}
	m = q.messages[number]
	return m, m != nil && m.received == received, nil
}

// discard deletes the message that a receipt names, if no later delivery has one.
func (s *Server) discard(q *queue, receipt string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, current, err := q.find(receipt)
	if current {
		q.remove(m)
	}
	return err
}

// change hides the message that a receipt names for d from now on.
func (s *Server) change(q *queue, receipt string, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	q.release(now)
	m, current, err := q.find(receipt)
	switch {
	case err != nil:
		return err
	case !current:
		return failure("InvalidParameterValue", "Value %s for parameter ReceiptHandle is invalid. "+
			"Reason: Message does not exist or is not available for visibility timeout change.", receipt)
	case m.index < 0:
		return failure("MessageNotInflight", "The specified message isn't in flight.")
	case d < 0 || d > maxVisibility || now.Add(d).After(m.last.Add(maxVisibility)):
		return failure("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. "+
			"Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].", d/time.Second)
	}
	if d == 0 {
		q.unlink(m)
		q.show(m)
	} else {
		q.hide(m, now.Add(d))
	}
	q.arm(s)
	return nil
}
