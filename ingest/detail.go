package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"casdelius/store"
)

const (
	maxDetail = 512 << 10 // bytes
	maxAnswer = 64 << 10  // bytes of an answer that is no detail, as far as they are kept
)

// detailBody is a detail as far as ingest reads it.
type detailBody struct {
	ID        jsontext.Value `json:"id"`
	Timestamp jsontext.Value `json:"timestamp"`
	Facts     jsontext.Value `json:"eventDetails"`
}

// detailFacts are what ingest reads of the eventDetails.
type detailFacts struct {
	Application jsontext.Value `json:"applicationId"`
	Booking     jsontext.Value `json:"bookingId"`
	Person      jsontext.Value `json:"personReference"`
}

// readDetail reads a detail. What is no JSON object with id and eventDetails was not
// written by CAS: maintenance pages and proxies speak like that, also with status 200.
func readDetail(answer []byte) (body detailBody, err error) {
	err = readLikeJackson(answer, &body)
	switch {
	case err != nil:
		return body, fmt.Errorf("it is no JSON object: %w", err)
	case absent(body.ID):
		return body, errors.New("it has no id")
	case absent(body.Facts):
		return body, errors.New("it has no eventDetails")
	}
	return body, nil
}

// answers are details of which every one was looked at: an answer that is none fails
// with [DetailGarbled].
type answers struct{ Details }

// Fetch implements [Details].
func (a answers) Fetch(ctx context.Context, url string) ([]byte, error) {
	answer, err := a.Details.Fetch(ctx, url)
	var failure *DetailError
	switch {
	case errors.As(err, &failure) && failure.Fault == DetailTooLarge && !beginsObject(failure.Answer):
		return nil, garbled(url, failure.Answer, err)
	case err != nil:
		return nil, err
	case len(answer) > maxDetail:
		return answer, nil // for Event to reject
	}
	if _, err := readDetail(answer); err != nil {
		return nil, garbled(url, answer, err)
	}
	return answer, nil
}

func garbled(url string, answer []byte, err error) error {
	return &DetailError{
		Fault:  DetailGarbled,
		Err:    fmt.Errorf("the CAS API answered 200 at %s with something that is no detail: %w", store.ShownURL(url), err),
		Answer: answer[:min(len(answer), maxAnswer)],
	}
}

// beginsObject says whether what begins like this can be a JSON object.
func beginsObject(b []byte) bool {
	b = bytes.TrimLeft(bytes.TrimPrefix(b, byteOrderMark), " \t\r\n")
	return len(b) == 0 || b[0] == '{'
}

// Event makes an event of a notification and its detail, exactly as CAS served it. The
// detail is read as CAS's own consumers read it. Only an object with an id, a timestamp
// and eventDetails is asked for; whatever else is wrong in there is for the reader of the
// log to judge.
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
	body, err := readDetail(detail)
	if err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail is none: %v", err)
	}
	if err := checkDepth(detail); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail is not plain JSON: %v", err)
	}
	e := store.Event{Type: n.Type, CRN: n.CRN, NOMS: n.NOMS, Occurred: n.Occurred, Body: detail}
	if e.ID, err = store.ParseID(text(body.ID)); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail's id: %v", err)
	}
	if e.Emitted, err = store.ParsePlausibleTime(text(body.Timestamp)); err != nil {
		return store.Event{}, reject(store.DetailInvalid, "the detail's timestamp: %v", err)
	}
	facts := object[detailFacts](body.Facts)
	if e.Referral, err = n.referral(facts); err != nil {
		return store.Event{}, err
	}
	person := object[struct {
		CRN  jsontext.Value `json:"crn"`
		NOMS jsontext.Value `json:"noms"`
	}](facts.Person)
	e.CRN = cmp.Or(e.CRN, store.ParseCRN(text(person.CRN)))
	e.NOMS = cmp.Or(e.NOMS, store.ParseNOMS(text(person.NOMS)))
	if e.CRN == "" && e.NOMS == "" {
		return store.Event{}, reject(store.NoPerson, "neither the notification nor the detail of event %s has a CRN or a NOMS number", e.Key())
	}
	return e, nil
}

// referral is the id that the event is keyed by.
func (n *Notification) referral(facts detailFacts) (store.Referral, error) {
	application, booking := text(facts.Application), text(facts.Booking)
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
