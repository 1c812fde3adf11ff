package sqstest_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/sqs/sqstest"
)

func TestAMessageArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := "two lines\nand <ümlauts> & \"quotes\""
	sent, err := b.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: b.url, MessageBody: &body,
		MessageAttributes: map[string]types.MessageAttributeValue{
			"traceparent": text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
			"n":           {DataType: aws.String("Number.int"), StringValue: aws.String("42")},
			"b":           {DataType: aws.String("Binary"), BinaryValue: []byte("aGVsbG8=")},
		},
	})
	require.NoError(t, err)
	// The digest that another implementation computes of these attributes.
	require.Equal(t, "bf6164bcc191064ac22ac3bd694a110e", *sent.MD5OfMessageAttributes)

	got := b.one(t)
	require.Equal(t, *sent.MessageId, *got.MessageId)
	require.Equal(t, body, *got.Body)
	require.Equal(t, *sent.MD5OfMessageBody, *got.MD5OfBody)
	require.Equal(t, *sent.MD5OfMessageAttributes, *got.MD5OfMessageAttributes)
	require.Equal(t, "aGVsbG8=", string(got.MessageAttributes["b"].BinaryValue))
	require.Equal(t, "42", *got.MessageAttributes["n"].StringValue)
	require.Equal(t, "1", got.Attributes["ApproximateReceiveCount"])
}

func TestAttributesAreAnsweredOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		ask  []string
		want []string
	}{
		"none":      {nil, nil},
		"by name":   {[]string{"eventType"}, []string{"eventType"}},
		"by prefix": {[]string{"trace.*"}, []string{"traceparent", "tracestate"}},
		"all":       {[]string{".*"}, []string{"eventType", "traceparent", "tracestate"}},
	} {
		_, err := b.Send("events", name, map[string]string{"eventType": "e", "traceparent": "p", "tracestate": "s"})
		require.NoError(t, err)
		out, err := b.sdk.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.url, MessageAttributeNames: c.ask})
		require.NoError(t, err)
		require.Len(t, out.Messages, 1)
		require.Empty(t, out.Messages[0].Attributes)
		var keys []string
		for key := range out.Messages[0].MessageAttributes {
			keys = append(keys, key)
		}
		assert.ElementsMatch(t, c.want, keys, name)
	}
}

func TestAReceivedMessageIsHiddenUntilItsVisibilityEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	first := b.one(t)
	b.none(t)
	require.Equal(t, sqstest.Depth{InFlight: 1}, b.depth(t))

	b.Advance(30 * time.Second)
	require.Equal(t, sqstest.Depth{Visible: 1}, b.depth(t))
	second := b.one(t)
	require.Equal(t, *first.MessageId, *second.MessageId)
	require.NotEqual(t, *first.ReceiptHandle, *second.ReceiptHandle)
	require.Equal(t, "2", second.Attributes["ApproximateReceiveCount"])
	require.Equal(t, first.Attributes["ApproximateFirstReceiveTimestamp"], second.Attributes["ApproximateFirstReceiveTimestamp"])
}

// poll starts a long poll and returns once it has reached the server. The channel gives
// how many messages it ends with.
func poll(t *testing.T, b bench) <-chan int {
	t.Helper()
	before := b.Calls("ReceiveMessage")
	ended := make(chan int, 1)
	go func() {
		msgs, err := b.get(t.Context(), 20)
		assert.NoError(t, err)
		ended <- len(msgs)
	}()
	require.Eventually(t, func() bool { return b.Calls("ReceiveMessage") > before }, soon, time.Millisecond)
	return ended
}

func await(t *testing.T, ended <-chan int) int {
	t.Helper()
	select {
	case n := <-ended:
		return n
	case <-time.After(soon):
		require.FailNow(t, "the long poll does not end")
		return 0
	}
}

func TestALongPollEndsWhenAMessageIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended := poll(t, b)
	b.put(t, "m")
	require.Equal(t, 1, await(t, ended))
}

func TestALongPollEndsEmptyWhenItsWaitIsOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// The poll may reach the queue only after the clock was moved, and wait once more.
	ended := poll(t, b)
	require.Eventually(t, func() bool {
		b.Advance(20 * time.Second)
		return len(ended) == 1
	}, soon, time.Millisecond)
	require.Zero(t, <-ended)
}

func TestALongPollEndsWhenAMessageBecomesVisible(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	require.NoError(t, b.hide(t, b.one(t).ReceiptHandle, 15*time.Second))
	ended := poll(t, b)
	b.Advance(15*time.Second - 50*time.Millisecond) // the rest passes by itself
	require.Equal(t, 1, await(t, ended))
}

