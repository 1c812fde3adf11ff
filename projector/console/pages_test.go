package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"

	"casdelius/projector/console"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/requests"
	"casdelius/projector/verify"
	"casdelius/store"
)

// disagree has a practitioner move the arrival of the story's person, and CAS say another time
// after that: a conflict.
func (w *world) disagree() {
	w.t.Helper()
	w.put(raised("X000002", store.PersonArrived, 5, "arrived", "2024-05-08T13:00:00Z", `"arrivedAt":"2024-05-08T12:00:00Z",`+recorded+`,`+house))
	w.reconcile()
	mine := slices.IndexFunc(w.contacts("EAAR"), func(c postgrestest.Contact) bool { return c.CRN == "X000002" })
	require.NoError(w.t, w.delius.EditContact(ctx, w.contacts("EAAR")[mine].ID, func(c *postgrestest.Contact) { c.StartTime = moment("2024-05-08T15:30:00Z") }))
	w.put(raised("X000002", store.PersonArrivedUpdated, 5, "corrected", "2024-05-10T13:00:00Z", `"arrivedAt":"2024-05-07T12:00:00Z",`+recorded+`,`+house))
	w.reconcile()
}

// figures keeps how far everything is, over the last hour.
func (w *world) figures(behind float64) {
	w.t.Helper()
	for minute := range 50 {
		f := inspect.Figures{
			At: w.now().Add(time.Duration(minute-50) * time.Minute), Behind: float64(minute % 7), Last: 12, Program: "projector v1", Fold: 2,
			Parked: map[delius.Cause]inspect.Counted{delius.StaffNotFound: {Count: 2, Since: w.now().Add(-time.Hour)}},
			Canary: &inspect.Canary{Sent: w.now().Add(-time.Minute), Queue: 0.1, Stream: 0.2, Inbox: 0.3},
		}
		if minute == 49 {
			f.At, f.Behind, f.Due, f.OldestDue = w.now(), behind, 3, w.now().Add(-time.Minute)
		}
		require.NoError(w.t, w.db.KeepFigures(ctx, f))
	}
}

// verified keeps a verification that found an edit and damage.
func (w *world) verified() {
	w.t.Helper()
	number, err := w.db.Verified.Begin(ctx, verify.Run{Who: "schedule", Scheduled: true, Began: w.now().Add(-time.Minute)}, w.now().Add(-time.Hour), w.now(), time.Minute)
	require.NoError(w.t, err)
	require.NoError(w.t, w.db.Verified.End(ctx, number, verify.Verdict{Messages: 9, Contacts: 5, Addresses: 2, Edited: 1, Damaged: 1, Left: 1}, []verify.Finding{
		{
			Severity: verify.Damaged, Place: verify.InContacts, Problem: verify.Altered, CRN: "X000001", URN: arrival + referral(1).String(), Row: 7,
			Differences: []verify.Difference{{Field: "notes", Was: "Came by train", Is: "Came"}},
		},
		{Severity: verify.Edited, Place: verify.InContacts, Problem: verify.EditedByHand, CRN: "X000001", Row: 8, By: postgrestest.Practitioner, At: w.now()},
	}, ""))
}

// reject has two messages rejected.
func (w *world) reject() {
	w.rejections.all = []console.Rejected{
		{Rejection: store.Rejection{Reason: store.DetailNotFound, Problem: "the detail answered 404 ten times", MessageID: "m1", ReceiveCount: 10, Body: []byte(`{"secret":"of X000001"}`)}, Sequence: 4, Stored: w.now()},
		{Rejection: store.Rejection{Reason: store.Malformed, Problem: "no JSON", MessageID: "m2", ReceiveCount: 1, Body: []byte("<xml>")}, Sequence: 5, Stored: w.now(), Mark: &store.Mark{Dismissed: true, Who: "ada", Why: "a test of CAS"}},
	}
}

// everything is a world in which every page has something to show, and a tab of somebody with all
// roles.
func everything(t *testing.T) (*world, *tab) {
	t.Helper()
	m := provider(t)
	w := withSignIn(t, m)
	w.story()
	w.disagree()
	w.wait()
	w.set(time.Now())
	w.figures(0)
	w.verified()
	w.reject()
	b := newTab(t)
	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: "casdelius-view casdelius-operate casdelius-see-bodies casdelius-restricted"})
	b.open(w.url + "/")
	b.shows("Is Delius up to date?")
	return w, b
}

