package sns_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/projector/relay"
	"casdelius/projector/sns"
	"casdelius/projector/sns/snstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an endpoint with a topic, and what the topic has accepted.
type bench struct {
	*snstest.Server
	*sns.Topic

	mu       sync.Mutex
	accepted []snstest.Message
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{Server: snstest.Start(t)}
	arn := b.CreateTopic("events")
	b.Subscribe(arn, func(m snstest.Message) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.accepted = append(b.accepted, m)
	})
	b.Topic = open(t, b.Server, arn)
	return b
}

func open(t *testing.T, server *snstest.Server, arn string) *sns.Topic {
	t.Helper()
	topic, err := sns.New(awssns.NewFromConfig(server.AWSConfig()), arn)
	require.NoError(t, err)
	return topic
}

// some are messages with these ids.
func some(ids ...string) (messages []relay.Message) {
	for _, id := range ids {
		messages = append(messages, relay.Message{ID: id, EventType: "probation-case.address.created", Body: `{"a":"` + id + ` & <b>"}`})
	}
	return messages
}

// The attribute eventType, the trace where there is one, and no other: with eventSource another
// queue would get the message. It catches an attribute that somebody adds for convenience.
func TestAMessageHasItsTypeAndItsTraceAndNoOtherAttribute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	messages := some("1", "2")
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	messages[1].Trace = trace
	results, err := b.Publish(t.Context(), messages)
	require.NoError(t, err)
	require.Equal(t, []error{nil, nil}, results)
	require.Len(t, b.accepted, 2)
	require.Equal(t, map[string]string{"eventType": "probation-case.address.created"}, b.accepted[0].Attributes)
	require.Equal(t, map[string]string{"eventType": "probation-case.address.created", "traceparent": trace}, b.accepted[1].Attributes)
	require.Equal(t, messages[0].Body, b.accepted[0].Body)
	require.Equal(t, 1, b.Calls("PublishBatch"))
}

// What SNS says of one message is that message's. It catches a batch that is taken to have
// succeeded because the call has, and one that fails as a whole for one message.
func TestEachMessageOfABatchSucceedsOrFailsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.FailMessages(1, http.StatusBadRequest, "InvalidParameter", func(m snstest.Message) bool { return strings.Contains(m.Body, "2") })
	b.FailMessages(1, http.StatusInternalServerError, "InternalError", func(m snstest.Message) bool { return strings.Contains(m.Body, "3") })
	b.FailMessages(1, http.StatusBadRequest, "Throttling", func(m snstest.Message) bool { return strings.Contains(m.Body, "4") })
	results, err := b.Publish(t.Context(), some("1", "2", "3", "4", "5"))
	require.NoError(t, err)
	require.NoError(t, results[0])
	require.ErrorContains(t, results[1], "SNS refuses it: InvalidParameter")
	require.NotErrorIs(t, results[1], relay.ErrUnavailable)
	require.ErrorIs(t, results[2], relay.ErrUnavailable)
	require.ErrorIs(t, results[3], relay.ErrUnavailable)
	require.NoError(t, results[4])
	require.Len(t, b.accepted, 2)
}

func TestAnOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, fail := range map[string]func(){
		"throttled": func() { b.FailCalls(1, http.StatusBadRequest, "Throttling") },
		"too many":  func() { b.FailCalls(1, http.StatusTooManyRequests, "Whatever") },
		"500":       func() { b.FailCalls(1, http.StatusInternalServerError, "Whatever") },
		"dropped":   func() { b.DropCalls(1) },
		"no answer": func() { b.DropAnswers(1) },
	} {
		fail()
		_, err := b.Publish(t.Context(), some("1"))
		require.ErrorIs(t, err, relay.ErrUnavailable, name)
	}
	b.Close()
	_, err := b.Publish(t.Context(), some("1"))
	require.ErrorIs(t, err, relay.ErrUnavailable, "refused")
}

