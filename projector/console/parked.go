package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// parkedPage is what is parked, by cause.
type parkedPage struct {
	Cause  delius.Cause // of which alone is shown; "" is every one
	Causes []parkedCause
}

// parkedCause is what is parked for one cause.
type parkedCause struct {
	inspect.ParkedCause
	Groups []parkedGroup
}

// parkedGroup is what one remedy frees.
type parkedGroup struct {
	inspect.ParkedGroup
	ID    string // of its list in the page
	Frees string
	List  []parkedItem
}

// More is how many items are not listed.
func (g *parkedGroup) More() int { return g.Items - len(g.List) }

// parkedItem is one thing parked.
type parkedItem struct {
	Hidden   bool // the case is restricted
	CRN      store.CRN
	Referral string
	What     string
	Link     string // to it
	Tries    int
}

const (
	mostListed = 100 // notices of a page, or items of a group where one cause alone is shown
	fewListed  = 20  // items of a group where all causes are shown
	mostGroups = 20  // of a cause
)

func (c *Console) parked(r *http.Request, u *User) (*page, error) {
	is := &parkedPage{Cause: delius.Cause(r.URL.Query().Get("cause"))}
	items := mostListed
	switch {
	case is.Cause == "":
		items = fewListed
	case !slices.Contains(inspect.Causes(), is.Cause):
		return nil, badRequest("%q is no cause of parking.", is.Cause)
	}
	all, err := c.ports.Waiting.ParkedGroups(r.Context(), is.Cause, mostGroups, items)
	if err != nil {
		return nil, err
	}
	var list []inspect.Parked
	for _, cause := range all {
		for _, group := range cause.Groups {
			list = append(list, group.List...)
		}
	}
	hidden, err := hidden(c, r, u, list, func(p inspect.Parked) store.CRN { return p.Owner.CRN })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b inspect.ParkedCause) int {
		return cmp.Compare(slices.Index(inspect.Causes(), a.Cause), slices.Index(inspect.Causes(), b.Cause))
	})
	for _, cause := range all {
		is.Causes = append(is.Causes, causeOf(cause, hidden))
	}
	return &page{name: "parked", title: "Parked", live: true, data: is}, nil
}

func causeOf(cause inspect.ParkedCause, hidden map[store.CRN]bool) parkedCause {
	is := parkedCause{ParkedCause: cause}
	verb := "It would free"
	if !cause.Cause.Retried() {
		verb = "It concerns"
	}
	for i, group := range cause.Groups {
		card := parkedGroup{ParkedGroup: group, ID: fmt.Sprintf("%s-%d", cause.Cause, i)}
		card.Frees = fmt.Sprintf("%s %s (%s)", verb, inspect.Count(group.People, "person"), inspect.Count(group.Items, "parked item"))
		if group.People == 0 {
			card.Frees = "Nobody knows whom it concerns"
		}
		for i := range group.List {
			card.List = append(card.List, itemOf(&group.List[i], hidden))
		}
		is.Groups = append(is.Groups, card)
	}
	return is
}

func itemOf(p *inspect.Parked, hidden map[store.CRN]bool) parkedItem {
	item := parkedItem{Hidden: hidden[p.Owner.CRN], CRN: p.Owner.CRN, What: p.Kind(), Tries: p.Tries}
	if p.Referral != (store.Referral{}) {
		item.Referral = p.Referral.String()
	}
	switch {
	case item.Hidden:
	case p.Kind() == "contact":
		item.What = itemName(delius.Item{Referral: p.Referral, URN: p.URN})
		if p.Owner.CRN != "" {
			item.Link = rowAddress(p.Owner.CRN, p.URN)
		}
	case p.Kind() == "event":
		item.What, item.Link = fmt.Sprintf("event %q", p.Events[0].ID), "/referral/"+item.Referral+"#events"
	}
	return item
}
