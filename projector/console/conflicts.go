package console

import (
	"net/http"
	"strconv"
	"time"

	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// mostConflicts is how many a page lists.
const mostConflicts = 50

// conflictsPage lists conflicts.
type conflictsPage struct {
	CRN  store.CRN // of whom; "" is everyone
	All  bool      // settled ones too
	List []conflictCard
	Next int64 // the page after this one begins before it; 0 if there is none
}

// conflictCard is one conflict: both values side by side.
type conflictCard struct {
	inspect.Conflict
	Hidden bool
	Name   string // of the field
	Link   string // to the row
}

func cardOfConflict(conflict *inspect.Conflict, hidden map[store.CRN]bool) conflictCard {
	card := conflictCard{Conflict: *conflict, Hidden: hidden[conflict.CRN], Name: fieldNames[conflict.Field]}
	if card.Hidden {
		card.Conflict = inspect.Conflict{Number: conflict.Number, At: conflict.At, Settled: conflict.Settled, SettledAs: conflict.SettledAs}
		return card
	}
	card.Replaced, card.With = shown(conflict.Field, conflict.Replaced), shown(conflict.Field, conflict.With)
	if card.URN != "" {
		card.Link = rowAddress(card.CRN, card.URN)
	}
	return card
}

func (c *Console) conflicts(r *http.Request, u *User) (*page, error) {
	q := r.URL.Query()
	is := &conflictsPage{CRN: store.ParseCRN(q.Get("crn")), All: q.Get("all") != ""}
	if is.CRN == "" && q.Get("crn") != "" {
		return nil, badRequest("%q is no CRN: want a letter and six digits, such as X123456.", q.Get("crn"))
	}
	before, err := strconv.ParseInt(q.Get("before"), 10, 64)
	if q.Get("before") != "" && err != nil {
		return nil, badRequest("%q is not the number of a conflict.", q.Get("before"))
	}
	var list []inspect.Conflict
	switch {
	case is.CRN != "":
		is.All = true
		list, err = c.ports.Conflicts.Conflicts(r.Context(), projector.Selection{CRNs: []store.CRN{is.CRN}}, time.Time{})
	case is.All:
		list, err = c.ports.Conflicts.NewestConflicts(r.Context(), before, mostConflicts)
	default:
		list, err = c.ports.Conflicts.OpenConflicts(r.Context(), before, mostConflicts)
	}
	if err != nil {
		return nil, err
	}
	hides, err := hidden(c, r, u, list, func(c inspect.Conflict) store.CRN { return c.CRN })
	if err != nil {
		return nil, err
	}
	for i := range list {
		is.List = append(is.List, cardOfConflict(&list[i], hides))
	}
	if len(list) == mostConflicts && is.CRN == "" {
		is.Next = list[len(list)-1].Number
	}
	return &page{name: "conflicts", title: "Conflicts", live: true, data: is, person: is.CRN, restricted: hides[is.CRN]}, nil
}

func (c *Console) conflict(r *http.Request, _ *User) (*page, error) {
	number, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil {
		return nil, badRequest("%q is not the number of a conflict.", r.PathValue("number"))
	}
	is, err := c.ports.Conflicts.Conflict(r.Context(), number)
	switch {
	case err != nil:
		return nil, err
	case is == nil:
		return nil, missing("There is no conflict %d.", number)
	}
	marked, err := c.ports.People.Restricted(r.Context(), []store.CRN{is.CRN})
	card := cardOfConflict(is, nil)
	return &page{name: "conflict", title: "Conflict " + r.PathValue("number"), live: true, data: &card, person: is.CRN, restricted: marked[is.CRN]}, err
}
