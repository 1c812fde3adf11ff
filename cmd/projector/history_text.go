package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

func (h historyView) writeTimeline(p *command.Page) {
	h.writeWho(p)
	p.Prose("What an event changed is derived by folding the events up to it in the order in which CAS " +
		"emitted them: no log of changes is kept. All times are London's.")
	recorded := h.Recorded()
	for _, m := range h.Moments() {
		h.writeMoment(p, &m, recorded[m.Event.Key()])
	}
}

func (h historyView) writeWho(p *command.Page) {
	events, referrals := 0, len(h.Referrals)
	for _, e := range h.Events {
		if h.Only == nil || e.Referral == *h.Only {
			events++
		}
	}
	of := ""
	if h.Only != nil {
		referrals = 1
		if h.Owner.CRN != "" {
			of = " of " + string(h.Owner.CRN)
		}
	}
	p.Printf(command.Plain, "%s%s: %s, %s", h.Who, of, inspect.Count(referrals, "referral"), inspect.Count(events, "event"))
	for i := range h.Current.Merged {
		p.Printf(command.Plain, "%s.", h.Current.Merged[i].Merge())
	}
	switch {
	case h.Hold != nil:
		p.Printf(command.Plain, "NOTHING IS WRITTEN, %s: %s. What to do: %s.", h.Hold.Cause, h.Hold.Problem, h.Hold.Cause.Remedy())
	case len(h.Outcome.Lost) > 0:
		p.Printf(command.Plain, "NOTHING IS WRITTEN: the inbox lacks events of %s", strings.Join(h.Outcome.Lost, ", "))
	case h.Due:
		p.Printf(command.Plain, "Due: not all of it is in Delius yet.")
	}
	if h.Owner.Cause != "" {
		p.Printf(command.Plain, "Parked, %s: %s.", h.Owner.Cause, h.Owner.Cause.Remedy())
	}
}

func (h historyView) writeMoment(p *command.Page, m *delius.Moment, r inspect.Recorded) {
	e := m.Event
	p.Blank()
	p.Line(command.Bold, "", h.eventName(e.Key()))
	p.Printf(command.Plain, "    received %s, stored %s, applied %s", command.LondonSeconds(e.Received), command.LondonSeconds(r.Stored), command.LondonSeconds(r.Applied))
	if h.Owner.CRN != "" && m.CRN != "" && m.CRN != h.Owner.CRN {
		p.Printf(command.Plain, "    by the events so far this is a referral of %s", m.CRN)
	}
	switch {
	case m.Parked != nil:
		p.Printf(command.Plain, "    parked, %s: %s", m.Parked.Cause, m.Parked.Problem)
	case !e.Type.Known():
		p.Printf(command.Plain, "    changes nothing: what events of this type mean is not known")
	case len(m.Effects) == 0:
		p.Printf(command.Plain, "    changes nothing")
	}
	var of delius.Item
	for _, effect := range m.Effects {
		if effect.Item != of {
			of = effect.Item
			p.Printf(command.Plain, "    %s", of)
		}
		writeEffect(p, effect)
	}
}

// writeEffect shows notes by the lines that come and go, other fields whole.
func writeEffect(p *command.Page, e delius.Effect) {
	if e.Name != "notes" {
		writeField(p, e.Name, plain(fromTo(e.Name, e.From, e.To)))
		return
	}
	edits := slices.DeleteFunc(delius.EditLines(e.From, e.To), func(l delius.LineEdit) bool { return l.Op == ' ' })
	lines := make([]fieldLine, len(edits))
	for i, l := range edits {
		lines[i] = fieldLine{editStyles[l.Op], string(l.Op) + " ", l.Text}
	}
	writeField(p, e.Name, lines)
}

// fieldLine is a line of a field's text, and what stands before it.
type fieldLine struct {
	style      command.Style
	mark, text string
}

func plain(lines ...string) []fieldLine {
	all := make([]fieldLine, len(lines))
	for i, line := range lines {
		all[i].text = line
	}
	return all
}

// writeField shows lines beside the name of a field.
func writeField(p *command.Page, name string, lines []fieldLine) {
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		p.Line(line.style, fmt.Sprintf("        %-11s  %s", name, line.mark), line.text)
	}
}

func (h historyView) writeAsOf(p *command.Page, made []delius.Made, upTo time.Time) {
	p.Printf(command.Plain, "%s as of %s", h.Who, command.LondonSeconds(upTo))
	p.Prose("What the events that CAS had emitted by then make. What people had edited by then, and " +
		"addresses that are no CAS3 stay, are not known. All times are London's.")
	if len(h.Outcome.Lost) > 0 {
		p.Printf(command.Plain, "The inbox lacks events of %s: what they made is missing here.", strings.Join(h.Outcome.Lost, ", "))
	}
	if len(made) == 0 {
		p.Blank()
		p.Line(command.Plain, "", "Nothing.")
	}
	for _, m := range made {
		p.Blank()
		p.Printf(command.Plain, "    %s", m.Item)
		for _, v := range m.Values {
			switch {
			case v.Text == "":
			case v.Name == "notes":
				writeField(p, v.Name, plain(strings.Split(v.Text, "\n")...))
			default:
				writeField(p, v.Name, plain(oneLine(v.Name, v.Text)))
			}
		}
	}
}

