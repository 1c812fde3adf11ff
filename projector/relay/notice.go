package relay

import (
	"encoding/json"
	"strconv"
	"time"

	"casdelius/store"
)

// Notice is an address row that was inserted or changed, of which others are to hear.
type Notice struct {
	Number     int64 // those of one person are in the order of the commits
	AddressID  int64
	OffenderID int64
	CRN        store.CRN
	Kind       Kind
	Status     string // the description of the row's status as it stood after the write; "" for none
	Occurred   time.Time
	Trace      string // of the step that wrote the row, as W3C's traceparent; "" for none
	Tries      int    // so far
}

// Kind is what became of the row.
type Kind string

// The kinds of notice. A row that was brought back from deletion counts as created.
const (
	Created Kind = "created"
	Updated Kind = "updated"
)

var descriptions = map[Kind]string{
	Created: "A new address has been created on the probation case",
	Updated: "An address has been updated on the probation case",
}

// Message is a notice as it is published.
type Message struct {
	ID        string // within a batch
	EventType string // the attribute eventType
	Trace     string // the attribute traceparent; "" for none
	Body      string
}

// event is the domain event that tells of a notice. What is absent is left out.
type event struct {
	EventType   string          `json:"eventType"`
	Version     int             `json:"version"`
	OccurredAt  string          `json:"occurredAt"`
	Description string          `json:"description"`
	Additional  additional      `json:"additionalInformation"`
	Person      personReference `json:"personReference,omitzero"`
}

type additional struct {
	AddressStatus string `json:"addressStatus,omitempty"`
	AddressID     int64  `json:"addressId"`
}

type personReference struct {
	Identifiers []identifier `json:"identifiers"`
}

// IsZero says whether the person has no identifier.
func (p personReference) IsZero() bool { return len(p.Identifiers) == 0 }

type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Message is what is published of the notice.
func (n *Notice) Message() Message {
	e := event{
		EventType: "probation-case.address." + string(n.Kind), Version: 1, Description: descriptions[n.Kind],
		OccurredAt: n.Occurred.In(store.London()).Format("2006-01-02T15:04:05.000000Z07:00"),
		Additional: additional{n.Status, n.AddressID},
	}
	if n.CRN != "" {
		e.Person.Identifiers = []identifier{{"CRN", string(n.CRN)}}
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // unreachable: texts and numbers can be written
	}
	return Message{ID: strconv.FormatInt(n.Number, 10), EventType: e.EventType, Trace: n.Trace, Body: string(body)}
}
