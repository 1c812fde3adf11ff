package sqs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithytime "github.com/aws/smithy-go/time"

	"casdelius/ingest"
)

// errUnmentioned is the failure of an entry that the answer does not name at all.
var errUnmentioned = fmt.Errorf("SQS is %w: its answer does not mention the message", ingest.ErrUnavailable)

// entry is a message within a batch call; id is its name in there.
type entry struct {
	id  string
	msg ingest.Message
}

// answer is what SQS says about the entries of a batch call.
type answer struct {
	done   []string // entry ids
	failed []types.BatchResultErrorEntry
}

// batch makes one batch call, and up to two more for entries that SQS itself failed.
// Where the first call fails as a whole so does batch; entries that failed in the end
// are in an [ingest.PartialError].
func (q *Queue) batch(
	ctx context.Context, what string, msgs []ingest.Message, call func(context.Context, *string, []entry) (answer, error),
) error {
	if len(msgs) > maxBatch {
		return fmt.Errorf("%s queue %s: %d messages in one call, SQS takes %d", what, q.cfg.Queue, len(msgs), maxBatch)
	}
	entries := make([]entry, len(msgs))
	for i, m := range msgs {
		entries[i] = entry{strconv.Itoa(i), m}
	}
	failures := make(map[string]error)
	for try := 1; len(entries) > 0; try++ {
		var got answer
		err := q.do(ctx, what, callTimeout, func(ctx context.Context, url *string) (err error) {
			got, err = call(ctx, url, entries)
			return err
		})
		switch {
		case err != nil && try == 1:
			return err
		case err != nil:
			for _, e := range entries {
				failures[e.msg.ID] = err
			}
		default:
			entries = got.settle(entries, failures)
		}
		if err != nil || try == entryTries || len(entries) > 0 && smithytime.SleepWithContext(ctx, q.cfg.Pause) != nil {
			break
		}
	}
	return withFailures(nil, failures)
}

// settle records what became of the entries, by message id, and returns those that
// are worth another try. Only an entry that the answer calls successful has not failed.
func (a answer) settle(entries []entry, failures map[string]error) (again []entry) {
	causes := make(map[string]error, len(entries))
	for _, e := range entries {
		causes[e.id] = errUnmentioned
	}
	for _, f := range a.failed {
		causes[deref(f.Id)] = entryError(f)
	}
	for _, id := range a.done {
		delete(causes, id)
	}
	for _, e := range entries {
		cause, failed := causes[e.id]
		if !failed {
			delete(failures, e.msg.ID)
			continue
		}
		failures[e.msg.ID] = cause
		if errors.Is(cause, ingest.ErrUnavailable) {
			again = append(again, e)
		}
	}
	return again
}

// withFailures adds failures to the outcome of a batch call. One that failed as a
// whole stays as it is: no message got through.
func withFailures(err error, failures map[string]error) error {
	var partial *ingest.PartialError
	switch {
	case len(failures) == 0:
		return err
	case err == nil:
		return &ingest.PartialError{Failed: failures}
	case errors.As(err, &partial):
		maps.Copy(partial.Failed, failures)
	}
	return err
}
