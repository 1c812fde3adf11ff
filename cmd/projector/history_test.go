package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

var update = flag.Bool("update", false, "rewrite the golden outputs with what the program says")

// eventful is a person with two stays, an application, a bad detail, an event of an
// unknown type, a contact that is parked, an edit, a conflict, and an event that waits.
func eventful(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	w.put(
		raised(store.ReferralSubmitted, 9, "submitted", "2024-03-01T09:00:00Z", ``),
		raised(store.BookingConfirmed, 1, "confirmed", "2024-03-05T09:00:00Z",
			`"expectedArrivedAt":"2024-03-08T12:00:00Z","notes":"Bring the keys","confirmedBy":{"staffCode":"N50A999","probationRegionCode":"N50"}`),
		raised(store.PersonArrived, 1, "arrived", "2024-03-08T13:00:00Z", `"arrivedAt":"2024-03-08T12:00:00Z","notes":"Came by train",`+house+`,`+recorded),
		raised("accommodation.cas3.assessment.updated", 1, "assessed", "2024-03-09T13:00:00Z", ``),
		raised(store.PersonDeparted, 1, "left", "2024-03-30T13:00:00Z", `"departedAt":"soon"`),
	)
	w.look()
	arrival := w.contact("EAAR")
	require.NoError(t, w.delius.EditContact(ctx, arrival.ID, func(c *postgrestest.Contact) {
		c.Notes = strings.Replace(c.Notes, "Came by train", "Came by bus", 1) + "\nRang the landlord"
		c.StartTime = moment("2024-03-08T15:30:00Z")
	}))
	w.exec("update delius.contact set last_updated_datetime = '2024-06-02T15:00:00Z' where external_reference = '" + arrival.ExternalReference + "'")
	w.put(
		raised(store.PersonArrived, 2, "moved", "2024-04-02T08:00:00Z", `"arrivedAt":"2024-04-01T11:00:00Z",`+mill+`,`+recorded),
		raised(store.PersonArrivedUpdated, 1, "corrected", "2024-03-10T13:00:00Z", `"arrivedAt":"2024-03-07T12:00:00Z",`+house+`,`+recorded),
	)
	w.look()
	w.put(raised(store.PersonDeparted, 2, "departed", "2024-05-02T08:00:00Z", `"departedAt":"2024-05-01T11:00:00Z","reason":"Moved on",`+recorded))
	return w
}

func TestHistoryTellsAnEventfulPerson(t *testing.T) {
	t.Parallel()
	w := eventful(t)
	arrived := "urn:hmpps:cas3:person-arrived:" + referral(1).String()
	for name, args := range map[string][]string{
		"timeline":          {"X000001"},
		"timeline-lines":    {"x000001", "--json"},
		"timeline-referral": {referral(1).String()},
		"as-of":             {"X000001", "--as-of", "2024-03-08"},
		"as-of-lines":       {"X000001", "--as-of", "2024-05-02T09:00:00", "--json"},
		"as-of-before":      {"X000001", "--as-of", "2024-01-01T00:00:00Z"},
		"explain":           {"X000001", "--explain", arrived},
		"explain-lines":     {referral(1).String(), "--explain", arrived, "--json"},
		"explain-parked":    {"X000001", "--explain", "urn:hmpps:cas3:booking-confirmed:" + referral(1).String()},
		"explain-not-yet":   {"X000001", "--explain", "urn:hmpps:cas3:person-departed:" + referral(2).String()},
		"explain-no-notes":  {"X000001", "--explain", "urn:hmpps:cas3:application-submitted:" + referral(9).String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := tool(t, append([]string{"history", "--delius-database-url", w.delius.URL}, args...)...)
			require.Zero(t, code, stderr)
			requireGolden(t, filepath.Join("history", name+".txt"), stdout)
		})
	}
}

// requireGolden holds a text against a file of testdata, which -update rewrites.
func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestHistoryWritesNothing(t *testing.T) {
	t.Parallel()
	w := eventful(t)
	before := w.everything()
	for _, args := range [][]string{{"X000001"}, {"X000001", "--as-of", "2024-03-08"}} {
		code, _, stderr := w.tool(append([]string{"history"}, args...)...)
		require.Zero(t, code, stderr)
	}
	require.Equal(t, before, w.everything())
}

// everything is every row of both schemas.
func (w *world) everything() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	rows, err := w.delius.Pool.Query(ctx, `
		select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('delius', 'projection')`)
	require.NoError(w.t, err)
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(w.t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(w.t, rows.Err())
	for _, name := range tables {
		var text string
		require.NoError(w.t, w.delius.Pool.QueryRow(ctx, "select coalesce(string_agg(t::text, e'\n' order by t::text), '') from "+name+" t").Scan(&text))
		all[name] = text
	}
	return all
}

func TestHistoryOfSomebodyWhoIsNotInDelius(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for n := 1; n <= 2; n++ {
		e := raised(store.ReferralSubmitted, n, "submitted", "2024-03-01T09:00:00Z", ``)
		e.CRN = "X999999"
		w.put(e)
	}
	w.look()
	code, stdout, stderr := w.tool("history", "X999999")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "X999999: 2 referrals, 2 events\n")
	require.Contains(t, stdout, "Parked, person-not-found: add the person to Delius")
	require.Contains(t, stdout, "applied -")

	code, stdout, _ = w.tool("history", "X999999", "--explain", "urn:hmpps:cas3:application-submitted:"+referral(1).String())
	require.Zero(t, code)
	require.Contains(t, stdout, ": no contact stands; its events want\n    parked, person-not-found: ")
}

