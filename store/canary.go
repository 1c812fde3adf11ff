package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// CanaryType is what a canary says it is in the queue, where events have their type.
const CanaryType = "casdelius.canary"

// Canary is a synthetic message that takes the way of every event, from the queue into the
// inbox, so that it can be seen that the way is open and how long it takes. It is of no person
// and no referral, and there is nothing in it but times.
type Canary struct {
	ID       string    // a UUID in lower case
	Sent     time.Time // to the queue, UTC, whole microseconds
	Received time.Time // when it was taken off the queue, UTC, whole microseconds
}

// NewCanary makes a canary that is sent at a time.
func NewCanary(sent time.Time) Canary {
	return Canary{ID: uuid.NewString(), Sent: sent.UTC().Truncate(time.Microsecond)}
}

// Message is the canary as it goes into the queue.
func (c *Canary) Message() string {
	return fmt.Sprintf(`{"eventType":%q,"version":1,"id":%q,"sent":%q}`, CanaryType, c.ID, c.Sent.Format(time.RFC3339Nano))
}

// canaryTimes are what the log keeps of a canary.
type canaryTimes struct {
	Sent     string `json:"sent"`
	Received string `json:"received"`
}

// Body is what the log keeps.
func (c *Canary) Body() []byte {
	body, err := json.Marshal(canaryTimes{c.Sent.UTC().Format(time.RFC3339Nano), c.Received.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		panic(err) // unreachable: two texts
	}
	return body
}

const canarySubjects = "cas.events.canary."

// Subject is where the log keeps the canary: cas.events.canary.<id>.
func (c *Canary) Subject() string { return canarySubjects + c.ID }

// MessageID is the canary's Nats-Msg-Id. It is no hash, so that it is none of an event.
func (c *Canary) MessageID() string { return c.ID }

// String names the canary in a message to a person.
func (c *Canary) String() string { return "canary " + c.ID }

// IsCanarySubject says whether canaries stand under a subject, and events do not.
func IsCanarySubject(subject string) bool { return strings.HasPrefix(subject, canarySubjects) }

// ParseCanaryID takes a UUID as [NewCanary] makes it, and no other spelling.
func ParseCanaryID(s string) (string, error) {
	if id, err := uuid.Parse(s); err != nil || id.String() != s {
		return "", fmt.Errorf("canary id %q is not a UUID in lower case", clip(s))
	}
	return s, nil
}

// ParseCanary makes a Canary of the subject and body of a stored message.
func ParseCanary(subject string, body []byte) (Canary, error) {
	id, ok := strings.CutPrefix(subject, canarySubjects)
	if !ok {
		return Canary{}, fmt.Errorf("subject %q is not %s<id>", clip(subject), canarySubjects)
	}
	var c Canary
	var err error
	if c.ID, err = ParseCanaryID(id); err != nil {
		return Canary{}, err
	}
	var times canaryTimes
	if json.Unmarshal(body, &times) != nil {
		return Canary{}, errors.New("the body of " + c.String() + " is not its times")
	}
	var received error
	c.Sent, err = ParsePlausibleTime(times.Sent)
	c.Received, received = ParsePlausibleTime(times.Received)
	if err := errors.Join(err, received); err != nil {
		return Canary{}, fmt.Errorf("%s: %w", c.String(), err)
	}
	return c, nil
}
