package console

import (
	"net/http"
	"slices"
	"time"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/requests"
	"casdelius/store"
)

// planPage is what would change for a person, or what plans of everyone came to.
type planPage struct {
	CRN    store.CRN // of whom; "" is everyone
	Hold   *delius.Hold
	Groups []planGroup
	Asked  []requests.Request // plans of everyone, the newest first
}

// planGroup is one row that would be written, or something else to know.
type planGroup struct {
	Name string
	Link string
	Rows []inspect.PlanRow
}

// planNames say what the kinds of a plan's rows are.
var planNames = map[string]string{
	"insert-contact": "A contact is inserted", "update-contact": "A contact is changed", "insert-address": "An address is inserted",
	"update-address": "An address is changed", "parked": "Parked: a contact is left out", "parked-address": "Parked: an address is left out",
	"lost": "Nothing is written", "contact-already-exists": "A second contact stands", "staff-not-in-team": "The officer is not in the team",
	"adopted-differs": "Adopted, and differs: it stays as it stands",
}

// groupsOfPlan groups a plan's rows by what they write.
func groupsOfPlan(crn store.CRN, rows []inspect.PlanRow) (groups []planGroup) {
	last := inspect.PlanRow{}
	for _, row := range rows {
		of := inspect.PlanRow{What: row.What, URN: row.URN, Referral: row.Referral, Contact: row.Contact, Address: row.Address}
		if len(groups) == 0 || !samePlace(&of, &last) {
			group := planGroup{Name: planNames[row.What]}
			if row.URN != "" && crn != "" {
				group.Link = rowAddress(crn, row.URN)
			}
			groups, last = append(groups, group), of
		}
		row.From, row.To = shown(row.Field, row.From), shown(row.Field, row.To)
		if row.Field != "" {
			row.Field = fieldNames[row.Field]
		}
		at := &groups[len(groups)-1]
		at.Rows = append(at.Rows, row)
	}
	return groups
}

func samePlace(a, b *inspect.PlanRow) bool {
	return a.What == b.What && a.URN == b.URN && a.Referral == b.Referral && a.Contact == b.Contact && a.Address == b.Address
}

func (c *Console) plan(r *http.Request, _ *User) (*page, error) {
	text := r.URL.Query().Get("crn")
	if text == "" {
		list, err := c.ports.Requests.Requests(r.Context(), time.Time{}, 200)
		list = slices.DeleteFunc(list, func(r requests.Request) bool { return r.Kind != requests.Plan })
		return &page{name: "plan", title: "Plan", live: true, data: &planPage{Asked: list[:min(len(list), 10)]}}, err
	}
	crn := store.ParseCRN(text)
	if crn == "" {
		return nil, badRequest("%q is no CRN: want a letter and six digits, such as X123456.", text)
	}
	history, err := c.ports.Histories.PersonHistory(r.Context(), crn)
	if err != nil {
		return nil, err
	}
	p := &page{name: "plan", title: "Plan for " + string(crn), live: true, person: crn}
	if p.restricted, err = c.restricted(r, crn, &history); err != nil {
		return nil, err
	}
	rows := inspect.PlanOf(&projector.Decision{
		Subject: projector.Subject{Person: projector.Person{Ownership: history.Owner}}, Outcome: history.Outcome,
	})
	p.data = &planPage{CRN: crn, Hold: history.Hold, Groups: groupsOfPlan(crn, rows)}
	return p, nil
}
