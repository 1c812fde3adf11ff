package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"golang.org/x/time/rate"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/projector/postgres/postgrestest"
)

// Names of the queues.
const (
	queueName = "cas-events"
	deadName  = "cas-events-dlq"
)

// event is what is published: its JSON, its type, and the id that SNS gives it.
type event struct{ body, typ, id string }

// post is CAS and the way of its notifications to the queue.
type post struct {
	cas     *casapitest.Server
	publish func(context.Context, event) error
	delius  postgrestest.Delius

	sent      atomic.Int64 // messages, second deliveries too
	delivered atomic.Bool  // all that waits for no practitioner
}

// deliver sends messages at a rate, a second, until all are sent; 0 is as fast as it
// goes.
func (p *post) deliver(ctx context.Context, messages []message, perSecond float64) error {
	limit := rate.Inf
	if perSecond > 0 {
		limit = rate.Limit(perSecond)
	}
	pace := rate.NewLimiter(limit, 1)
	for _, m := range messages {
		if err := pace.Wait(ctx); err != nil {
			return context.Cause(ctx)
		}
		if err := p.send(ctx, m); err != nil {
			return err
		}
	}
	p.delivered.Store(true)
	return nil
}

// send raises one event: the detail is there, perhaps only after a moment, and the
// notification is in the queue. After some, Delius raises a person event as well.
func (p *post) send(ctx context.Context, m message) error {
	p.cas.Put(m.DetailPath, m.Body)
	if m.misses > 0 {
		p.cas.Fail(m.DetailPath, casapitest.Fault{Times: m.misses, Status: http.StatusNotFound})
	}
	if err := p.publish(ctx, event{string(m.Notification), string(m.Type), m.id}); err != nil {
		return fmt.Errorf("send the notification of %s: %w", m.Key(), err)
	}
	if m.then != nil {
		if err := p.sendWakeUp(ctx, m.then); err != nil {
			return err
		}
	}
	p.sent.Add(1)
	return nil
}
