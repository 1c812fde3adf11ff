package inspect

import (
	"casdelius/projector"
	"casdelius/projector/delius"
)

// PlanRow is one line of a plan: a field that would be written, or what else there is to
// know about a person.
type PlanRow struct {
	What     string  `json:"what"` // kind of change or observation, "parked" or "lost"
	CRN      string  `json:"crn,omitempty"`
	URN      string  `json:"urn,omitempty"`
	Referral string  `json:"referral,omitempty"`
	Contact  int64   `json:"contactId,omitempty"`
	Address  int64   `json:"addressId,omitempty"`
	Field    string  `json:"field,omitempty"`
	From     string  `json:"from"`
	To       string  `json:"to"`
	Why      string  `json:"why"`
	Cause    string  `json:"cause,omitempty"`
	Conflict bool    `json:"conflict"`
	Events   []Event `json:"events,omitempty"`
}

// Total is the last line of a plan or rebuild.
type Total struct {
	What           string `json:"what"`
	People         int    `json:"people"`
	Changed        int    `json:"peopleChanged"`
	Rows           int    `json:"rows"`
	Fields         int    `json:"fields"`
	Conflicts      int    `json:"conflicts"`
	AdoptedDiffers int    `json:"adoptedDiffers"`
	Parked         int    `json:"parked"`
	Left           int    `json:"leftDue"`
	Lost           int    `json:"peopleLackingEvents"`
	Failed         int    `json:"failed"`
}

// TotalOf tells what a rebuild came to.
func TotalOf(t *projector.Tally) Total {
	return Total{"total", t.People, t.Changed, t.Rows, t.Fields, t.Conflicts, t.AdoptedDiffers, t.Parked, t.Left, t.Lost, len(t.Failed)}
}

// PlanOf are the rows of one person's plan.
func PlanOf(d *projector.Decision) (rows []PlanRow) {
	for _, change := range d.Outcome.Changes {
		rows = append(rows, fieldsOf(string(d.Person.CRN), change)...)
	}
	for _, n := range d.Outcome.Observations {
		of := PlanRow{What: observationNames[n.Kind], CRN: string(d.Person.CRN), URN: n.URN, Address: n.AddressID, Why: n.Text}
		if len(n.Fields) == 0 {
			rows = append(rows, of)
		}
		for _, f := range n.Fields {
			rows = append(rows, of.with(f))
		}
	}
	for _, p := range d.Outcome.Parked {
		what := "parked"
		if p.Address {
			what = "parked-address"
		}
		rows = append(rows, PlanRow{
			What: what, CRN: string(d.Person.CRN), URN: p.URN, Referral: p.Referral.String(), Cause: string(p.Cause), Why: p.Problem, Events: EventsOf(p.Events),
		})
	}
	for _, lost := range d.Outcome.Lost {
		rows = append(rows, PlanRow{What: "lost", CRN: string(d.Person.CRN), Why: "the history lacks events that were applied once: " + lost})
	}
	return rows
}

var observationNames = map[delius.ObservationKind]string{
	delius.ContactAlreadyExists: "contact-already-exists",
	delius.StaffNotInTeam:       "staff-not-in-team",
	delius.AdoptedDiffers:       "adopted-differs",
}

// with is the row for one field.
func (r PlanRow) with(f delius.Field) PlanRow {
	r.Field, r.From, r.To, r.Why, r.Conflict, r.Events = f.Name, f.From, f.To, f.Reason, f.Conflict, EventsOf(f.Events)
	return r
}

// fieldsOf are the rows of one change.
func fieldsOf(crn string, change delius.Change) []PlanRow {
	of := PlanRow{CRN: crn}
	switch c := change.(type) {
	case *delius.InsertContact:
		of.What, of.URN, of.Referral = "insert-contact", c.Row.URN, c.Applied.Referral.String()
	case *delius.UpdateContact:
		of.What, of.URN, of.Contact = "update-contact", c.Row.URN, c.Row.ID
	case *delius.InsertAddress:
		of.What, of.Referral = "insert-address", c.Applied.Booking.String()
	case *delius.UpdateAddress:
		of.What, of.Address = "update-address", c.Row.ID
	}
	rows := make([]PlanRow, 0, len(change.Why()))
	for _, f := range change.Why() {
		rows = append(rows, of.with(f))
	}
	return rows
}
