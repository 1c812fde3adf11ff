package console

import (
	"net/http"
	"strconv"

	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// mostRejected is how many a page lists.
const mostRejected = 100

// rejectedPage lists messages that became no event.
type rejectedPage struct {
	List  []Rejected
	Total int
}

func (c *Console) rejected(r *http.Request, _ *User) (*page, error) {
	var is rejectedPage
	var err error
	is.List, is.Total, err = c.ports.Rejections.Newest(r.Context(), mostRejected)
	return &page{name: "rejected", title: "Rejected", live: true, data: &is}, err
}

// rejectionPage is one of them.
type rejectionPage struct {
	Rejected
	Body string // "" for whoever may not see it
}

func (c *Console) rejection(r *http.Request, u *User) (*page, error) {
	sequence, err := strconv.ParseUint(r.PathValue("sequence"), 10, 64)
	if err != nil {
		return nil, badRequest("%q is not the sequence of a rejected message.", r.PathValue("sequence"))
	}
	is := rejectionPage{}
	if is.Rejected, err = c.ports.Rejections.BySequence(r.Context(), sequence); err != nil {
		return nil, err
	}
	if u.May(SeeBodies) {
		is.Body = string(is.Rejected.Body)
		c.config.Logger.InfoContext(r.Context(), "the body of a rejected message was shown", "user", u.Name, "rejected", sequence)
	}
	return &page{name: "rejection", title: "Rejected message " + r.PathValue("sequence"), data: &is}, nil
}

func (c *Console) rebuild(r *http.Request, _ *User) (*page, error) {
	rebuilding, err := c.ports.Progress.Rebuilding(r.Context())
	return &page{name: "rebuild", title: "Rebuild", live: true, data: rebuilding}, err
}

// noticesPage lists notices that wait, or those of a person.
type noticesPage struct {
	CRN  store.CRN
	List []noticeCard
	More bool // than are listed
}

// noticeCard is one notice.
type noticeCard struct {
	inspect.Notice
	Hidden bool
}

func (c *Console) notices(r *http.Request, u *User) (*page, error) {
	is := &noticesPage{CRN: store.ParseCRN(r.URL.Query().Get("crn"))}
	who := projector.Selection{}
	if text := r.URL.Query().Get("crn"); text != "" {
		if is.CRN == "" {
			return nil, badRequest("%q is no CRN: want a letter and six digits, such as X123456.", text)
		}
		who.CRNs = []store.CRN{is.CRN}
	}
	list, err := c.ports.Waiting.Notices(r.Context(), who, mostListed+1)
	if err != nil {
		return nil, err
	}
	is.More = len(list) > mostListed
	list = list[:min(len(list), mostListed)]
	hides, err := hidden(c, r, u, list, func(n inspect.Notice) store.CRN { return n.CRN })
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		is.List = append(is.List, noticeCard{n, hides[n.CRN]})
	}
	return &page{name: "notices", title: "Notices", live: true, data: is, person: is.CRN, restricted: hides[is.CRN]}, nil
}
