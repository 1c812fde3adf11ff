package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"casdelius/projector/audit"
	"casdelius/projector/console"
	"casdelius/projector/postgres/postgrestest"
)

// Catches a header that is missing or weaker on any kind of answer, and a page that could be
// kept by a cache.
func TestEveryAnswerHasTheHeadersThatProtectIt(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.story()
	for _, path := range []string{"/person/X000001", "/parked", "/nothing", "/static/console.css", "/find?who=X000001"} {
		_, _, header := w.get(path)
		require.Equal(t, "default-src 'self'", header.Get("Content-Security-Policy"), path)
		require.Equal(t, "DENY", header.Get("X-Frame-Options"), path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", header.Get("Referrer-Policy"), path)
		if !strings.HasPrefix(path, "/static/") {
			require.Equal(t, "no-store", header.Get("Cache-Control"), path)
		}
	}
}

// Catches a search that understands only some of what a team has in hand.
func TestAPersonIsFoundByWhateverNamesThem(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.story()
	for who, to := range map[string]string{
		"x000001 ": "/person/X000001", "A0001AA": "/person/X000001",
		referral(1).String():           "/referral/" + referral(1).String(),
		arrival + referral(1).String(): "/referral/" + referral(1).String() + "?urn=urn%3Ahmpps%3Acas3%3Aperson-arrived%3A" + referral(1).String(),
	} {
		code, _, header := w.get("/find?who=" + strings.ReplaceAll(who, " ", "+"))
		require.Equal(t, http.StatusSeeOther, code, who)
		require.Equal(t, to, header.Get("Location"), who)
	}
	for path, code := range map[string]int{
		"/find?who=nobody": http.StatusBadRequest, "/find?who=A9999AA": http.StatusNotFound, "/person/X999999": http.StatusNotFound,
		"/person/nobody": http.StatusBadRequest, "/referral/" + referral(9).String(): http.StatusNotFound, "/nothing": http.StatusNotFound,
		"/person/X000001/row?urn=urn:none": http.StatusNotFound, "/person/X000001?as-of=soon": http.StatusBadRequest, "/person/X000001?place=9": http.StatusBadRequest,
	} {
		got, body, _ := w.get(path)
		require.Equal(t, code, got, path)
		require.Contains(t, body, "<h1>", path)
	}
}

// Catches a page that shows a person before it is written down who looked, or although that
// cannot be; and a case that Delius restricts being shown to those who may not see it.
func TestAViewOfAPersonIsWrittenDownFirst(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.story()
	code, _, _ := w.get("/person/X000001")
	require.Equal(t, http.StatusOK, code)
	seen := w.audit()
	require.Len(t, seen, 1)
	require.Equal(t, []string{"this machine", audit.Viewed, "X000001", `{"page": "/person/X000001"}`}, []string{seen[0].Who, seen[0].What, string(seen[0].CRN), string(seen[0].Detail)})

	_, err := w.delius.Pool.Exec(ctx, "alter table projection.audit rename to audit_away")
	require.NoError(t, err)
	code, body, _ := w.get("/person/X000001")
	require.GreaterOrEqual(t, code, http.StatusInternalServerError)
	require.NotContains(t, body, "landlord")
	_, err = w.delius.Pool.Exec(ctx, "alter table projection.audit_away rename to audit")
	require.NoError(t, err)

	for _, column := range []string{"current_restriction", "current_exclusion"} {
		_, err := w.delius.Pool.Exec(ctx, "update delius.offender set current_restriction = 0, current_exclusion = 0")
		require.NoError(t, err)
		_, err = w.delius.Pool.Exec(ctx, "update delius.offender set "+column+" = 1 where crn = 'X000001'")
		require.NoError(t, err)
		for _, path := range []string{"/person/X000001", "/referral/" + referral(1).String(), "/person/X000001/row?urn=" + arrival + referral(1).String()} {
			code, body, _ := w.get(path)
			require.Equal(t, http.StatusForbidden, code, path)
			require.NotContains(t, body, "landlord", path)
		}
	}
}

// Catches a case that cannot be followed from its events to what stands, an edit that is shown
// without its author, also after events have changed the row, and an as-of that needs JavaScript.
func TestACaseIsFollowedFromEventToPage(t *testing.T) {
	t.Parallel()
	w := setup(t, options{config: console.Config{Every: 50 * time.Millisecond}})
	w.story()
	require.NoError(t, w.delius.EditContact(ctx, w.contact("EADP").ID, func(c *postgrestest.Contact) { c.Notes += "\nHas a new telephone" }))
	b := newTab(t)
	b.open(w.url + "/person/X000001")
	text := b.text()
	for _, says := range []string{
		"Up to date", "CAS3 person arrived updated", "Came by train", "Rang the landlord", ", before Cas3AndDelius last changed the row", "A person's: notes",
		"Has a new telephone", "set by a person: " + postgrestest.Practitioner + " on ", "last changed by " + postgrestest.Practitioner, "1 Long Lane\nLeeds", "Old Mill\n9 Mill Road", "Previous address, ended 2024-03-31",
	} {
		require.Contains(t, text, says)
	}
	require.Equal(t, 2, strings.Count(text, "before that by "+postgrestest.Practitioner+" on "), "of the arrival, and of the address of that stay")
	require.Equal(t, 2, strings.Count(text, "set by a person: "+postgrestest.Practitioner+" on "), "before and since the projector changed the row")
	b.accessible("a person")
	b.picture("person")
	b.open(w.url + "/person/X000001/row?urn=" + arrival + referral(1).String())
	text = b.text()
	require.Contains(t, text, "A person's Rang the landlord")
	require.Contains(t, text, "Event 2 Came by train")
	b.accessible("a contact")
	b.picture("contact")
	b.open(w.url + "/person/X000001?as-of=2024-03-08T13:00:00Z")
	require.NotContains(t, b.text(), "Rang the landlord")
	require.Contains(t, b.text(), "What the events make that CAS had emitted by 8 Mar 2024, 13:00:00 GMT")
	b.accessible("a person as of a time")
	b.picture("person-as-of")
}

// Catches a page that shows what was parked when it was opened, for ever.
func TestAParkedContactHealsWhileOneLooks(t *testing.T) {
	t.Parallel()
	w := setup(t, options{config: console.Config{Every: 50 * time.Millisecond}})
	w.wait()
	b := newTab(t)
	b.open(w.url + "/parked")
	b.shows("It would free 2 people")
	b.hides("event \"left\"")
	b.do(chromedp.Evaluate[chromedp.Void]("document.querySelector('#bad-detail-0 summary').focus(); null"), chromedp.KeyEvent(kb.Enter))
	b.shows("event \"left\"")
	b.accessible("parked")
	b.picture("parked")
	_, err := w.delius.AddStaff(ctx, "N50X999", "N50HPT")
	require.NoError(t, err)
	w.retry()
	b.shows("Bad detail")
	b.hides("Staff not found")
	b.accessible("parked, renewed")
}
