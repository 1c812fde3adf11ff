package sqstest

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Topic is the ARN that [EnvelopeSNS] names as where the event was published.
const Topic = "arn:aws:sns:" + Region + ":" + Account + ":hmpps-domain-events"

// EnvelopeSNS is the queue message that SNS makes of an event: a notification that
// carries the event's JSON as a string. The signature is none.
func EnvelopeSNS(body, eventType, messageID string, at time.Time) string {
	type value struct{ Type, Value string }
	envelope, err := json.Marshal(struct {
		Type, MessageId, TopicArn, Message, Timestamp string //nolint:revive // names on the wire
		SignatureVersion, Signature, SigningCertURL   string
		UnsubscribeURL                                string
		MessageAttributes                             map[string]value
	}{
		Type:              "Notification",
		MessageId:         messageID,
		TopicArn:          Topic,
		Message:           body,
		Timestamp:         at.UTC().Format("2006-01-02T15:04:05.000Z"),
		SignatureVersion:  "1",
		Signature:         "none",
		SigningCertURL:    "https://sns." + Region + ".amazonaws.com/none.pem",
		UnsubscribeURL:    "https://sns." + Region + ".amazonaws.com/?Action=Unsubscribe",
		MessageAttributes: map[string]value{"eventType": {"String", eventType}},
	})
	if err != nil {
		panic(fmt.Sprintf("sqstest: an event or its names are not UTF-8: %v", err))
	}
	return string(envelope)
}
