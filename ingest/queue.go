package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"casdelius/store"
)

// ErrUnavailable says that a part that ingest depends on (queue, log, token endpoint,
// CAS API) could not be reached or could not serve just now. Adapters wrap it; the
// same call may succeed later.
var ErrUnavailable = errors.New("unavailable")

// Message is one message as the queue delivers it.
type Message struct {
	ID            string            // the queue's id of the message, the same at every delivery
	Receipt       string            // names this delivery; the latest one's is needed to delete it
	Body          string            // exactly as sent
	ReceiveCount  int               // deliveries so far, this one counted; 0 if the queue does not say
	FirstReceived time.Time         // of the first delivery; zero if the queue does not say
	Received      time.Time         // of this delivery, by the clock of this machine
	Attributes    map[string]string // message attributes of type string, traceparent among them
}

// Queue is where notifications come from. Its calls are safe for concurrent use and
// fail with [ErrUnavailable] where the queue cannot be reached.
type Queue interface {
	// Receive waits up to 20 s for up to max (1 to 10) messages, which are not delivered
	// to anybody again within the visibility given. No messages and no error: none came.
	Receive(ctx context.Context, max int, visibility time.Duration) ([]Message, error)

	// Delete removes up to 10 messages for good. Where some could not be, it fails
	// with a *[PartialError] that names them; the others are gone.
	Delete(ctx context.Context, msgs []Message) error

	// SetVisibility lets up to 10 messages be redelivered d (0 to 12 h) from now on, and
	// not before, with the same errors as Delete.
	SetVisibility(ctx context.Context, msgs []Message, d time.Duration) error

	// Send puts a message into the queue itself. Whoever runs ingest may have no right to.
	Send(ctx context.Context, body string) error

	// Limits reads the queue's own settings, and of its dead-letter queue what may be
	// read.
	Limits(ctx context.Context) (Limits, error)
}

// PartialError says which messages of a batch call failed; the call succeeded for
// the others.
type PartialError struct {
	Failed map[string]error // by [Message.ID]
}

// Error names how many failed, and one of them.
func (e *PartialError) Error() string {
	for id, err := range e.Failed {
		return fmt.Sprintf("%d messages of the batch failed, %s among them: %v", len(e.Failed), id, err)
	}
	return "no message of the batch failed"
}

// Unwrap gives the cause of every failure.
func (e *PartialError) Unwrap() []error {
	causes := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		causes = append(causes, err)
	}
	return causes
}

// Log is where events and rejected messages are kept. A nil error is a positive
// acknowledgement: the message is on disk. All calls are idempotent and safe for
// concurrent use. An error that has a method TooLarge() bool, which is true, says that
// the log will never take this message, and nothing about the log.
type Log interface {
	Append(ctx context.Context, e *store.Event) (store.Ack, error)
	AppendPerson(ctx context.Context, e *store.PersonEvent) (store.Ack, error)
	AppendCanary(ctx context.Context, c *store.Canary) (store.Ack, error)
	Reject(ctx context.Context, r store.Rejection) error
}

// tooLarge reports whether the log refused a message for its size.
func tooLarge(err error) bool {
	var refusal interface{ TooLarge() bool }
	return errors.As(err, &refusal) && refusal.TooLarge()
}

// Details fetches the detail that a notification points at, exactly as served. Its
// errors are a *[DetailError], or that of ctx if it ended.
type Details interface {
	Fetch(ctx context.Context, url string) ([]byte, error)
}
