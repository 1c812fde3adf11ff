package freshness

import (
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
)

// figures are what the gauges say, as one value.
func (m *Monitor) figures() inspect.Figures {
	m.mu.Lock()
	is, backlog := m.reading, m.backlog
	m.mu.Unlock()
	now := m.config.Now()
	oldest := is.oldest()
	f := inspect.Figures{
		At: now.UTC(), Behind: age(m.behindSince(&is, now), now), Sequence: oldest.Sequence, Since: oldest.Stored.UTC(),
		Last: is.stream.LastSequence, Bytes: is.stream.Bytes, MaxBytes: is.stream.MaxBytes,
		Due: backlog.Due, OldestDue: backlog.OldestDue, Failing: inspect.Counted(backlog.Failing), Parked: map[delius.Cause]inspect.Counted{},
		Conflicts: backlog.Conflicts, Open: backlog.Open, Notices: inspect.Counted(backlog.Notices), Damaged: inspect.Counted(backlog.Damaged),
		Unknown: backlog.Unknown, Hold: m.config.Hold,
	}
	for cause, p := range backlog.Parked {
		f.Parked[delius.Cause(cause)] = inspect.Counted(p)
	}
	if m.config.Canaries != nil {
		f.Canary = m.config.Canaries.latest()
	}
	return f
}

// latest is the latest canary; nil if none has come.
func (c *Canaries) latest() *inspect.Canary {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.legs) == 0 {
		return nil
	}
	seconds := func(leg string) float64 { return max(0, c.legs[leg].Seconds()) }
	return &inspect.Canary{Sent: c.sent.UTC().Truncate(time.Microsecond), Queue: seconds("queue"), Stream: seconds("stream"), Inbox: seconds("inbox")}
}
