package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector/delius"
	"casdelius/projector/freshness"
)

const (
	// glance is how often everything is looked at.
	glance = 500 * time.Millisecond

	// patience is how long nothing may move once CAS has sent everything.
	patience = 2 * time.Minute
)

// stage is a story with those who play it.
type stage struct {
	system        *system
	story         *story
	post          *post
	practitioners *practitioners
	observer      *observer
	record        *personRecord
	began         time.Time
	hired         bool // the member of staff who was withheld
	waited        int  // contacts that were parked for them by then
}

func newStage(s *system, story *story) *stage {
	p, record := &post{cas: s.cas, publish: s.enqueue, delius: s.delius}, newPersonRecord(s.delius)
	s.sns.Subscribe(s.topic, record.told)
	return &stage{
		system: s, story: story, post: p,
		practitioners: &practitioners{delius: s.delius, post: p},
		observer:      newObserver(story.visits),
		record:        record,
		began:         time.Now(),
		hired:         story.withheld.Staff == "",
	}
}

// snapshot is how far everything has come.
type snapshot struct {
	elapsed                        time.Duration
	planned, sent, visits, visited int
	queue, dead                    sqstest.Depth
	stream                         uint64 // the last sequence
	rejected                       int
	freshness.Backlog
	people, contacts, addresses int
	notices, unsent             int           // of address rows: messages, and what waits to be sent or read
	p50, p99                    time.Duration // from stream to commit
	withheld                    string        // who is, at this moment
}

// snapshot looks at every part in the order in which an event passes them: what has
// left one is then seen in the next.
func (st *stage) snapshot(ctx context.Context) (snapshot, error) {
	s := st.system
	n := snapshot{
		planned: len(st.story.messages) + len(st.story.visits), sent: int(st.post.sent.Load()),
		visits: len(st.story.visits), visited: int(st.practitioners.visited.Load()),
	}
	if !st.hired {
		n.withheld = st.story.withheld.Staff
	}
	var err error
	if n.queue, err = s.sqs.Depth(queueName); err != nil {
		return n, err
	}
	if n.dead, err = s.sqs.Depth(deadName); err != nil {
		return n, err
	}
	info, err := s.log.Info(ctx)
	if err != nil {
		return n, err
	}
	n.stream = info.LastSequence
	for _, err := range s.log.Rejected(ctx) {
		if err != nil {
			return n, err
		}
		n.rejected++
	}
	if n.Backlog, err = s.inbox.Backlog(ctx); err != nil {
		return n, err
	}
	outbox, err := s.inbox.Outbox.Backlog(ctx)
	if err != nil {
		return n, err
	}
	n.notices, n.unsent = st.record.Messages(), outbox.Waiting+st.record.behind()
	n.p50, n.p99 = st.observer.freshness()
	n.elapsed = time.Since(st.began).Round(100 * time.Millisecond)
	err = s.delius.Pool.QueryRow(ctx, `
		select (select count(*) from delius.offender), (select count(*) from delius.contact where soft_deleted = 0),
		       (select count(*) from delius.offender_address where soft_deleted = 0)`).Scan(&n.people, &n.contacts, &n.addresses)
	if err != nil {
		return n, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

// waiting is how much is parked that can heal.
func (n *snapshot) waiting() (count int) {
	for cause, parked := range n.Parked {
		if delius.Cause(cause).Retried() {
			count += parked.Count
		}
	}
	return count
}

// causes lists what is parked, by cause.
func (n *snapshot) causes() string {
	all := make([]string, 0, len(n.Parked))
	for _, cause := range slices.Sorted(maps.Keys(n.Parked)) {
		all = append(all, fmt.Sprintf("%s %d", cause, n.Parked[cause].Count))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// drained says whether all that was to be sent is in the stream.
func (n *snapshot) drained() bool {
	return n.sent == n.planned && n.queue == sqstest.Depth{}
}

// watch shows how things go until the last event is projected and nothing waits any
// more, and sees to the member of staff who is withheld.
func (st *stage) watch(ctx context.Context, view view) (snapshot, error) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	moved, last := time.Now(), ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return snapshot{}, ctx.Err()
		}
		n, err := st.snapshot(ctx)
		if err != nil {
			return n, err
		}
		view.show(n)
		if err := st.hire(ctx, n); err != nil {
			return n, err
		}
		if done, err := st.settled(ctx, n); err != nil || done {
			return n, err
		}
		if state := fmt.Sprint(n.sent, n.queue, n.stream, n.Due, n.causes(), n.visited, n.unsent); state != last || !st.post.delivered.Load() {
			moved, last = time.Now(), state
		} else if time.Since(moved) > patience {
			return n, fmt.Errorf("no progress for %s: %s", patience, line(n))
		}
	}
}

// settled says whether all is projected that there is.
func (st *stage) settled(ctx context.Context, n snapshot) (bool, error) {
	if !n.drained() || !st.hired || n.withheld != "" || n.waiting() > 0 || n.Due > 0 {
		return false, nil
	}
	// The backlog was read after the stream, but an event may not have reached it yet.
	gaps, err := st.system.inbox.Missing(ctx, n.stream)
	if err != nil || len(gaps) > 0 {
		return false, err
	}
	backlog, err := st.system.inbox.Backlog(ctx)
	if err != nil || backlog.Due > 0 {
		return false, err
	}
	outbox, err := st.system.inbox.Outbox.Backlog(ctx)
	return err == nil && outbox.Waiting == 0 && st.record.behind() == 0, err
}

// hire lets the member of staff who was withheld join when two thirds of the events
// are in the stream and some contacts wait for them, or nothing else is left to wait
// for.
func (st *stage) hire(ctx context.Context, n snapshot) error {
	waiting := n.Parked[string(delius.StaffNotFound)].Count
	late := n.stream*3 >= uint64(st.story.events)*2 && waiting > 0 //nolint:gosec // a count
	idle := n.drained() && n.Due == 0
	if st.hired || !late && !idle {
		return nil
	}
	st.hired, st.waited = true, waiting
	return hire(ctx, st.system.delius, st.story.withheld)
}
