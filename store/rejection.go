package store

import "fmt"

// Reason says why a message can never become an event.
type Reason string

// The reasons for which a message is rejected.
const (
	Malformed          Reason = "malformed"           // the body is no notification
	UnsupportedVersion Reason = "unsupported-version" // the event's version is not 1
	NotCAS             Reason = "not-cas"             // the event type is neither of CAS2 or CAS3 nor of a person event
	NoPerson           Reason = "no-person"           // neither a CRN nor a NOMS number
	NoReferral         Reason = "no-referral"         // neither an application nor a booking to key it by
	NoDetailURL        Reason = "no-detail-url"       // nowhere to fetch the detail from
	ForbiddenURL       Reason = "forbidden-url"       // the detail is not under an allowed base URL
	DetailTooLarge     Reason = "detail-too-large"    // more than 512 KiB, or more than the log takes
	DetailInvalid      Reason = "detail-invalid"      // no id or timestamp that counts; or no detail at all until the queue would give up
	DetailNotFound     Reason = "detail-not-found"    // 404 until the queue would give up
	DetailRefused      Reason = "detail-refused"      // another answer than 200 until the queue would give up
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		Malformed, UnsupportedVersion, NotCAS, NoPerson, NoReferral, NoDetailURL,
		ForbiddenURL, DetailTooLarge, DetailInvalid, DetailNotFound, DetailRefused,
	}
}

// ParseReason takes one of [Reasons].
func ParseReason(s string) (Reason, error) {
	for _, r := range Reasons() {
		if string(r) == s {
			return r, nil
		}
	}
	return "", fmt.Errorf("reason %q is none of %v", clip(s), Reasons())
}

// RejectedSubjects is the subject space of the rejected messages.
const RejectedSubjects = "cas.rejected.>"

// Subject is where the log keeps messages that are rejected for this reason.
func (r Reason) Subject() string { return "cas.rejected." + string(r) }

// Rejection is a message that was taken off the queue, whole, with the reason.
type Rejection struct {
	Reason       Reason
	Problem      string // for a person: what is wrong, with which value
	MessageID    string // the SNS MessageId, else that of SQS
	ReceiveCount int    // how often the queue had delivered it
	Body         []byte // the queue message's body exactly as received
	Answer       []byte // the beginning of what came instead of the detail, where that is why
}

// Ack is the log's acknowledgement: the message is on disk.
type Ack struct {
	Sequence  uint64 // in the stream
	Duplicate bool   // it stood there already, under the same message id
}
