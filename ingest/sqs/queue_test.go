package sqs_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/ingest"
	"casdelius/ingest/sqs"
	"casdelius/ingest/sqs/sqstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an endpoint with the queue "events", which dead-letters to "dead" after ten
// deliveries, and our queue over it, by the server's clock.
type bench struct {
	*sqstest.Server
	queue *sqs.Queue
}

func setup(tb testing.TB) bench {
	tb.Helper()
	server := sqstest.Start(tb)
	_, err := server.CreateQueue("dead", sqstest.QueueSettings{})
	require.NoError(tb, err)
	_, err = server.CreateQueue("events", sqstest.QueueSettings{
		Retention: 14 * 24 * time.Hour, DeadLetterQueue: "dead", MaxReceiveCount: 10,
	})
	require.NoError(tb, err)
	return bench{server, open(tb, server, "events")}
}

// open makes a queue that pauses for next to nothing.
func open(tb testing.TB, server *sqstest.Server, name string) *sqs.Queue {
	tb.Helper()
	q, err := sqs.New(awssqs.NewFromConfig(server.AWSConfig()), sqs.Config{Queue: name, Pause: time.Millisecond, Now: server.Now})
	require.NoError(tb, err)
	return q
}

// receive sends n messages and receives them.
func (b bench) receive(tb testing.TB, n int) []ingest.Message {
	tb.Helper()
	for i := range n {
		_, err := b.Send("events", strconv.Itoa(i), nil)
		require.NoError(tb, err)
	}
	msgs, err := b.queue.Receive(tb.Context(), 10, 2*time.Minute)
	require.NoError(tb, err)
	require.Len(tb, msgs, n)
	return msgs
}

func (b bench) depth(tb testing.TB) sqstest.Depth {
	tb.Helper()
	d, err := b.Depth("events")
	require.NoError(tb, err)
	return d
}

func TestAMessageIsReceivedWholeWithItsCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	id, err := b.Send("events", "body", map[string]string{"traceparent": trace})
	require.NoError(t, err)

	first, err := b.queue.Receive(t.Context(), 10, 2*time.Minute)
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.Equal(t, id, first[0].ID)
	require.Equal(t, "body", first[0].Body)
	require.Equal(t, 1, first[0].ReceiveCount)
	require.Equal(t, map[string]string{"traceparent": trace}, first[0].Attributes)
	require.WithinDuration(t, first[0].Received, first[0].FirstReceived, time.Minute)

	b.Advance(2 * time.Minute)
	second, err := b.queue.Receive(t.Context(), 10, 2*time.Minute)
	require.NoError(t, err)
	require.Equal(t, 2, second[0].ReceiveCount)
	require.Equal(t, first[0].FirstReceived, second[0].FirstReceived)
	require.True(t, second[0].Received.After(first[0].Received))
}

func TestTheQueueMayBeNamedByItsURL(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.queue = open(t, b.Server, b.URL()+"/"+sqstest.Account+"/events")
	b.receive(t, 1)
	require.Zero(t, b.Calls("GetQueueUrl"))
}

func TestTheNameIsLookedUpOnceItCanBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.FailCalls("GetQueueUrl", 1, http.StatusServiceUnavailable, "ServiceUnavailable")
	_, err := b.queue.Receive(t.Context(), 1, time.Minute)
	require.ErrorIs(t, err, ingest.ErrUnavailable)
	require.NoError(t, b.queue.Delete(t.Context(), b.receive(t, 1)))
	require.Equal(t, 2, b.Calls("GetQueueUrl"))
}

func TestNothingReceivedIsNoError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended := make(chan error, 1)
	go func() {
		msgs, err := b.queue.Receive(t.Context(), 10, time.Minute)
		assert.Empty(t, msgs)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		b.Advance(20 * time.Second)
		return len(ended) == 1
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, <-ended)
}

func TestDeletedMessagesAreGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.queue.Delete(t.Context(), b.receive(t, 10)))
	require.Equal(t, sqstest.Depth{}, b.depth(t))
	require.Equal(t, 1, b.Calls("DeleteMessageBatch"))
}

func TestEntriesThatSQSFailsAreTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.FailEntries("DeleteMessageBatch", 3, "InternalError", false)
	require.NoError(t, b.queue.Delete(t.Context(), b.receive(t, 5)))
	require.Equal(t, sqstest.Depth{}, b.depth(t))
	require.Equal(t, 2, b.Calls("DeleteMessageBatch"))
}

func TestEntriesThatKeepFailingAreReported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	msgs := b.receive(t, 3)
	b.FailEntries("DeleteMessageBatch", 1, "ReceiptHandleIsInvalid", true)
	b.FailEntries("DeleteMessageBatch", 4, "InternalError", false) // both others, then again, then one of them

	err := b.queue.Delete(t.Context(), msgs)
	var partial *ingest.PartialError
	require.ErrorAs(t, err, &partial)
	require.Len(t, partial.Failed, 1)
	require.NotErrorIs(t, partial.Failed[msgs[0].ID], ingest.ErrUnavailable)
	require.ErrorContains(t, partial.Failed[msgs[0].ID], "ReceiptHandleIsInvalid")
	require.Equal(t, 3, b.Calls("DeleteMessageBatch"))

	b.FailEntries("DeleteMessageBatch", 3, "InternalError", false)
	err = b.queue.Delete(t.Context(), msgs[:1])
	require.ErrorAs(t, err, &partial)
	require.ErrorIs(t, partial.Failed[msgs[0].ID], ingest.ErrUnavailable)
	require.Equal(t, sqstest.Depth{InFlight: 1}, b.depth(t))
}

func TestAConnectionLostBetweenTriesLeavesTheRestFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	msgs := b.receive(t, 2)
	b.FailEntries("DeleteMessageBatch", 1, "InternalError", false)
	calls := 0
	b.OnCall(func(_ context.Context, action string) {
		if calls++; calls == 2 {
			b.DropCalls(action, 1)
		}
	})
	err := b.queue.Delete(t.Context(), msgs)
	var partial *ingest.PartialError
	require.ErrorAs(t, err, &partial)
	require.Len(t, partial.Failed, 1)
	require.ErrorIs(t, partial.Failed[msgs[0].ID], ingest.ErrUnavailable)
	require.Equal(t, sqstest.Depth{InFlight: 1}, b.depth(t))
}

func TestNoMessagesNeedNoCall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.queue.Delete(t.Context(), nil))
	require.NoError(t, b.queue.SetVisibility(t.Context(), nil, time.Minute))
	require.Zero(t, b.Calls("DeleteMessageBatch")+b.Calls("ChangeMessageVisibilityBatch"))
}

func TestVisibilityIsSetForTheWholeBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	msgs := b.receive(t, 3)
	require.NoError(t, b.queue.SetVisibility(t.Context(), msgs, 90*time.Minute))
	b.Advance(89 * time.Minute)
	require.Equal(t, sqstest.Depth{InFlight: 3}, b.depth(t))
	require.NoError(t, b.queue.SetVisibility(t.Context(), msgs, 0))
	require.Equal(t, sqstest.Depth{Visible: 3}, b.depth(t))
}

func TestVisibilityEndsTwelveHoursAfterTheDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	msgs := b.receive(t, 1)
	require.NoError(t, b.queue.SetVisibility(t.Context(), msgs, 12*time.Hour))
	b.Advance(11 * time.Hour)
	require.NoError(t, b.queue.SetVisibility(t.Context(), msgs, 2*time.Hour), "asked for no more than is left")
	b.Advance(59 * time.Minute)
	require.Equal(t, sqstest.Depth{InFlight: 1}, b.depth(t))
	b.Advance(time.Minute)

	var partial *ingest.PartialError
	require.ErrorAs(t, b.queue.SetVisibility(t.Context(), msgs, time.Hour), &partial)
	require.ErrorIs(t, partial.Failed[msgs[0].ID], sqs.ErrVisibilityUsedUp)
	require.Equal(t, sqstest.Depth{Visible: 1}, b.depth(t))
}

func TestAReplacedReceiptCannotHideAMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.receive(t, 1)
	b.Advance(2 * time.Minute)
	_, err := b.queue.Receive(t.Context(), 1, 2*time.Minute)
	require.NoError(t, err)
	var partial *ingest.PartialError
	require.ErrorAs(t, b.queue.SetVisibility(t.Context(), old, time.Minute), &partial)
	require.NotErrorIs(t, partial.Failed[old[0].ID], ingest.ErrUnavailable)
}

func TestLimitsAreThoseOfTheQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got, err := b.queue.Limits(t.Context())
	require.NoError(t, err)
	require.Equal(t, ingest.Limits{
		MaxReceiveCount: 10, DeadLetterQueue: "dead", DeadLetterRetention: 4 * 24 * time.Hour,
		VisibilityTimeout: 30 * time.Second, Retention: 14 * 24 * time.Hour,
	}, got)
	got, err = open(t, b.Server, "dead").Limits(t.Context())
	require.NoError(t, err)
	require.Zero(t, got.MaxReceiveCount, "a queue without a redrive policy never gives up")
	require.Empty(t, got.DeadLetterQueue)
}

func TestTheRetentionOfADeadLetterQueueMayBeNobodysBusiness(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.receive(t, 1) // its URL is known from now on
	b.FailCalls("GetQueueUrl", 1, http.StatusForbidden, "AccessDenied")
	got, err := b.queue.Limits(t.Context())
	require.NoError(t, err)
	require.Equal(t, "dead", got.DeadLetterQueue)
	require.Zero(t, got.DeadLetterRetention)
	calls := b.Calls("GetQueueUrl")
	require.NoError(t, b.queue.Reachable(t.Context()))
	require.Equal(t, calls, b.Calls("GetQueueUrl"))
}

func TestAnOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	msgs := b.receive(t, 1)
	for name, fail := range map[string]func(){
		"throttled": func() { b.FailCalls("", 1, http.StatusBadRequest, "ThrottlingException") },
		"too many":  func() { b.FailCalls("", 1, http.StatusTooManyRequests, "Whatever") },
		"500":       func() { b.FailCalls("", 1, http.StatusInternalServerError, "Whatever") },
		"full":      func() { b.FailCalls("", 1, http.StatusForbidden, "OverLimit") },
		"dropped":   func() { b.DropCalls("", 1) },
		"no answer": func() { b.DropAnswers("", 1) },
	} {
		fail()
		_, err := b.queue.Limits(t.Context())
		require.ErrorIs(t, err, ingest.ErrUnavailable, name)
		fail()
		err = b.queue.SetVisibility(t.Context(), msgs, time.Minute)
		require.ErrorIs(t, err, ingest.ErrUnavailable, name)
		require.NotErrorAs(t, err, new(*ingest.PartialError), name)
	}
	b.Close()
	_, err := b.queue.Receive(t.Context(), 1, time.Minute)
	require.ErrorIs(t, err, ingest.ErrUnavailable, "refused")
}

func TestAnAnswerThatIsNoneIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	proxy := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write([]byte("<html>we are busy</html>"))
			assert.NoError(t, err)
		}),
	}
	go func() { _ = proxy.Serve(listener) }()
	t.Cleanup(func() { assert.NoError(t, proxy.Close()) })
	b := setup(t)
	cfg := b.AWSConfig()
	url := "http://" + listener.Addr().String()
	cfg.BaseEndpoint = &url
	q, err := sqs.New(awssqs.NewFromConfig(cfg), sqs.Config{Queue: "events"})
	require.NoError(t, err)
	_, err = q.Receive(t.Context(), 1, time.Minute)
	require.ErrorIs(t, err, ingest.ErrUnavailable)
}

func TestWhatNeedsAPersonIsNotUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := open(t, b.Server, "nowhere").Receive(t.Context(), 1, time.Minute)
	require.NotErrorIs(t, err, ingest.ErrUnavailable)
	require.ErrorContains(t, err, `"nowhere"`)
	require.ErrorContains(t, err, "MESSAGING_CONSUMER_QUEUE")

	b.FailCalls("ReceiveMessage", 1, http.StatusForbidden, "AccessDeniedException")
	_, err = b.queue.Receive(t.Context(), 1, time.Minute)
	require.NotErrorIs(t, err, ingest.ErrUnavailable)
	require.ErrorContains(t, err, "role")
	b.FailCalls("ReceiveMessage", 1, http.StatusForbidden, "SignatureDoesNotMatch")
	_, err = b.queue.Receive(t.Context(), 1, time.Minute)
	require.NotErrorIs(t, err, ingest.ErrUnavailable)
	require.ErrorContains(t, err, "SignatureDoesNotMatch")
}

func TestACancelledCallSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.OnCall(func(ctx context.Context, action string) {
		if action == "ReceiveMessage" {
			cancel()
			<-ctx.Done()
		}
	})
	_, err := b.queue.Receive(ctx, 1, time.Minute)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ingest.ErrUnavailable)
}

func TestSenselessArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"no messages asked for": func() error { _, err := b.queue.Receive(ctx, 0, time.Minute); return err },
		"11 asked for":          func() error { _, err := b.queue.Receive(ctx, 11, time.Minute); return err },
		"no visibility":         func() error { _, err := b.queue.Receive(ctx, 1, 0); return err },
		"13 h":                  func() error { _, err := b.queue.Receive(ctx, 1, 13*time.Hour); return err },
		"11 deleted":            func() error { return b.queue.Delete(ctx, make([]ingest.Message, 11)) },
		"hidden for 13 h":       func() error { return b.queue.SetVisibility(ctx, nil, 13*time.Hour) },
		"no queue":              func() error { _, err := sqs.New(nil, sqs.Config{}); return err },
		"an ARN for a queue":    func() error { _, err := sqs.New(nil, sqs.Config{Queue: "arn:aws:sqs:eu-west-2:1:q"}); return err },
		"a URL without a host":  func() error { _, err := sqs.New(nil, sqs.Config{Queue: "https:///1/q"}); return err },
		"a URL with a user":     func() error { _, err := sqs.New(nil, sqs.Config{Queue: "https://u:p@host/1/q"}); return err },
		"a negative pause":      func() error { _, err := sqs.New(nil, sqs.Config{Queue: "q", Pause: -1}); return err },
	} {
		assert.Error(t, call(), name)
	}
}

func TestOpenTakesTheSDKsOwnConfiguration(t *testing.T) {
	server := sqstest.Start(t)
	_, err := server.CreateQueue("events", sqstest.QueueSettings{})
	require.NoError(t, err)
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE":             t.TempDir() + "/none",
		"AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none",
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_DEFAULT_REGION":          "",
		"AWS_REGION":                  "",
		"AWS_PROFILE":                 "",
		"AWS_ENDPOINT_URL_SQS":        server.URL(),
		"AWS_ACCESS_KEY_ID":           "test",
		"AWS_SECRET_ACCESS_KEY":       "test",
	} {
		t.Setenv(name, value)
	}
	_, err = sqs.Open(t.Context(), sqs.Config{Queue: "events"})
	require.ErrorContains(t, err, "AWS_REGION")

	t.Setenv("AWS_REGION", sqstest.Region)
	q, err := sqs.Open(t.Context(), sqs.Config{Queue: "events"})
	require.NoError(t, err)
	limits, err := q.Limits(t.Context())
	require.NoError(t, err)
	require.Zero(t, limits.MaxReceiveCount)
}

// Catches a message that is sent with what its receiver would not read, and a refusal that does
// not say which right is missing.
func TestAMessageIsSentToTheQueueItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.FailCalls("SendMessage", 1, http.StatusBadRequest, "AccessDeniedException")
	require.ErrorContains(t, b.queue.Send(t.Context(), "canary"), "SendMessage")
	require.NoError(t, b.queue.Send(t.Context(), "canary"))
	msgs, err := b.queue.Receive(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, msgs, 1)
	require.Equal(t, "canary", msgs[0].Body)
	require.Equal(t, 1, msgs[0].ReceiveCount)
}
