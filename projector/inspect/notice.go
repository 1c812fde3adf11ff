package inspect

import (
	"time"

	"casdelius/store"
)

// NoticeState says how far a notice is.
type NoticeState string

// The states of a notice.
const (
	Waiting  NoticeState = "waiting"   // for its first try
	Behind   NoticeState = "behind"    // an earlier one of the same person or address
	InFlight NoticeState = "in-flight" // a relay has it
	Failed   NoticeState = "failed"    // it is tried again
	Sent     NoticeState = "sent"
)

// Notice is an address row of which others are told.
type Notice struct {
	Number    int64
	CRN       store.CRN
	AddressID int64
	Kind      string // created or updated
	Status    string // of the address, as a description
	Occurred  time.Time
	Cause     string // why the row was written
	Tries     int
	Error     string // of the last try
	NextTry   time.Time
	Holder    string // of a lease
	LeaseEnd  time.Time
	SentAt    time.Time
	After     int64 // the notice that it is behind
	State     NoticeState
}

// NoticeLine is a notice, for machines.
type NoticeLine struct {
	Number    int64       `json:"notice"`
	CRN       store.CRN   `json:"crn,omitempty"`
	AddressID int64       `json:"addressId"`
	Kind      string      `json:"kind"`
	Status    string      `json:"addressStatus,omitempty"`
	Occurred  time.Time   `json:"occurredAt"`
	Cause     string      `json:"cause"`
	State     NoticeState `json:"state"`
	Age       int64       `json:"ageSeconds,omitzero"` // of one that waits
	Tries     int         `json:"tries"`
	Error     string      `json:"error,omitempty"`
	NextTry   time.Time   `json:"nextTryAt,omitzero"`
	After     int64       `json:"after,omitzero"`
	Holder    string      `json:"leaseHolder,omitempty"`
	LeaseEnd  time.Time   `json:"leaseEndsAt,omitzero"`
	SentAt    time.Time   `json:"sentAt,omitzero"`
}

// Line tells of it as of a time.
func (n *Notice) Line(now time.Time) NoticeLine {
	line := NoticeLine{
		Number: n.Number, CRN: n.CRN, AddressID: n.AddressID, Kind: n.Kind, Status: n.Status, Occurred: n.Occurred, Cause: n.Cause,
		State: n.State, Tries: n.Tries, Error: n.Error, SentAt: n.SentAt,
	}
	if n.State != Sent {
		line.Age = int64(now.Sub(n.Occurred).Seconds())
	}
	switch n.State {
	case Failed:
		line.NextTry = n.NextTry
	case InFlight:
		line.Holder, line.LeaseEnd = n.Holder, n.LeaseEnd
	case Behind:
		line.After = n.After
	}
	return line
}