func (h historyView) writeExplained(p *command.Page, all []delius.Explained) {
	h.writeWho(p)
	p.Prose("A number names the event that a field, or a line of the notes, comes from. \"-\" is a line that an " +
		"event says but that does not stand, \"+\" one that no event says: a person's. All times are London's.")
	for i := range all {
		e := &all[i]
		p.Blank()
		p.Line(command.Bold, "", fmt.Sprintf("%s: %s", e.Item, standsAs(e)))
		if changed := h.Changed(e, h.users); changed.By != "" {
			p.Printf(command.Faint, "    last changed by %s", changedBy(&changed))
		}
		if parked := h.ParkedOf(e.Item); parked != nil {
			p.Printf(command.Plain, "    parked, %s: %s; %s", parked.Cause, parked.Problem, parked.Cause.Remedy())
		}
		var notes footnotes
		for _, f := range e.Fields {
			notes.writeField(p, e, f)
		}
		for _, c := range h.ConflictsOf(e) {
			p.Printf(command.Yellow, "    conflict on %s: the %s that was set by %s, %s, was replaced by %s of %s",
				command.LondonSeconds(c.At), c.Field, editor(&c), oneLine(c.Field, c.Replaced), oneLine(c.Field, c.With), events(c.EventIDs))
		}
		for n, key := range notes.keys {
			p.Printf(command.Plain, "    [%d] %s", n+1, h.eventName(key))
		}
	}
}

// changedBy says who changed a row, and who had before the projector did.
func changedBy(c *inspect.Changed) string {
	text := c.By + " on " + command.LondonSeconds(c.At)
	if c.Before != "" {
		text += ", before that by " + c.Before
		if !c.Edited.IsZero() {
			text += " on " + command.LondonSeconds(c.Edited)
		}
	}
	return text
}

func standsAs(e *delius.Explained) string {
	what := "contact"
	if e.URN == "" {
		what = "address"
	}
	switch {
	case e.RowID == 0 && e.Deleted:
		return "no " + what + " stands: a person had deleted it; its events said"
	case e.RowID == 0:
		return "no " + what + " stands; its events want"
	case e.Deleted:
		return fmt.Sprintf("%s %d, deleted by a person", what, e.RowID)
	}
	return fmt.Sprintf("%s %d", what, e.RowID)
}

// footnotes number the events of an explanation.
type footnotes struct{ keys []store.Key }

func (n *footnotes) mark(k store.Key) string {
	at := slices.Index(n.keys, k)
	if at < 0 {
		at, n.keys = len(n.keys), append(n.keys, k)
	}
	return fmt.Sprintf("[%d]", at+1)
}

// writeField shows how a field stands, with what the events say where that is
// something else; without a row only the latter.
func (n *footnotes) writeField(p *command.Page, e *delius.Explained, f delius.ExplainedField) {
	if f.Text == "" && f.Stands == "" {
		return
	}
	if f.Name == "notes" {
		n.writeNotes(p, e, f)
		return
	}
	value := f.Stands
	if e.RowID == 0 {
		value = f.Text
	}
	lines := []string{oneLine(f.Name, value)}
	for _, k := range f.Events {
		lines[0] += "  " + n.mark(k)
	}
	switch f.Verdict {
	case delius.AsEvents, delius.NoRow:
	case delius.Unspecified:
		lines = append(lines, string(f.Verdict))
	default:
		lines = append(lines, string(f.Verdict)+": the events say "+oneLine(f.Name, f.Text))
	}
	writeField(p, f.Name, plain(lines...))
}

func (n *footnotes) writeNotes(p *command.Page, e *delius.Explained, f delius.ExplainedField) {
	var lines []fieldLine
	if f.Verdict != delius.AsEvents && f.Verdict != delius.NoRow {
		lines = plain(string(f.Verdict))
	}
	for _, l := range e.Lines {
		mark, op := "", l.Op
		if l.Event != nil {
			mark = n.mark(*l.Event)
		}
		if e.RowID == 0 {
			op = ' '
		}
		lines = append(lines, fieldLine{editStyles[op], fmt.Sprintf("%-3s %c ", mark, op), l.Text})
	}
	writeField(p, f.Name, lines)
}

// eventName names an event and when it was emitted.
func (h historyView) eventName(k store.Key) string {
	for _, e := range h.Events {
		if e.Key() == k {
			return fmt.Sprintf("%s  %s %q of %s", command.LondonSeconds(e.Emitted), k.Type, k.ID, k.Referral)
		}
	}
	return k.String()
}
