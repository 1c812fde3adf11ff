package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"casdelius/store"
)

// Metrics are the counters of the service, one on each way that a message can take.
type Metrics struct {
	received      prometheus.Counter
	outcomes      *prometheus.CounterVec // by outcome
	rejected      *prometheus.CounterVec // by reason
	failures      *prometheus.CounterVec // by dependency
	queueFailures *prometheus.CounterVec // by call
	telemetry     *prometheus.CounterVec // by name and event type
	canaries      prometheus.Counter
	breakerOpen   prometheus.Gauge
	inHand        prometheus.Gauge
	seconds       prometheus.Histogram
}

// NewMetrics registers the metrics. It panics if they are registered already.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ingest", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "ingest", Name: "received_total", Help: "Messages received from the queue, redeliveries included.",
		}),
		outcomes:      counter("messages_total", "Deliveries of messages, by what became of them: appended, duplicate, rejected, retried (redelivered after a pause), released (made visible again untried or without a result), held (kept in hand), dropped (a canary that could not be stored, deleted).", "outcome"),
		rejected:      counter("rejected_total", "Messages moved to the rejected, by reason.", "reason"),
		failures:      counter("dependency_failures_total", "Failures that count for the circuit breaker: of the CAS API (garbled answers among them), the token endpoint, the log.", "dependency"),
		queueFailures: counter("queue_failures_total", "Calls to the queue that failed: limits (its settings), receive, extend and hide (ChangeMessageVisibility, of messages in hand and to be retried), delete, send (of canaries).", "call"),
		telemetry:     counter("telemetry_events_total", "Telemetry events, by name.", "name", "event_type"),
		canaries: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "ingest", Name: "canaries_sent_total", Help: "Canaries sent to the queue.",
		}),
		breakerOpen: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "ingest", Name: "breaker_open", Help: "1 while the circuit breaker is open: nothing is received but probes, because a dependency fails.",
		}),
		inHand: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "ingest", Name: "in_hand", Help: "Messages received and neither deleted nor made visible again yet.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "ingest", Name: "stored_seconds", Help: "From receiving a message to its event being acknowledged by the log.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	registry.MustRegister(m.received, m.outcomes, m.rejected, m.failures, m.queueFailures, m.telemetry, m.canaries, m.breakerOpen, m.inHand, m.seconds)
	for _, o := range outcomes() {
		m.outcomes.WithLabelValues(string(o))
	}
	for _, r := range store.Reasons() {
		m.rejected.WithLabelValues(string(r))
	}
	for d := range dependencies {
		m.failures.WithLabelValues(d.String())
	}
	for _, call := range []string{"limits", "receive", "extend", "hide", "delete", "send"} {
		m.queueFailures.WithLabelValues(call)
	}
	return m
}

// eventType bounds the label: what the outside names freely is one value.
func eventType(n *Notification) string {
	if n.Person != nil || n.Type.Known() {
		return n.EventType()
	}
	return "other"
}
