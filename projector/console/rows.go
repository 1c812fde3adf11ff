package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// rowAddress is the page of one contact.
func rowAddress(crn store.CRN, urn string) string {
	return "/person/" + string(crn) + "/row?urn=" + url.QueryEscape(urn)
}

// rowCard is one contact or address: how each field stands, what the events say, and whose it is.
type rowCard struct {
	delius.Item
	Name    string
	Row     int64 // 0 if none stands
	Deleted bool
	Parked  *delius.Parked
	inspect.Changed
	Fields []fieldCard
	Link   string // to the page of it alone
	Past   bool   // it shows what events made, not what stands
}

// ByHand are the names of the fields that are a person's.
func (c *rowCard) ByHand() string {
	var names []string
	for _, f := range c.Fields {
		if f.ByHand {
			names = append(names, strings.ToLower(f.Name))
		}
	}
	return strings.Join(names, ", ")
}

// fieldCard is one field of a row.
type fieldCard struct {
	Name    string
	Stands  string
	Says    string // the events
	Applied string
	Known   bool // what was applied
	Verdict string
	Events  []store.Key
	Differs bool // what stands is not as the events say
	ByHand  bool // what stands is a person's
}

// fieldOf shows a field of a row. Of a person's it says whose: of somebody who was the last to
// change the row, before the projector did if that is who changed it since.
func fieldOf(f delius.ExplainedField, row *rowCard) fieldCard {
	card := fieldCard{
		Name: fieldNames[f.Name], Stands: shown(f.Name, f.Stands), Says: shown(f.Name, f.Text), Verdict: string(f.Verdict), Events: f.Events,
		Differs: f.Verdict != delius.AsEvents, ByHand: f.Verdict == delius.ByPerson,
	}
	if f.Applied != nil {
		card.Applied, card.Known = shown(f.Name, *f.Applied), true
	}
	if !card.ByHand || row.By == "" {
		return card
	}
	if who, at := row.Person(); who != "" {
		card.Verdict += ": " + who + on(at)
	}
	if row.ByService() {
		card.Verdict += ", before " + row.By + " last changed the row"
	}
	return card
}

// on is when something was, if that is known.
func on(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " on " + london(at)
}

// fieldNames are what fields are called on a page.
var fieldNames = map[string]string{
	"notes": "Notes", "description": "Description", "start": "Date and time", "officer": "Officer", "lines": "Address", "status": "Status",
	"deleted": "Deleted",
}

// shown is a field's value as a page has it.
func shown(field, text string) string {
	if field == "status" {
		code, end, _ := strings.Cut(text, " ")
		name, known := map[string]string{delius.MainStatus: "Main address", delius.PreviousStatus: "Previous address", delius.ProposedStatus: "Proposed address"}[code]
		if known && end != "" {
			return name + ", ended " + end
		} else if known {
			return name
		}
	}
	if field == "officer" && text == string(delius.Manager) {
		return "the person's manager"
	}
	return text
}

// rowsOf are the rows that the events of a person make, as they stand or, as of a time, as the
// events up to it make them.
func rowsOf(v *inspect.View, crn store.CRN, users map[int64]string, at time.Time) (cards []rowCard) {
	if !at.IsZero() {
		for _, m := range v.MadeUpTo(at) {
			card := rowCard{Item: m.Item, Name: itemName(m.Item), Past: true}
			for _, value := range m.Values {
				if value.Text != "" {
					card.Fields = append(card.Fields, fieldCard{Name: fieldNames[value.Name], Says: shown(value.Name, value.Text), Events: value.Events})
				}
			}
			cards = append(cards, card)
		}
		return cards
	}
	desired := delius.Fold(v.Timeless())
	var seen []delius.Item
	for i := range desired.Contacts {
		for _, e := range delius.Explain(desired.Contacts[i].URN, desired, v.Current, v.Outcome) {
			if !v.About(e.Item) || slices.Contains(seen, e.Item) {
				continue
			}
			seen = append(seen, e.Item)
			cards = append(cards, cardOf(v, crn, users, &e, desired.Contacts[i].URN))
		}
	}
	return cards
}

func cardOf(v *inspect.View, crn store.CRN, users map[int64]string, e *delius.Explained, urn string) rowCard {
	card := rowCard{
		Item: e.Item, Name: itemName(e.Item), Row: e.RowID, Deleted: e.Deleted, Parked: v.ParkedOf(e.Item),
		Link: rowAddress(crn, urn),
	}
	card.Changed = v.Changed(e, users)
	for _, f := range e.Fields {
		if f.Text == "" && f.Stands == "" {
			continue
		}
		card.Fields = append(card.Fields, fieldOf(f, &card))
	}
	return card
}

// itemName is what a contact or address is, in words.
func itemName(i delius.Item) string {
	if i.URN == "" {
		return "Address of the stay"
	}
	parts := strings.Split(i.URN, ":") // urn:hmpps:cas3:person-arrived:UUID
	if len(parts) < 2 {
		return "Contact"
	}
	return "Contact: " + strings.ToLower(words(parts[len(parts)-2]))
}

