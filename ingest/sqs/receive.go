package sqs

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"casdelius/ingest"
	"casdelius/store/failpoint"
)

// Receive waits up to 20 s for up to limit messages (1 to 10) and gives them the
// visibility (1 s to 12 h, whole seconds, rounded up). No messages and no error:
// none came. A delivery without its receive count is an error, for the count decides
// whether the message has another try.
func (q *Queue) Receive(ctx context.Context, limit int, visibility time.Duration) ([]ingest.Message, error) {
	if limit < 1 || limit > maxBatch {
		return nil, fmt.Errorf("receive: %d messages at once is not 1 to %d", limit, maxBatch)
	}
	if visibility < time.Second || visibility > maxVisibility {
		return nil, fmt.Errorf("receive: visibility %v is not 1 s to %v", visibility, maxVisibility)
	}
	var out *sqs.ReceiveMessageOutput
	err := q.do(ctx, "receive from", longPoll+callTimeout, func(ctx context.Context, url *string) (err error) {
		in := sqs.ReceiveMessageInput{
			QueueUrl:              url,
			MaxNumberOfMessages:   int32(limit), //nolint:gosec // 1 to 10
			VisibilityTimeout:     seconds(visibility),
			WaitTimeSeconds:       int32(longPoll / time.Second),
			MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{
				types.MessageSystemAttributeNameApproximateReceiveCount,
				types.MessageSystemAttributeNameApproximateFirstReceiveTimestamp,
			},
		}
		return failpoint.Around(ctx, failpoint.Receive, func() error {
			out, err = q.client.ReceiveMessage(ctx, &in)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	received := q.cfg.Now()
	msgs := make([]ingest.Message, len(out.Messages))
	for i := range out.Messages {
		if msgs[i], err = message(&out.Messages[i], received); err != nil {
			return nil, fmt.Errorf("receive from queue %s: %w", q.cfg.Queue, err)
		}
	}
	return msgs, nil
}

// message is one delivery in ingest's words.
func message(m *types.Message, received time.Time) (ingest.Message, error) {
	count, err := number(m, types.MessageSystemAttributeNameApproximateReceiveCount)
	if err != nil {
		return ingest.Message{}, err
	}
	first, err := number(m, types.MessageSystemAttributeNameApproximateFirstReceiveTimestamp)
	if err != nil {
		return ingest.Message{}, err
	}
	return ingest.Message{
		ID:            deref(m.MessageId),
		Receipt:       deref(m.ReceiptHandle),
		Body:          deref(m.Body),
		ReceiveCount:  int(count),
		FirstReceived: time.UnixMilli(first).UTC(),
		Received:      received,
		Attributes:    texts(m.MessageAttributes),
	}, nil
}

// number reads a system attribute of a delivery that is a positive number.
func number(m *types.Message, name types.MessageSystemAttributeName) (int64, error) {
	s, ok := m.Attributes[string(name)]
	if !ok {
		return 0, fmt.Errorf("message %s came without the attribute %s: this endpoint does not do what SQS does", deref(m.MessageId), name)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("message %s has %s %q, which is not a positive number", deref(m.MessageId), name, s)
	}
	return n, nil
}

// texts keeps the message attributes that have a string value; nil if there are none.
func texts(attributes map[string]types.MessageAttributeValue) map[string]string {
	var kept map[string]string
	for name, value := range attributes {
		if value.StringValue == nil {
			continue
		}
		if kept == nil {
			kept = make(map[string]string, len(attributes))
		}
		kept[name] = *value.StringValue
	}
	return kept
}

// seconds is d in whole seconds, rounded up: with too short a visibility a message is
// delivered twice.
func seconds(d time.Duration) int32 {
	return int32((d + time.Second - 1) / time.Second) //nolint:gosec // callers bound d by 12 h
}
