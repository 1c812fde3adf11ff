package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"casdelius/store"
	"casdelius/store/failpoint"
)

// Append stores the event and returns when it is on disk, with the trace context of
// ctx among its headers. An event that is there already is acknowledged as a
// duplicate with the sequence it has. Hundreds of callers may append at once: their
// events travel together. The event's body must not be changed afterwards.
//
// A nil error is the only acknowledgement. [ErrTooLarge] is for ever and says nothing
// about the log: such an error has a method TooLarge, for callers that do not know this
// package. After [ErrUnavailable], [ErrFull] and an ended ctx the same event may be
// appended again.
func (l *Log) Append(ctx context.Context, e *store.Event) (store.Ack, error) {
	return l.append(ctx, e.Key(), e.Header(), e.Body)
}

// AppendPerson stores a person event, as [Log.Append] does an event.
func (l *Log) AppendPerson(ctx context.Context, e *store.PersonEvent) (store.Ack, error) {
	return l.append(ctx, e.Key(), e.Header(), e.Body)
}

// AppendCanary stores a canary, as [Log.Append] does an event, but without a trace: one message
// in many is not to be followed, and a canary is small.
func (l *Log) AppendCanary(ctx context.Context, c *store.Canary) (store.Ack, error) {
	return l.append(trace.ContextWithSpan(ctx, nil), c, nats.Header{}, c.Body())
}

func (l *Log) append(ctx context.Context, is store.Identity, header nats.Header, body []byte) (store.Ack, error) {
	ack, err := l.publish(ctx, EventsStream, is.MessageID(), &nats.Msg{Subject: is.Subject(), Header: header, Data: body})
	return ack, refused("append event "+is.String(), err)
}

// refused translates an error of publishing and marks it where the log will never take
// the message.
func refused(doing string, err error) error {
	if err = translate(doing, err); errors.Is(err, ErrTooLarge) {
		return tooLarge{err}
	}
	return err
}

// tooLarge is an [ErrTooLarge] that can be told without importing this package.
type tooLarge struct{ error }

func (tooLarge) TooLarge() bool  { return true }
func (e tooLarge) Unwrap() error { return e.error }

// inFlightPause is the wait for a message with the same id that is being stored.
const inFlightPause = 50 * time.Millisecond

// publish sends one message and waits for the stream's acknowledgement. While the
// stream is still storing the same message from before, which it may yet fail to do, it
// acknowledges neither: the message is sent again, for at most Config.Timeout.
func (l *Log) publish(ctx context.Context, stream, id string, msg *nats.Msg) (store.Ack, error) {
	injectTrace(ctx, msg.Header)
	msg.Header.Set(js.MsgIDHeader, id)
	msg.Header.Set(js.ExpectedStreamHeader, stream)
	for last := time.Now().Add(l.cfg.Timeout); ; {
		ack, err := l.publishOnce(ctx, stream, msg)
		var answer *js.APIError
		if !errors.As(err, &answer) || answer.ErrorCode != codeDuplicateInFlight || time.Now().After(last) {
			return ack, err
		}
		select {
		case <-time.After(inFlightPause):
		case <-ctx.Done():
			return store.Ack{}, ctx.Err()
		}
	}
}

// publishOnce publishes asynchronously because that fails at once when the connection
// breaks, where a request would wait for its whole time.
func (l *Log) publishOnce(ctx context.Context, stream string, msg *nats.Msg) (store.Ack, error) {
	if err := ctx.Err(); err != nil {
		return store.Ack{}, err
	}
	var future js.PubAckFuture
	err := failpoint.Around(ctx, failpoint.Publish, func() (err error) {
		future, err = l.js.PublishMsgAsync(msg, js.WithStallWait(l.cfg.Timeout))
		return err
	})
	if err != nil {
		return store.Ack{}, err
	}
	var ack store.Ack
	err = failpoint.Around(ctx, failpoint.PublishAcknowledgement, func() (err error) {
		ack, err = await(ctx, stream, future)
		return err
	})
	return ack, err
}

// await waits for the stream's acknowledgement.
func await(ctx context.Context, stream string, future js.PubAckFuture) (store.Ack, error) {
	select {
	case ack := <-future.Ok():
		if ack.Stream != stream || ack.Sequence == 0 {
			return store.Ack{}, fmt.Errorf("%w: stream %q acknowledged sequence %d instead of %s", js.ErrInvalidJSAck, ack.Stream, ack.Sequence, stream)
		}
		return store.Ack{Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
	case err := <-future.Err():
		return store.Ack{}, err
	case <-ctx.Done():
		return store.Ack{}, ctx.Err()
	}
}

// injectTrace adds the trace context of ctx in the spelling of W3C, in lower case:
// header names of NATS are case-sensitive.
func injectTrace(ctx context.Context, header nats.Header) {
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	for name, value := range carrier {
		header.Set(name, value)
	}
}
