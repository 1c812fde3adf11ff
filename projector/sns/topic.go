// Package sns publishes the notices of address rows to a topic at SNS.
//
// A batch is one call. What SNS says of each message is given back message by message; one
// that the answer does not mention counts as not accepted. Errors that have nothing to do with
// a message are marked with relay.ErrUnavailable. The SDK tries a call again itself where that
// may help, within the time that the caller gives.
package sns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"casdelius/projector/relay"
	"casdelius/store/failpoint"
)

// callTimeout is how long a call may take at most.
const callTimeout = 15 * time.Second

// Topic is a topic at SNS. It is safe for concurrent use.
type Topic struct {
	client *sns.Client
	arn    string
}

var _ relay.Topic = (*Topic)(nil)

var topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}$`)

// Validate says what is wrong with the ARN of a topic.
func Validate(arn string) error {
	switch {
	case topicARN.MatchString(arn):
		return nil
	case strings.HasSuffix(arn, ".fifo"):
		return fmt.Errorf("MESSAGING_PRODUCER_TOPIC is %q, a FIFO topic: want a standard one", arn)
	}
	return fmt.Errorf("MESSAGING_PRODUCER_TOPIC is %q: want the topic's ARN, such as arn:aws:sns:eu-west-2:123456789012:name", arn)
}

// Open makes a topic from the AWS SDK's own configuration, in the region that the ARN names.
// It does not talk to SNS.
func Open(ctx context.Context, arn string) (*Topic, error) {
	if err := Validate(arn); err != nil {
		return nil, err
	}
	sdk, err := config.LoadDefaultConfig(ctx, config.WithRegion(topicARN.FindStringSubmatch(arn)[1]))
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	return New(sns.NewFromConfig(sdk), arn)
}

// New makes a topic over a client, of which it takes the options. It does not talk to SNS.
func New(client *sns.Client, arn string) (*Topic, error) {
	if err := Validate(arn); err != nil {
		return nil, err
	}
	return &Topic{client: sns.New(client.Options(), withReadOnly), arn: arn}, nil
}

// ARN names the topic.
func (t *Topic) ARN() string { return t.arn }

// errUnmentioned is the failure of a message that the answer does not name at all.
var errUnmentioned = fmt.Errorf("SNS is %w: its answer does not mention the message", relay.ErrUnavailable)

// Publish implements relay.Topic.
func (t *Topic) Publish(ctx context.Context, messages []relay.Message) ([]error, error) {
	in := sns.PublishBatchInput{TopicArn: &t.arn, PublishBatchRequestEntries: make([]types.PublishBatchRequestEntry, len(messages))}
	results, of := make([]error, len(messages)), map[string]int{}
	for i := range messages {
		m := &messages[i]
		entry := types.PublishBatchRequestEntry{Id: &m.ID, Message: &m.Body, MessageAttributes: map[string]types.MessageAttributeValue{"eventType": text(m.EventType)}}
		if m.Trace != "" {
			entry.MessageAttributes["traceparent"] = text(m.Trace)
		}
		in.PublishBatchRequestEntries[i] = entry
		results[i], of[m.ID] = errUnmentioned, i
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var out *sns.PublishBatchOutput
	err := failpoint.Around(limited, failpoint.NoticeSent, func() (err error) {
		out, err = t.client.PublishBatch(limited, &in)
		return err
	})
	if err != nil {
		return nil, translate(ctx, "publish to topic "+t.arn, err)
	}
	for _, f := range out.Failed {
		if i, known := of[deref(f.Id)]; known {
			results[i] = entryError(f)
		}
	}
	for _, done := range out.Successful {
		if i, known := of[deref(done.Id)]; known {
			results[i] = nil
		}
	}
	return results, nil
}

func text(value string) types.MessageAttributeValue {
	kind := "String"
	return types.MessageAttributeValue{DataType: &kind, StringValue: &value}
}

// Subscriptions is who listens to a topic.
type Subscriptions struct{ Confirmed, Pending int }

// Subscriptions asks SNS who listens.
func (t *Topic) Subscriptions(ctx context.Context) (Subscriptions, error) {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := t.client.GetTopicAttributes(limited, &sns.GetTopicAttributesInput{TopicArn: &t.arn})
	if err != nil {
		return Subscriptions{}, translate(ctx, "look at topic "+t.arn, err)
	}
	var s Subscriptions
	var errs []error
	for name, to := range map[string]*int{"SubscriptionsConfirmed": &s.Confirmed, "SubscriptionsPending": &s.Pending} {
		var err error
		if *to, err = strconv.Atoi(out.Attributes[name]); err != nil {
			errs = append(errs, fmt.Errorf("topic %s: attribute %s is %q, not a number", t.arn, name, out.Attributes[name]))
		}
	}
	return s, errors.Join(errs...)
}

// readOnly sends requests whose bodies can only be read. The SDK closes a request's body as
// soon as the answer begins, at times before net/http has seen its end; what then fails is the
// body's WriteTo, and with it the connection on which the answer is still to come.
type readOnly struct{ client sns.HTTPClient }

// withReadOnly makes a client's requests readOnly.
func withReadOnly(o *sns.Options) { o.HTTPClient = readOnly{o.HTTPClient} }

// Do sends a request.
func (c readOnly) Do(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		request.Body = struct{ io.ReadCloser }{request.Body}
	}
	return c.client.Do(request)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
