package ingest

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

// mostNames bounds how many CRNs, and how many NOMS numbers, are taken of a person event:
// they have to fit into the headers of a message. Two of each is what a merge has.
const mostNames = 16

// personEvent makes a person event of what is published. Whatever can be a name in it is
// taken for one, whichever type of event it is in: each of them is a reason to look again,
// and one too many does no harm. It was emitted when SNS had it, else when it occurred.
func personEvent(kind store.PersonType, messageID string, sent time.Time, event *announcement, body []byte) *store.PersonEvent {
	e := &store.PersonEvent{Type: kind, ID: store.PersonID(messageID, body), Emitted: sent, Body: body}
	if e.Emitted.IsZero() {
		e.Emitted = momentOf(event.OccurredAt)
	}
	additional := object[struct {
		Source      jsontext.Value `json:"sourceCRN"`
		Target      jsontext.Value `json:"targetCRN"`
		Reactivated jsontext.Value `json:"reactivatedCRN"`
		Unmerged    jsontext.Value `json:"unmergedCRN"`
		Previous    jsontext.Value `json:"previousNomsNumber"`
	}](event.Additional)
	for _, crn := range []jsontext.Value{additional.Source, additional.Target, additional.Reactivated, additional.Unmerged} {
		e.CRNs = addName(e.CRNs, store.ParseCRN(text(crn)))
	}
	for _, identifier := range identifiersOf(event.Person) {
		id := object[struct {
			Type  jsontext.Value `json:"type"`
			Value jsontext.Value `json:"value"`
		}](identifier)
		switch text(id.Type) {
		case "CRN":
			e.CRNs = addName(e.CRNs, store.ParseCRN(text(id.Value)))
		case "NOMS":
			e.NOMS = addName(e.NOMS, store.ParseNOMS(text(id.Value)))
		}
	}
	e.NOMS = addName(e.NOMS, store.ParseNOMS(text(additional.Previous)))
	return e
}

func addName[T ~string](names []T, name T) []T {
	if name == "" || len(names) == mostNames || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

func joinNames[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ",")
}
