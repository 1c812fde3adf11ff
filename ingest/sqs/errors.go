package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"casdelius/ingest"
)

// ErrVisibilityUsedUp says that a visibility cannot be extended any longer, because 12
// hours have passed since it was delivered: SQS delivers it again.
var ErrVisibilityUsedUp = errors.New("SQS's limit of 12 h on a message's visibility is used up")

// busy are error codes of a service that works but not just now, whatever the HTTP
// status they come with. The SDK's own list of throttling codes counts too.
var busy = map[string]bool{
	"InternalError":      true,
	"InternalFailure":    true,
	"ServiceUnavailable": true,
	"RequestTimeout":     true,
	"OverLimit":          true, // 120,000 messages in flight: deletes will make room
	"KmsThrottled":       true,

	"AWS.SimpleQueueService.OverLimit": true,
	"KMS.ThrottlingException":          true,
}

// translate turns an error of the SDK into ingest's. What names the attempt, for a
// person; ctx is the caller's, so that its cancellation is told from a time limit of
// our own.
func translate(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case unavailable(err):
		return fmt.Errorf("%s: SQS is %w: %w", what, ingest.ErrUnavailable, err)
	}
	var missing *types.QueueDoesNotExist
	if errors.As(err, &missing) {
		return fmt.Errorf("%s: no such queue in this account and region, check MESSAGING_CONSUMER_QUEUE and AWS_REGION: %w", what, err)
	}
	if code := codeOf(err); strings.Contains(code, "AccessDenied") {
		return fmt.Errorf("%s: the service's role may not do this, it needs sqs:GetQueueUrl, GetQueueAttributes, "+
			"ReceiveMessage, DeleteMessage, ChangeMessageVisibility and, for canaries, SendMessage, "+
			"and kms:Decrypt and GenerateDataKey where the queue is encrypted: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// unavailable tells whether the same call may succeed later without anybody's help.
func unavailable(err error) bool {
	var (
		api      smithy.APIError
		response *smithyhttp.ResponseError
		send     *smithyhttp.RequestSendError
		garbled  *smithy.DeserializationError
	)
	if errors.As(err, &api) {
		code := api.ErrorCode()
		if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled || busy[code] {
			return true
		}
	}
	if errors.As(err, &response) {
		status := response.HTTPStatusCode()
		if status >= 500 || status == http.StatusTooManyRequests {
			return true
		}
	}
	return errors.As(err, &send) || // no connection, or none long enough to be answered
		errors.As(err, &garbled) || // an answer cut short, or a proxy's page
		errors.Is(err, context.DeadlineExceeded)
}

// codeOf is the error code that SQS answered with, or "".
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// entryError is what the answer to a batch call says about one of its entries.
func entryError(e types.BatchResultErrorEntry) error {
	code, message := deref(e.Code), deref(e.Message)
	if !e.SenderFault {
		return fmt.Errorf("SQS is %w: %s: %s", ingest.ErrUnavailable, code, message)
	}
	return fmt.Errorf("SQS refuses it: %s: %s", code, message)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
