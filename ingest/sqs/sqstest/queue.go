package sqstest

import (
	"container/heap"
	"container/list"
	"time"
)

// queue is one queue. The server's lock guards it.
type queue struct {
	name, url, arn string
	settings       settings
	created        time.Time

	messages map[uint64]*message // all of them, by number
	visible  list.List           // of *message, the next to deliver first
	hidden   hiding              // those in flight

	waiters list.List   // of chan struct{}: long polls that found nothing
	timer   *time.Timer // tells the waiters of the next message that becomes visible
}

// message is one message: visible or hidden, or in neither once it is gone.
type message struct {
	number     uint64 // unique in the server, in the order of sending
	id         string
	body       string
	digest     string // MD5 of the body
	attributes map[string]attribute
	sent       time.Time
	source     string // ARN of the queue that dead-lettered it, "" if none did

	received    int       // deliveries
	first, last time.Time // the first and the latest of them
	until       time.Time // when a hidden one becomes visible

	place *list.Element // in queue.visible; nil if it is not there
	index int           // in queue.hidden; -1 if it is not there
}

// hiding is a heap of hidden messages, the next to become visible first.
type hiding []*message

func (h hiding) Len() int           { return len(h) }
func (h hiding) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h hiding) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for the package heap only.
func (h *hiding) Push(x any) {
	m := x.(*message) // hide pushes nothing else
	m.index = len(*h)
	*h = append(*h, m)
}

// Pop is for the package heap only.
func (h *hiding) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	m.index = -1
	return m
}

// show puts a message that is in neither place among the visible ones.
func (q *queue) show(m *message) {
	m.place = q.visible.PushBack(m)
	q.wakeOne()
}

// hide hides a message, visible or hidden, until a time.
func (q *queue) hide(m *message, until time.Time) {
	q.unlink(m)
	m.until = until
	heap.Push(&q.hidden, m)
}

// unlink takes a message out of the place it is in.
func (q *queue) unlink(m *message) {
	if m.place != nil {
		q.visible.Remove(m.place)
		m.place = nil
	}
	if m.index >= 0 {
		heap.Remove(&q.hidden, m.index)
	}
}

// add puts a message into the queue, visible.
func (q *queue) add(m *message) {
	m.place, m.index = nil, -1
	q.messages[m.number] = m
	q.show(m)
}

// remove takes a message out of the queue.
func (q *queue) remove(m *message) {
	q.unlink(m)
	delete(q.messages, m.number)
}

// clear removes every message.
func (q *queue) clear() {
	clear(q.messages)
	q.visible.Init()
	q.hidden = nil
}

// release shows the messages whose time is over.
func (q *queue) release(now time.Time) {
	for len(q.hidden) > 0 && !q.hidden[0].until.After(now) {
		m := q.hidden[0]
		q.unlink(m)
		q.show(m)
	}
}

// wakeOne tells the longest waiting poll that there may be a message.
func (q *queue) wakeOne() {
	if first := q.waiters.Front(); first != nil {
		close(q.waiters.Remove(first).(chan struct{})) // await pushes nothing else
	}
}

func (q *queue) wakeAll() {
	for q.waiters.Len() > 0 {
		q.wakeOne()
	}
}

// arm sets the timer for the next hidden message, if anybody waits for one.
func (q *queue) arm(s *Server) {
	q.disarm()
	if q.waiters.Len() == 0 || len(q.hidden) == 0 {
		return
	}
	q.timer = time.AfterFunc(q.hidden[0].until.Sub(s.now()), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		q.release(s.now())
		q.arm(s)
	})
}

func (q *queue) disarm() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}
