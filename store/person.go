package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// PersonType is the type of a person event.
type PersonType string

// The types of person events.
const (
	MergeCompleted          PersonType = "probation-case.merge.completed"
	UnmergeCompleted        PersonType = "probation-case.unmerge.completed"
	PrisonIdentifierAdded   PersonType = "probation-case.prison-identifier.added"
	PrisonIdentifierUpdated PersonType = "probation-case.prison-identifier.updated"
)

// PersonTypes lists the types of person events.
func PersonTypes() []PersonType {
	return []PersonType{MergeCompleted, UnmergeCompleted, PrisonIdentifierAdded, PrisonIdentifierUpdated}
}

// ParsePersonType takes one of [PersonTypes], and no other: what else happens to a
// person in Delius has no bearing on whose a referral is.
func ParsePersonType(s string) (PersonType, error) {
	if t := PersonType(s); slices.Contains(PersonTypes(), t) {
		return t, nil
	}
	return "", fmt.Errorf("event type %q is none of %v", clip(s), PersonTypes())
}

// PersonEvent says that something happened to people in Delius that may change whose a
// referral is: they were merged or unmerged, or were given another prison number. It is a
// wake-up: whoever reads it looks at Delius again, and takes nothing else from it than
// whom it names.
type PersonEvent struct {
	Type     PersonType
	ID       string    // as [PersonID] makes it
	CRNs     []CRN     // whom it names, each once; of these and
	NOMS     []NOMS    // these at least one
	Emitted  time.Time // when SNS had it, UTC, whole microseconds; zero if nothing says so
	Received time.Time // when it was taken off the queue, UTC; zero if it was not
	Body     []byte    // the event's JSON exactly as received
}

// PersonID is what a person event is told from others of its type by: its SNS MessageId in
// lower case, where it has one that is a UUID, else the SHA-256 of its body in lower-case
// hex. A person event has no id of its own, and with raw delivery no MessageId.
func PersonID(messageID string, body []byte) string {
	if len(messageID) == 36 {
		if id, err := uuid.Parse(messageID); err == nil {
			return id.String()
		}
	}
	return checksum(body)
}

// PersonKey is a person event's identity.
type PersonKey struct {
	Type PersonType
	ID   string
}

// Identity is what tells a message of the log from all others: the [Key] of an event, the
// [PersonKey] of a person event.
type Identity interface {
	Subject() string   // where the log keeps it
	MessageID() string // its Nats-Msg-Id
	String() string    // for a person
}

// Key is the person event's identity.
func (e *PersonEvent) Key() PersonKey { return PersonKey{e.Type, e.ID} }

const personSubjects = "cas.events.person."

// Subject is where the log keeps the person event: cas.events.person.<id>.
func (k PersonKey) Subject() string { return personSubjects + k.ID }

// MessageID is the person event's Nats-Msg-Id, made as that of an event.
func (k PersonKey) MessageID() string {
	sum := hashParts(string(k.Type), k.ID)
	return hex.EncodeToString(sum[:])
}

// String names the person event in a message to a person.
func (k PersonKey) String() string { return string(k.Type) + " " + k.ID }

// Header gives the person event's attributes as headers of a CloudEvent in binary mode,
// with the SHA-256 of the body.
func (e *PersonEvent) Header() map[string][]string {
	h := map[string][]string{
		HeaderSpec:    {"1.0"},
		HeaderID:      {e.ID},
		HeaderType:    {string(e.Type)},
		HeaderSource:  {"urn:hmpps:delius"},
		HeaderContent: {"application/json"},
		HeaderSum:     {checksum(e.Body)},
	}
	for name, value := range map[string]string{HeaderCRN: join(e.CRNs), HeaderNOMS: join(e.NOMS)} {
		if value != "" {
			h[name] = []string{value}
		}
	}
	for name, at := range map[string]time.Time{HeaderTime: e.Emitted, HeaderReceived: e.Received} {
		if !at.IsZero() {
			h[name] = []string{at.UTC().Format(time.RFC3339Nano)}
		}
	}
	return h
}

// IsPersonSubject says whether person events stand under a subject, and events do not.
func IsPersonSubject(subject string) bool { return strings.HasPrefix(subject, personSubjects) }

// ParsePersonEvent makes a PersonEvent of the subject, headers and body of a stored
// message. It fails if an attribute is missing or malformed, if the subject and the
// headers disagree, if it names nobody, or if the body is not the one that was stored.
func ParsePersonEvent(subject string, header map[string][]string, body []byte) (PersonEvent, error) {
	get := func(name string) string {
		if v := header[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	var e PersonEvent
	var err error
	if e.Type, err = ParsePersonType(get(HeaderType)); err != nil {
		return PersonEvent{}, fmt.Errorf("header %s: %w", HeaderType, err)
	}
	if e.ID = get(HeaderID); e.ID != PersonID(e.ID, body) {
		return PersonEvent{}, fmt.Errorf("header %s: %q is neither a UUID in lower case nor the body's SHA-256", HeaderID, clip(e.ID))
	}
	if e.Key().Subject() != subject {
		return PersonEvent{}, fmt.Errorf("person event %s stands under subject %q", e.Key(), clip(subject))
	}
	for name, at := range map[string]*time.Time{HeaderTime: &e.Emitted, HeaderReceived: &e.Received} {
		if text := get(name); text != "" {
			if *at, err = ParseTime(text); err != nil {
				return PersonEvent{}, fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	e.CRNs, e.NOMS = split(get(HeaderCRN), ParseCRN), split(get(HeaderNOMS), ParseNOMS)
	if len(e.CRNs)+len(e.NOMS) == 0 {
		return PersonEvent{}, errors.New("person event " + e.Key().String() + " names nobody")
	}
	e.Body = body
	if sum := checksum(body); get(HeaderSum) != sum {
		return PersonEvent{}, fmt.Errorf("person event %s: %w: that is %s, stored was %q", e.Key(), ErrCorrupt, sum, clip(get(HeaderSum)))
	}
	return e, nil
}

// join and split are for identifiers in one header: none of them holds a comma.
func join[T ~string](identifiers []T) string {
	texts := make([]string, len(identifiers))
	for i, id := range identifiers {
		texts[i] = string(id)
	}
	return strings.Join(texts, ",")
}

// split takes out what parse does not take, and what is there already.
func split[T ~string](text string, parse func(string) T) (identifiers []T) {
	for part := range strings.SplitSeq(text, ",") {
		if id := parse(part); id != "" && !slices.Contains(identifiers, id) {
			identifiers = append(identifiers, id)
		}
	}
	return identifiers
}
