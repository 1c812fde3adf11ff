package sqs

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Health looks at the queue and its dead-letter queue, and gives the details under the names
// that HMPPS's own library for queues gives them. It fails where the queue does not answer.
// What is wrong with the dead letters alone is only told: dlqStatus is DOWN where the queue
// has no redrive policy, or where its dead-letter queue cannot be read, with dlqError beside
// it.
func (q *Queue) Health(ctx context.Context) (map[string]string, error) {
	const visible, hidden = types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	details := map[string]string{"queueName": q.cfg.Queue[strings.LastIndexByte(q.cfg.Queue, '/')+1:]}
	own, err := q.attributes(ctx, visible, hidden, types.QueueAttributeNameRedrivePolicy)
	if err != nil {
		return details, err
	}
	details["messagesOnQueue"], details["messagesInFlight"] = own[string(visible)], own[string(hidden)]
	details["dlqStatus"] = "DOWN"
	policy := own[string(types.QueueAttributeNameRedrivePolicy)]
	if policy == "" {
		details["dlqError"] = "the queue has no redrive policy"
		return details, nil
	}
	_, name, err := parseRedrive(policy)
	if err != nil {
		details["dlqError"] = err.Error()
		return details, nil
	}
	details["dlqName"] = name
	dead, err := q.attributesOf(ctx, name, visible)
	if err != nil {
		details["dlqError"] = err.Error()
		return details, nil
	}
	details["messagesOnDlq"], details["dlqStatus"] = dead[string(visible)], "UP"
	return details, nil
}
