package freshness

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"casdelius/store"
)

var (
	canaryAge = gauge("canary_age_seconds", "Time since the latest canary that was committed here was sent; without one, since the start. Of several projectors each gets some of them: the lowest counts.")
	canaryLeg = gauge("canary_leg_seconds", "How long the latest canary took, by leg: queue (sent to received), stream (received to stored), inbox (stored to committed).", "leg")
)

// Canaries are the times of canaries that came all the way.
type Canaries struct {
	now func() time.Time

	mu     sync.Mutex
	sent   time.Time // of the latest; when this was made, if there was none
	legs   map[string]time.Duration
	number prometheus.Counter
}

// NewCanaries registers their gauges.
func NewCanaries(registry prometheus.Registerer, now func() time.Time) *Canaries {
	c := &Canaries{now: now, sent: now(), legs: map[string]time.Duration{}, number: prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "projector", Name: "canaries_total", Help: "Canaries whose sequence was committed into the inbox, redelivered ones too.",
	})}
	registry.MustRegister(c, c.number)
	return c
}

// Committed notes the canaries among messages that were put into the inbox. One that comes after
// a later one, redelivered for instance, says nothing new.
func (c *Canaries) Committed(messages []store.Stored) {
	for i := range messages {
		if messages[i].Canary != nil {
			c.committed(&messages[i])
		}
	}
}

func (c *Canaries) committed(m *store.Stored) {
	c.number.Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.legs) > 0 && !m.Canary.Sent.After(c.sent) {
		return
	}
	c.sent = m.Canary.Sent
	c.legs["queue"] = m.Canary.Received.Sub(m.Canary.Sent)
	c.legs["stream"] = m.Stored.Sub(m.Canary.Received)
	c.legs["inbox"] = c.now().Sub(m.Stored)
}

// Describe implements [prometheus.Collector].
func (c *Canaries) Describe(to chan<- *prometheus.Desc) {
	to <- canaryAge
	to <- canaryLeg
}

// Collect implements [prometheus.Collector]. The age is that at this moment.
func (c *Canaries) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to <- prometheus.MustNewConstMetric(canaryAge, prometheus.GaugeValue, age(c.sent, c.now()))
	for leg, took := range c.legs {
		to <- prometheus.MustNewConstMetric(canaryLeg, prometheus.GaugeValue, max(0, took.Seconds()), leg)
	}
}
