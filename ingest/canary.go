package ingest

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

// decodeCanary reads a canary. What says that it is one and is none is rejected as anything else
// that is not of CAS: no case can come of it.
func (n *Notification) decodeCanary(id, sent jsontext.Value) error {
	name, err := store.ParseCanaryID(text(id))
	if err != nil {
		return reject(store.NotCAS, "the canary cannot be read: %v", err)
	}
	at, err := store.ParsePlausibleTime(text(sent))
	if err != nil {
		return reject(store.NotCAS, "the canary cannot be read: %v", err)
	}
	n.Canary = &store.Canary{ID: name, Sent: at}
	return nil
}

// storeCanary is the rest of the way of a canary.
func (i *Intake) storeCanary(ctx context.Context, named *store.Canary, received time.Time) (store.Identity, store.Ack, error) {
	c := *named
	if c.Received = received.UTC().Truncate(time.Microsecond); received.IsZero() {
		c.Received = c.Sent // it did not come from the queue
	}
	ack, err := i.log.AppendCanary(ctx, &c)
	return &c, ack, err
}

// sendCanaries sends one at once and then every so often, until ctx ends. One that the queue
// does not take costs a warning: the next may be taken.
func (s *Service) sendCanaries(ctx context.Context) {
	if s.cfg.Canary == 0 {
		return
	}
	for {
		canary := store.NewCanary(time.Now())
		err := s.queue.Send(ctx, canary.Message())
		switch {
		case err == nil:
			s.metrics.canaries.Inc()
		case ctx.Err() == nil:
			s.queueFailed(ctx, "send", err)
		}
		if !sleep(ctx, s.cfg.Canary) {
			return
		}
	}
}