// Catches a page that axe-core finds fault with, light or dark, one that scrolls sideways at 320
// pixels or at twice the size, and one that shows nothing of what it is for.
func TestEveryPageIsAccessible(t *testing.T) {
	t.Parallel()
	w, b := everything(t)
	id := uuid.New()
	require.NoError(t, w.db.Orders.Add(ctx, &requests.Request{ID: id, Kind: requests.Plan, Who: "ada", Why: "before the switch-over"}))
	for _, is := range []struct{ name, path, shows string }{
		{"home", "/", "Up to date"},
		{"person", "/person/X000001", "Rang the landlord"},
		{"person-as-of", "/person/X000001?as-of=2024-03-08T13:00:00Z", "What the events make"},
		{"contact", "/person/X000001/row?urn=" + arrival + referral(1).String(), "Notes, line by line"},
		{"referral", "/referral/" + referral(1).String(), "Came by train"},
		{"plan", "/plan", "For everyone"},
		{"plan-of-a-person", "/plan?crn=X000003", "Parked"},
		{"drift", "/drift", "3 messages came since, of which it says nothing"},
		{"parked", "/parked", "It would free"},
		{"conflicts", "/conflicts", "To review"},
		{"conflict", "/conflicts/1", "2024-05-08 16:30:00"},
		{"rejected", "/rejected", "Detail not found"},
		{"rejection", "/rejected/4", "of X000001"},
		{"rebuild", "/rebuild", "No rebuild of everyone"},
		{"notices", "/notices", "Nothing waits"},
		{"requests", "/requests", "Plan everyone"},
		{"request", "/requests/" + id.String(), "before the switch-over"},
		{"ask", "/ask?kind=restore&conflict=1", "What is written"},
		{"ask-for-a-retry", "/ask?kind=retry&cause=staff-not-found", "Staff not found"},
		{"accessibility", "/accessibility", "WCAG"},
		{"not-found", "/nothing", "Not found"},
		{"signed-out", "/signed-out", "Sign in"},
	} {
		b.sound(w, is.name, is.path, is.shows)
	}
}

// sound requires that a page shows something, and that it is accessible, light and dark, at 320
// pixels and at twice the size.
func (b *tab) sound(w *world, name, path, shows string) {
	b.t.Helper()
	b.size(1280, 900, 1)
	b.open(w.url + path)
	b.shows(shows)
	b.accessible(name)
	b.picture(name)
	b.dark()
	b.rules(name+", dark", "['color-contrast']")
	if name == "person" || name == "home" {
		b.picture(name + "-dark")
	}
	b.media("prefers-color-scheme", "light")
	b.size(320, 700, 1)
	b.narrow(name + " at 320 pixels")
	if name == "person" || name == "home" {
		b.picture(name + "-320")
	}
	b.size(1280, 900, 2)
	b.narrow(name + " at 200 %")
}

