package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one CAS domain event: what its notification and its detail together say.
type Event struct {
	ID       string    // opaque, 1 to 128 printable characters; a UUID in production
	Type     Type      // the notification's eventType
	Referral Referral  // what the event is keyed by
	CRN      CRN       // "" if neither the notification nor the detail has one
	NOMS     NOMS      // "" if neither has one
	Emitted  time.Time // the detail's timestamp, UTC, whole microseconds
	Occurred time.Time // the notification's occurredAt, UTC; zero if it has none
	Received time.Time // when it was taken off the queue, UTC; zero if it was not
	Source   string    // the detailUrl that the detail came from, without NUL; "" if it came along
	Body     []byte    // the detail exactly as received
}

// ParseID checks an event's id: 1 to 128 printable characters, any at all, because
// ids of older events are not UUIDs.
func ParseID(s string) (string, error) {
	if !printable(s) {
		return "", fmt.Errorf("event id %q is not 1 to %d printable characters", clip(s), maxName)
	}
	return s, nil
}

// Key is an event's identity.
type Key struct {
	Type     Type
	Referral Referral
	ID       string
}

// Key is the event's identity.
func (e *Event) Key() Key { return Key{e.Type, e.Referral, e.ID} }

// Compare orders identities by referral, type and id, each by its bytes. It is the
// order in which rows are written, so that writers never wait for one another in a
// circle.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		k.Referral.Compare(o.Referral),
		strings.Compare(string(k.Type), string(o.Type)),
		strings.Compare(k.ID, o.ID),
	)
}

// Hash is the SHA-256 over the length-prefixed type, referral and id.
func (k Key) Hash() [sha256.Size]byte {
	return hashParts(string(k.Type), k.Referral.String(), k.ID)
}

// hashParts is the SHA-256 over the length-prefixed parts of an identity.
func hashParts(parts ...string) [sha256.Size]byte {
	buf := make([]byte, 0, 256)
	for _, part := range parts {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(part))) //nolint:gosec // all of them are bounded when parsed
		buf = append(buf, part...)
	}
	return sha256.Sum256(buf)
}

// MessageID is the event's Nats-Msg-Id: the hash of its identity in hex. A readable
// id would not do: header values are trimmed on the way, so two could look like one.
func (k Key) MessageID() string {
	sum := k.Hash()
	return hex.EncodeToString(sum[:])
}

// String names the event in a message to a person.
func (k Key) String() string { return fmt.Sprintf("%s %s %q", k.Type, k.Referral, k.ID) }

// Before orders the events of one contact: by the time they were emitted, a base
// event before an .updated, then by the bytes of the id.
func (e *Event) Before(o *Event) bool { return e.Compare(o) < 0 }

// Compare is the order of [Event.Before]; the type's name decides last, so that it
// is total.
func (e *Event) Compare(o *Event) int {
	if c := e.Emitted.Compare(o.Emitted); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(rank(e.Type), rank(o.Type)),
		strings.Compare(e.ID, o.ID),
		strings.Compare(string(e.Type), string(o.Type)),
	)
}

func rank(t Type) int {
	if t.Updated() {
		return 1
	}
	return 0
}

// Subjects is the subject space of the events, person events among them.
const Subjects = "cas.events.>"

// Subject is where the log keeps the event: cas.events.<cas2|cas3>.<referral>.
func (k Key) Subject() string {
	return "cas.events." + string(k.Type.Service()) + "." + k.Referral.String()
}

// ReferralSubjects are the subjects at which the events of a referral can stand.
func ReferralSubjects(r Referral) []string {
	return []string{"cas.events." + string(CAS2) + "." + r.String(), "cas.events." + string(CAS3) + "." + r.String()}
}

// ParseSubject takes a subject apart again.
func ParseSubject(s string) (Service, Referral, error) {
	rest, ok := strings.CutPrefix(s, "cas.events.")
	service, id, dot := strings.Cut(rest, ".")
	if !ok || !dot || (Service(service) != CAS2 && Service(service) != CAS3) {
		return "", Referral{}, fmt.Errorf("subject %q is not cas.events.<cas2|cas3>.<referral>", clip(s))
	}
	r, err := ParseReferral(id)
	if err != nil {
		return "", Referral{}, fmt.Errorf("subject %q: %w", clip(s), err)
	}
	if id != r.String() {
		return "", Referral{}, fmt.Errorf("subject %q: referral %q is not in lower case", clip(s), id)
	}
	return Service(service), r, nil
}

// The names of the headers of an event. The first group are CloudEvents attributes,
// the second our extensions.
const (
	HeaderSpec    = "ce-specversion"
	HeaderID      = "ce-id"
	HeaderType    = "ce-type"
	HeaderSource  = "ce-source"
	HeaderSubject = "ce-subject"
	HeaderTime    = "ce-time"
	HeaderContent = "content-type"

	HeaderDetail   = "ce-dataref"
	HeaderCRN      = "ce-crn"
	HeaderNOMS     = "ce-noms"
	HeaderOccurred = "ce-occurredat"
	HeaderReceived = "ce-recordedtime"
	HeaderSum      = "ce-sha256"
)