// A message that the answer does not mention was not accepted. It catches one that is taken for
// sent because nothing bad was said of it.
func TestAnAnswerThatIsNoneIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"a page":        "<html>we are open</html>",
		"nothing":       "",
		"of no message": "<PublishBatchResponse><PublishBatchResult><Successful/><Failed/></PublishBatchResult></PublishBatchResponse>",
		"of another":    "<PublishBatchResponse><PublishBatchResult><Successful><member><Id>9</Id></member></Successful></PublishBatchResult></PublishBatchResponse>",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		proxy := &http.Server{
			ReadHeaderTimeout: time.Second,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write([]byte(page))
				assert.NoError(t, err)
			}),
		}
		go func() { _ = proxy.Serve(listener) }()
		t.Cleanup(func() { assert.NoError(t, proxy.Close()) })
		b := setup(t)
		cfg := b.AWSConfig()
		url := "http://" + listener.Addr().String()
		cfg.BaseEndpoint = &url
		topic, err := sns.New(awssns.NewFromConfig(cfg), b.ARN())
		require.NoError(t, err)
		results, err := topic.Publish(t.Context(), some("1"))
		if err == nil {
			err = results[0]
		}
		require.ErrorIs(t, err, relay.ErrUnavailable, name)
	}
}

func TestWhatNeedsAPersonSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := open(t, b.Server, "arn:aws:sns:eu-west-2:000000000000:nowhere").Publish(t.Context(), some("1"))
	require.NotErrorIs(t, err, relay.ErrUnavailable)
	require.ErrorContains(t, err, "MESSAGING_PRODUCER_TOPIC")
	b.FailCalls(1, http.StatusForbidden, "AuthorizationError")
	_, err = b.Publish(t.Context(), some("1"))
	require.NotErrorIs(t, err, relay.ErrUnavailable)
	require.ErrorContains(t, err, "sns:Publish")
	b.FailCalls(1, http.StatusBadRequest, "InvalidParameter")
	_, err = b.Publish(t.Context(), some("1"))
	require.NotErrorIs(t, err, relay.ErrUnavailable)
	require.ErrorContains(t, err, "InvalidParameter")
}

func TestACancelledCallSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.OnCall(func(ctx context.Context, _ string) {
		cancel()
		<-ctx.Done()
	})
	_, err := b.Publish(ctx, some("1"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, relay.ErrUnavailable)
}

func TestSubscriptionsAreThoseOfTheTopic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.SetPending(b.ARN(), 2)
	listening, err := b.Subscriptions(t.Context())
	require.NoError(t, err)
	require.Equal(t, sns.Subscriptions{Confirmed: 1, Pending: 2}, listening)
	b.FailCalls(1, http.StatusForbidden, "AuthorizationError")
	_, err = b.Subscriptions(t.Context())
	require.ErrorContains(t, err, "sns:GetTopicAttributes")
}

func TestOnlyAStandardTopicsARNIsTaken(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{"", "events", "arn:aws:sqs:eu-west-2:000000000000:events", "arn:aws:sns:eu-west-2:1:events", "arn:aws:sns:eu-west-2:000000000000:"} {
		require.ErrorContains(t, sns.Validate(arn), "want the topic's ARN", arn)
	}
	require.ErrorContains(t, sns.Validate("arn:aws:sns:eu-west-2:000000000000:events.fifo"), "FIFO")
	require.NoError(t, sns.Validate("arn:aws:sns:eu-west-2:000000000000:hmpps-domain-events"))
}

func TestOpenTakesTheSDKsOwnConfigurationAndTheRegionOfTheTopic(t *testing.T) {
	server := snstest.Start(t)
	arn := server.CreateTopic("events")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE":             t.TempDir() + "/none",
		"AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none",
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_DEFAULT_REGION":          "",
		"AWS_REGION":                  "",
		"AWS_PROFILE":                 "",
		"AWS_ENDPOINT_URL_SNS":        server.URL(),
		"AWS_ACCESS_KEY_ID":           "test",
		"AWS_SECRET_ACCESS_KEY":       "test",
	} {
		t.Setenv(name, value)
	}
	topic, err := sns.Open(t.Context(), arn)
	require.NoError(t, err)
	listening, err := topic.Subscriptions(t.Context())
	require.NoError(t, err)
	require.Zero(t, listening)
}