// Catches the same of what stands there for a while only: a rebuild under way, paused or
// interrupted, and notices that wait, fail or wait for those.
func TestWhatIsUnderWayIsAccessible(t *testing.T) {
	t.Parallel()
	w, b := everything(t)
	exec := func(statement string, args ...any) {
		t.Helper()
		_, err := w.delius.Pool.Exec(ctx, statement, args...)
		require.NoError(t, err)
	}
	exec(`insert into projection.rebuild (worker, since, started, lease_end, phase, phase_since, phase_from, done, total, rate, reached)
		values ('jane.smith', now() - interval '1 minute', now() - interval '2 minutes', now() + interval '1 hour', 'people', now() - interval '50 s', 0, 500, 2000, 300, now())`)
	b.sound(w, "rebuild-under-way", "/rebuild", "10 a second, at most 300 events")
	require.Contains(t, b.text(), "2 minutes 30 seconds of this phase")
	exec("update projection.rebuild set paused_by = 'ada'")
	b.sound(w, "rebuild-paused", "/rebuild", "Paused by ada")
	exec("update projection.rebuild set paused_by = '', lease_end = now() - interval '1 second'")
	b.sound(w, "rebuild-interrupted", "/rebuild", "Interrupted")

	notice := func(address int, crn string, tries int, problem string) {
		t.Helper()
		exec(`insert into projection.outbox (offender_address_id, offender_id, crn, kind, status, occurred, cause, trace, tries, error, next_try)
			select $1, offender_id, crn, 'updated', 'P', now() - interval '1 minute', '', '', $3, $4, case when $3 > 0 then now() + interval '1 minute' else '-infinity' end
			from delius.offender where crn = $2`, address, crn, tries, problem)
	}
	notice(1, "X000001", 3, "the topic does not answer")
	notice(2, "X000001", 0, "")
	notice(3, "X000002", 0, "")
	b.sound(w, "notices-waiting", "/notices", "3 tries; the last said: the topic does not answer")
	for _, says := range []string{"Failed", "It waits for notice 1, of the same person or address", "Waiting"} {
		require.Contains(t, b.text(), says)
	}
}

// Catches a page that needs JavaScript to be read, or whose slider does; and one that moves for
// whoever asked for less of that.
func TestPagesWorkWithoutJavaScriptAndMotion(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.story()
	b := newTab(t)
	b.media("prefers-reduced-motion", "reduce")
	b.open(w.url + "/person/X000001")
	require.Equal(t, "auto", value[string](b, "getComputedStyle(document.documentElement).scrollBehavior"))
	require.Zero(t, value[int](b, "document.getAnimations().length"))
	b.plain()
	b.open(w.url + "/person/X000001")
	b.do(chromedp.SetValue("#place", "1"), chromedp.Click(".as-of button"), chromedp.WaitVisible(".as-of"))
	b.shows("What the events make that CAS had emitted by 8 Mar 2024")
	require.NotContains(t, b.text(), "Rang the landlord")
}

// Catches a link, a button or a field that the keyboard does not reach, or that does not show that
// it has the focus.
func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.story()
	b := newTab(t)
	b.open(w.url + "/person/X000001")
	reachable := value[int](b, `[...document.querySelectorAll('a[href], button, input, summary, textarea, [tabindex="0"]')].filter((e) => e.checkVisibility()).length`)
	reached := map[string]bool{}
	for range reachable + 5 {
		b.do(chromedp.KeyEvent("\t"))
		at := value[string](b, `(() => {
			const e = document.activeElement;
			if (e === document.body) return '';
			const style = getComputedStyle(e);
			if (style.boxShadow === 'none' && style.outlineStyle === 'none') return 'no focus shown: ' + e.outerHTML;
			return [...document.querySelectorAll('*')].indexOf(e) + '';
		})()`)
		require.NotContains(t, at, "no focus shown")
		if at != "" {
			reached[at] = true
		}
	}
	require.GreaterOrEqual(t, len(reached), reachable)
	b.do(chromedp.Evaluate[chromedp.Void]("document.getElementById('find').focus(); null"), chromedp.KeyEvent("A0001AA\r"))
	b.becomes("location.pathname === '/person/X000001'")
}

