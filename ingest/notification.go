package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

const (
	maxNotification = 1 << 20 // bytes: the largest message that SQS takes
	maxURL          = 2048    // bytes of a detailUrl
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

// DecodeNotification reads the body of a queue message: an SNS envelope around an
// event, or the event itself (raw delivery). A body with a member Message is an
// envelope.
//
// It is strict where something is decided: one JSON value, no duplicate names, bounded
// size and depth, the types of Message, eventType, version, detailUrl and of the
// identifiers that count. All else may be anything: what is not used or optional and of
// another type than expected counts as absent, as null does, an identifier that is not
// well formed, and an occurredAt that cannot be read.
//
// Every error is a *[RejectionError] (malformed, not-cas, unsupported-version); the
// notification then still has the MessageID of an envelope that could be read.
func DecodeNotification(body []byte) (Notification, error) {
	if len(body) > maxNotification {
		return Notification{}, reject(store.Malformed, "the message has %d bytes, at most %d are taken", len(body), maxNotification)
	}
	envelope, err := strictObject(body)
	if err != nil {
		return Notification{}, reject(store.Malformed, "the message is no notification: %v", err)
	}
	n := Notification{}
	message, wrapped, err := optionalText(envelope, "Message")
	switch {
	case err != nil:
		return n, reject(store.Malformed, "the message is no notification: %v", err)
	case !wrapped:
		return n, n.decodeEvent(envelope)
	}
	n.MessageID, n.Trace = messageID(text(envelope["MessageId"])), traceOf(envelope["MessageAttributes"])
	if kind, given, err := optionalText(envelope, "Type"); err != nil || given && kind != "" && kind != "Notification" {
		return n, reject(store.Malformed, "the SNS message is a %q, not a Notification", clip(cmp.Or(kind, string(envelope["Type"])), 40))
	}
	event, err := strictObject([]byte(message))
	if err != nil {
		return n, reject(store.Malformed, "the event cannot be read: %v", err)
	}
	return n, n.decodeEvent(event)
}

// decodeEvent reads the event itself, its type and version first: of another version
// nothing else can be expected to look as it does here.
func (n *Notification) decodeEvent(event members) error {
	kind, _, err := optionalText(event, "eventType")
	if kind = strings.TrimSpace(kind); err == nil && kind == "" {
		err = errors.New("it has no eventType")
	}
	version, versionErr := versionOf(event)
	if err = cmp.Or(err, versionErr); err != nil {
		return reject(store.Malformed, "the event cannot be read: %v", err)
	}
	if n.Type, err = store.ParseType(kind); err != nil {
		return reject(store.NotCAS, "%v", err)
	}
	if version != 1 {
		return reject(store.UnsupportedVersion, "the event has version %v, only 1 is known", version)
	}
	if n.DetailURL, _, err = optionalText(event, "detailUrl"); err != nil {
		return reject(store.Malformed, "the event cannot be read: %v", err)
	}
	n.DetailURL = strings.TrimSpace(n.DetailURL)
	additional := object(event["additionalInformation"])
	n.Application, n.Booking = text(additional["applicationId"]), text(additional["bookingId"])
	if t, err := store.ParsePlausibleTime(text(event["occurredAt"])); err == nil {
		n.Occurred = t
	}
	return n.identify(list(object(event["personReference"])["identifiers"]))
}

// versionOf is the version of an event, which has to be a number.
func versionOf(event members) (float64, error) {
	version := event["version"]
	switch {
	case absent(version):
		return 0, errors.New("it has no version")
	case version.Kind() != jsontext.KindNumber:
		return 0, fmt.Errorf("version is not a number: %s", clip(string(version), 40))
	}
	v, _ := strconv.ParseFloat(string(version), 64) // out of range is infinity, and none that is known
	return v, nil
}

// identify takes the first identifier of each kind that is well formed.
func (n *Notification) identify(identifiers []jsontext.Value) error {
	for _, identifier := range identifiers {
		id := object(identifier)
		kind := text(id["type"])
		if (kind != "CRN" || n.CRN != "") && (kind != "NOMS" || n.NOMS != "") {
			continue
		}
		value, _, err := optionalText(id, "value")
		switch {
		case err != nil:
			return reject(store.Malformed, "the event's %s cannot be read: %v", kind, err)
		case kind == "CRN":
			n.CRN = store.ParseCRN(value)
		default:
			n.NOMS = store.ParseNOMS(value)
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
