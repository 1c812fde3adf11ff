package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
)

// What a caller can act on. Errors of this package wrap at most one of them.
var (
	// ErrUnavailable: NATS is down, did not answer in time, or answered that it cannot
	// just now. The same call may succeed later. Whether an Append took effect is not
	// known; appending again is safe.
	ErrUnavailable = errors.New("NATS is unavailable")

	// ErrFull: the stream, or the servers' disk set aside for streams, is full. The same
	// call succeeds once someone has made room.
	ErrFull = errors.New("the stream is full")

	// ErrTooLarge: the message is larger than the servers take. The same call fails
	// every time.
	ErrTooLarge = errors.New("too large for NATS")

	// ErrNotFound: there is no such message.
	ErrNotFound = errors.New("not in the stream")

	// ErrClosed: the follower was closed.
	ErrClosed = errors.New("the follower is closed")
)

// SettingsError says how what exists on the servers falls short of what is needed, so
// that nothing is stored on it unawares.
type SettingsError struct {
	Of          string // "stream CAS_EVENTS", say
	Differences []Difference
}

// Difference is one setting that falls short.
type Difference struct {
	Setting, Have, Want string
	Do                  string // where it is not enough to change the setting
}

func (d Difference) String() string {
	text := fmt.Sprintf("%s: have %s → want %s", d.Setting, d.Have, d.Want)
	if d.Do != "" {
		text += " (" + d.Do + ")"
	}
	return text
}

// Error names every difference.
func (e *SettingsError) Error() string {
	list := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		list[i] = d.String()
	}
	return fmt.Sprintf("the settings of %s do not keep events safe, change them before starting again: %s", e.Of, strings.Join(list, "; "))
}

// Error codes of the server that the client library has no name for.
const (
	codeAccountResources  js.ErrorCode = 10002
	codeInsufficient      js.ErrorCode = 10023
	codeMemoryResources   js.ErrorCode = 10028
	codeStorageResources  js.ErrorCode = 10047
	codeNoPeers           js.ErrorCode = 10005 // fewer servers are up than a new stream has replicas
	codeNotClustered      js.ErrorCode = 10074 // more than one replica on a server that is alone
	codeStoreFailed       js.ErrorCode = 10077 // the description says why
	codeHeaderTooLarge    js.ErrorCode = 10097
	codeDuplicateInFlight js.ErrorCode = 10158 // stored perhaps, but not yet: no acknowledgement
)

// translate turns an error of NATS into one of ours; doing says what was tried. A
// context that the caller ended stays recognisable.
func translate(doing string, err error) error {
	switch kind := kindOf(err); {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: no answer in time: %w", doing, ErrUnavailable, err)
	case errors.Is(kind, ErrNotFound):
		return fmt.Errorf("%s: %w: %s", doing, kind, described(err))
	case kind != nil:
		return fmt.Errorf("%s: %w: %v", doing, kind, err) //nolint:errorlint // the vendor's error ends here
	default:
		return fmt.Errorf("%s: %v", doing, err) //nolint:errorlint // the vendor's error ends here
	}
}

// described is what the server says, without its numbers: they say no more to a person.
func described(err error) string {
	var answer js.JetStreamError
	if errors.As(err, &answer) && answer.APIError() != nil {
		return answer.APIError().Description
	}
	return err.Error()
}

// translate is that of this connection: it says where nobody answered because the user may not
// ask, which NATS tells apart from the question.
func (l *Log) translate(doing string, err error) error {
	if denied := l.denied(err); denied != nil {
		return fmt.Errorf("%s: %w: %w: work as a role that may", doing, ErrUnavailable, denied)
	}
	return translate(doing, err)
}

// denied is what the user may not, where nobody answered; nil if that is not known to be why.
func (l *Log) denied(err error) error {
	last := l.conn.LastError()
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(last, nats.ErrPermissionViolation) {
		return nil
	}
	return fmt.Errorf("the user of NATS_URL or NATS_CREDS may not (%v)", last) //nolint:errorlint // the vendor's error ends here
}

// kindOf finds which of our errors an error of NATS is; nil if none.
func kindOf(err error) error {
	var answer js.JetStreamError
	if errors.As(err, &answer) && answer.APIError() != nil {
		return kindOfAnswer(answer.APIError())
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, js.ErrInvalidOption):
		return nil
	}
	// Whatever else the client reports by itself is about the connection or the time
	// it took: no servers, no responders, disconnected, stalled, no valid answer.
	return ErrUnavailable
}

func kindOfAnswer(answer *js.APIError) error {
	switch answer.ErrorCode {
	case js.JSErrCodeMessageNotFound:
		return ErrNotFound
	case js.JSErrCodeStreamMessageExceedsMaximum, codeHeaderTooLarge:
		return ErrTooLarge
	case codeAccountResources, codeInsufficient, codeMemoryResources, codeStorageResources:
		return ErrFull
	case codeDuplicateInFlight, codeNoPeers:
		return ErrUnavailable
	case codeNotClustered:
		return nil // a 500 all the same
	case js.JSErrCodeConsumerCreate:
		if strings.HasSuffix(answer.Description, "can not be updated") {
			return nil // a 500 all the same
		}
	case codeStoreFailed:
		switch {
		case strings.HasPrefix(answer.Description, "maximum "): // bytes exceeded, or messages
			return ErrFull
		case strings.Contains(answer.Description, "too large"):
			return ErrTooLarge
		}
	}
	if answer.Code >= 500 || answer.Code == 429 || answer.Code == 408 || answer.ErrorCode == js.JSErrCodeStreamNotFound {
		return ErrUnavailable
	}
	return nil
}
