package sqs

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
)

func TestADeliveryWithoutItsCountsIsAnError(t *testing.T) {
	t.Parallel()
	const count, first = "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"
	for name, c := range map[string]struct {
		attributes map[string]string
		names      string // what the error has to name
	}{
		"no attributes":     {nil, count},
		"no count":          {map[string]string{first: "1700000000000"}, count},
		"a count of 0":      {map[string]string{count: "0", first: "1700000000000"}, count},
		"a count in words":  {map[string]string{count: "one", first: "1700000000000"}, `"one"`},
		"no first delivery": {map[string]string{count: "1"}, first},
	} {
		id := "4f1c"
		_, err := message(&types.Message{MessageId: &id, Attributes: c.attributes}, time.Now())
		if assert.ErrorContains(t, err, c.names, name) {
			assert.ErrorContains(t, err, id, name)
		}
	}
}

func TestBinaryAttributesAreLeftOut(t *testing.T) {
	t.Parallel()
	text := "t"
	require.Equal(t, map[string]string{"a": "t"}, texts(map[string]types.MessageAttributeValue{
		"a": {StringValue: &text}, "b": {BinaryValue: []byte{1}},
	}))
}

func TestVisibilityIsRoundedUpButNeverBeyondWhatIsLeft(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := ingest.Message{Received: received}
	for _, c := range []struct {
		ask   time.Duration
		after time.Duration // the delivery
		want  int32         // seconds
	}{
		{0, 0, 0},
		{time.Millisecond, 0, 1},
		{time.Second, 0, 1},
		{time.Second + 1, 0, 2},
		{12 * time.Hour, 0, 43_200 - 5},
		{2 * time.Hour, 11 * time.Hour, 3_600 - 5},
		{time.Hour, 11*time.Hour + 500*time.Millisecond, 3_600 - 6},
		{time.Minute, 11 * time.Hour, 60},
	} {
		assert.Equal(t, c.want, clamped(c.ask, left(m, received.Add(c.after))), "%v asked for after %v", c.ask, c.after)
	}
}

func TestAnEntryThatTheAnswerDoesNotMentionHasFailed(t *testing.T) {
	t.Parallel()
	entries := []entry{{"0", ingest.Message{ID: "a"}}, {"1", ingest.Message{ID: "b"}}}
	failures := map[string]error{"a": errUnmentioned}
	again := answer{done: []string{"0"}}.settle(entries, failures)
	require.Equal(t, entries[1:], again)
	require.Equal(t, map[string]error{"b": errUnmentioned}, failures)
	require.ErrorIs(t, errUnmentioned, ingest.ErrUnavailable)
}

func TestRedrivePoliciesAreReadInBothSpellings(t *testing.T) {
	t.Parallel()
	base := map[string]string{"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600"}
	with := func(policy string) map[string]string {
		return map[string]string{"RedrivePolicy": policy, "VisibilityTimeout": "30", "MessageRetentionPeriod": "345600"}
	}
	for _, count := range []string{`10`, `"10"`} {
		got, err := parseLimits(with(`{"deadLetterTargetArn":"arn:aws:sqs:eu-west-2:1:dead","maxReceiveCount":` + count + `}`))
		require.NoError(t, err)
		require.Equal(t, 10, got.MaxReceiveCount)
		require.Equal(t, "dead", got.DeadLetterQueue)
	}
	got, err := parseLimits(base)
	require.NoError(t, err)
	require.Equal(t, ingest.Limits{VisibilityTimeout: 30 * time.Second, Retention: 96 * time.Hour}, got)

	for _, policy := range []string{`{}`, `{"maxReceiveCount":0}`, `{"maxReceiveCount":"many"}`, `[`} {
		_, err := parseLimits(with(policy))
		require.ErrorContains(t, err, policy)
	}
	_, err = parseLimits(nil)
	require.ErrorContains(t, err, "VisibilityTimeout")
}
