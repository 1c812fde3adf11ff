package ingest

import (
	"cmp"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

// Event makes an event of a notification and its detail, exactly as CAS served it.
// Of the detail it asks only for valid JSON without duplicate names, an id and a
// timestamp; whatever else is wrong in there is for the reader of the log to judge.
//
// The referral is the application or booking that the type is keyed by, as the detail
// names it, else as the notification does. CRN and NOMS number are, each by itself,
// the notification's, else the detail's. What is not well formed counts as absent in
// both places. Source is left to the caller.
//
// Every error is a *[RejectionError] (detail-too-large, detail-invalid, no-referral,
// no-person).
func (n *Notification) Event(detail []byte) (store.Event, error) {
	if len(detail) > maxDetail {
		return store.Event{}, reject(store.DetailTooLarge, "the detail has %d bytes, at most %d are taken", len(detail), maxDetail)
	}
	if err := checkDepth(detail); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail is not plain JSON: %v", err)
	}
	var body map[string]jsontext.Value
	if err := json.Unmarshal(detail, &body); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail is not a JSON object: %v", err)
	}
	e := store.Event{Type: n.Type, CRN: n.CRN, NOMS: n.NOMS, Occurred: n.Occurred, Body: detail}
	var err error
	if e.ID, err = store.ParseID(text(body["id"])); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail's id: %v", err)
	}
	if e.Emitted, err = store.ParseTime(text(body["timestamp"])); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail's timestamp: %v", err)
	}
	facts := object(body["eventDetails"])
	if e.Referral, err = n.referral(facts); err != nil {
		return store.Event{}, err
	}
	person := object(facts["personReference"])
	e.CRN = cmp.Or(e.CRN, store.ParseCRN(text(person["crn"])))
	e.NOMS = cmp.Or(e.NOMS, store.ParseNOMS(text(person["noms"])))
	if e.CRN == "" && e.NOMS == "" {
		return store.Event{}, reject(store.NoPerson, "neither the notification nor the detail of event %s has a CRN or a NOMS number", e.Key())
	}
	return e, nil
}

// referral is the id that the event is keyed by.
func (n *Notification) referral(facts map[string]jsontext.Value) (store.Referral, error) {
	application, booking := text(facts["applicationId"]), text(facts["bookingId"])
	id := n.Type.ReferralID(firstUUID(application, n.Application), firstUUID(booking, n.Booking))
	if id == "" {
		return store.Referral{}, reject(store.NoReferral,
			"an event of type %s is keyed by an application or a booking; of the application the detail says %q, the notification %q, of the booking %q and %q",
			n.Type, clip(application, 40), clip(n.Application, 40), clip(booking, 40), clip(n.Booking, 40))
	}
	return store.ParseReferral(id)
}

// firstUUID is the first candidate that can be a referral, "" if none can.
func firstUUID(candidates ...string) string {
	for _, s := range candidates {
		if _, err := store.ParseReferral(s); err == nil {
			return s
		}
	}
	return ""
}

// object is the members of the JSON object that v is, none if it is something else.
func object(v jsontext.Value) map[string]jsontext.Value {
	var members map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &members) != nil {
		return nil
	}
	return members
}

// text is the string that v is, "" if it is something else.
func text(v jsontext.Value) string {
	var s string
	if v.Kind() != '"' || json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}
