package console

import (
	"net/http"
	"slices"
	"strconv"

	"casdelius/projector/inspect"
	"casdelius/store"
)

// mostFindings is how many a page lists.
const mostFindings = 100

// driftPage is what the last verification of everyone found.
type driftPage struct {
	Last  *inspect.Verified  // of everyone that has ended; nil if there is none
	Since int                // messages that came since then
	Runs  []inspect.Verified // the others
	List  []findingCard
	Next  int // the page after this one begins after it; 0 if there is none
}

// findingCard is one finding.
type findingCard struct {
	inspect.FindingLine
	Hidden bool
	Link   string // to the row
}

func (c *Console) drift(r *http.Request, u *User) (*page, error) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if text := r.URL.Query().Get("after"); text != "" && err != nil {
		return nil, badRequest("%q is not the number of a finding.", text)
	}
	is := &driftPage{}
	if is.Runs, err = c.ports.Verifications.Runs(r.Context(), 20); err != nil {
		return nil, err
	}
	last := slices.IndexFunc(is.Runs, func(run inspect.Verified) bool { return len(run.CRNs) == 0 && !run.Ended.IsZero() && run.Error == "" })
	if last < 0 {
		return &page{name: "drift", title: "Drift", live: true, data: is}, nil
	}
	newest := is.Runs[last]
	is.Last, is.Runs = &newest, slices.Delete(is.Runs, last, last+1)
	figures, err := c.ports.Progress.Figures(r.Context())
	if err != nil {
		return nil, err
	}
	is.Since = inspect.CameSince(is.Last, figures)
	list, err := c.ports.Verifications.Findings(r.Context(), is.Last.Number, after, mostFindings)
	if err != nil {
		return nil, err
	}
	hides, err := hidden(c, r, u, list, func(f inspect.FindingLine) store.CRN { return store.CRN(f.CRN) })
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		card := findingCard{FindingLine: f, Hidden: hides[store.CRN(f.CRN)]}
		if card.Hidden {
			card.FindingLine = inspect.FindingLine{Severity: f.Severity, Problem: f.Problem, Place: f.Place}
		}
		if card.URN != "" && card.CRN != "" {
			card.Link = rowAddress(store.CRN(card.CRN), card.URN)
		}
		is.List = append(is.List, card)
	}
	if len(list) == mostFindings {
		is.Next = after + mostFindings
	}
	return &page{name: "drift", title: "Drift", live: true, data: is}, nil
}