func TestHistoryFindsAPersonByANOMSNumber(t *testing.T) {
	t.Parallel()
	w := setup(t)
	e := raised(store.ReferralSubmitted, 1, "submitted", "2024-03-01T09:00:00Z", ``)
	e.CRN, e.NOMS = "", "A0002AA"
	w.put(e)
	w.look()
	code, stdout, stderr := w.tool("history", "X000002", "--json")
	require.Zero(t, code, stderr)
	var line struct{ ID, NOMS string }
	require.NoError(t, json.Unmarshal([]byte(stdout), &line))
	require.Equal(t, "submitted", line.ID)
	require.Equal(t, "A0002AA", line.NOMS)
}

func TestHistorySaysWhenAReferralWasAnotherPersons(t *testing.T) {
	t.Parallel()
	w := setup(t)
	later := raised(store.ReferralSubmitted, 1, "later", "2024-03-02T09:00:00Z", ``)
	later.CRN = "X000002"
	w.put(raised(store.ReferralSubmitted, 1, "first", "2024-03-01T09:00:00Z", ``), later)
	code, _, stderr := w.tool("history", "X000001")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the inbox has no event of X000001")
	code, stdout, stderr := w.tool("history", "X000002")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "by the events so far this is a referral of X000001\n")
}

func TestHistoryTakesNoWrongUsage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.put(raised(store.ReferralSubmitted, 1, "submitted", "2024-03-01T09:00:00Z", ``))
	for says, args := range map[string][]string{
		"neither a CRN such as X123456 nor the UUID of a referral":   {"bob"},
		"expected \"<crn|referral>\"":                                {},
		"--as-of: \"then\" is no time":                               {"X000001", "--as-of", "then"},
		"can't be used together":                                     {"X000001", "--as-of", "2024-01-01", "--explain", "urn"},
		"no usable event of X000001 makes a contact \"urn\"":         {"X000001", "--explain", "urn"},
		"the inbox has no event of X000002":                          {"X000002"},
		"the inbox has no event of referral " + referral(5).String(): {referral(5).String()},
		"unknown flag --yaml":                                        {"X000001", "--yaml"},
	} {
		code, stdout, stderr := w.tool(append([]string{"history"}, args...)...)
		require.Equal(t, 1, code, says)
		require.Empty(t, stdout)
		require.Contains(t, stderr, says)
	}
}

func TestWhatOthersWroteDoesNotSteerATerminal(t *testing.T) {
	t.Parallel()
	w := setup(t)
	arrived := raised(store.PersonArrived, 1, "arrived", "2024-03-08T13:00:00Z",
		`"arrivedAt":"2024-03-08T12:00:00Z","notes":"\u001b[2JFrom CAS \u202e\u009b",`+house+`,`+recorded)
	departed := raised(store.PersonDeparted, 1, "departed", "2024-03-09T13:00:00Z",
		`"departedAt":"2024-03-09T12:00:00Z","recordedBy":{"staffCode":"\u001b[31m","probationRegionCode":"N50"}`)
	w.put(arrived, departed)
	w.look()
	edited := w.contact("EAAR")
	_, err := w.delius.Pool.Exec(ctx, "update delius.contact set notes = notes || $1, row_version = row_version + 1 where contact_id = $2",
		"\n\x1b]0;title\aby hand\r\x7f", edited.ID)
	require.NoError(t, err)
	for _, args := range [][]string{
		{"history", "X000001"},
		{"history", "X000001", "--as-of", "2024-06-01"},
		{"history", "X000001", "--explain", edited.ExternalReference},
		{"parked"},
		{"conflicts"},
	} {
		for _, form := range [][]string{nil, {"--json"}} {
			code, stdout, stderr := w.tool(append(args, form...)...)
			require.Zero(t, code, "%q: %s", args, stderr)
			require.NotRegexp(t, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u202a-\u202e]", stdout, "%q", args)
			if args[0] == "history" && form == nil {
				require.Contains(t, stdout, `\x1b[2JFrom CAS \u202e\u009b`, "%q", args)
			}
		}
	}
	_, explained, _ := w.tool("history", "X000001", "--explain", edited.ExternalReference)
	require.Contains(t, explained, `+ \x1b]0;title\x07by hand`)
	require.Contains(t, explained, `+ \u007f`)
}

// A version that shows only whose the referrals are does not say why they are somebody else's.
func TestHistoryTellsIntoWhomAPersonWasMerged(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.put(raised(store.PersonArrived, 1, "arrived", "2024-03-08T13:00:00Z", `"arrivedAt":"2024-03-08T12:00:00Z",`+house+`,`+recorded))
	require.NoError(t, w.delius.Merge(ctx, "X000001", "X000002"))
	w.exec("update delius.additional_identifier set created_datetime = '2024-05-01 23:30:00Z'")
	w.look()
	for _, crn := range []string{"X000001", "X000002"} {
		code, stdout, stderr := w.tool("history", crn)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "X000001 was merged into X000002 on 02/05/2024.\n")
	}
}
