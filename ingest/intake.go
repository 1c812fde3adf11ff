package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"casdelius/store"
)

// Intake makes stored events of notifications. The service, the import of files and
// the replay of rejected messages share it.
type Intake struct {
	details Details
	log     Log
	logger  *slog.Logger
	metrics *Metrics
}

// NewIntake makes an Intake that takes details from one and stores events in the other.
func NewIntake(details Details, log Log, logger *slog.Logger, metrics *Metrics) *Intake {
	return &Intake{details: answers{details}, log: log, logger: logger, metrics: metrics}
}

// with is the same intake over other details, which look at their answers themselves,
// and another log.
func (i *Intake) with(details Details, log Log) *Intake {
	other := *i
	other.details, other.log = details, log
	return &other
}

// Store takes the body of a queue message all the way: decode it, fetch its detail,
// append the event. A detail that came along (not nil) is taken as it is instead; a person
// event needs none. The errors are a *[RejectionError], a *[DetailError], or the log's.
func (i *Intake) Store(ctx context.Context, body, detail []byte) (store.Identity, store.Ack, error) {
	n, err := DecodeNotification(body)
	if err != nil {
		return nil, store.Ack{}, err
	}
	i.received(ctx, &n)
	return i.store(ctx, &n, detail, time.Time{})
}

// store is the rest of the way of a notification, which was taken off the queue at a
// time, zero if it was not.
func (i *Intake) store(ctx context.Context, n *Notification, detail []byte, received time.Time) (store.Identity, store.Ack, error) {
	switch {
	case n.Canary != nil:
		return i.storeCanary(ctx, n.Canary, received)
	case n.Person != nil:
		return i.storePerson(ctx, n.Person, received)
	}
	source := ""
	if detail == nil {
		var err error
		if detail, err = i.fetch(ctx, n); err != nil {
			return nil, store.Ack{}, err
		}
		source = n.DetailURL
	}
	event, err := n.Event(detail)
	if err != nil {
		return nil, store.Ack{}, err
	}
	event.Source, event.Received = source, received.UTC()
	ack, err := i.log.Append(ctx, &event)
	return event.Key(), ack, err
}

// storePerson is the rest of the way of a person event.
func (i *Intake) storePerson(ctx context.Context, named *store.PersonEvent, received time.Time) (store.Identity, store.Ack, error) {
	e := *named
	if len(e.CRNs)+len(e.NOMS) == 0 {
		return nil, store.Ack{}, reject(store.NoPerson, "person event %s has neither a CRN nor a NOMS number", e.Key())
	}
	e.Received = received.UTC()
	ack, err := i.log.AppendPerson(ctx, &e)
	return e.Key(), ack, err
}

// fetch gets the detail that a notification points at.
func (i *Intake) fetch(ctx context.Context, n *Notification) ([]byte, error) {
	switch {
	case n.DetailURL == "":
		return nil, reject(store.NoDetailURL, "an event of type %s has no detailUrl", n.Type)
	case len(n.DetailURL) > maxURL:
		return nil, &DetailError{Fault: URLForbidden, Err: fmt.Errorf("the detailUrl has %d bytes, at most %d are taken", len(n.DetailURL), maxURL)}
	}
	return i.details.Fetch(ctx, n.DetailURL)
}

// received announces a notification under the name that operators know. The identifiers
// stand in a group, and under their own types as well, which today's dashboards query.
func (i *Intake) received(ctx context.Context, n *Notification) {
	if n.Canary != nil {
		return
	}
	const name = "NotificationReceived"
	crn, noms := string(n.CRN), string(n.NOMS)
	if n.Person != nil {
		crn, noms = joinNames(n.Person.CRNs), joinNames(n.Person.NOMS)
	}
	i.metrics.telemetry.WithLabelValues(name, eventType(n)).Inc()
	attributes := []slog.Attr{
		slog.String(store.EventNameField, name),
		slog.String("eventType", n.EventType()),
		slog.String("detailUrl", clip(store.PublicURL(n.DetailURL), maxURL)),
		slog.Group("identifiers", slog.String("crn", crn), slog.String("noms", noms)),
	}
	if crn != "" {
		attributes = append(attributes, slog.String("CRN", crn))
	}
	if noms != "" {
		attributes = append(attributes, slog.String("NOMS", noms))
	}
	i.logger.LogAttrs(ctx, slog.LevelInfo, name, attributes...)
}
