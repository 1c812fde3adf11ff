package sqs

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"casdelius/ingest"
	"casdelius/store/failpoint"
)

// Delete removes up to 10 messages for good. Messages that could not be removed are
// named in an [ingest.PartialError]; the others are gone.
func (q *Queue) Delete(ctx context.Context, msgs []ingest.Message) error {
	return q.batch(ctx, "delete from", msgs, func(ctx context.Context, url *string, entries []entry) (answer, error) {
		in := sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: make([]types.DeleteMessageBatchRequestEntry, len(entries))}
		for i := range entries {
			in.Entries[i] = types.DeleteMessageBatchRequestEntry{Id: &entries[i].id, ReceiptHandle: &entries[i].msg.Receipt}
		}
		var out *sqs.DeleteMessageBatchOutput
		err := failpoint.Around(ctx, failpoint.Delete, func() (err error) {
			out, err = q.client.DeleteMessageBatch(ctx, &in)
			return err
		})
		if err != nil {
			return answer{}, err
		}
		a := answer{failed: out.Failed}
		for _, done := range out.Successful {
			a.done = append(a.done, deref(done.Id))
		}
		return a, nil
	})
}

// SetVisibility sets the visibility of up to 10 messages to d from now on (0 to 12 h,
// whole seconds, rounded up; after 0 they are redelivered at once), but never beyond 12 h
// after their delivery, which SQS would refuse. Messages for which it failed are named in
// an [ingest.PartialError]; those that have used up their 12 h with [ErrVisibilityUsedUp].
func (q *Queue) SetVisibility(ctx context.Context, msgs []ingest.Message, d time.Duration) error {
	if d < 0 || d > maxVisibility {
		return fmt.Errorf("set visibility: %v is not 0 to %v", d, maxVisibility)
	}
	now := q.cfg.Now()
	usedUp := make(map[string]error)
	open := make([]ingest.Message, 0, len(msgs))
	for _, m := range msgs {
		if d > 0 && left(m, now) < time.Second {
			usedUp[m.ID] = ErrVisibilityUsedUp
		} else {
			open = append(open, m)
		}
	}
	err := q.batch(ctx, "set visibility in", open, func(ctx context.Context, url *string, entries []entry) (answer, error) {
		in := sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url, Entries: make([]types.ChangeMessageVisibilityBatchRequestEntry, len(entries))}
		for i := range entries {
			in.Entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
				Id:                &entries[i].id,
				ReceiptHandle:     &entries[i].msg.Receipt,
				VisibilityTimeout: clamped(d, left(entries[i].msg, now)),
			}
		}
		out, err := q.client.ChangeMessageVisibilityBatch(ctx, &in)
		if err != nil {
			return answer{}, err
		}
		a := answer{failed: out.Failed}
		for _, done := range out.Successful {
			a.done = append(a.done, deref(done.Id))
		}
		return a, nil
	})
	return withFailures(err, usedUp)
}

// left is how much visibility m can still be given.
func left(m ingest.Message, now time.Time) time.Duration {
	return maxVisibility - visibilityMargin - now.Sub(m.Received)
}

// clamped is d in whole seconds rounded up, but not more than what is left.
func clamped(d, left time.Duration) int32 {
	if d <= left {
		return seconds(d)
	}
	return int32(left / time.Second) //nolint:gosec // less than 12 h
}
