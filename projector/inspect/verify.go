package inspect

import (
	"time"

	"casdelius/projector/verify"
	"casdelius/store"
)

// FindingLine is one line of a verification.
type FindingLine struct {
	What        string       `json:"what"` // "finding"
	Severity    string       `json:"severity"`
	Problem     string       `json:"problem"`
	Place       string       `json:"place"`
	CRN         string       `json:"crn,omitempty"`
	URN         string       `json:"urn,omitempty"`
	Referral    string       `json:"referral,omitempty"`
	Contact     int64        `json:"contactId,omitempty"`
	Address     int64        `json:"addressId,omitempty"`
	Sequence    uint64       `json:"sequence,omitempty"`
	Event       *Event       `json:"event,omitempty"`
	Person      *PersonEvent `json:"personEvent,omitempty"`
	EditedBy    string       `json:"editedBy,omitempty"`
	EditedAt    *time.Time   `json:"editedAt,omitempty"`
	Differences []Altered    `json:"differences,omitempty"`
	Repaired    *bool        `json:"repaired,omitempty"`
}

// PersonEvent is the identity of a person event.
type PersonEvent struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Altered is one column of a damaged row, or one attribute of an event.
type Altered struct {
	Field string `json:"field"`
	Was   string `json:"was"`
	Is    string `json:"is"`
}

// VerdictLine is the last line of a verification.
type VerdictLine struct {
	What      string `json:"what"` // "total"
	Messages  int    `json:"messages"`
	Contacts  int    `json:"contacts"`
	Addresses int    `json:"addresses"`
	Edited    int    `json:"edited"`
	Damaged   int    `json:"damaged"`
	Left      int    `json:"left"`
	Unseen    int    `json:"unseen,omitempty"`
}

// FindingOf tells of a finding; what is "finding", or "left" for damage that a repair left.
func FindingOf(what string, f *verify.Finding) FindingLine {
	line := FindingLine{
		What: what, Severity: string(f.Severity), Problem: string(f.Problem), Place: string(f.Place),
		CRN: f.CRN, URN: f.URN, Sequence: f.Sequence, EditedBy: f.By,
	}
	if f.Referral != (store.Referral{}) {
		line.Referral = f.Referral.String()
	}
	if f.Event != (store.Key{}) {
		line.Event = &EventsOf([]store.Key{f.Event})[0]
	}
	if f.Person != (store.PersonKey{}) {
		line.Person = &PersonEvent{string(f.Person.Type), f.Person.ID}
	}
	switch f.Place {
	case verify.InContacts:
		line.Contact = f.Row
	case verify.InAddresses:
		line.Address = f.Row
	}
	if at := f.At.UTC(); !at.IsZero() && at.Year() >= 0 && at.Year() <= 9999 { // others have no JSON
		line.EditedAt = &at
	}
	for _, d := range f.Differences {
		line.Differences = append(line.Differences, Altered(d))
	}
	return line
}

// VerdictOf tells what a verification came to.
func VerdictOf(v verify.Verdict) VerdictLine {
	return VerdictLine{"total", v.Messages, v.Contacts, v.Addresses, v.Edited, v.Damaged, v.Left, len(v.Unseen)}
}
