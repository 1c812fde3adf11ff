package sqstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/sqs/sqstest"
)

func TestAQueueKeepsTheAttributesItIsGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	policy := `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-2:000000000000:dead","maxReceiveCount":"10"}`
	create := &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{
		"VisibilityTimeout": "120", "MessageRetentionPeriod": "1209600", "ReceiveMessageWaitTimeSeconds": "20", "RedrivePolicy": policy,
	}}
	made, err := b.sdk.CreateQueue(t.Context(), create)
	require.NoError(t, err)
	found, err := b.sdk.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	require.NoError(t, err)
	require.Equal(t, *made.QueueUrl, *found.QueueUrl)

	attributes := func(names ...types.QueueAttributeName) map[string]string {
		out, err := b.sdk.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: names})
		require.NoError(t, err)
		return out.Attributes
	}
	all := attributes("All")
	require.Equal(t, "120", all["VisibilityTimeout"])
	require.Equal(t, "1209600", all["MessageRetentionPeriod"])
	require.Equal(t, "20", all["ReceiveMessageWaitTimeSeconds"])
	require.Equal(t, "arn:aws:sqs:eu-west-2:000000000000:q", all["QueueArn"])
	require.JSONEq(t, strings.ReplaceAll(policy, `"10"`, "10"), all["RedrivePolicy"])
	require.Len(t, attributes("QueueArn", "RedrivePolicy"), 2)

	_, err = b.sdk.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{
		QueueUrl: made.QueueUrl, Attributes: map[string]string{"RedrivePolicy": "", "VisibilityTimeout": "5"},
	})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"VisibilityTimeout": "5"}, attributes("RedrivePolicy", "VisibilityTimeout"))

	_, err = b.sdk.CreateQueue(t.Context(), create)
	requireCode(t, err, "QueueAlreadyExists")
	list, err := b.sdk.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: aws.String("q")})
	require.NoError(t, err)
	require.Equal(t, []string{*made.QueueUrl}, list.QueueUrls)
}

func TestBadQueueSettingsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, value := range map[string]string{
		"VisibilityTimeout":             "43201",
		"MessageRetentionPeriod":        "59",
		"ReceiveMessageWaitTimeSeconds": "long",
		"RedrivePolicy":                 `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-2:000000000000:dead"}`,
		"FifoQueue":                     "true",
	} {
		_, err := b.sdk.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{name: value}})
		require.Error(t, err, name)
	}
	_, err := b.CreateQueue("q", sqstest.QueueSettings{DeadLetterQueue: "nowhere", MaxReceiveCount: 3})
	require.ErrorContains(t, err, "nowhere")
	_, err = b.CreateQueue("a queue", sqstest.QueueSettings{})
	require.ErrorContains(t, err, "a queue")
}

func TestAQueueThatDoesNotExistIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.url = aws.String(b.URL() + "/000000000000/nowhere")
	_, err := b.get(t.Context(), 0)
	requireCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
	var missing *types.QueueDoesNotExist
	require.ErrorAs(t, err, &missing)
	_, err = b.Send("nowhere", "m", nil)
	require.ErrorContains(t, err, "nowhere")
	_, err = b.Depth("nowhere")
	require.ErrorContains(t, err, "nowhere")
	_, err = b.Messages("nowhere")
	require.ErrorContains(t, err, "nowhere")
}

func TestPurgingEmptiesAQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "in flight")
	b.one(t)
	b.put(t, "visible")
	_, err := b.sdk.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: b.url})
	require.NoError(t, err)
	b.Advance(time.Hour)
	require.Equal(t, sqstest.Depth{}, b.depth(t))
}

func TestMessagesAreListedWithoutBeingDelivered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.put(t, "first")
	b.one(t)
	second := b.put(t, "second")
	got, err := b.Messages("events")
	require.NoError(t, err)
	require.Equal(t, []sqstest.Message{
		{ID: first, Body: "first", ReceiveCount: 1, InFlight: true}, {ID: second, Body: "second"},
	}, got)
}

