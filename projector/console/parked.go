package console

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"casdelius/projector"
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
	Cause  delius.Cause
	Items  int
	Groups []parkedGroup
}

// parkedGroup is what one remedy frees.
type parkedGroup struct {
	ID      string // of its list in the page
	Problem string
	Frees   string
	Since   time.Time
	NextTry time.Time
	List    []parkedItem
	More    int // that are not listed
}

// parkedItem is one thing parked.
type parkedItem struct {
	Hidden   bool // the case is restricted
	CRN      store.CRN
	Referral string
	What     string
	Tries    int
}

// mostListed bounds what one group lists.
const mostListed = 100

func (c *Console) parked(r *http.Request, u *User) (*page, error) {
	cause := delius.Cause(r.URL.Query().Get("cause"))
	if cause != "" && !slices.Contains(inspect.Causes(), cause) {
		return nil, badRequest("%q is no cause of parking.", cause)
	}
	list, err := c.ports.Waiting.Parked(r.Context(), projector.Selection{}, cause)
	if err != nil {
		return nil, err
	}
	hidden, err := hidden(c, r, u, list, func(p inspect.Parked) store.CRN { return p.Owner.CRN })
	if err != nil {
		return nil, err
	}
	is := &parkedPage{Cause: cause}
	for _, cause := range inspect.Causes() {
		of := slices.DeleteFunc(slices.Clone(list), func(p inspect.Parked) bool { return p.Cause != cause })
		if len(of) > 0 {
			is.Causes = append(is.Causes, parkedCause{cause, len(of), groupsOf(of, hidden)})
		}
	}
	return &page{name: "parked", title: "Parked", live: true, data: is}, nil
}

// groupsOf are what each remedy frees, the most people first.
func groupsOf(list []inspect.Parked, hidden map[store.CRN]bool) []parkedGroup {
	var groups []parkedGroup
	people := map[string]map[string]bool{}
	for i := range list {
		p := &list[i]
		at := slices.IndexFunc(groups, func(g parkedGroup) bool { return g.Problem == p.Problem })
		if at < 0 {
			at = len(groups)
			groups = append(groups, parkedGroup{Problem: p.Problem, Since: p.Since, NextTry: p.RetryAt})
			people[p.Problem] = map[string]bool{}
		}
		g := &groups[at]
		if p.RetryAt.Before(g.NextTry) {
			g.NextTry = p.RetryAt
		}
		who := string(p.Owner.CRN)
		if who == "" {
			who = p.Referral.String()
		}
		people[p.Problem][who] = true
		if len(g.List) == mostListed {
			g.More++
			continue
		}
		g.List = append(g.List, itemOf(p, hidden))
	}
	slices.SortStableFunc(groups, func(a, b parkedGroup) int { return len(people[b.Problem]) - len(people[a.Problem]) })
	for i := range groups {
		g := &groups[i]
		g.ID = fmt.Sprintf("%s-%d", list[0].Cause, i)
		verb := "It would free"
		if !list[0].Cause.Retried() {
			verb = "It concerns"
		}
		g.Frees = fmt.Sprintf("%s %s (%s)", verb, inspect.Count(len(people[g.Problem]), "person"), inspect.Count(len(g.List)+g.More, "parked item"))
	}
	return groups
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
	case p.Kind() == "event":
		item.What = fmt.Sprintf("event %q", p.Events[0].ID)
	}
	return item
}
