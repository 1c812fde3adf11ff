package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/terminaltest"
	"casdelius/projector/postgres/outbox"
	"casdelius/store"
)

// at runs a command with its output on a terminal of so many columns.
func (w *world) at(columns int, args ...string) (code int, screen, stderr string) {
	w.t.Helper()
	terminal := terminaltest.New(w.t, uint16(columns), 24)
	var errs bytes.Buffer
	code = run(w.t.Context(), append(args, "--delius-database-url", w.delius.URL), terminal.File, &errs)
	return code, terminal.Close(), errs.String()
}

// requireScreens holds what commands show at each width against files of testdata.
func requireScreens(t *testing.T, w *world, commands map[string]string, more ...string) {
	t.Helper()
	for _, columns := range []int{60, 80, 160} {
		for name, line := range commands {
			code, screen, stderr := w.at(columns, append(strings.Fields(line), more...)...)
			require.NotEqual(t, 1, code, "%s: %s", line, stderr)
			terminaltest.RequireFits(t, screen, columns)
			requireGolden(t, filepath.Join("screens", fmt.Sprintf("%s-%d.txt", name, columns)), terminaltest.Plain(screen))
		}
	}
}

// waiting is a Delius in which something is parked, replaced, told of, and noted in the audit.
func waiting(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	_, err := outbox.Keep(ctx, w.delius.Pool, true)
	require.NoError(t, err)
	// Parked a day, and tried again two days from now, so that no age changes while a test runs.
	w.now = time.Now().UTC().Add(90*time.Minute).AddDate(0, 0, -3)
	w.put(
		raised(store.BookingConfirmed, 1, "confirmed", "2024-03-05T09:00:00Z", `"confirmedBy":{"staffCode":"N50A999","probationRegionCode":"N50"}`),
		raised(store.PersonArrived, 1, "arrived", "2024-03-08T13:00:00Z", `"arrivedAt":"2024-03-08T12:00:00Z","notes":"Came by train",`+house+`,`+recorded),
		raised(store.PersonDeparted, 1, "left", "2024-03-30T13:00:00Z", `"departedAt":"soon"`),
	)
	w.look()
	exec := func(query string, args ...any) {
		t.Helper()
		_, err := w.delius.Pool.Exec(ctx, query, args...)
		require.NoError(t, err)
	}
	exec("update projection.parked set retry_at = now() + interval '49 hours 30 minutes' where retry_at is not null")
	exec(`insert into projection.conflict (crn, urn, field, replaced, with_value, events, at, value, edited_user, edited_at)
		select 'X000001', $1, 'start', '2024-03-08 15:30:00', '2024-03-07 12:00:00', '{corrected}', '2024-06-03T09:00:00Z', '{}', user_id, '2024-06-02T08:00:00Z'
		from delius.user_ where distinguished_name = 'PractitionerNPS'`, "urn:hmpps:cas3:person-arrived:"+referral(1).String())
	exec(`insert into projection.conflict (crn, urn, offender_address_id, field, replaced, with_value, events, at)
		values ('X000001', '', 2500000001, 'lines', $1, $2, '{corrected,again}', '2024-06-04T09:00:00Z')`,
		"Flat 3\n1 Long Lane\nLeeds\nWest Yorkshire\nLS1 2AB", "1 Long Lane\nLeeds\nWest Yorkshire\nLS1 2AB")
	exec(`insert into projection.audit (at, who, what, crn, why, detail) values
		('2024-06-05T09:00:00Z', 'jane.smith', 'reviewed', 'X000001', 'the events are right, as the practitioner has confirmed by telephone', '{"conflict": 1, "outcome": "done"}'),
		('2024-01-05T09:00:00Z', 'the scheduler', 'repair', '', '', '{"acceptLoss": null, "crns": null, "outcome": "2 damaged, 0 of them not repaired"}')`)
	return w
}

// Catches a table that is as wide as its longest cell, one whose cells are cut, and times that are
// none of London's.
func TestListsFitTheTerminal(t *testing.T) {
	t.Parallel()
	w := waiting(t)
	requireScreens(t, w, map[string]string{
		"parked": "parked", "conflicts": "conflicts", "notices": "notices", "audit": "audit",
	})
	for _, list := range []string{"parked", "conflicts", "notices", "audit"} {
		code, wide, stderr := w.at(60, list, "--wide")
		require.Zero(t, code, stderr)
		code, piped, stderr := w.tool(list)
		require.Zero(t, code, stderr)
		require.Equal(t, piped, terminaltest.Plain(wide), "no terminal is wide")
		require.Greater(t, strings.Index(piped, "\n"), 60)
		for line := range strings.Lines(piped) {
			require.False(t, strings.HasSuffix(line, " \n"), "%q", line)
		}
	}
}

// Catches a variable of the environment that makes another output of what goes into a file.
func TestColumnsIsForTerminalsAlone(t *testing.T) {
	w := waiting(t)
	_, before, _ := w.tool("parked")
	_, screen, _ := w.at(160, "parked")
	t.Setenv("COLUMNS", "60")
	_, after, _ := w.tool("parked")
	require.Equal(t, before, after)
	_, narrow, _ := w.at(160, "parked")
	terminaltest.RequireFits(t, narrow, 60)
	require.NotEqual(t, screen, narrow)
}

