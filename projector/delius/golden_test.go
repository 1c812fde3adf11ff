package delius_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

var update = flag.Bool("update", false, "rewrite the golden histories with what the code makes of them")

// goldenCase is a history and what comes of it:
//
//	=== name
//	the detail bodies of its events, as JSON, in the order in which they come in
//	----
//	contacts, addresses and what is parked
type goldenCase struct{ name, history, want string }

// TestGoldenHistories folds each history of testdata/golden into an empty Delius. The
// wanted texts were checked by hand against the rules: check again what -update changes.
func TestGoldenHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			about, cases := readGolden(t, file)
			for i := range cases {
				t.Run(cases[i].name, func(t *testing.T) {
					got := golden(t, cases[i].history)
					if *update {
						cases[i].want = got
					}
					require.Equal(t, cases[i].want, got)
				})
			}
			if *update {
				writeGolden(t, file, about, cases)
			}
		})
	}
}

func readGolden(t testing.TB, file string) (about string, cases []goldenCase) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	parts := strings.Split(string(text), "\n=== ")
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		history, want, found := strings.Cut(rest, "----\n")
		require.True(t, found, "case %q has no line ----", name)
		cases = append(cases, goldenCase{name, history, want})
	}
	return parts[0], cases
}

func writeGolden(t *testing.T, file, about string, cases []goldenCase) {
	t.Helper()
	var b strings.Builder
	b.WriteString(about)
	for _, c := range cases {
		fmt.Fprintf(&b, "\n=== %s\n%s----\n%s", c.name, c.history, c.want)
	}
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
}

// golden says what comes of a history, and holds it against the twin and against the
// same events one by one, each twice, from the first and from the last.
func golden(t *testing.T, history string) string {
	t.Helper()
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	all, forth, back, twin := newFake(town()), newFake(town()), newFake(town()), deliustest.New(town())
	events := goldenEvents(t, history)
	for _, e := range events {
		all.Store(e)
		twin.Store(e)
	}
	all.Project(now)
	twin.Project(now)
	require.Equal(t, twinShown(twin), all.shown(), "the twin says otherwise")
	for i := range events {
		for f, e := range map[*fake]store.Event{forth: events[i], back: events[len(events)-1-i]} {
			f.Store(e)
			f.Store(e)
			f.Project(now)
		}
	}
	for _, f := range []*fake{all, forth, back} {
		require.Zero(t, f.Project(now), "the second diff is empty")
		require.Empty(t, f.conflicts)
		require.Equal(t, all.tell(), f.tell(), "the order matters")
	}
	return all.tell()
}

// goldenEvents reads the detail bodies of a history. Referral and person are those
// that the detail names.
func goldenEvents(t testing.TB, history string) (events []store.Event) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(history)); d.More(); {
		var body json.RawMessage
		require.NoError(t, d.Decode(&body))
		var detail struct {
			ID, Timestamp, EventType string
			EventDetails             struct {
				ApplicationID, BookingID string
				PersonReference          struct{ CRN, NOMS string }
			}
		}
		require.NoError(t, json.Unmarshal(body, &detail))
		kind, err := store.ParseType(detail.EventType)
		require.NoError(t, err)
		referral, err := store.ParseReferral(kind.ReferralID(detail.EventDetails.ApplicationID, detail.EventDetails.BookingID))
		require.NoError(t, err)
		emitted, err := store.ParseTime(detail.Timestamp)
		require.NoError(t, err)
		who := detail.EventDetails.PersonReference
		events = append(events, store.Event{
			ID: detail.ID, Type: kind, Referral: referral, Emitted: emitted,
			CRN: store.ParseCRN(who.CRN), NOMS: store.ParseNOMS(who.NOMS), Body: bytes.Clone(body),
		})
	}
	return events
}

// tell describes everything that stands, and what is parked.
func (f *fake) tell() string {
	var b strings.Builder
	contacts := slices.SortedFunc(maps.Values(f.contacts), func(x, y *contact) int { return cmp.Compare(x.URN, y.URN) })
	for _, c := range contacts {
		fmt.Fprintf(&b, "contact %s %s\n", c.Type, c.URN)
		fmt.Fprintf(&b, "  of %s on %s at %sZ by %s\n", f.crn(c.OffenderID), c.Date.Format(time.DateOnly), stamp(c.Start), c.Posting)
		if c.Description != "" {
			fmt.Fprintf(&b, "  %s\n", c.Description)
		}
		if c.Notes == "" {
			continue
		}
		for line := range strings.Lines(c.Notes) {
			b.WriteString(strings.TrimRight("  | "+strings.TrimSuffix(line, "\n"), " ") + "\n")
		}
	}
	addresses := slices.SortedFunc(maps.Values(f.addresses), func(x, y *delius.AddressRow) int {
		return cmp.Or(cmp.Compare(x.OffenderID, y.OffenderID), x.Start.Compare(y.Start), cmp.Compare(x.Lines.String(), y.Lines.String()))
	})
	for _, a := range addresses {
		l := a.Lines
		fmt.Fprintf(&b, "address of %s, %s\n", f.crn(a.OffenderID), term(a))
		for _, column := range [][2]string{
			{"building", l.Building}, {"street", l.Street}, {"district", l.District}, {"town", l.Town}, {"county", l.County}, {"postcode", l.Postcode},
		} {
			if column[1] != "" {
				fmt.Fprintf(&b, "  %-8s %s\n", column[0], strings.ReplaceAll(column[1], "\n", `\n`))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.parked)) {
		for _, p := range f.parked[id] {
			fmt.Fprintf(&b, "parked %s %s%s\n", p.Cause, p.URN, eventIDs(p.Events))
		}
	}
	return b.String()
}

func eventIDs(keys []store.Key) (ids string) {
	for _, k := range keys {
		ids += " event " + k.ID
	}
	return ids
}
