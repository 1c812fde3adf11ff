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
	Type        store.Type        // a CAS type, or "" where Person is set
	DetailURL   string            // "" if it names none; not yet checked against the allowed ones
	Occurred    time.Time         // zero if it says nothing that can be read
	Application string            // additionalInformation.applicationId as written, "" if none
	Booking     string            // additionalInformation.bookingId likewise
	CRN         store.CRN         // "" if none that is well formed
	NOMS        store.NOMS        // "" likewise
	Trace       map[string]string // W3C trace context of the SNS message, empty if none

	// Person is set where it is a person event, which is whole without a detail: of the
	// fields above only MessageID and Trace are then set. It may name nobody.
	Person *store.PersonEvent

	// Canary is set where it is one of our own, of which nothing else is set.
	Canary *store.Canary
}

// EventType is the type of the event or person event.
func (n *Notification) EventType() string {
	switch {
	case n.Canary != nil:
		return store.CanaryType
	case n.Person != nil:
		return string(n.Person.Type)
	}
	return string(n.Type)
}

// envelope is what SNS wraps an event in.
type envelope struct {
	Type       jsontext.Value `json:"Type"`
	MessageID  jsontext.Value `json:"MessageId"`
	Message    jsontext.Value `json:"Message"`
	Timestamp  jsontext.Value `json:"Timestamp"`
	Attributes jsontext.Value `json:"MessageAttributes"`

	// What a canary has, which comes without an envelope.
	EventType jsontext.Value `json:"eventType"`
	ID        jsontext.Value `json:"id"`
	Sent      jsontext.Value `json:"sent"`
}

// announcement is the event that a notification is of.
type announcement struct {
	Type       jsontext.Value `json:"eventType"`
	Version    jsontext.Value `json:"version"`
	DetailURL  jsontext.Value `json:"detailUrl"`
	OccurredAt jsontext.Value `json:"occurredAt"`
	Additional jsontext.Value `json:"additionalInformation"`
	Person     jsontext.Value `json:"personReference"`
}

// DecodeNotification reads the body of a queue message: an SNS envelope around an
// event, or the event itself (raw delivery). A body with a member Message is an
// envelope.
//
// It is strict where something is decided: one JSON value, no duplicate names, bounded
// size and depth, the types of Message, eventType, version, detailUrl and of the
// identifiers that count. All else may be anything: what is not used or optional and of
// another type than expected counts as absent, as null does, an identifier that is not
// well formed, and an occurredAt that cannot be read. Of a person event nothing but
// eventType and version decides: an identifier of another type counts as absent, too.
//
// Every error is a *[RejectionError] (malformed, not-cas, unsupported-version); the
// notification then still has the MessageID of an envelope that could be read.
func DecodeNotification(body []byte) (Notification, error) {
	if len(body) > maxNotification {
		return Notification{}, reject(store.Malformed, "the message has %d bytes, at most %d are taken", len(body), maxNotification)
	}
	var env envelope
	if err := readStrictly(body, &env); err != nil {
		return Notification{}, reject(store.Malformed, "the message is no notification: %v", err)
	}
	n := Notification{}
	message, wrapped, err := optionalText("Message", env.Message)
	switch {
	case err != nil:
		return n, reject(store.Malformed, "the message is no notification: %v", err)
	case !wrapped && text(env.EventType) == store.CanaryType:
		return n, n.decodeCanary(env.ID, env.Sent)
	case !wrapped:
		return n, n.decodeEvent(body, time.Time{})
	}
	n.MessageID, n.Trace = messageID(text(env.MessageID)), traceOf(env.Attributes)
	if kind, given, err := optionalText("Type", env.Type); err != nil || given && kind != "" && kind != "Notification" {
		return n, reject(store.Malformed, "the SNS message is a %q, not a Notification", clip(cmp.Or(kind, kinds[env.Type.Kind()]), 40))
	}
	return n, n.decodeEvent([]byte(message), momentOf(env.Timestamp))
}

// decodeEvent reads the event itself, its type and version first: of another version
// nothing else can be expected to look as it does here. SNS had it at a time, zero if
// nothing says so.
func (n *Notification) decodeEvent(body []byte, sent time.Time) error {
	var event announcement
	if err := readStrictly(body, &event); err != nil {
		return reject(store.Malformed, "the event cannot be read: %v", err)
	}
	kind, _, err := optionalText("eventType", event.Type)
	if kind = strings.TrimSpace(kind); err == nil && kind == "" {
		err = errors.New("it has no eventType")
	}
	version, versionErr := versionOf(event.Version)
	if err = cmp.Or(err, versionErr); err != nil {
		return reject(store.Malformed, "the event cannot be read: %v", err)
	}
	person, personErr := store.ParsePersonType(kind)
	if n.Type, err = store.ParseType(kind); err != nil && personErr != nil {
		return reject(store.NotCAS, "%v; nor is it a person event", err)
	}
	if version != 1 {
		return reject(store.UnsupportedVersion, "the event has version %v, only 1 is known", version)
	}
	if personErr == nil {
		n.Person = personEvent(person, n.MessageID, sent, &event, body)
		return nil
	}
	if n.DetailURL, _, err = optionalText("detailUrl", event.DetailURL); err != nil {
		return reject(store.Malformed, "the event cannot be read: %v", err)
	}
	n.DetailURL = strings.TrimSpace(n.DetailURL)
	additional := object[struct {
		Application jsontext.Value `json:"applicationId"`
		Booking     jsontext.Value `json:"bookingId"`
	}](event.Additional)
	n.Application, n.Booking = text(additional.Application), text(additional.Booking)
	n.Occurred = momentOf(event.OccurredAt)
	return n.identify(identifiersOf(event.Person))
}

// momentOf is the date-time that v is, zero if it is none that can be read.
func momentOf(v jsontext.Value) time.Time {
	t, err := store.ParsePlausibleTime(text(v))
	if err != nil {
		return time.Time{}
	}
	return t
}

// identifiersOf are the identifiers of a personReference.
func identifiersOf(v jsontext.Value) []jsontext.Value {
	return list(object[struct {
		Identifiers jsontext.Value `json:"identifiers"`
	}](v).Identifiers)
}

// versionOf is the version of an event, which has to be a number.
func versionOf(version jsontext.Value) (float64, error) {
	switch {
	case absent(version):
		return 0, errors.New("it has no version")
	case version.Kind() != jsontext.KindNumber:
		return 0, fmt.Errorf("version is not a number but a %s", kinds[version.Kind()])
	}
	v, _ := strconv.ParseFloat(string(version), 64) // out of range is infinity, and none that is known
	return v, nil
}

// identify takes the first identifier of each kind that is well formed.
func (n *Notification) identify(identifiers []jsontext.Value) error {
	for _, identifier := range identifiers {
		id := object[struct {
			Type  jsontext.Value `json:"type"`
			Value jsontext.Value `json:"value"`
		}](identifier)
		kind := text(id.Type)
		if (kind != "CRN" || n.CRN != "") && (kind != "NOMS" || n.NOMS != "") {
			continue
		}
		value, _, err := optionalText("value", id.Value)
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
	type attribute struct {
		Value jsontext.Value `json:"Value"`
	}
	of := object[struct {
		Parent jsontext.Value `json:"traceparent"`
		State  jsontext.Value `json:"tracestate"`
	}](attributes)
	trace := map[string]string{}
	if s := text(object[attribute](of.Parent).Value); s != "" {
		trace["traceparent"] = s
	}
	if s := text(object[attribute](of.State).Value); s != "" {
		trace["tracestate"] = s
	}
	return trace
}
