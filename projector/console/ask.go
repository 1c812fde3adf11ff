package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/requests"
	"casdelius/store"
)

// askPage is what somebody is about to ask for, with the plan that they confirm.
type askPage struct {
	requests.Request
	Does    string
	Groups  []planGroup
	Result  *requests.PlanResult // of a plan of everyone
	Fields  url.Values           // that are sent again
	Problem string               // with what was sent
}

// kindNames say what requests do.
var kindNames = map[requests.Kind]string{
	requests.Retry: "Retry what is parked", requests.Repair: "Repair damage", requests.Plan: "Plan everyone", requests.Rebuild: "Rebuild",
	requests.Pause: "Pause the rebuild", requests.Resume: "Go on with the rebuild", requests.Restore: "Restore a person's value",
	requests.Reviewed: "Mark a conflict as reviewed", requests.Replay: "Replay a rejected message", requests.Dismiss: "Dismiss a rejected message",
}

// askFields are the values that say what is asked for.
var askFields = []string{"kind", "crn", "cause", "all", "conflict", "rejected", "plan"}

// readAsk reads what is asked for.
func readAsk(values url.Values) (r requests.Request, err error) {
	r.Kind = requests.Kind(values.Get("kind"))
	if kindNames[r.Kind] == "" {
		return r, badRequest("%q cannot be asked for.", r.Kind)
	}
	if text := values.Get("crn"); text != "" {
		crn := store.ParseCRN(text)
		if crn == "" {
			return r, badRequest("%q is no CRN: want a letter and six digits, such as X123456.", text)
		}
		r.Target.CRNs = []store.CRN{crn}
	}
	if text := values.Get("cause"); text != "" {
		if r.Target.Cause = delius.Cause(text); !slices.Contains(inspect.Causes(), r.Target.Cause) {
			return r, badRequest("%q is no cause of parking.", text)
		}
	}
	r.Target.All = values.Get("all") != ""
	for name, into := range map[string]func(uint64){
		"conflict": func(n uint64) { r.Target.Conflict = int64(n) }, //nolint:gosec // a number of ours
		"rejected": func(n uint64) { r.Target.Rejected = n },
	} {
		if text := values.Get(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 63)
			if err != nil {
				return r, badRequest("%q is no number of a %s.", text, name)
			}
			into(n)
		}
	}
	return r, nil
}

// ask shows what a request would do, to be confirmed.
func (c *Console) ask(r *http.Request, u *User) (*page, error) {
	return c.askPage(r, u, r.URL.Query(), "")
}

func (c *Console) askPage(r *http.Request, u *User, values url.Values, problem string) (*page, error) {
	if c.ports.Writer == nil {
		return nil, badRequest("This console can ask for nothing: it has no way to write requests.")
	}
	is := &askPage{Fields: url.Values{}, Problem: problem}
	var err error
	if is.Request, err = readAsk(values); err != nil {
		return nil, err
	}
	is.ID, is.Who, is.Does = uuid.New(), u.Name, kindNames[is.Kind]
	p := &page{name: "ask", title: is.Does, data: is}
	if is.Kind.Confirmed() {
		if err := c.preview(r, is, values); err != nil {
			return nil, err
		}
	}
	if len(is.Target.CRNs) == 1 {
		p.person = is.Target.CRNs[0]
		marked, err := c.ports.People.Restricted(r.Context(), is.Target.CRNs)
		if p.restricted = marked[p.person]; err != nil {
			return nil, err
		}
	}
	for _, name := range askFields {
		if text := values.Get(name); text != "" {
			is.Fields.Set(name, text)
		}
	}
	return p, is.Validate()
}

// preview is the plan that is confirmed: of people now, of everyone as it was made by a request.
func (c *Console) preview(r *http.Request, is *askPage, values url.Values) error {
	if !is.Target.All {
		preview, err := c.ports.Requests.Look(r.Context(), &is.Request)
		if err != nil {
			return err
		}
		is.PlanHash = preview.Hash
		for i := range preview.Decisions {
			d := &preview.Decisions[i]
			is.Groups = append(is.Groups, groupsOfPlan(d.Person.CRN, inspect.PlanOf(d))...)
			is.Target.CRNs = slices.Compact(append(is.Target.CRNs, d.Person.CRN))
		}
		return nil
	}
	id, err := uuid.Parse(values.Get("plan"))
	if err != nil {
		return badRequest("A rebuild of everyone confirms a plan of everyone: ask for one on the page Plan.")
	}
	plan, err := c.ports.Requests.Request(r.Context(), id)
	if err != nil {
		return err
	}
	if plan == nil || plan.Kind != requests.Plan || plan.State != requests.Done {
		return badRequest("That plan is not there, or not done.")
	}
	if is.Result, err = planResult(plan); err == nil {
		is.PlanHash = is.Result.Hash
	}
	return err
}

// asked writes a request down.
func (c *Console) asked(r *http.Request, u *User) (*page, error) {
	if c.ports.Writer == nil {
		return nil, badRequest("This console can ask for nothing: it has no way to write requests.")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("The form could not be read.")
	}
	is, err := readAsk(r.PostForm)
	if err != nil {
		return nil, err
	}
	is.Who, is.Why, is.PlanHash = u.Name, strings.TrimSpace(r.PostForm.Get("why")), r.PostForm.Get("hash")
	if is.ID, err = uuid.Parse(r.PostForm.Get("id")); err != nil {
		return nil, badRequest("The form could not be read.")
	}
	if is.Why == "" || len(is.Why) > 2000 {
		return c.askPage(r, u, r.PostForm, "Say why, in at most 2,000 characters: whoever looks later will want to know.")
	}
	if err := is.Validate(); err != nil {
		return nil, badRequest("%v.", err)
	}
	if err := c.mayAsk(r, u, &is); err != nil {
		return nil, err
	}
	if err := c.ports.Writer.Add(r.Context(), &is); err != nil {
		return nil, err
	}
	c.config.Logger.InfoContext(r.Context(), "a request was made", "user", u.Name, "kind", is.Kind, "request", is.ID.String(), "why", is.Why)
	return &page{goTo: "/requests/" + is.ID.String()}, nil
}

