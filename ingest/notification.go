package ingest

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

const (
	maxNotification = 1 << 20   // bytes: the largest message that SQS takes
	maxDetail       = 512 << 10 // bytes
	maxDepth        = 64        // levels of JSON; real notifications have 4, details 5
	maxURL          = 2048      // bytes of a detailUrl
)

// Notification is what a message on the queue says, with every identifier parsed.
type Notification struct {
	MessageID   string            // the SNS MessageId; "" with raw delivery
	Type        store.Type        // always a CAS type
	DetailURL   string            // "" if it names none; not yet checked against the allowed ones
	Occurred    time.Time         // zero if it says nothing that can be read
	Application string            // additionalInformation.applicationId as written, "" if none
	Booking     string            // additionalInformation.bookingId likewise
	CRN         store.CRN         // "" if none that is well formed
	NOMS        store.NOMS        // "" likewise
	Trace       map[string]string // W3C trace context of the SNS message, empty if none
}

// envelope is what SNS wraps an event in.
type envelope struct {
	Type       string         `json:"Type"`
	MessageID  string         `json:"MessageId"`
	Message    *string        `json:"Message"`
	Attributes jsontext.Value `json:"MessageAttributes"`
}

// eventHead decides whether the rest can be understood at all.
type eventHead struct {
	Type    *string  `json:"eventType"`
	Version *float64 `json:"version"`
}

type eventBody struct {
	DetailURL  string `json:"detailUrl"`
	OccurredAt string `json:"occurredAt"`
	Additional struct {
		Application string `json:"applicationId"`
		Booking     string `json:"bookingId"`
	} `json:"additionalInformation"`
	Person struct {
		Identifiers []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"identifiers"`
	} `json:"personReference"`
}

// DecodeNotification reads the body of a queue message: an SNS envelope around an
// event, or the event itself (raw delivery). A body with a member Message is an
// envelope.
//
// It is strict about form (one JSON value, no duplicate names, no wrong types, bounded
// size and depth) and lenient about content: unknown members are fine, null is
// absent, an identifier that is not well formed counts as absent, and so does an
// occurredAt that cannot be read.
//
// Every error is a *[RejectionError] (malformed, not-cas, unsupported-version); the
// notification then still has the MessageID of an envelope that could be read.
func DecodeNotification(body []byte) (Notification, error) {
	if len(body) > maxNotification {
		return Notification{}, reject(store.Malformed, "the message has %d bytes, at most %d are taken", len(body), maxNotification)
	}
	var env envelope
	if err := decode(body, &env); err != nil {
		return Notification{}, reject(store.Malformed, "the message is no notification: %v", err)
	}
	n := Notification{}
	if env.Message != nil {
		n.MessageID, n.Trace = messageID(env.MessageID), traceOf(env.Attributes)
		if env.Type != "" && env.Type != "Notification" {
			return n, reject(store.Malformed, "the SNS message is a %q, not a Notification", clip(env.Type, 40))
		}
		body = []byte(*env.Message)
	}
	return n, n.decodeEvent(body)
}

// decodeEvent reads the event itself, its type and version first: of another version
// nothing else can be expected to look as it does here.
func (n *Notification) decodeEvent(event []byte) error {
	var head eventHead
	err := decode(event, &head)
	switch {
	case err != nil:
		return reject(store.Malformed, "the event cannot be read: %v", err)
	case head.Type == nil || *head.Type == "":
		return reject(store.Malformed, "the event has no eventType")
	case head.Version == nil:
		return reject(store.Malformed, "the event has no version")
	}
	if n.Type, err = store.ParseType(*head.Type); err != nil {
		return reject(store.NotCAS, "%v", err)
	}
	if *head.Version != 1 {
		return reject(store.UnsupportedVersion, "the event has version %v, only 1 is known", *head.Version)
	}
	var body eventBody
	if err := json.Unmarshal(event, &body); err != nil {
		return reject(store.Malformed, "the event cannot be read: %v", err)
	}
	n.DetailURL = strings.TrimSpace(body.DetailURL)
	n.Application, n.Booking = body.Additional.Application, body.Additional.Booking
	if t, err := store.ParseTime(body.OccurredAt); err == nil {
		n.Occurred = t
	}
	for _, id := range body.Person.Identifiers {
		switch {
		case id.Type == "CRN" && n.CRN == "":
			n.CRN = store.ParseCRN(id.Value)
		case id.Type == "NOMS" && n.NOMS == "":
			n.NOMS = store.ParseNOMS(id.Value)
		}
	}
	return nil
}

// decode reads one JSON value into v, after a look at its depth.
func decode(b []byte, v any) error {
	if err := checkDepth(b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// checkDepth refuses what is nested deeper than anything that CAS sends. It only
// counts brackets outside strings: whether they match is for the decoder to say.
func checkDepth(b []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("JSON is nested deeper than %d levels", maxDepth)
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return nil
}

// messageID takes an SNS MessageId that can be a header's value, and no other.
func messageID(s string) string {
	if len(s) > 128 {
		return ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

// traceOf picks the trace context from SNS message attributes. Without raw delivery
// they come in the envelope instead of as attributes of the queue message.
func traceOf(attributes jsontext.Value) map[string]string {
	trace, members := map[string]string{}, object(attributes)
	for _, name := range []string{"traceparent", "tracestate"} {
		if s := text(object(members[name])["Value"]); s != "" {
			trace[name] = s
		}
	}
	return trace
}
