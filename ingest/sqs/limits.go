package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"casdelius/ingest"
)

// Limits reads the queue's redrive policy, visibility and retention, and the retention of
// its dead-letter queue where the service's role may do that. The dead-letter queue is
// given by its name.
func (q *Queue) Limits(ctx context.Context) (ingest.Limits, error) {
	limits, err := q.ownLimits(ctx)
	if err == nil && limits.DeadLetterQueue != "" {
		limits.DeadLetterRetention = q.retentionOf(ctx, limits.DeadLetterQueue)
	}
	return limits, err
}

// Reachable is nil if the queue answers.
func (q *Queue) Reachable(ctx context.Context) error {
	_, err := q.ownLimits(ctx)
	return err
}

// retentionOf reads for how long another queue of the same account keeps a message, 0 if
// that cannot be read: the rights that the service needs are on its own queue.
func (q *Queue) retentionOf(ctx context.Context, name string) time.Duration {
	attributes, err := q.attributesOf(ctx, name, types.QueueAttributeNameMessageRetentionPeriod)
	if err != nil {
		return 0
	}
	retention, err := period(attributes, types.QueueAttributeNameMessageRetentionPeriod)
	if err != nil {
		return 0
	}
	return retention
}

// attributesOf reads attributes of another queue of the same account.
func (q *Queue) attributesOf(ctx context.Context, name string, wanted ...types.QueueAttributeName) (map[string]string, error) {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := q.client.GetQueueUrl(limited, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return nil, translate(ctx, fmt.Sprintf("look up the queue %q", name), err)
	}
	out, err := q.client.GetQueueAttributes(limited, &sqs.GetQueueAttributesInput{QueueUrl: found.QueueUrl, AttributeNames: wanted})
	if err != nil {
		return nil, translate(ctx, "read attributes of queue "+name, err)
	}
	return out.Attributes, nil
}

// attributes reads attributes of the queue itself.
func (q *Queue) attributes(ctx context.Context, wanted ...types.QueueAttributeName) (attributes map[string]string, err error) {
	err = q.do(ctx, "read the settings of", callTimeout, func(ctx context.Context, url *string) error {
		out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: wanted})
		if err == nil {
			attributes = out.Attributes
		}
		return err
	})
	return attributes, err
}

func (q *Queue) ownLimits(ctx context.Context) (ingest.Limits, error) {
	attributes, err := q.attributes(ctx, types.QueueAttributeNameRedrivePolicy,
		types.QueueAttributeNameVisibilityTimeout, types.QueueAttributeNameMessageRetentionPeriod)
	if err != nil {
		return ingest.Limits{}, err
	}
	limits, err := parseLimits(attributes)
	if err != nil {
		return ingest.Limits{}, fmt.Errorf("read the settings of queue %s: %w", q.cfg.Queue, err)
	}
	return limits, nil
}

func parseLimits(attributes map[string]string) (ingest.Limits, error) {
	var (
		limits ingest.Limits
		err    error
	)
	if limits.VisibilityTimeout, err = period(attributes, types.QueueAttributeNameVisibilityTimeout); err != nil {
		return ingest.Limits{}, err
	}
	if limits.Retention, err = period(attributes, types.QueueAttributeNameMessageRetentionPeriod); err != nil {
		return ingest.Limits{}, err
	}
	policy := attributes[string(types.QueueAttributeNameRedrivePolicy)]
	if policy == "" {
		return limits, nil
	}
	limits.MaxReceiveCount, limits.DeadLetterQueue, err = parseRedrive(policy)
	return limits, err
}

// period reads an attribute that is a number of seconds.
func period(attributes map[string]string, name types.QueueAttributeName) (time.Duration, error) {
	s := attributes[string(name)]
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("attribute %s is %q, not a number of seconds", name, s)
	}
	return time.Duration(n) * time.Second, nil
}

// parseRedrive takes a redrive policy apart. Its count is a number or, as some tools
// write it, a string.
func parseRedrive(policy string) (maxReceiveCount int, deadLetters string, err error) {
	var p struct {
		Target string          `json:"deadLetterTargetArn"`
		Max    json.RawMessage `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return 0, "", fmt.Errorf("redrive policy %s is not JSON as SQS writes it: %w", policy, err)
	}
	count, err := strconv.Atoi(strings.Trim(string(p.Max), `"`))
	if err != nil || count < 1 {
		return 0, "", fmt.Errorf("redrive policy %s has no maxReceiveCount of 1 or more", policy)
	}
	return count, p.Target[strings.LastIndexByte(p.Target, ':')+1:], nil
}