// batchOf makes the entries of a SendMessageBatch.
func batchOf(bodies ...string) []types.SendMessageBatchRequestEntry {
	entries := make([]types.SendMessageBatchRequestEntry, len(bodies))
	for i, body := range bodies {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &body}
	}
	return entries
}

func TestEveryEntryOfABatchHasItsOwnFate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sent, err := b.sdk.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: b.url, Entries: batchOf("a", "", "c", "d")})
	require.NoError(t, err)
	require.Len(t, sent.Successful, 3)
	require.Len(t, sent.Failed, 1)
	require.Equal(t, "1", *sent.Failed[0].Id)
	require.True(t, sent.Failed[0].SenderFault)

	msgs, err := b.get(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, msgs, 3)
	hidden, err := b.sdk.ChangeMessageVisibilityBatch(t.Context(), &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: b.url, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
			{Id: aws.String("x"), ReceiptHandle: msgs[0].ReceiptHandle},
			{Id: aws.String("y"), ReceiptHandle: aws.String("nonsense"), VisibilityTimeout: 60},
		},
	})
	require.NoError(t, err)
	require.Equal(t, "x", *hidden.Successful[0].Id)
	require.Equal(t, "y", *hidden.Failed[0].Id)
	require.Equal(t, sqstest.Depth{Visible: 1, InFlight: 2}, b.depth(t))

	b.FailEntries("DeleteMessageBatch", 1, "InternalError", false)
	deleted, err := b.sdk.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{
		QueueUrl: b.url, Entries: []types.DeleteMessageBatchRequestEntry{
			{Id: aws.String("x"), ReceiptHandle: msgs[1].ReceiptHandle},
			{Id: aws.String("y"), ReceiptHandle: msgs[2].ReceiptHandle},
		},
	})
	require.NoError(t, err)
	require.Equal(t, "x", *deleted.Failed[0].Id)
	require.Equal(t, "InternalError", *deleted.Failed[0].Code)
	require.False(t, deleted.Failed[0].SenderFault)
	require.Equal(t, "y", *deleted.Successful[0].Id)
	require.Equal(t, sqstest.Depth{Visible: 1, InFlight: 1}, b.depth(t))
}

func TestABadBatchIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	twice := batchOf("a", "b")
	twice[1].Id = twice[0].Id
	odd := batchOf("a")
	odd[0].Id = aws.String("a b")
	half := strings.Repeat("x", 600<<10)
	for code, entries := range map[string][]types.SendMessageBatchRequestEntry{
		"EmptyBatchRequest":            {},
		"TooManyEntriesInBatchRequest": batchOf("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"),
		"BatchEntryIdsNotDistinct":     twice,
		"InvalidBatchEntryId":          odd,
		"BatchRequestTooLong":          batchOf(half, half),
	} {
		_, err := b.sdk.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: b.url, Entries: entries})
		requireCode(t, err, "AWS.SimpleQueueService."+code)
	}
	require.Equal(t, sqstest.Depth{}, b.depth(t))
}

func TestWhatIsLeftOutIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: b.url, MessageBody: aws.String("m"), DelaySeconds: 5})
	requireCode(t, err, "AWS.SimpleQueueService.UnsupportedOperation")
	_, err = b.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: b.url, MessageBody: aws.String("m"), MessageGroupId: aws.String("g")})
	requireCode(t, err, "AWS.SimpleQueueService.UnsupportedOperation")
	_, err = b.sdk.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: b.url})
	requireCode(t, err, "InvalidAction")
}

func TestBadMessagesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, in := range map[string]*sqs.SendMessageInput{
		"too long":             {MessageBody: aws.String(strings.Repeat("x", 1<<20+1))},
		"empty":                {MessageBody: aws.String("")},
		"attribute of no type": {MessageBody: aws.String("m"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("Text"), StringValue: aws.String("v")}}},
		"attribute of nothing": {MessageBody: aws.String("m"), MessageAttributes: map[string]types.MessageAttributeValue{"a": text("")}},
	} {
		in.QueueUrl = b.url
		_, err := b.sdk.SendMessage(t.Context(), in)
		require.Error(t, err, name)
	}
	require.Equal(t, sqstest.Depth{}, b.depth(t))
}

func TestInjectedFailuresAreMetInTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	b.FailCalls("ReceiveMessage", 1, http.StatusBadRequest, "ThrottlingException")
	b.FailCalls("", 1, http.StatusServiceUnavailable, "ServiceUnavailable")
	b.DropCalls("ReceiveMessage", 1)
	b.FailCalls("DeleteMessage", sqstest.Always, http.StatusForbidden, "AccessDeniedException")

	_, err := b.get(t.Context(), 0)
	requireCode(t, err, "ThrottlingException")
	_, err = b.get(t.Context(), 0)
	requireCode(t, err, "ServiceUnavailable")
	var status interface{ HTTPStatusCode() int }
	require.ErrorAs(t, err, &status)
	require.Equal(t, http.StatusServiceUnavailable, status.HTTPStatusCode())
	_, err = b.get(t.Context(), 0)
	require.ErrorContains(t, err, "EOF")
	got := b.one(t)
	require.Equal(t, "1", got.Attributes["ApproximateReceiveCount"], "no call that failed was served")
	require.Equal(t, 4, b.Calls("ReceiveMessage"))

	for range 3 {
		requireCode(t, b.remove(t, got.ReceiptHandle), "AccessDeniedException")
	}
	b.Heal()
	require.NoError(t, b.remove(t, got.ReceiptHandle))
}

func TestACallWhoseAnswerIsLostWasServed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	receipt := b.one(t).ReceiptHandle
	b.DropAnswers("DeleteMessage", 1)
	require.ErrorContains(t, b.remove(t, receipt), "EOF")
	require.Equal(t, sqstest.Depth{}, b.depth(t))
}

func TestCallsCanBeHeldUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	b.OnCall(func(ctx context.Context, action string) {
		assert.Equal(t, "ReceiveMessage", action)
		select {
		case <-release:
		case <-ctx.Done():
		}
	})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("held up"))
	defer cancel()
	_, err := b.get(ctx, 0)
	require.Error(t, err)
	close(release)
	b.none(t)
}

func TestTheEnvelopeCarriesTheEventAsAString(t *testing.T) {
	t.Parallel()
	event := `{"eventType":"accommodation.cas3.person.arrived","note":"<a> & \"b\""}`
	at := time.Date(2026, 7, 1, 12, 0, 0, 5e6, time.FixedZone("BST", 3600))
	var got struct {
		Type, MessageId, TopicArn, Message, Timestamp string //nolint:revive // names on the wire
		MessageAttributes                             map[string]map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(sqstest.EnvelopeSNS(event, "accommodation.cas3.person.arrived", "id-1", at)), &got))
	require.Equal(t, "Notification", got.Type)
	require.Equal(t, "id-1", got.MessageId)
	require.Equal(t, sqstest.Topic, got.TopicArn)
	require.Equal(t, event, got.Message)
	require.Equal(t, "2026-07-01T11:00:00.005Z", got.Timestamp)
	require.Equal(t, map[string]map[string]string{"eventType": {"Type": "String", "Value": "accommodation.cas3.person.arrived"}}, got.MessageAttributes)
}

func TestRunServesWithoutATest(t *testing.T) {
	t.Parallel()
	server, err := sqstest.Run("127.0.0.1:0")
	require.NoError(t, err)
	_, err = sqstest.Run(strings.TrimPrefix(server.URL(), "http://"))
	require.ErrorContains(t, err, "address already in use")
	server.Close()
	server.Close()
}
