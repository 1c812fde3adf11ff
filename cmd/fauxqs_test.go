package cmd_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/relay"
	"casdelius/projector/relay/relaytest"
	"casdelius/projector/sns"
	"casdelius/projector/sns/snstest"
	"casdelius/store"
	"casdelius/store/storetest"
)

const (
	fauxqsVersion = "2.4.1"
	fauxqsTopic   = "arn:aws:sns:eu-west-2:000000000000:hmpps-domain-events"
	recordQueue   = "person-record"
)

// startFauxqs runs the emulator of SNS and SQS that .ci/fauxqs has installed, with one topic and
// two queues: ours, and that of those who hear of addresses.
func startFauxqs(t *testing.T) aws.Config {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	modules := filepath.Join(cache, "casdelius", "fauxqs-"+fauxqsVersion, "node_modules")
	require.DirExists(t, modules, "fauxqs is not installed: run .ci/fauxqs, as make test does")
	filter := func(types ...store.Type) map[string]string {
		policy, err := json.Marshal(map[string][]store.Type{"eventType": types})
		require.NoError(t, err)
		return map[string]string{"FilterPolicyScope": "MessageAttributes", "FilterPolicy": string(policy)}
	}
	init, err := json.Marshal(says{
		"region": sqstest.Region, "queues": []says{{"name": queueName}, {"name": recordQueue}}, "topics": []says{{"name": "hmpps-domain-events"}},
		"subscriptions": []says{
			{"topic": "hmpps-domain-events", "queue": queueName, "attributes": filter(store.Types()...)},
			{"topic": "hmpps-domain-events", "queue": recordQueue, "attributes": filter("probation-case.address.created", "probation-case.address.updated")},
		},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "init.json")
	require.NoError(t, os.WriteFile(file, init, 0o600))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())

	emulator := exec.Command(filepath.Join(modules, ".bin", "node"), filepath.Join(modules, "fauxqs", "dist", "cli.js"))
	emulator.Env = append(os.Environ(), fmt.Sprint("FAUXQS_PORT=", port), "FAUXQS_LOGGER=false", "FAUXQS_DEFAULT_REGION="+sqstest.Region, "FAUXQS_INIT="+file)
	require.NoError(t, emulator.Start())
	t.Cleanup(func() {
		_ = emulator.Process.Kill()
		_ = emulator.Wait() // it was killed
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	eventually(t, "fauxqs answers", func() bool {
		answer, err := http.Get(url + "/health")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return aws.Config{Region: sqstest.Region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
}

// The whole way with an emulator by others at both ends: CAS publishes to the topic, the
// subscription filters into our queue, and notices go to the same topic and into the queue of
// those who hear of addresses. It catches a service that only agrees with endpoints of our own.
func TestEventsComeFromATopicOfAnotherHandAndNoticesGoToIt(t *testing.T) {
	t.Parallel()
	endpoint := startFauxqs(t)
	s := setup(t)
	s.admit(t, someone)
	require.NoError(t, s.delius.RecordAddressChanges(ctx))
	_, err := outbox.Keep(ctx, s.delius.Pool, true)
	require.NoError(t, err)
	s.ingestFrom(t, endpoint)
	s.project(t)
	topic, err := sns.New(awssns.NewFromConfig(endpoint), fauxqsTopic)
	require.NoError(t, err)
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	start(t, "relay", relay.New(db.Outbox, topic, relay.Config{Holder: "test"}).Run)

	booking := newReferral()
	arrived := s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early"))
	moved := s.event(t, store.PersonArrived, newReferral(), "2024-07-10T12:00:00Z", arrival("2024-07-10T12:00:00Z", canalRoad, "Moved"))
	told, listener := &relaytest.Subscriber{}, awssqs.NewFromConfig(endpoint)
	s.publish(t, awssns.NewFromConfig(endpoint), arrived)
	hear(t, listener, told, 1)
	s.publish(t, awssns.NewFromConfig(endpoint), moved)
	hear(t, listener, told, 3)
	changes, err := s.delius.AddressChanges(ctx)
	require.NoError(t, err)
	require.Len(t, changes, 3, "the second arrival ends the first stay")
	require.Empty(t, told.Differences(changes))
	listening, err := topic.Subscriptions(ctx)
	require.NoError(t, err)
	require.Equal(t, sns.Subscriptions{Confirmed: 2}, listening)
}

// publish raises an event: the detail is served, the notification goes to the topic.
func (s *system) publish(t *testing.T, client *awssns.Client, e storetest.Raised) {
	t.Helper()
	s.cas.Put(e.DetailPath, e.Body)
	_, err := client.Publish(ctx, &awssns.PublishInput{
		TopicArn: aws.String(fauxqsTopic), Message: aws.String(string(e.Notification)),
		MessageAttributes: map[string]types.MessageAttributeValue{"eventType": {DataType: aws.String("String"), StringValue: aws.String(string(e.Type))}},
	})
	require.NoError(t, err)
}

// hear receives so many messages, in the order in which the queue has them.
func hear(t *testing.T, client *awssqs.Client, told *relaytest.Subscriber, n int) {
	t.Helper()
	url, err := client.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: aws.String(recordQueue)})
	require.NoError(t, err)
	eventually(t, "the notices are in the queue", func() bool {
		out, err := client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		require.NoError(t, err)
		for _, m := range out.Messages {
			var envelope struct {
				Message           string
				MessageAttributes map[string]struct{ Type, Value string }
			}
			require.NoError(t, json.Unmarshal([]byte(*m.Body), &envelope))
			require.Len(t, envelope.MessageAttributes, 1)
			told.Hear(snstest.Message{Body: envelope.Message, Attributes: map[string]string{"eventType": envelope.MessageAttributes["eventType"].Value}})
			_, err := client.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: url.QueueUrl, ReceiptHandle: m.ReceiptHandle})
			require.NoError(t, err)
		}
		return told.Messages() >= n
	})
}
