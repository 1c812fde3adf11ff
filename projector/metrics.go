package projector

import (
	"github.com/prometheus/client_golang/prometheus"

	"casdelius/projector/delius"
	"casdelius/store"
)

// metrics are what operators watch; every branch of the projector has one.
type metrics struct {
	woken, unreadable, retries, failures, deferred, conflicts, gaps, planned prometheus.Counter

	messages, telemetry, changes *prometheus.CounterVec
	freshness                    prometheus.Histogram
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
	m := &metrics{
		messages:   counters("messages_total", "Messages of the stream that were put into the inbox, redelivered ones too, by kind: event, person-event, canary, unreadable, damaged.", "kind"),
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
	}
	registry.MustRegister(m.freshness)
	// What has not happened yet is 0, not absent: an alert on the first time needs that.
	for _, kind := range []string{kindEvent, kindPersonEvent, kindCanary, kindUnreadable, kindDamaged} {
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
	kindCanary      = "canary"
	kindUnreadable  = "unreadable"
	kindDamaged     = "damaged"
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
		case messages[i].Canary != nil:
			count[kindCanary]++
		case messages[i].Damaged():
			count[kindDamaged]++
		default:
			count[kindUnreadable]++
		}
	}
	for kind, n := range count {
		m.messages.WithLabelValues(kind).Add(float64(n))
	}
}
