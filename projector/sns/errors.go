package sns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"casdelius/projector/relay"
)

// overloaded are error codes of a service that works but not just now, whatever the HTTP status
// they come with. The SDK's own list of throttling codes counts too.
var overloaded = map[string]bool{
	"InternalError":      true,
	"InternalFailure":    true,
	"ServiceUnavailable": true,
	"RequestTimeout":     true,
	"KMSThrottling":      true,
}

// translate turns an error of the SDK into one that says what to do. What names the attempt;
// ctx is the caller's, so that its cancellation is told from a time limit of our own.
func translate(ctx context.Context, what string, err error) error {
	code := codeOf(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case unavailable(err):
		return fmt.Errorf("%s: SNS is %w: %w", what, relay.ErrUnavailable, err)
	case code == "NotFound":
		return fmt.Errorf("%s: there is no such topic, check MESSAGING_PRODUCER_TOPIC: %w", what, err)
	case strings.Contains(code, "AuthorizationError"), strings.Contains(code, "AccessDenied"):
		return fmt.Errorf("%s: the service's role may not do this, it needs sns:Publish and sns:GetTopicAttributes, "+
			"and kms:GenerateDataKey and kms:Decrypt where the topic is encrypted: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// unavailable tells whether the same call may succeed later without anybody's help.
func unavailable(err error) bool {
	var (
		response *smithyhttp.ResponseError
		send     *smithyhttp.RequestSendError
		garbled  *smithy.DeserializationError
	)
	if passes(codeOf(err)) {
		return true
	}
	if errors.As(err, &response) {
		status := response.HTTPStatusCode()
		if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
			return true
		}
	}
	return errors.As(err, &send) || // no connection, or none long enough to be answered
		errors.As(err, &garbled) || // an answer cut short, or a proxy's page
		errors.Is(err, context.DeadlineExceeded)
}

// passes tells whether an error code is of something that passes by itself.
func passes(code string) bool {
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	return throttled || overloaded[code]
}

// codeOf is the error code that SNS answered with, or "".
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// entryError is what the answer to a batch says about one of its messages.
func entryError(e types.BatchResultErrorEntry) error {
	code, message := deref(e.Code), deref(e.Message)
	if !e.SenderFault || passes(code) {
		return fmt.Errorf("SNS is %w: %s: %s", relay.ErrUnavailable, code, message)
	}
	return fmt.Errorf("SNS refuses it: %s: %s", code, message)
}
