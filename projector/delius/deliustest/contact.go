package deliustest

import (
	"time"

	"casdelius/store"
)

// kind says where the events of a type are shown.
type kind struct {
	prefix string // of the URN, before the referral
	code   string // of the contact type
	user   string // who writes it
}

var kinds = map[store.Type]kind{
	store.ApplicationSubmitted:     {"urn:hmpps:cas2:application-submitted:", "EACB", CAS2User},
	store.ApplicationStatusUpdated: {"urn:hmpps:cas2:application-status-updated:", "EACC", CAS2User},
	store.ReferralSubmitted:        {"urn:hmpps:cas3:application-submitted:", "EARS", CAS3User},
	store.BookingProvisionallyMade: {"urn:hmpps:cas3:booking-provisionally-made:", "EABP", CAS3User},
	store.BookingConfirmed:         {"urn:hmpps:cas3:booking-confirmed:", "EACO", CAS3User},
	store.BookingCancelled:         {"urn:hmpps:cas3:booking-cancelled:", "EACA", CAS3User},
	store.BookingCancelledUpdated:  {"urn:hmpps:cas3:booking-cancelled:", "EACA", CAS3User},
	store.PersonArrived:            {"urn:hmpps:cas3:person-arrived:", "EAAR", CAS3User},
	store.PersonArrivedUpdated:     {"urn:hmpps:cas3:person-arrived:", "EAAR", CAS3User},
	store.PersonDeparted:           {"urn:hmpps:cas3:person-departed:", "EADP", CAS3User},
	store.PersonDepartedUpdated:    {"urn:hmpps:cas3:person-departed:", "EADP", CAS3User},
}

// urn is the reference of the contact that an event is shown in.
func urn(e *event) string { return kinds[e.Type].prefix + e.Referral.String() }

// officer is who a contact is recorded under: the zero officer is the manager, a
// symbol that is resolved only when it is written.
type officer struct{ kind, region, staff string }

const (
	manager  = ""
	recorder = "recorder"
	standing = "as it stands" // an adopted row's, while no base event is known
)

// codes are those of a recorder: the team is the region's homelessness prevention team.
func (o officer) codes() codes {
	team := o.region + "HPT"
	switch o.region {
	case "N58":
		team = "N58XXX"
	case "N59":
		team = "N59N59"
	}
	return codes{o.region, team, o.staff}
}

// shown is what a contact shows of its events, field by field.
type shown struct {
	notes, description string
	at                 time.Time
	officer            officer
}

func (s shown) equal(o shown) bool {
	return s.notes == o.notes && s.description == o.description && s.at.Equal(o.at) && s.officer == o.officer
}

// fold says what a contact must show of its events, which are in order. Of no events
// it shows nothing.
func fold(events []*event) shown {
	if len(events) == 0 {
		return shown{officer: officer{kind: standing}}
	}
	latest := events[len(events)-1]
	return shown{
		notes:       notes(events),
		description: normalise(latest.description),
		at:          latest.at,
		officer:     drawnOn(events)[0].recorder,
	}
}

// notes are the text of the latest base event and of every .updated after it.
func notes(events []*event) string {
	var parts []string
	for i, e := range drawnOn(events) {
		if i > 0 && e.Type == store.PersonArrivedUpdated {
			parts = append(parts, "Address details were updated: "+e.Emitted.In(store.London()).Format("02/01/2006 15:04:05"))
		}
		parts = append(parts, e.text)
	}
	return normalise(paragraph(parts...))
}

// drawnOn are the events that the notes come from: the latest base event and what
// follows it; all of them where there is no base event.
func drawnOn(events []*event) []*event {
	for i := len(events) - 1; i >= 0; i-- {
		if !events[i].Type.Updated() {
			return events[i:]
		}
	}
	return events
}

// based says whether there is a base event among the events.
func based(events []*event) bool {
	return len(events) > 0 && !drawnOn(events)[0].Type.Updated()
}

// plainNotes are the notes without the lines that say that an update is one.
func plainNotes(events []*event) string {
	var parts []string
	for _, e := range drawnOn(events) {
		parts = append(parts, e.text)
	}
	return normalise(paragraph(parts...))
}
