package main

import (
	"time"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

// itemLine is a contact, by its URN, or the address of a booking.
type itemLine struct {
	Kind     string `json:"kind"` // contact or address
	Referral string `json:"referral"`
	URN      string `json:"urn,omitempty"`
}

func lineOf(i delius.Item) itemLine {
	kind := "contact"
	if i.URN == "" {
		kind = "address"
	}
	return itemLine{kind, i.Referral.String(), i.URN}
}

type effectLine struct {
	itemLine
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

type eventLine struct {
	Kind string `json:"kind"` // event
	event
	Sequence uint64       `json:"sequence"`
	CRN      store.CRN    `json:"crn,omitempty"`  // that the event names
	NOMS     store.NOMS   `json:"noms,omitempty"` // likewise
	Emitted  time.Time    `json:"emitted"`
	Occurred time.Time    `json:"occurred,omitzero"`
	Received time.Time    `json:"received,omitzero"`
	Stored   time.Time    `json:"stored"`
	Applied  time.Time    `json:"applied,omitzero"`
	Parked   delius.Cause `json:"parked,omitempty"`
	Problem  string       `json:"problem,omitempty"`
	Changes  []effectLine `json:"changes"`
}

func momentLine(m *delius.Moment, r projector.Recorded) eventLine {
	e := m.Event
	line := eventLine{
		Kind: "event", event: event{e.Type, e.Referral.String(), e.ID}, Sequence: e.Sequence, CRN: e.CRN, NOMS: e.NOMS,
		Emitted: e.Emitted, Occurred: e.Occurred, Received: e.Received, Stored: r.Stored, Applied: r.Applied, Changes: []effectLine{},
	}
	if m.Parked != nil {
		line.Parked, line.Problem = m.Parked.Cause, m.Parked.Problem
	}
	for _, effect := range m.Effects {
		line.Changes = append(line.Changes, effectLine{lineOf(effect.Item), effect.Name, effect.From, effect.To})
	}
	return line
}

type fieldLine struct {
	Field   string         `json:"field"`
	Value   string         `json:"value"` // that the events make
	Stands  *string        `json:"stands,omitempty"`
	Verdict delius.Verdict `json:"verdict,omitempty"`
	Events  []event        `json:"events"`
}

type stateLine struct {
	itemLine
	AsOf   time.Time   `json:"asOf"`
	Fields []fieldLine `json:"fields"`
}

func madeLine(m delius.Made, upTo time.Time) stateLine {
	line := stateLine{itemLine: lineOf(m.Item), AsOf: upTo, Fields: []fieldLine{}}
	for _, v := range m.Values {
		line.Fields = append(line.Fields, fieldLine{Field: v.Name, Value: v.Text, Events: eventsOf(v.Events)})
	}
	return line
}

type explainedLine struct {
	itemLine
	RowID     int64          `json:"rowId,omitempty"`
	Deleted   bool           `json:"deleted"`
	Parked    delius.Cause   `json:"parked,omitempty"`
	Problem   string         `json:"problem,omitempty"`
	Fields    []fieldLine    `json:"fields"`
	Lines     []noteLine     `json:"lines,omitempty"`
	Conflicts []conflictLine `json:"conflicts"`
}

// noteLine is a line of the notes: from an event, a person's, or missing in the row.
type noteLine struct {
	Text   string `json:"text"`
	Stands bool   `json:"stands"`
	Event  *event `json:"event,omitempty"`
}

func (h *historyView) explainedLine(e *delius.Explained) explainedLine {
	line := explainedLine{itemLine: lineOf(e.Item), RowID: e.RowID, Deleted: e.Deleted, Fields: []fieldLine{}, Conflicts: []conflictLine{}}
	if parked := h.parkedOf(e.Item); parked != nil {
		line.Parked, line.Problem = parked.Cause, parked.Problem
	}
	for _, f := range e.Fields {
		field := fieldLine{Field: f.Name, Value: f.Text, Verdict: f.Verdict, Events: eventsOf(f.Events)}
		if e.RowID != 0 {
			field.Stands = &f.Stands
		}
		line.Fields = append(line.Fields, field)
	}
	for _, l := range e.Lines {
		note := noteLine{Text: l.Text, Stands: l.Op != '-'}
		if l.Event != nil {
			note.Event = &eventsOf([]store.Key{*l.Event})[0]
		}
		line.Lines = append(line.Lines, note)
	}
	for _, c := range h.conflictsOf(e) {
		line.Conflicts = append(line.Conflicts, conflictOf(c))
	}
	return line
}
