package freshness

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"casdelius/projector/delius"
)

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("projector_"+name, help, labels, nil)
}

var (
	oldestUnapplied = gauge("oldest_unapplied_seconds", "Age of the oldest message of the stream that is not yet applied; 0 if all are. Without what is parked, fails again and again, or has no effect. It grows while it cannot be worked out.")
	measured        = gauge("measured_timestamp_seconds", "When something was last worked out, by what: freshness (the age of what is not applied, and the stream), backlog (what is due, parked, kept).", "of")
	streamBytes     = gauge("stream_bytes", "Bytes in the stream.")
	streamLeft      = gauge("stream_left_bytes", "Bytes left in the stream before it is full.")
	due             = gauge("due_referrals", "Referrals that are due.")
	oldestDue       = gauge("oldest_due_seconds", "For how long the referral that waits longest has been due; 0 if none is.")
	conflicts       = gauge("conflicts", "Conflicts that are kept.")
	unknown         = gauge("unknown_type_events", "Events of types that have no effect.")
	parked          = gauge("parked", "What is parked, by cause.", "cause")
	others          = gauge("messages_without_event", "Messages of the stream that have no event of their own in the inbox: superseded by an earlier message with the same identity, person events, canaries, unreadable ones.")
	damaged         = gauge("damaged_messages", "Messages that the stream has lost, or that are corrupt, and whose loss was not accepted.")
	failing         = gauge("failing", "Referrals whose people met an unexpected error, and are tried again.")
	failingAge      = gauge("failing_oldest_seconds", "For how long the one that fails longest has; 0 if none does.")
	parkedAge       = gauge("parked_oldest_seconds", "Age of the oldest that is parked, by cause.", "cause")
)

// Describe implements [prometheus.Collector].
func (m *Monitor) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{oldestUnapplied, measured, streamBytes, streamLeft, due, oldestDue, conflicts, unknown, others, damaged, failing, failingAge, parked, parkedAge} {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. Ages are those at this moment, from the times that
// were last read: none stands still because nothing can be read.
func (m *Monitor) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	is, backlog := m.reading, m.backlog
	m.mu.Unlock()
	now := m.config.Now()
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	set(oldestUnapplied, age(m.behindSince(&is, now), now))
	set(measured, unix(is.at), "freshness")
	set(measured, unix(backlog.at), "backlog")
	if !is.stream.Created.IsZero() {
		set(streamBytes, float64(is.stream.Bytes))
		if is.stream.MaxBytes > 0 {
			set(streamLeft, float64(is.stream.MaxBytes)-float64(is.stream.Bytes))
		}
	}
	set(due, float64(backlog.Due))
	set(oldestDue, age(backlog.OldestDue, now))
	set(conflicts, float64(backlog.Conflicts))
	set(unknown, float64(backlog.Unknown))
	set(others, float64(is.others))
	set(damaged, float64(backlog.Damaged.Count))
	set(failing, float64(backlog.Failing.Count))
	set(failingAge, age(backlog.Failing.Since, now))
	for _, cause := range delius.Causes() {
		p := backlog.Parked[string(cause)]
		set(parked, float64(p.Count), string(cause))
		set(parkedAge, age(p.Since, now), string(cause))
	}
}

// behindSince is the time of the oldest message that is not applied; zero if all are. Where that
// has not been known for longer than a reading takes, all that is known is that nothing was
// missing then.
func (m *Monitor) behindSince(is *reading, now time.Time) time.Time {
	if oldest := is.oldest(); oldest.Sequence > 0 {
		return oldest.Stored
	}
	if now.Sub(is.at) > 2*(m.config.Every+m.config.Limit) {
		return is.at
	}
	return time.Time{}
}

// age is in seconds; that of no time is 0.
func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}

// unix is in seconds; that of no time is 0.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
