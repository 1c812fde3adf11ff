package sqstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/ingest/sqs/sqstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long a test waits for what must happen before it gives up.
const soon = 10 * time.Second

// bench is an endpoint with the queue "events", which dead-letters to "dead" after
// three deliveries, and a client.
type bench struct {
	*sqstest.Server
	sdk *sqs.Client
	url *string
}

func setup(tb testing.TB) bench {
	tb.Helper()
	server := sqstest.Start(tb)
	_, err := server.CreateQueue("dead", sqstest.QueueSettings{Retention: 14 * 24 * time.Hour})
	require.NoError(tb, err)
	url, err := server.CreateQueue("events", sqstest.QueueSettings{
		Visibility: 30 * time.Second, DeadLetterQueue: "dead", MaxReceiveCount: 3,
	})
	require.NoError(tb, err)
	return bench{server, sqs.NewFromConfig(server.AWSConfig()), &url}
}

// put sends a message and gives its id.
func (b bench) put(tb testing.TB, body string) string {
	tb.Helper()
	id, err := b.Send("events", body, nil)
	require.NoError(tb, err)
	return id
}

// get receives up to ten messages, with a wait of that many seconds.
func (b bench) get(ctx context.Context, wait int32) ([]types.Message, error) {
	out, err := b.sdk.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: b.url, MaxNumberOfMessages: 10, WaitTimeSeconds: wait,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// one receives the only message there is.
func (b bench) one(tb testing.TB) types.Message {
	tb.Helper()
	msgs, err := b.get(tb.Context(), 0)
	require.NoError(tb, err)
	require.Len(tb, msgs, 1)
	return msgs[0]
}

// none checks that no message is visible.
func (b bench) none(tb testing.TB) {
	tb.Helper()
	msgs, err := b.get(tb.Context(), 0)
	require.NoError(tb, err)
	require.Empty(tb, msgs)
}

func (b bench) remove(tb testing.TB, receipt *string) error {
	tb.Helper()
	_, err := b.sdk.DeleteMessage(tb.Context(), &sqs.DeleteMessageInput{QueueUrl: b.url, ReceiptHandle: receipt})
	return err
}

func (b bench) hide(tb testing.TB, receipt *string, d time.Duration) error {
	tb.Helper()
	_, err := b.sdk.ChangeMessageVisibility(tb.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: b.url, ReceiptHandle: receipt, VisibilityTimeout: int32(d / time.Second),
	})
	return err
}

// depth is what the queue "events" holds.
func (b bench) depth(tb testing.TB) sqstest.Depth {
	tb.Helper()
	d, err := b.Depth("events")
	require.NoError(tb, err)
	return d
}

// requireCode checks the error code that SQS answered with.
func requireCode(tb testing.TB, err error, code string) {
	tb.Helper()
	var api smithy.APIError
	require.ErrorAs(tb, err, &api)
	require.Equal(tb, code, api.ErrorCode())
}

func text(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
}