// Catches colours in a file or for whoever wants none, and a control character of somebody's notes
// that steers the terminal because colours do.
func TestColoursAreForTerminalsAlone(t *testing.T) {
	w := waiting(t)
	_, err := w.delius.Pool.Exec(ctx, "update projection.conflict set replaced = E'one\\x1b[31m\\ntwo\\u202e' where field = 'lines'")
	require.NoError(t, err)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	for _, list := range []string{"parked", "conflicts", "history X000001"} {
		args := strings.Fields(list)
		_, coloured, _ := w.at(80, args...)
		require.Contains(t, coloured, "\x1b[1m", list)
		_, piped, _ := w.tool(args...)
		require.NotContains(t, piped, "\x1b", list)
		for variable, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
			t.Run(variable, func(t *testing.T) {
				t.Setenv(variable, value)
				_, plain, _ := w.at(80, args...)
				require.NotContains(t, plain, "\x1b", list)
				require.Equal(t, terminaltest.Plain(coloured), plain)
			})
		}
	}
	_, coloured, _ := w.at(80, "conflicts")
	require.Contains(t, coloured, `one\x1b[31m, two\u202e`)
}

// Catches a line of the history that is longer than the terminal.
func TestHistoryFitsTheTerminal(t *testing.T) {
	t.Parallel()
	w := eventful(t)
	_, err := w.delius.Pool.Exec(ctx, "update projection.conflict set edited_at = '2024-06-02T08:00:00Z'")
	require.NoError(t, err)
	requireScreens(t, w, map[string]string{
		"history": "history X000001", "explain": "history X000001 --explain urn:hmpps:cas3:person-arrived:" + referral(1).String(),
		"as-of": "history X000001 --as-of 2024-03-08",
	})
}

// Catches edits before damage, notes on one line, a repair that does not say what it did to each,
// and a report that leaves open what to do.
func TestVerifyAndPlanFitTheTerminalAndLeadOn(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	stream := []string{"--nats-url", f.nats, "--stream-replicas", "1"}
	f.exec(`update delius.contact set notes = 'By hand', row_version = row_version + 1, last_updated_datetime = '2024-06-02 10:00:00',
		last_updated_user_id = (select user_id from delius.user_ where distinguished_name = 'PractitionerNPS') where contact_id = $1`, f.contact("EARS").ID)
	f.exec("update delius.contact set notes = replace(notes, 'Arrival address', 'Address') where contact_id = $1", f.contact("EAAR").ID)
	f.exec("delete from projection.event where referral = $1", referral(9))
	requireScreens(t, f.world, map[string]string{"verify": "verify", "verify-one": "verify --crn x000001"}, stream...)

	code, stdout, stderr := f.projector("verify", "--repair")
	require.Zero(t, code, stderr)
	requireGolden(t, filepath.Join("screens", "repair.txt"), stdout)
	require.Less(t, strings.Index(stdout, "damaged  "), strings.Index(stdout, "edited   "))

	f.exec("delete from delius.contact where contact_id = $1", f.contact("EAAR").ID)
	requireScreens(t, f.world, map[string]string{"plan": "plan --crn X000001"}, stream...)
}

// Catches progress that counts items, and that is wider than the terminal.
func TestRebuildAndVerifyShowHowFarTheyAreOnAnyTerminal(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	for _, columns := range []int{60, 80, 160} {
		for line, says := range map[string][]string{
			"rebuild": {"reconciling people: 1 of 1 person"},
			"verify":  {"comparing the inbox with the stream: 2 of 2 messages", "comparing contacts with Delius: 2 of 2 contacts", "comparing addresses with Delius: 1 of 1 address"},
		} {
			terminal := terminaltest.New(t, uint16(columns), 24)
			var out bytes.Buffer
			require.Zero(t, run(t.Context(), []string{line, "--delius-database-url", f.delius.URL, "--nats-url", f.nats, "--stream-replicas", "1"}, &out, terminal.File))
			screen := terminal.Close()
			terminaltest.RequireFits(t, screen, columns-1)
			for _, text := range says {
				require.Contains(t, screen, text)
			}
		}
	}
}

// Catches a sentence, an error or a help that is wider than the terminal.
func TestSentencesErrorsAndHelpFitTheTerminal(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	f.exec("update projection.stream set created = '2024-01-01T10:00:00Z'")
	for _, line := range []string{
		"adopt-stream", "status", "migrate --notices=on", "--help", "parked --help", "verify --help", "parked --cause bad-luck", "parked retry --crn X000001", "histroy",
		"conflicts restore 99", "plan --crn X000009", "rebuild", "completion fish --wide", "run --workers=0",
	} {
		for _, columns := range []uint16{60, 80} {
			out, errs := terminaltest.New(t, columns, 24), terminaltest.New(t, columns, 24)
			run(t.Context(), append(strings.Fields(line), "--delius-database-url", f.delius.URL, "--nats-url", f.nats, "--stream-replicas", "1"), out.File, errs.File)
			said := out.Close() + errs.Close()
			require.NotEmpty(t, said, line)
			if !strings.Contains(line, "--help") { // examples are typed as they are
				terminaltest.RequireFits(t, said, int(columns))
			}
			require.NotContains(t, said, "flag provided")
		}
	}
	help := terminaltest.New(t, 60, 24)
	require.Zero(t, run(t.Context(), []string{"parked", "--help"}, help.File, help.File))
	said := help.Close()
	for text := range strings.Lines(said) {
		if strings.HasPrefix(text, "      --") {
			terminaltest.RequireFits(t, text, 60)
		}
	}
}
