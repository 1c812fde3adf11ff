package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// find leads from what somebody typed to the page of it.
func (c *Console) find(r *http.Request, _ *User) (*page, error) {
	text := strings.TrimSpace(r.URL.Query().Get("who"))
	if crn := store.ParseCRN(text); crn != "" {
		return &page{goTo: "/person/" + string(crn)}, nil
	}
	if noms := store.ParseNOMS(text); noms != "" {
		crns, err := c.ports.People.Having(r.Context(), noms)
		switch {
		case err != nil:
			return nil, err
		case len(crns) == 0:
			return nil, missing("Nobody in Delius has the NOMS number %s.", noms)
		case len(crns) > 1:
			return nil, missing("Several people in Delius have the NOMS number %s. Look for one of them by CRN.", noms)
		}
		return &page{goTo: "/person/" + string(crns[0])}, nil
	}
	last := text[strings.LastIndexByte(text, ':')+1:] // a URN ends with its referral
	referral, err := store.ParseReferral(last)
	if err != nil {
		return nil, badRequest("%q is neither a CRN such as X123456, a NOMS number such as A1234BC, the UUID of a referral, nor the URN of a contact.", text)
	}
	to := "/referral/" + referral.String()
	if last != text {
		to += "?urn=" + url.QueryEscape(text)
	}
	return &page{goTo: to}, nil
}

// personPage is what the page of a person shows.
type personPage struct {
	inspect.View
	CRN     store.CRN // of the page
	States  []state
	Drawing drawing
	AsOf    asOf
	Rows    []rowCard
	Moments []momentCard
}

// state is one thing to know about a person first. Its kind is bad, warn, good or info.
type state struct{ Kind, Word, Text string }

// person shows the person with a CRN.
func (c *Console) person(r *http.Request, _ *User) (*page, error) {
	crn := store.ParseCRN(r.PathValue("crn"))
	if crn == "" {
		return nil, badRequest("%q is no CRN: want a letter and six digits, such as X123456.", r.PathValue("crn"))
	}
	view := inspect.View{Who: string(crn)}
	var err error
	if view.History, err = c.ports.Histories.PersonHistory(r.Context(), crn); err != nil {
		return nil, err
	}
	return c.personPage(r, crn, view)
}

// referral shows a referral of a person; with a URN, leads to the row under it.
func (c *Console) referral(r *http.Request, _ *User) (*page, error) {
	referral, err := store.ParseReferral(r.PathValue("referral"))
	if err != nil {
		return nil, badRequest("%q is not the UUID of a referral.", r.PathValue("referral"))
	}
	view := inspect.View{Who: "referral " + referral.String(), Only: &referral}
	if view.History, err = c.ports.Histories.ReferralHistory(r.Context(), referral); err != nil {
		return nil, err
	}
	if urn := r.URL.Query().Get("urn"); urn != "" && view.Owner.CRN != "" {
		return &page{goTo: "/person/" + string(view.Owner.CRN) + "/row?urn=" + url.QueryEscape(urn)}, nil
	}
	return c.personPage(r, view.Owner.CRN, view)
}

func (c *Console) personPage(r *http.Request, crn store.CRN, view inspect.View) (*page, error) {
	p := &page{name: "person", title: "Person " + view.Who, live: true, person: crn}
	if view.Only != nil {
		p.title = "Referral " + view.Only.String()
	}
	var err error
	if p.restricted, err = c.restricted(r, crn, &view.History); err != nil {
		return nil, err
	}
	is := &personPage{View: view, CRN: crn, States: statesOf(&view)}
	moments := view.Moments()
	if is.AsOf, p.goTo, err = readAsOf(r, moments); err != nil || p.goTo != "" {
		return p, err
	}
	p.live = is.AsOf.At.IsZero()
	users, err := c.users(r, &view.History)
	if err != nil {
		return nil, err
	}
	is.Rows = rowsOf(&view, crn, users, is.AsOf.At)
	is.Drawing = draw(moments, c.config.Now())
	is.Moments = cardsOf(&view, moments)
	p.data = is
	return p, nil
}

// restricted says whether Delius marks the case of whom a history is, or was before a merge.
func (c *Console) restricted(r *http.Request, crn store.CRN, h *inspect.History) (bool, error) {
	crns := []store.CRN{crn, h.Owner.CRN}
	for _, away := range h.Current.Merged {
		crns = append(crns, away.CRN)
	}
	marked, err := c.ports.People.Restricted(r.Context(), crns)
	return slices.ContainsFunc(crns, func(crn store.CRN) bool { return marked[crn] }), err
}

// users are the names of who last changed each row.
func (c *Console) users(r *http.Request, h *inspect.History) (map[int64]string, error) {
	return c.ports.People.Users(r.Context(), h.Users())
}

// statesOf are what is to be known about a person first, the gravest first.
func statesOf(v *inspect.View) (all []state) {
	if h := v.Hold; h != nil {
		all = append(all, state{"bad", "Nothing is written", h.Problem + ". What to do: " + h.Cause.Remedy() + "."})
	}
	if len(v.Outcome.Lost) > 0 {
		all = append(all, state{"bad", "Nothing is written", "The inbox lacks events of " + strings.Join(v.Outcome.Lost, ", ") + "."})
	}
	for _, f := range v.Failing {
		all = append(all, state{"bad", "Failing", "Referral " + f.Referral.String() + " has met an unexpected error since " + london(f.Since) + ", " + inspect.Count(f.Tries, "time") + ": " + f.Problem})
	}
	for _, f := range v.Unseen {
		all = append(all, state{"bad", "Not shown", "Referral " + f.Referral.String() + " could not be looked at: " + f.Problem})
	}
	if v.Owner.Cause != "" {
		all = append(all, state{"bad", "Parked", v.Owner.Reason + ". What to do: " + v.Owner.Cause.Remedy() + "."})
	}
	for i := range v.Outcome.Parked {
		if p := &v.Outcome.Parked[i]; v.Owner.Cause == "" && v.About(delius.Item{Referral: p.Referral}) {
			all = append(all, state{"warn", "Parked", p.Problem + ". What to do: " + p.Cause.Remedy() + "."})
		}
	}
	if v.Due {
		all = append(all, state{"info", "Due", "Not all of it is in Delius yet: a step is to come."})
	}
	if len(all) == 0 {
		all = append(all, state{"good", "Up to date", "Every event is applied that can be."})
	}
	return all
}