func TestALongPollThatIsGivenUpTakesNoMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	b.OnCall(func(ctx context.Context, _ string) {
		cancel()
		<-ctx.Done()
		close(gone)
	})
	_, err := b.get(ctx, 20)
	require.ErrorIs(t, err, context.Canceled)
	<-gone
	b.OnCall(nil)
	b.put(t, "m")
	require.Equal(t, "1", b.one(t).Attributes["ApproximateReceiveCount"])
}

func TestClosingTheServerEndsLongPolls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended := poll(t, b)
	b.Close()
	require.Zero(t, await(t, ended))
}

func TestDeletingIsByTheLatestReceipt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	stale := b.one(t).ReceiptHandle
	b.Advance(30 * time.Second)
	latest := b.one(t).ReceiptHandle

	require.NoError(t, b.remove(t, stale))
	require.Equal(t, sqstest.Depth{InFlight: 1}, b.depth(t), "a receipt that was replaced deletes nothing")
	require.NoError(t, b.remove(t, latest))
	require.Equal(t, sqstest.Depth{}, b.depth(t))
	require.NoError(t, b.remove(t, latest), "deleting what is gone succeeds")
	requireCode(t, b.remove(t, aws.String("nonsense")), "ReceiptHandleIsInvalid")
}

func TestAMessageThatIsVisibleAgainCanBeDeletedUntilItIsDeliveredAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	receipt := b.one(t).ReceiptHandle
	b.Advance(time.Minute)
	require.NoError(t, b.remove(t, receipt))
	require.Equal(t, sqstest.Depth{}, b.depth(t))
}

func TestVisibilityCanBeChangedWhileAMessageIsInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t, "m")
	receipt := b.one(t).ReceiptHandle

	require.NoError(t, b.hide(t, receipt, time.Hour))
	b.Advance(59 * time.Minute)
	b.none(t)
	require.NoError(t, b.hide(t, receipt, 11*time.Hour))
	requireCode(t, b.hide(t, receipt, 12*time.Hour), "InvalidParameterValue") // 12 h since its delivery
	require.NoError(t, b.hide(t, receipt, 0))
	again := b.one(t).ReceiptHandle
	requireCode(t, b.hide(t, receipt, time.Minute), "InvalidParameterValue") // delivered anew
	b.Advance(time.Minute)
	requireCode(t, b.hide(t, again, time.Minute), "AWS.SimpleQueueService.MessageNotInflight")
	require.NoError(t, b.remove(t, again))
	requireCode(t, b.hide(t, again, time.Minute), "InvalidParameterValue") // gone
}

func TestAMessageDeliveredTooOftenIsDeadLettered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.put(t, "poison")
	for range 3 {
		require.NoError(t, b.hide(t, b.one(t).ReceiptHandle, 0))
	}
	dead, err := b.Messages("dead")
	require.NoError(t, err)
	require.Empty(t, dead, "it moves only when it would be delivered once more")
	b.none(t)
	require.Equal(t, sqstest.Depth{}, b.depth(t))
	dead, err = b.Messages("dead")
	require.NoError(t, err)
	require.Equal(t, []sqstest.Message{{ID: id, Body: "poison", ReceiveCount: 3}}, dead)

	url, err := b.sdk.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("dead")})
	require.NoError(t, err)
	b.url = url.QueueUrl
	got := b.one(t)
	require.Equal(t, "4", got.Attributes["ApproximateReceiveCount"])
	require.Equal(t, "arn:aws:sqs:eu-west-2:000000000000:events", got.Attributes["DeadLetterQueueSourceArn"])
}

func TestConcurrentReceiversGetEveryMessageOnce(t *testing.T) {
	t.Parallel()
	const messages, receivers = 500, 4
	b := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	got := make(chan string, messages)
	var wg sync.WaitGroup
	for range receivers {
		wg.Go(func() {
			for {
				msgs, err := b.get(ctx, 20)
				if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					return
				}
				for _, m := range msgs {
					got <- *m.Body
				}
			}
		})
	}
	for i := range messages {
		b.put(t, strconv.Itoa(i))
	}
	seen := make(map[string]bool)
	for range messages {
		seen[<-got] = true
	}
	stop()
	wg.Wait()
	require.Len(t, seen, messages)
	require.Equal(t, sqstest.Depth{InFlight: messages}, b.depth(t))
}

func BenchmarkReceiveAndDelete(b *testing.B) {
	on := setup(b)
	for i := range b.N {
		on.put(b, fmt.Sprintf("%0512d", i))
	}
	b.ResetTimer()
	for left := b.N; left > 0; {
		msgs, err := on.get(b.Context(), 20)
		require.NoError(b, err)
		entries := make([]types.DeleteMessageBatchRequestEntry, len(msgs))
		for i, m := range msgs {
			entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
		}
		out, err := on.sdk.DeleteMessageBatch(b.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: on.url, Entries: entries})
		require.NoError(b, err)
		require.Empty(b, out.Failed)
		left -= len(msgs)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
