package projector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"casdelius/projector/delius"
	"casdelius/store"
)

// metrics are what operators watch; every branch of the projector has one.
type metrics struct {
	woken, unreadable, retries, failures, deferred, conflicts, gaps, planned prometheus.Counter

	messages, telemetry, changes *prometheus.CounterVec
	freshness                    prometheus.Histogram

	due, oldestDue, conflictsKept, oldestUnapplied, streamBytes, streamLeft prometheus.Gauge
	parked, parkedAge                                                       *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "projector", Name: name, Help: help})
		registry.MustRegister(c)
		return c
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "projector", Name: name, Help: help}, []string{label})
		registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "projector", Name: name, Help: help})
		registry.MustRegister(g)
		return g
	}
	gauges := func(name, help, label string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "projector", Name: name, Help: help}, []string{label})
		registry.MustRegister(g)
		return g
	}
	m := &metrics{
		messages:   counters("messages_total", "Messages of the stream that were put into the inbox, redelivered ones too, by kind: event, person-event, unreadable.", "kind"),
		woken:      counter("woken_referrals_total", "Referrals looked at again because of person events."),
		unreadable: counter("unreadable_total", "Messages of the stream that are neither an event nor a person event."),
		retries:    counter("retries_total", "Steps that were run again after a transient error: a lock timeout, a lost connection."),
		failures:   counter("failures_total", "Referrals that met an unexpected error."),
		deferred:   counter("deferred_total", "People deferred because somebody else had locked or changed one of their rows."),
		conflicts:  counter("conflicts_total", "Values of people's that events have replaced."),
		gaps:       counter("gap_messages_total", "Messages that the search for gaps brought in."),
		planned:    counter("hold_planned_changes_total", "Rows that would have been written if the projector were not on hold."),
		telemetry:  counters("telemetry_total", "Telemetry events by name.", "name"),
		changes:    counters("changes_total", "Rows written to Delius by kind.", "kind"),
		freshness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "projector", Name: "freshness_seconds",
			Help:    "From an event's arrival in the stream to its commit in Delius.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 18),
		}),
		due:             gauge("due_referrals", "Referrals that are due."),
		oldestDue:       gauge("oldest_due_seconds", "For how long the referral that waits longest has been due; 0 if none is."),
		conflictsKept:   gauge("conflicts", "Conflicts that are kept."),
		oldestUnapplied: gauge("oldest_unapplied_seconds", "Age of the oldest event that is not yet in Delius; 0 if all are."),
		streamBytes:     gauge("stream_bytes", "Bytes in the stream."),
		streamLeft:      gauge("stream_left_bytes", "Bytes left in the stream before it is full."),
		parked:          gauges("parked", "What is parked, by cause.", "cause"),
		parkedAge:       gauges("parked_oldest_seconds", "Age of the oldest that is parked, by cause.", "cause"),
	}
	registry.MustRegister(m.freshness)
	// What has not happened yet is 0, not absent: an alert on the first time needs that.
	for _, kind := range []string{kindEvent, kindPersonEvent, kindUnreadable} {
		m.messages.WithLabelValues(kind)
	}
	for _, typ := range store.Types() {
		m.telemetry.WithLabelValues(delius.TelemetryName(typ))
	}
	for _, kind := range []delius.ObservationKind{delius.ContactAlreadyExists, delius.StaffNotInTeam, delius.AdoptedDiffers} {
		m.telemetry.WithLabelValues(string(kind))
	}
	return m
}

// The kinds of messages.
const (
	kindEvent       = "event"
	kindPersonEvent = "person-event"
	kindUnreadable  = "unreadable"
)

// received counts messages that were put into the inbox.
func (m *metrics) received(messages []store.Stored) {
	count := map[string]int{}
	for i := range messages {
		switch {
		case messages[i].IsEvent():
			count[kindEvent]++
		case messages[i].Person != nil:
			count[kindPersonEvent]++
		default:
			count[kindUnreadable]++
		}
	}
	for kind, n := range count {
		m.messages.WithLabelValues(kind).Add(float64(n))
	}
}

func (m *metrics) stream(s Stream) {
	m.streamBytes.Set(float64(s.Bytes))
	if s.MaxBytes > 0 {
		m.streamLeft.Set(float64(s.MaxBytes) - float64(s.Bytes))
	}
}

func (m *metrics) backlog(b Backlog, now time.Time) {
	m.due.Set(float64(b.Due))
	m.conflictsKept.Set(float64(b.Conflicts))
	m.oldestDue.Set(age(b.OldestDue, now))
	m.oldestUnapplied.Set(age(b.OldestUnapplied, now))
	for _, cause := range delius.Causes() {
		p := b.Parked[string(cause)]
		m.parked.WithLabelValues(string(cause)).Set(float64(p.Count))
		m.parkedAge.WithLabelValues(string(cause)).Set(age(p.Since, now))
	}
}

// age is in seconds; that of no time is 0.
func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}
