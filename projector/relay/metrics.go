package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what operators watch. What has not happened yet is 0, not absent.
type metrics struct {
	sent, failures, overtaken prometheus.Counter
	waiting, oldest           prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "projector", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "projector", Name: name, Help: help})
	}
	m := &metrics{
		sent:      counter("notices_sent_total", "Notices of address rows that the topic has accepted."),
		failures:  counter("notice_failures_total", "Tries to send a notice that failed; it is tried again."),
		overtaken: counter("notice_leases_lost_total", "Notices whose lease had ended before it was written down what came of them: they are sent once more."),
		waiting:   gauge("notices_waiting", "Notices of address rows that wait to be sent, of all projectors."),
		oldest:    gauge("notices_oldest_seconds", "Age of the oldest notice that waits; 0 if none does."),
	}
	registry.MustRegister(m.sent, m.failures, m.overtaken, m.waiting, m.oldest)
	return m
}

func (m *metrics) backlog(b Backlog, now time.Time) {
	m.waiting.Set(float64(b.Waiting))
	age := 0.0
	if !b.Oldest.IsZero() {
		age = max(0, now.Sub(b.Oldest).Seconds())
	}
	m.oldest.Set(age)
}
