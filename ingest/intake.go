package ingest

import (
	"context"
	"fmt"
	"log/slog"

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
	return &Intake{details: details, log: log, logger: logger, metrics: metrics}
}

// Store takes the body of a queue message all the way: decode it, fetch its detail,
// append the event. A detail that came along (not nil) is taken as it is instead. The
// errors are a *[RejectionError], a *[DetailError], or the log's.
func (i *Intake) Store(ctx context.Context, body, detail []byte) (store.Key, store.Ack, error) {
	n, err := DecodeNotification(body)
	if err != nil {
		return store.Key{}, store.Ack{}, err
	}
	i.received(ctx, &n)
	var event store.Event
	if detail != nil {
		event, err = n.Event(detail)
	} else {
		event, err = i.event(ctx, &n)
	}
	if err != nil {
		return store.Key{}, store.Ack{}, err
	}
	ack, err := i.log.Append(ctx, &event)
	return event.Key(), ack, err
}

// event makes the event of a notification with the detail that it points at.
func (i *Intake) event(ctx context.Context, n *Notification) (store.Event, error) {
	if n.DetailURL == "" {
		return store.Event{}, reject(store.NoDetailURL, "an event of type %s has no detailUrl", n.Type)
	}
	if len(n.DetailURL) > maxURL {
		return store.Event{}, &DetailError{Fault: URLForbidden, Err: fmt.Errorf("the detailUrl has %d bytes, at most %d are taken", len(n.DetailURL), maxURL)}
	}
	detail, err := i.details.Fetch(ctx, n.DetailURL)
	if err != nil {
		return store.Event{}, err
	}
	event, err := n.Event(detail)
	event.Source = n.DetailURL
	return event, err
}

// received announces a notification under the name that operators know.
func (i *Intake) received(ctx context.Context, n *Notification) {
	i.metrics.telemetry.WithLabelValues("NotificationReceived", eventType(n.Type)).Inc()
	i.logger.LogAttrs(ctx, slog.LevelInfo, "NotificationReceived",
		slog.String("eventType", string(n.Type)),
		slog.String("detailUrl", clip(n.DetailURL, maxURL)),
		slog.Group("identifiers", slog.String("crn", string(n.CRN)), slog.String("noms", string(n.NOMS))))
}
