package sqs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Send implements ingest.Queue.
func (q *Queue) Send(ctx context.Context, body string) error {
	return q.do(ctx, "send to", callTimeout, func(ctx context.Context, url *string) error {
		_, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body})
		return err
	})
}