// Catches a value that a person had set and that cannot be given back to them, or that duplicates
// of the event that replaced it, or a rebuild, take away again; and an action that leaves no trace.
func TestAConflictIsRestoredAndStaysSo(t *testing.T) {
	t.Parallel()
	w, b := everything(t)
	w.carryOut()
	b.open(w.url + "/conflicts")
	b.shows("set by " + postgrestest.Practitioner)
	b.do(chromedp.Click("a[href='/conflicts/1']"), chromedp.WaitVisible("a[href^='/ask?kind=restore']"))
	b.do(chromedp.Click("a[href^='/ask?kind=restore']"), chromedp.WaitVisible("#why"))
	b.shows("This is the plan that you confirm")
	b.do(chromedp.SendKeys("#why", "the practitioner was there"), chromedp.Click("form[action='/ask'] button"), chromedp.WaitReady("main"))
	b.becomes("location.pathname.startsWith('/requests/')")
	b.shows("Done")
	arrived := func() time.Time {
		for _, c := range w.contacts("EAAR") {
			if c.CRN == "X000002" {
				return c.StartTime
			}
		}
		return time.Time{}
	}
	require.Equal(t, moment("2024-05-08T15:30:00Z"), arrived().UTC())
	w.put(raised("X000002", store.PersonArrivedUpdated, 5, "corrected", "2024-05-10T13:00:00Z", `"arrivedAt":"2024-05-07T12:00:00Z",`+recorded+`,`+house))
	w.reconcile()
	require.Equal(t, moment("2024-05-08T15:30:00Z"), arrived().UTC(), "a duplicate leaves it")
	require.NoError(t, w.everyone())
	require.Equal(t, moment("2024-05-08T15:30:00Z"), arrived().UTC(), "a rebuild leaves it")
	w.set(time.Now()) // a day has passed twice, and her session with it
	b.open(w.url + "/conflicts/1")
	b.shows("Restored by ada")
	entries := w.audit()
	found := false
	for _, e := range entries {
		found = found || e.What == "restore" && e.Who == "ada" && e.Why == "the practitioner was there" && e.CRN == "X000002"
	}
	require.True(t, found, fmt.Sprint(entries))
}

// Catches an action that somebody may take who may only view, one without a reason, and a body
// that is shown to whoever asks.
func TestRolesDecideWhatIsShownAndAsked(t *testing.T) {
	t.Parallel()
	m := provider(t)
	w := withSignIn(t, m)
	w.disagree()
	w.set(time.Now())
	w.reject()
	client := w.browserOf()
	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: "casdelius-view"})
	w.ask(client, http.MethodGet, "/parked")
	for method, path := range map[string]string{http.MethodGet: "/ask?kind=restore&conflict=1", http.MethodPost: "/ask"} {
		code, body, _ := w.ask(client, method, path)
		require.Equal(t, http.StatusForbidden, code)
		require.Contains(t, body, "operate")
	}
	_, body, _ := w.ask(client, http.MethodGet, "/conflicts/1")
	require.NotContains(t, body, "/ask")
	_, body, _ = w.ask(client, http.MethodGet, "/rejected/4")
	require.NotContains(t, body, "secret")
	_, err := w.delius.Pool.Exec(ctx, "update delius.offender set current_restriction = 1 where crn = 'X000002'")
	require.NoError(t, err)
	require.NoError(t, w.db.Orders.Add(ctx, &requests.Request{ID: uuid.New(), Kind: requests.Repair, Target: requests.Target{CRNs: []store.CRN{"X000002"}}, PlanHash: "x", Who: "bob", Why: "of X000002"}))
	for _, path := range []string{"/conflicts", "/parked", "/notices", "/drift", "/requests"} {
		_, body, _ = w.ask(client, http.MethodGet, path)
		require.NotContains(t, body, "X000002", path)
	}
	for _, path := range []string{"/conflicts/1", "/person/X000002", "/plan?crn=X000002", "/conflicts?crn=X000002"} {
		code, body, _ := w.ask(client, http.MethodGet, path)
		require.Equal(t, http.StatusForbidden, code, path)
		require.NotContains(t, body, "15:30", path)
	}
	m.QueueUser(&member{MockUser: mockoidc.DefaultUser(), roles: "casdelius-view casdelius-operate casdelius-see-bodies"})
	w.ask(client, http.MethodGet, "/sign-in")
	_, body, _ = w.ask(client, http.MethodGet, "/rejected/4")
	require.Contains(t, body, "secret")
	code, _, _ := w.ask(client, http.MethodPost, "/ask?kind=plan")
	require.Equal(t, http.StatusBadRequest, code, "what is asked for comes with the form, not with the address")
	var asked int
	require.NoError(t, w.delius.Pool.QueryRow(ctx, "select count(*) from projection.request").Scan(&asked))
	require.Equal(t, 1, asked, "bob's")
	form := url.Values{"kind": {"reviewed"}, "conflict": {"1"}, "why": {"seen"}, "id": {uuid.NewString()}}
	answer, err := client.PostForm(w.url+"/ask", form)
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, http.StatusForbidden, answer.StatusCode, "it is of a restricted case")
}
