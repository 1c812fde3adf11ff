package inspect

import (
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// ItemLine is a contact, by its URN, or the address of a booking.
type ItemLine struct {
	Kind     string `json:"kind"` // contact or address
	Referral string `json:"referral"`
	URN      string `json:"urn,omitempty"`
}

func lineOf(i delius.Item) ItemLine {
	kind := "contact"
	if i.URN == "" {
		kind = "address"
	}
	return ItemLine{kind, i.Referral.String(), i.URN}
}

// EffectLine is one field that an event changed.
type EffectLine struct {
	ItemLine
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// EventLine is one event of a timeline, with the times at which it passed.
type EventLine struct {
	Kind string `json:"kind"` // Event
	Event
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
	Changes  []EffectLine `json:"changes"`
}

// MomentLine tells of one event what it changed.
func MomentLine(m *delius.Moment, r Recorded) EventLine {
	e := m.Event
	line := EventLine{
		Kind: "event", Event: Event{e.Type, e.Referral.String(), e.ID}, Sequence: e.Sequence, CRN: e.CRN, NOMS: e.NOMS,
		Emitted: e.Emitted, Occurred: e.Occurred, Received: e.Received, Stored: r.Stored, Applied: r.Applied, Changes: []EffectLine{},
	}
	if m.Parked != nil {
		line.Parked, line.Problem = m.Parked.Cause, m.Parked.Problem
	}
	for _, effect := range m.Effects {
		line.Changes = append(line.Changes, EffectLine{lineOf(effect.Item), effect.Name, effect.From, effect.To})
	}
	return line
}

// FieldLine is one field, as the events make it and as it stands.
type FieldLine struct {
	Field   string         `json:"field"`
	Value   string         `json:"value"` // that the events make
	Stands  *string        `json:"stands,omitempty"`
	Verdict delius.Verdict `json:"verdict,omitempty"`
	Events  []Event        `json:"events"`
}

// StateLine is what the events up to a time make of one item.
type StateLine struct {
	ItemLine
	AsOf   time.Time   `json:"asOf"`
	Fields []FieldLine `json:"fields"`
}

// MadeLine is what events make of one item.
func MadeLine(m delius.Made, upTo time.Time) StateLine {
	line := StateLine{ItemLine: lineOf(m.Item), AsOf: upTo, Fields: []FieldLine{}}
	for _, v := range m.Values {
		line.Fields = append(line.Fields, FieldLine{Field: v.Name, Value: v.Text, Events: EventsOf(v.Events)})
	}
	return line
}

// ExplainedLine says where the fields of one item come from.
type ExplainedLine struct {
	ItemLine
	RowID     int64        `json:"rowId,omitempty"`
	Deleted   bool         `json:"deleted"`
	Changed                // who changed the row
	Parked    delius.Cause `json:"parked,omitempty"`
	Problem   string       `json:"problem,omitempty"`
	Fields    []FieldLine  `json:"fields"`
	Lines     []NoteLine   `json:"lines,omitempty"`
	Conflicts []Conflict   `json:"conflicts"`
}

// NoteLine is a line of the notes: from an event, a person's, or missing in the row.
type NoteLine struct {
	Text   string `json:"text"`
	Stands bool   `json:"stands"`
	Event  *Event `json:"event,omitempty"`
}

// Explained tells of one item where its fields come from.
func (v *View) Explained(e *delius.Explained, users map[int64]string) ExplainedLine {
	line := ExplainedLine{ItemLine: lineOf(e.Item), RowID: e.RowID, Deleted: e.Deleted, Changed: v.Changed(e, users), Fields: []FieldLine{}, Conflicts: []Conflict{}}
	if parked := v.ParkedOf(e.Item); parked != nil {
		line.Parked, line.Problem = parked.Cause, parked.Problem
	}
	for _, f := range e.Fields {
		field := FieldLine{Field: f.Name, Value: f.Text, Verdict: f.Verdict, Events: EventsOf(f.Events)}
		if e.RowID != 0 {
			field.Stands = &f.Stands
		}
		line.Fields = append(line.Fields, field)
	}
	for _, l := range e.Lines {
		note := NoteLine{Text: l.Text, Stands: l.Op != '-'}
		if l.Event != nil {
			note.Event = &EventsOf([]store.Key{*l.Event})[0]
		}
		line.Lines = append(line.Lines, note)
	}
	line.Conflicts = append(line.Conflicts, v.ConflictsOf(e)...)
	return line
}
