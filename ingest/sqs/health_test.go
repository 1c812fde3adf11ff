package sqs_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/sqs/sqstest"
)

// Catches messages of one queue that are counted as the other's, and those in flight that
// are counted as waiting.
func TestHealthCountsTheMessagesOfBothQueues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.receive(t, 2)
	for range 3 {
		_, err := b.Send("events", "waits", nil)
		require.NoError(t, err)
	}
	_, err := b.Send("dead", "is dead", nil)
	require.NoError(t, err)
	for _, name := range []string{"events", b.URL() + "/" + sqstest.Account + "/events"} {
		details, err := open(t, b.Server, name).Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]string{
			"queueName": "events", "messagesOnQueue": "3", "messagesInFlight": "2",
			"dlqName": "dead", "messagesOnDlq": "1", "dlqStatus": "UP",
		}, details)
	}
}

// Catches a service that is taken for down because it may not read the dead letters.
func TestDeadLettersThatCannotBeReadAreToldAndNoFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.CreateQueue("alone", sqstest.QueueSettings{Retention: time.Hour})
	require.NoError(t, err)
	details, err := open(t, b.Server, "alone").Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"queueName": "alone", "messagesOnQueue": "0", "messagesInFlight": "0",
		"dlqStatus": "DOWN", "dlqError": "the queue has no redrive policy",
	}, details)

	_, err = b.queue.Limits(t.Context())
	require.NoError(t, err) // it knows its own URL now
	b.FailCalls("GetQueueUrl", 1, http.StatusForbidden, "AccessDenied")
	details, err = b.queue.Health(t.Context())
	require.NoError(t, err)
	require.Contains(t, details["dlqError"], "dead")
	delete(details, "dlqError")
	require.Equal(t, map[string]string{
		"queueName": "events", "messagesOnQueue": "0", "messagesInFlight": "0", "dlqName": "dead", "dlqStatus": "DOWN",
	}, details)
}

func TestAQueueThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.FailCalls("GetQueueUrl", 10, http.StatusServiceUnavailable, "ServiceUnavailable")
	details, err := b.queue.Health(t.Context())
	require.ErrorIs(t, err, ingest.ErrUnavailable)
	require.Equal(t, map[string]string{"queueName": "events"}, details)
}
