package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/projector/inspect"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/verify"
	"casdelius/store"
)

// filled is a world whose stream, inbox and Delius have some events.
type filled struct {
	*world
	nats string
}

func fill(t *testing.T, events ...store.Event) *filled {
	t.Helper()
	w := setup(t)
	url, _ := stream(t, events)
	f := &filled{w, url}
	code, _, stderr := f.projector("rebuild")
	require.Zero(t, code, stderr)
	return f
}

func (f *filled) projector(args ...string) (code int, stdout, stderr string) {
	f.t.Helper()
	return f.tool(append(args, "--nats-url", f.nats, "--stream-replicas", "1")...)
}

func (f *filled) exec(query string, args ...any) {
	f.t.Helper()
	_, err := f.delius.Pool.Exec(ctx, query, args...)
	require.NoError(f.t, err)
}

func TestVerifyListsEditsAndExits2OnlyForDamageWhichRepairUndoes(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	code, stdout, stderr := f.projector("verify")
	require.Zero(t, code, stderr)
	require.Equal(t, "2 messages, 2 contacts and 1 address checked: 0 edited, 0 damaged.\n", stdout)

	edited, damaged := f.contact("EARS"), f.contact("EAAR")
	require.NoError(t, f.delius.EditContact(ctx, edited.ID, func(c *postgrestest.Contact) { c.Notes = "By hand" }))
	code, stdout, stderr = f.projector("verify")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "edited   contact ")
	require.Contains(t, stdout, ") was edited, X000001, by "+postgrestest.Practitioner+" on ")
	require.Contains(t, stdout, "1 edited, 0 damaged.\n")

	f.exec("update delius.contact set notes = 'Damaged' where contact_id = $1", damaged.ID)
	f.exec("delete from projection.event where referral = $1", referral(9))
	code, stdout, _ = f.projector("verify")
	require.Equal(t, 2, code)
	require.Contains(t, stdout, ") was altered without a new version or time, X000001\n    notes:\n      - Arrival date: 08/03/2024\n")
	require.Contains(t, stdout, "      + Damaged\n")
	require.Contains(t, stdout, "damaged  message 1, accommodation.cas3.referral.submitted ")
	require.Contains(t, stdout, " is not in the inbox, X000001\n")
	require.Contains(t, stdout, "1 edited, 2 damaged.\n")

	code, stdout, stderr = f.projector("verify", "--repair")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "2 damaged, 0 not repaired.\n")
	require.Equal(t, damaged.Notes, f.contact("EAAR").Notes)
	require.Equal(t, "By hand", f.contact("EARS").Notes)
	code, _, _ = f.projector("verify", "--crn", "x000001")
	require.Zero(t, code)
}

func TestVerifySpeaksJSONLines(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	gone := f.contact("EAAR")
	f.exec("delete from delius.contact where contact_id = $1", gone.ID)
	// An event of nobody's at the end of the stream may be all that is left of it.
	f.exec(`insert into projection.event select referral, type, 'other', 99, crn, noms, emitted, occurred, received, stored, source, sha256, body
		from projection.event where sequence = 1`)
	f.exec("insert into projection.applied values (99, now())")
	code, stdout, _ := f.projector("verify", "--repair", "--json")
	require.Equal(t, 2, code)
	var lines []map[string]any
	for line := range strings.Lines(stdout) {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object))
		lines = append(lines, object)
	}
	require.Equal(t, []any{"finding", "extra", 99.0}, []any{lines[0]["what"], lines[0]["problem"], lines[0]["sequence"]})
	require.Equal(t, []any{"left", "extra"}, []any{lines[1]["what"], lines[1]["problem"]})
	require.Equal(t, []any{"finding", "damaged", "gone", "contact", "X000001", float64(gone.ID)},
		[]any{lines[2]["what"], lines[2]["severity"], lines[2]["problem"], lines[2]["place"], lines[2]["crn"], lines[2]["contactId"]})
	require.Equal(t, map[string]any{"what": "total", "messages": 2.0, "contacts": 2.0, "addresses": 1.0, "edited": 0.0, "damaged": 2.0, "left": 1.0}, lines[3])
	require.Equal(t, gone.Notes, f.contact("EAAR").Notes)
	require.Equal(t, 3, f.rows("event"), "what the stream has not is left")
}

func TestVerifyLooksOnlyAtWhoIsAskedFor(t *testing.T) {
	t.Parallel()
	other := raised(store.ReferralSubmitted, 20, "other", "2024-03-01T09:00:00Z", ``)
	other.CRN = "X000002"
	f := fill(t, append(someEvents(), other)...)
	f.exec("update delius.contact set notes = 'Damaged'")
	f.exec("update projection.event set body = body || ' '")
	code, stdout, _ := f.projector("verify", "--crn", "X000002")
	require.Equal(t, 2, code)
	require.NotContains(t, stdout, "X000001")
	require.Contains(t, stdout, "1 message, 1 contact and 0 addresses checked: 0 edited, 2 damaged.\n")

	for says, args := range map[string][]string{
		`--crn: "Z1" is no CRN`: {"--crn", "Z1"},
		"nobody to verify":      {"--crn", "Z999999"},
	} {
		code, _, stderr := f.projector(append([]string{"verify"}, args...)...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, says)
	}
}

// It catches a message that is told by its number alone although it is a person event.
func TestALostPersonEventIsToldByItsTypeAndID(t *testing.T) {
	t.Parallel()
	f := verify.Finding{
		Severity: verify.Damaged, Place: verify.InInbox, Problem: verify.Missing, Sequence: 7, CRN: "X123456",
		Person: store.PersonKey{Type: store.MergeCompleted, ID: "0b8a3f6e-5d0c-4a53-9c1f-2f4a4c1e7d11"},
	}
	require.Equal(t, "damaged  message 7, probation-case.merge.completed 0b8a3f6e-5d0c-4a53-9c1f-2f4a4c1e7d11 is not in the inbox, X123456", sentence(&f))
	line, err := json.Marshal(inspect.FindingOf("finding", &f))
	require.NoError(t, err)
	require.Contains(t, string(line), `"personEvent":{"type":"probation-case.merge.completed","id":"0b8a3f6e-5d0c-4a53-9c1f-2f4a4c1e7d11"}`)
}