// nameOf is an event's type in words: person arrived updated.
func nameOf(t store.Type) string {
	text := string(t)
	for _, prefix := range []string{"accommodation.", "applications."} {
		text = strings.TrimPrefix(text, prefix)
	}
	service, rest, _ := strings.Cut(text, ".")
	return strings.ToUpper(service) + " " + strings.NewReplacer(".", " ", "-", " ").Replace(rest)
}

// momentCard is one event and what it changed.
type momentCard struct {
	inspect.Recorded
	Number  int
	Name    string
	Other   store.CRN // by the events so far it was a referral of this one
	Parked  *delius.Parked
	Unknown bool // its type has no effect
	Effects []effectCard
}

// effectCard is what an event changed of one row.
type effectCard struct {
	Name   string
	Link   string
	Fields []changeCard
}

// changeCard is one field that changed; of notes, the lines that came and went.
type changeCard struct {
	Name, From, To string
	Lines          []delius.LineEdit
}

func cardsOf(v *inspect.View, moments []delius.Moment) []momentCard {
	recorded := v.Recorded()
	cards := make([]momentCard, len(moments))
	for i, m := range moments {
		card := momentCard{Recorded: recorded[m.Event.Key()], Number: i + 1, Name: nameOf(m.Event.Type), Parked: m.Parked, Unknown: !m.Event.Type.Known()}
		if v.Owner.CRN != "" && m.CRN != v.Owner.CRN {
			card.Other = m.CRN
		}
		var of delius.Item
		for n, effect := range m.Effects {
			if n == 0 || effect.Item != of {
				of = effect.Item
				card.Effects = append(card.Effects, effectCard{Name: itemName(of), Link: linkOf(v, of)})
			}
			last := &card.Effects[len(card.Effects)-1]
			last.Fields = append(last.Fields, changeOf(effect))
		}
		cards[i] = card
	}
	return cards
}

func linkOf(v *inspect.View, of delius.Item) string {
	if of.URN == "" || v.Owner.CRN == "" {
		return ""
	}
	return rowAddress(v.Owner.CRN, of.URN)
}

func changeOf(e delius.Effect) changeCard {
	change := changeCard{Name: fieldNames[e.Name], From: shown(e.Name, e.From), To: shown(e.Name, e.To)}
	if e.Name == "notes" {
		change.Lines = slices.DeleteFunc(delius.EditLines(e.From, e.To), func(l delius.LineEdit) bool { return l.Op == ' ' })
	}
	return change
}

// rowPage is what the page of one contact, and of the address of its stay, shows.
type rowPage struct {
	CRN    store.CRN
	URN    string
	States []state
	Rows   []explainedCard
}

// explainedCard is a row with its notes line by line, and the events that these numbers name.
type explainedCard struct {
	rowCard
	Lines     []noteLine
	Conflicts []inspect.Conflict
	Events    []momentCard
}

// noteLine is a line of the notes, and the number of its event; 0 for a person's.
type noteLine struct {
	delius.LineEdit
	Event int
}

// row explains the contact under a URN.
func (c *Console) row(r *http.Request, _ *User) (*page, error) {
	crn, urn := store.ParseCRN(r.PathValue("crn")), r.URL.Query().Get("urn")
	if crn == "" {
		return nil, badRequest("%q is no CRN: want a letter and six digits, such as X123456.", r.PathValue("crn"))
	}
	view := inspect.View{Who: string(crn)}
	var err error
	if view.History, err = c.ports.Histories.PersonHistory(r.Context(), crn); err != nil {
		return nil, err
	}
	p := &page{name: "row", title: "Contact " + urn, live: true, person: crn}
	if p.restricted, err = c.restricted(r, crn, &view.History); err != nil {
		return nil, err
	}
	explained := view.Explain(urn)
	if len(explained) == 0 {
		return nil, missing("No usable event of %s makes a contact %q.", crn, urn)
	}
	users, err := c.users(r, &view.History)
	if err != nil {
		return nil, err
	}
	is := &rowPage{CRN: crn, URN: urn, States: statesOf(&view)}
	moments := cardsOf(&view, view.Moments())
	for i := range explained {
		e := &explained[i]
		card := explainedCard{rowCard: cardOf(&view, crn, users, e, urn), Conflicts: view.ConflictsOf(e)}
		number := func(k store.Key) int {
			at := slices.IndexFunc(moments, func(m momentCard) bool { return m.Key() == k })
			if !slices.ContainsFunc(card.Events, func(m momentCard) bool { return m.Key() == k }) {
				card.Events = append(card.Events, moments[at])
			}
			return moments[at].Number
		}
		for _, f := range e.Fields {
			for _, k := range f.Events {
				number(k)
			}
		}
		for _, l := range e.Lines {
			line := noteLine{LineEdit: l.LineEdit}
			if l.Event != nil {
				line.Event = number(*l.Event)
			}
			card.Lines = append(card.Lines, line)
		}
		slices.SortFunc(card.Events, func(a, b momentCard) int { return a.Number - b.Number })
		is.Rows = append(is.Rows, card)
	}
	p.data = is
	return p, nil
}