// mayAsk says whether a user may see whom a request is about.
func (c *Console) mayAsk(r *http.Request, u *User, is *requests.Request) error {
	crns := is.Target.CRNs
	if is.Target.Conflict != 0 {
		conflict, err := c.ports.Conflicts.Conflict(r.Context(), is.Target.Conflict)
		switch {
		case err != nil:
			return err
		case conflict == nil:
			return missing("There is no conflict %d.", is.Target.Conflict)
		}
		crns = append(crns, conflict.CRN)
	}
	hides, err := hidden(c, r, u, crns, func(crn store.CRN) store.CRN { return crn })
	if err == nil && slices.ContainsFunc(crns, func(crn store.CRN) bool { return hides[crn] }) {
		err = forbidden(Restricted, "Delius marks this case as restricted or excluded. It")
	}
	return err
}

// requestPage is what somebody asked for, and what became of it.
type requestPage struct {
	requests.Request
	Does   string
	About  string
	State  state
	Ends   bool
	Result *requests.PlanResult
}

var requestStates = map[requests.State]state{
	requests.Waiting: {"info", "Waiting", "A running projector takes it within seconds."},
	requests.Working: {"info", "Working", "A projector is at it."},
	requests.Done:    {"good", "Done", ""},
	requests.Refused: {"warn", "Refused", "Nothing was done."},
	requests.Failed:  {"bad", "Failed", ""},
}

// cardsOfRequests shows requests to a user, without the restricted cases that they may not see.
func (c *Console) cardsOfRequests(r *http.Request, u *User, list []requests.Request) ([]requestPage, error) {
	var crns []store.CRN
	for i := range list {
		crns = append(crns, list[i].Target.CRNs...)
	}
	hides, err := hidden(c, r, u, crns, func(crn store.CRN) store.CRN { return crn })
	if err != nil {
		return nil, err
	}
	cards := make([]requestPage, len(list))
	for i := range list {
		if cards[i], err = cardOfRequest(&list[i], hides); err != nil {
			return nil, err
		}
	}
	return cards, nil
}

func cardOfRequest(r *requests.Request, hides map[store.CRN]bool) (requestPage, error) {
	is := requestPage{Request: *r, Does: kindNames[r.Kind], State: requestStates[r.State]}
	t := &is.Target
	var about []string
	if slices.ContainsFunc(t.CRNs, func(crn store.CRN) bool { return hides[crn] }) {
		about, t.CRNs, is.Why, is.Outcome = append(about, "a restricted case"), nil, "", ""
	}
	for _, crn := range t.CRNs {
		about = append(about, string(crn))
	}
	for _, one := range []struct {
		is   bool
		text string
	}{
		{t.All, "everyone"},
		{t.Cause != "", "cause " + string(t.Cause)},
		{t.Conflict != 0, fmt.Sprintf("conflict %d", t.Conflict)},
		{t.Rejected != 0, fmt.Sprintf("rejected message %d", t.Rejected)},
	} {
		if one.is {
			about = append(about, one.text)
		}
	}
	is.About = strings.Join(about, ", ")
	is.Ends = r.State == requests.Done || r.State == requests.Refused || r.State == requests.Failed
	var err error
	if r.Kind == requests.Plan && r.State == requests.Done {
		is.Result, err = planResult(r)
	}
	return is, err
}

func (c *Console) request(r *http.Request, u *User) (*page, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return nil, badRequest("%q is not the id of a request.", r.PathValue("id"))
	}
	request, err := c.ports.Requests.Request(r.Context(), id)
	switch {
	case err != nil:
		return nil, err
	case request == nil:
		return nil, missing("There is no such request.")
	}
	cards, err := c.cardsOfRequests(r, u, []requests.Request{*request})
	if err != nil {
		return nil, err
	}
	return &page{name: "request", title: cards[0].Does, live: true, data: &cards[0]}, nil
}

// mostRequests is how many a page lists.
const mostRequests = 50

func (c *Console) requests(r *http.Request, u *User) (*page, error) {
	before := time.Time{}
	if text := r.URL.Query().Get("before"); text != "" {
		at, err := store.ParseTime(text)
		if err != nil {
			return nil, badRequest("%q is no time.", text)
		}
		before = at
	}
	list, err := c.ports.Requests.Requests(r.Context(), before, mostRequests)
	if err != nil {
		return nil, err
	}
	cards, err := c.cardsOfRequests(r, u, list)
	if err != nil {
		return nil, err
	}
	return &page{name: "requests", title: "Requests", live: true, data: cards}, nil
}

// planResult is what a plan of everyone came to.
func planResult(r *requests.Request) (*requests.PlanResult, error) {
	var result requests.PlanResult
	if err := json.Unmarshal(r.Result, &result); err != nil {
		return nil, fmt.Errorf("the result of request %s: %w", r.ID, err)
	}
	return &result, nil
}
