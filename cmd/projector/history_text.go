package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

func (h historyView) writeTimeline(w io.Writer) {
	h.writeWho(w)
	fmt.Fprint(w, "What an event changed is derived by folding the events up to it in the order in which CAS\n"+
		"emitted them: no log of changes is kept. All times are London's.\n")
	recorded := h.Recorded()
	for _, m := range h.Moments() {
		h.writeMoment(w, &m, recorded[m.Event.Key()])
	}
}

func (h historyView) writeWho(w io.Writer) {
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
	fmt.Fprintf(w, "%s%s: %s, %s\n", h.Who, of, inspect.Count(referrals, "referral"), inspect.Count(events, "event"))
	for i := range h.Current.Merged {
		fmt.Fprintf(w, "%s.\n", h.Current.Merged[i].Merge())
	}
	switch {
	case h.Hold != nil:
		fmt.Fprintf(w, "NOTHING IS WRITTEN, %s: %s. What to do: %s.\n", h.Hold.Cause, h.Hold.Problem, h.Hold.Cause.Remedy())
	case len(h.Outcome.Lost) > 0:
		fmt.Fprintf(w, "NOTHING IS WRITTEN: the inbox lacks events of %s\n", strings.Join(h.Outcome.Lost, ", "))
	case h.Due:
		fmt.Fprintln(w, "Due: not all of it is in Delius yet.")
	}
	if h.Owner.Cause != "" {
		fmt.Fprintf(w, "Parked, %s: %s.\n", h.Owner.Cause, h.Owner.Cause.Remedy())
	}
}

func (h historyView) writeMoment(w io.Writer, m *delius.Moment, r inspect.Recorded) {
	e := m.Event
	fmt.Fprintf(w, "\n%s\n", h.eventName(e.Key()))
	fmt.Fprintf(w, "    received %s, stored %s, applied %s\n", london(e.Received), london(r.Stored), london(r.Applied))
	if h.Owner.CRN != "" && m.CRN != "" && m.CRN != h.Owner.CRN {
		fmt.Fprintf(w, "    by the events so far this is a referral of %s\n", m.CRN)
	}
	switch {
	case m.Parked != nil:
		fmt.Fprintf(w, "    parked, %s: %s\n", m.Parked.Cause, command.Line(m.Parked.Problem))
	case !e.Type.Known():
		fmt.Fprintln(w, "    changes nothing: what events of this type mean is not known")
	case len(m.Effects) == 0:
		fmt.Fprintln(w, "    changes nothing")
	}
	var of delius.Item
	for _, effect := range m.Effects {
		if effect.Item != of {
			of = effect.Item
			fmt.Fprintf(w, "    %s\n", of)
		}
		writeEffect(w, effect)
	}
}

// writeEffect shows notes by the lines that come and go, other fields whole.
func writeEffect(w io.Writer, e delius.Effect) {
	if e.Name != "notes" {
		writeField(w, e.Name, []string{fromTo(e.Name, e.From, e.To)})
		return
	}
	edits := slices.DeleteFunc(delius.EditLines(e.From, e.To), func(l delius.LineEdit) bool { return l.Op == ' ' })
	lines := make([]string, len(edits))
	for i, l := range edits {
		lines[i] = string(l.Op) + " " + l.Text
	}
	writeField(w, e.Name, lines)
}

// writeField shows lines beside the name of a field.
func writeField(w io.Writer, name string, lines []string) {
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("        %-11s  %s", name, line), " "))
	}
}

func (h historyView) writeAsOf(w io.Writer, made []delius.Made, upTo time.Time) {
	fmt.Fprintf(w, "%s as of %s\n", h.Who, london(upTo))
	fmt.Fprint(w, "What the events that CAS had emitted by then make. What people had edited by then, and\n"+
		"addresses that are no CAS3 stay, are not known. All times are London's.\n")
	if len(h.Outcome.Lost) > 0 {
		fmt.Fprintf(w, "The inbox lacks events of %s: what they made is missing here.\n", strings.Join(h.Outcome.Lost, ", "))
	}
	if len(made) == 0 {
		fmt.Fprintln(w, "\nNothing.")
	}
	for _, m := range made {
		fmt.Fprintf(w, "\n    %s\n", m.Item)
		for _, v := range m.Values {
			switch {
			case v.Text == "":
			case v.Name == "notes":
				writeField(w, v.Name, strings.Split(v.Text, "\n"))
			default:
				writeField(w, v.Name, []string{oneLine(v.Name, v.Text)})
			}
		}
	}
}

func (h historyView) writeExplained(w io.Writer, all []delius.Explained) {
	h.writeWho(w)
	fmt.Fprint(w, "A number names the event that a field, or a line of the notes, comes from. \"-\" is a line that an\n"+
		"event says but that does not stand, \"+\" one that no event says: a person's. All times are London's.\n")
	for i := range all {
		e := &all[i]
		fmt.Fprintf(w, "\n%s: %s\n", e.Item, standsAs(e))
		if parked := h.ParkedOf(e.Item); parked != nil {
			fmt.Fprintf(w, "    parked, %s: %s; %s\n", parked.Cause, command.Line(parked.Problem), parked.Cause.Remedy())
		}
		var notes footnotes
		for _, f := range e.Fields {
			notes.writeField(w, e, f)
		}
		for _, c := range h.ConflictsOf(e) {
			fmt.Fprintf(w, "    conflict on %s: the %s that a person had set, %s, was replaced by %s of event %s\n",
				london(c.At), c.Field, oneLine(c.Field, c.Replaced), oneLine(c.Field, c.With), strings.Join(c.EventIDs, ", "))
		}
		for n, key := range notes.keys {
			fmt.Fprintf(w, "    [%d] %s\n", n+1, h.eventName(key))
		}
	}
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
func (n *footnotes) writeField(w io.Writer, e *delius.Explained, f delius.ExplainedField) {
	if f.Text == "" && f.Stands == "" {
		return
	}
	if f.Name == "notes" {
		n.writeNotes(w, e, f)
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
	writeField(w, f.Name, lines)
}

func (n *footnotes) writeNotes(w io.Writer, e *delius.Explained, f delius.ExplainedField) {
	var lines []string
	if f.Verdict != delius.AsEvents && f.Verdict != delius.NoRow {
		lines = append(lines, string(f.Verdict))
	}
	for _, l := range e.Lines {
		mark, op := "", l.Op
		if l.Event != nil {
			mark = n.mark(*l.Event)
		}
		if e.RowID == 0 {
			op = ' '
		}
		lines = append(lines, fmt.Sprintf("%-3s %c %s", mark, op, l.Text))
	}
	writeField(w, f.Name, lines)
}

// eventName names an event and when it was emitted.
func (h historyView) eventName(k store.Key) string {
	for _, e := range h.Events {
		if e.Key() == k {
			return fmt.Sprintf("%s  %s %q of %s", london(e.Emitted), k.Type, k.ID, k.Referral)
		}
	}
	return k.String()
}