// Header gives the event's attributes as headers of a CloudEvent in binary mode,
// percent-encoded as CloudEvents prescribes, with the SHA-256 of the body.
func (e *Event) Header() map[string][]string {
	h := map[string][]string{
		HeaderSpec:    {"1.0"},
		HeaderID:      {encode(e.ID)},
		HeaderType:    {encode(string(e.Type))},
		HeaderSource:  {"urn:hmpps:" + string(e.Type.Service())},
		HeaderSubject: {e.Referral.String()},
		HeaderTime:    {e.Emitted.UTC().Format(time.RFC3339Nano)},
		HeaderContent: {"application/json"},
		HeaderSum:     {e.Checksum()},
	}
	for name, value := range map[string]string{HeaderCRN: string(e.CRN), HeaderNOMS: string(e.NOMS), HeaderDetail: encode(e.Source)} {
		if value != "" {
			h[name] = []string{value}
		}
	}
	for name, at := range map[string]time.Time{HeaderOccurred: e.Occurred, HeaderReceived: e.Received} {
		if !at.IsZero() {
			h[name] = []string{at.UTC().Format(time.RFC3339Nano)}
		}
	}
	return h
}

// Sum is the SHA-256 of the body, 32 bytes.
func (e *Event) Sum() []byte {
	sum := sha256.Sum256(e.Body)
	return sum[:]
}

// Checksum is Sum in hex.
func (e *Event) Checksum() string { return checksum(e.Body) }

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// ParseEvent makes an Event of the subject, headers and body of a stored message.
// It fails if an attribute is missing or malformed, or if the subject and the headers
// disagree. If the body is not the one that was stored the error is [ErrCorrupt], and the event
// what the headers say.
func ParseEvent(subject string, header map[string][]string, body []byte) (Event, error) {
	get := func(name string) string {
		if v := header[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	var e Event
	_, referral, err := ParseSubject(subject)
	if err != nil {
		return Event{}, err
	}
	attributes := map[string]string{}
	for _, name := range []string{HeaderID, HeaderType, HeaderDetail} {
		if attributes[name], err = decode(get(name)); err != nil {
			return Event{}, fmt.Errorf("header %s: %w", name, err)
		}
	}
	if e.ID, err = ParseID(attributes[HeaderID]); err != nil {
		return Event{}, fmt.Errorf("header %s: %w", HeaderID, err)
	}
	if e.Type, err = ParseType(attributes[HeaderType]); err != nil {
		return Event{}, fmt.Errorf("header %s: %w", HeaderType, err)
	}
	if e.Referral, err = ParseReferral(get(HeaderSubject)); err != nil {
		return Event{}, fmt.Errorf("header %s: %w", HeaderSubject, err)
	}
	if e.Referral != referral || e.Key().Subject() != subject {
		return Event{}, fmt.Errorf("event %s stands under subject %q", e.Key(), subject)
	}
	if e.Emitted, err = ParseTime(get(HeaderTime)); err != nil {
		return Event{}, fmt.Errorf("header %s: %w", HeaderTime, err)
	}
	for name, at := range map[string]*time.Time{HeaderOccurred: &e.Occurred, HeaderReceived: &e.Received} {
		if text := get(name); text != "" {
			if *at, err = ParseTime(text); err != nil {
				return Event{}, fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	e.CRN, e.NOMS = ParseCRN(get(HeaderCRN)), ParseNOMS(get(HeaderNOMS))
	e.Source, e.Body = attributes[HeaderDetail], body
	if sum := e.Checksum(); get(HeaderSum) != sum {
		e.Body = nil
		return e, fmt.Errorf("event %s: %w: that is %s, stored was %q", e.Key(), ErrCorrupt, sum, clip(get(HeaderSum)))
	}
	return e, nil
}

// encode percent-encodes what CloudEvents wants encoded in a header: space, double
// quote, percent and everything outside printable ASCII.
func encode(s string) string {
	plain := func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decode undoes encode. It takes any byte percent-encoded, as CloudEvents asks of
// receivers, but for NUL: no text in PostgreSQL can hold one, so that a message with it
// could never be put into the inbox and would be tried for ever.
func decode(s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within a percent-encoded byte", clip(s))
		}
		octet, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("%q holds a malformed percent-encoded byte: %w", clip(s), err)
		}
		b.WriteByte(octet[0])
		i += 2
	}
	if !utf8.ValidString(b.String()) {
		return "", fmt.Errorf("%q is not UTF-8", clip(s))
	}
	if strings.IndexByte(b.String(), 0) >= 0 {
		return "", fmt.Errorf("%q holds a NUL", clip(s))
	}
	return b.String(), nil
}
