package jetstream

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestEveryAnswerOfTheServerThatIsNoAcknowledgementHasItsKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer js.APIError
		want   error
	}{
		{js.APIError{Code: 409, ErrorCode: 10158, Description: "duplicate message id is in process"}, ErrUnavailable},
		{js.APIError{Code: 503, ErrorCode: 10008, Description: "JetStream system temporarily unavailable"}, ErrUnavailable},
		{js.APIError{Code: 500, ErrorCode: 10118, Description: "stream is offline"}, ErrUnavailable},
		{js.APIError{Code: 429, ErrorCode: 10167, Description: "too many requests"}, ErrUnavailable},
		{js.APIError{Code: 404, ErrorCode: 10059, Description: "stream not found"}, ErrUnavailable},
		{js.APIError{Code: 503, ErrorCode: 10077, Description: "store is closed"}, ErrUnavailable},
		{js.APIError{Code: 503, ErrorCode: 10077, Description: "maximum bytes exceeded"}, ErrFull},
		{js.APIError{Code: 503, ErrorCode: 10077, Description: "maximum messages exceeded"}, ErrFull},
		{js.APIError{Code: 503, ErrorCode: 10023, Description: "insufficient resources"}, ErrFull},
		{js.APIError{Code: 500, ErrorCode: 10047, Description: "insufficient storage resources available"}, ErrFull},
		{js.APIError{Code: 400, ErrorCode: 10002, Description: "resource limits exceeded for account"}, ErrFull},
		{js.APIError{Code: 503, ErrorCode: 10077, Description: "message too large"}, ErrTooLarge},
		{js.APIError{Code: 400, ErrorCode: 10054, Description: "message size exceeds maximum allowed"}, ErrTooLarge},
		{js.APIError{Code: 400, ErrorCode: 10097, Description: "header size exceeds maximum allowed of 64k"}, ErrTooLarge},
		{js.APIError{Code: 404, ErrorCode: 10037, Description: "no message found"}, ErrNotFound},
	} {
		err := translate("append", fmt.Errorf("wrapped: %w", &c.answer))
		require.ErrorIs(t, err, c.want, c.answer.Description)
		require.ErrorContains(t, err, c.answer.Description)
	}
	require.NoError(t, translate("append", nil))
}

func TestAnswersThatStayTheSameAreOfNoKind(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&js.APIError{Code: 400, ErrorCode: 10060, Description: "expected stream does not match"},
		&js.APIError{Code: 400, ErrorCode: 10109, Description: "invalid operation on sealed stream"},
		&js.APIError{Code: 500, ErrorCode: 10012, Description: "deliver policy can not be updated"},
		nats.ErrAuthorization,
	} {
		require.NoError(t, kindOf(err), err.Error())
		require.Error(t, translate("append", err))
	}
}

func TestWhatHappensToTheConnectionIsAnOutage(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		nats.ErrDisconnected, nats.ErrConnectionClosed, nats.ErrReconnectBufExceeded, nats.ErrNoResponders, nats.ErrTimeout,
		nats.ErrNoServers, js.ErrNoStreamResponse, js.ErrAsyncPublishTimeout, js.ErrTooManyStalledMsgs, js.ErrInvalidJSAck,
		context.DeadlineExceeded, io.ErrUnexpectedEOF,
	} {
		require.ErrorIs(t, translate("append", err), ErrUnavailable, err.Error())
	}
	require.ErrorIs(t, translate("append", context.Canceled), context.Canceled)
	require.NotErrorIs(t, translate("append", context.Canceled), ErrUnavailable)
}

func TestVersionsAreComparedByTheirNumbers(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"2.15.2": true, "2.15.10": true, "2.16.0-preview.1": true, "3.0.0": true, "10.0.0": true,
		"2.15.1": false, "2.9.25": false, "1.99.99": false, "": false, "dev": false,
	} {
		require.Equal(t, want, supported(version), version)
	}
}
