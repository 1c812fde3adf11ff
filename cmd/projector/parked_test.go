package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// parkedThree parks a contact and an event of the first person, and a referral of
// somebody who is not in Delius, for so long that nobody tries them again.
func parkedThree(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	w.now = time.Now().Add(time.Hour).AddDate(0, 0, -1)
	stranger := raised(store.ReferralSubmitted, 9, "submitted", "2024-03-01T09:00:00Z", ``)
	stranger.CRN, stranger.NOMS = "", "A9999AA"
	w.put(stranger,
		raised(store.BookingConfirmed, 1, "confirmed", "2024-03-05T09:00:00Z", `"confirmedBy":{"staffCode":"N50A999","probationRegionCode":"N50"}`),
		raised(store.PersonDeparted, 1, "left", "2024-03-30T13:00:00Z", `"departedAt":"soon"`),
	)
	w.look()
	return w
}

// parked lists what is parked, by cause.
func (w *world) parked(args ...string) map[delius.Cause]inspect.ParkedLine {
	w.t.Helper()
	code, stdout, stderr := w.tool(append([]string{"parked", "--json"}, args...)...)
	require.Zero(w.t, code, stderr)
	all := map[delius.Cause]inspect.ParkedLine{}
	for d := json.NewDecoder(strings.NewReader(stdout)); d.More(); {
		var line inspect.ParkedLine
		require.NoError(w.t, d.Decode(&line))
		all[line.Cause] = line
	}
	return all
}

func TestParkedListsCausesAndWhatToDo(t *testing.T) {
	t.Parallel()
	w := parkedThree(t)
	code, stdout, stderr := w.tool("parked")
	require.Zero(t, code, stderr)
	for _, want := range []string{
		"staff-not-found", "X000001", "urn:hmpps:cas3:booking-confirmed:" + referral(1).String(), "staff member N50A999 is not in staff",
		"person-not-found", "A9999AA",
		"bad-detail", `event "left" of urn:hmpps:cas3:person-departed:` + referral(1).String(), "never", "eventDetails.departedAt",
		"3 parked. What to do:", "  staff-not-found           1  add the member of staff to Delius",
	} {
		require.Contains(t, stdout, want)
	}

	all := w.parked()
	require.Len(t, all, 3)
	staff := all[delius.StaffNotFound]
	require.Equal(t, store.CRN("X000001"), staff.CRN)
	require.Equal(t, "contact", staff.Kind)
	require.Equal(t, 1, staff.Tries)
	require.True(t, staff.RetryAt.After(staff.Since))
	require.Equal(t, &inspect.Event{Type: store.PersonDeparted, Referral: referral(1).String(), ID: "left"}, all[delius.BadDetail].Event)
	require.Zero(t, all[delius.BadDetail].RetryAt)
	require.Equal(t, store.NOMS("A9999AA"), all[delius.PersonNotFound].NOMS)

	require.Len(t, w.parked("--crn", "x000001"), 2)
	require.Len(t, w.parked("--cause", "bad-detail"), 1)
	require.Empty(t, w.parked("--crn", "X000002"))
	_, stdout, _ = w.tool("parked", "--crn", "X000002")
	require.Equal(t, "nothing is parked\n", stdout)
}

func TestParkedRetryMakesThemDueAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		due  []store.Referral
	}{
		"person": {[]string{"--crn", "X000001"}, []store.Referral{referral(1)}},
		"cause":  {[]string{"--cause", "person-not-found"}, []store.Referral{referral(9)}},
		"all":    {[]string{"--all"}, []store.Referral{referral(1), referral(9)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := parkedThree(t)
			require.Empty(t, w.due())
			code, stdout, stderr := w.tool(append([]string{"parked", "retry"}, c.args...)...)
			require.Zero(t, code, stderr)
			require.Contains(t, stdout, "will be retried at once")
			require.ElementsMatch(t, c.due, w.due())
		})
	}
}

func TestParkedRetryHealsWhatWasPutRight(t *testing.T) {
	t.Parallel()
	w := parkedThree(t)
	_, err := w.delius.AddStaff(ctx, "N50A999", "N50HPT")
	require.NoError(t, err)
	code, stdout, stderr := w.tool("parked", "retry", "--cause", "staff-not-found")
	require.Zero(t, code, stderr)
	require.Equal(t, "1 parked item will be retried at once by the running projector\n", stdout)
	w.look()
	require.Equal(t, "N50A999", w.contact("EACO").Staff)
	require.NotContains(t, w.parked(), delius.StaffNotFound)

	code, stdout, _ = w.tool("parked", "retry", "--cause", "staff-not-found")
	require.Zero(t, code)
	require.Equal(t, "nothing of that is parked that could be retried\n", stdout)
}

// due lists who is due now.
func (w *world) due() []store.Referral {
	w.t.Helper()
	due, err := w.db.Due(ctx, time.Now(), time.Now().Add(time.Minute), 1000, nil)
	require.NoError(w.t, err)
	return due
}

func TestParkedAndConflictsTakeNoWrongUsage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for says, args := range map[string][]string{
		`--crn: "bob" is no CRN`:                        {"parked", "--crn", "bob"},
		`--cause: "bad-luck" is none: want one of bad-`: {"parked", "--cause", "bad-luck"},
		"say what to retry: --crn, --cause or --all":    {"parked", "retry"},
		"can't be used together":                        {"parked", "retry", "--all", "--crn", "X000001"},
		"detail never changes":                          {"parked", "retry", "--cause", "bad-detail"},
		`--since: "lately" is no time`:                  {"conflicts", "--since", "lately"},
		`--crn: "me" is no CRN`:                         {"conflicts", "--crn", "me"},
		"unexpected argument again":                     {"parked", "again"},
	} {
		code, stdout, stderr := w.tool(args...)
		require.Equal(t, 1, code, says)
		require.Empty(t, stdout)
		require.Contains(t, stderr, says)
	}
}

func TestConflictsAreListedByPersonAndTime(t *testing.T) {
	t.Parallel()
	w := eventful(t)
	code, stdout, stderr := w.tool("conflicts")
	require.Zero(t, code, stderr)
	requireGolden(t, "conflicts.txt", stdout)
	code, stdout, stderr = w.tool("conflicts", "--json", "--crn", "X000001", "--since", "2024-06-03")
	require.Zero(t, code, stderr)
	requireGolden(t, "conflicts-lines.txt", stdout)

	for _, none := range [][]string{{"--crn", "X000002"}, {"--since", "2024-06-04"}, {"--since", "24h"}} {
		code, stdout, stderr = w.tool(append([]string{"conflicts"}, none...)...)
		require.Zero(t, code, stderr)
		require.Equal(t, "no conflicts\n", stdout)
	}
}

func TestAgesAreRough(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "59s": 59*time.Second + 900*time.Millisecond, "2m 5s": 125 * time.Second,
		"3h 0m": 3*time.Hour + 59*time.Second, "2d 1h": 49*time.Hour + 30*time.Minute,
	} {
		require.Equal(t, want, ago(d))
	}
}
