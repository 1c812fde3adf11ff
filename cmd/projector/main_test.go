package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// ctx is for what has to be done also while a test is being cleaned up after.
var ctx = context.Background()

const patience = 60 * time.Second

// asProgram makes the test binary be the program itself.
const asProgram = "CASDELIUS_TEST_AS_PROJECTOR"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	_ = os.Unsetenv("COLUMNS") // the widths of terminals are the tests'
	goleak.VerifyTestMain(postgrestest.Main(m, postgrestest.Granted(postgres.Grants, postgres.Migrate)))
}

// world is a Delius with people X000001 and X000002, and a projector whose clock is
// set by hand.
type world struct {
	t         *testing.T
	delius    postgrestest.Database
	db        *postgres.Database
	projector *projector.Projector
	now       time.Time
	sequence  uint64

	environment []string // of processes, besides what all have
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, delius: postgrestest.New(t), now: moment("2024-06-01T09:00:00Z")}
	require.NoError(t, w.delius.AddPeople(ctx, []postgrestest.Person{
		{CRN: "X000001", NOMS: "A0001AA", Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}},
		{CRN: "X000002", NOMS: "A0002AA", Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}},
	}))
	var err error
	w.db, err = postgres.New(ctx, w.delius.Projector, postgres.Config{})
	require.NoError(t, err)
	w.projector, err = projector.New(nil, w.db.Ports(), projector.Config{Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return w
}

// tool runs a command against the database and gives its exit code and output.
func (w *world) tool(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	return tool(w.t, append(args, "--delius-database-url", w.delius.URL)...)
}

func tool(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	printed.Lines(t, "projector", args, out.String())
	return code, out.String(), errs.String()
}

// put puts events into the inbox: each was received two seconds after it was emitted,
// and stored a second later.
func (w *world) put(events ...store.Event) {
	w.t.Helper()
	messages := make([]store.Stored, len(events))
	for i, e := range events {
		w.sequence++
		e.Received = e.Emitted.Add(2 * time.Second)
		messages[i] = store.Stored{Event: e, Sequence: w.sequence, Stored: e.Emitted.Add(3 * time.Second)}
	}
	require.NoError(w.t, w.db.Put(ctx, messages))
}

// look reconciles everyone who is due, a day after the last look.
func (w *world) look() projector.Report {
	w.t.Helper()
	w.now = w.now.AddDate(0, 0, 1)
	due, err := w.db.Due(ctx, time.Now(), time.Now().Add(time.Minute), 1000, nil)
	require.NoError(w.t, err)
	report, err := w.projector.Reconcile(ctx, projector.Selection{Referrals: due})
	require.NoError(w.t, err)
	require.Empty(w.t, report.Failed)
	return report
}

// contact is the only contact of a type.
func (w *world) contact(code string) postgrestest.Contact {
	w.t.Helper()
	all, err := w.delius.Contacts(ctx)
	require.NoError(w.t, err)
	var found []postgrestest.Contact
	for _, c := range all {
		if c.Type == code {
			found = append(found, c)
		}
	}
	require.Len(w.t, found, 1, code)
	return found[0]
}

// raised is an event of the first person with these details.
func raised(kind store.Type, n int, id, emitted, details string) store.Event {
	return store.Event{
		ID: id, Type: kind, Referral: referral(n), CRN: "X000001", Emitted: moment(emitted),
		Body: fmt.Appendf(nil, `{"id":%q,"timestamp":%q,"eventDetails":{%s}}`, id, emitted, details),
	}
}

const (
	recorded = `"recordedBy":{"staffCode":"N50A001","probationRegionCode":"N50"}`
	house    = `"premises":{"addressLine1":"1 Long Lane","postcode":"LS1 2AB","town":"Leeds","region":"West Yorkshire"}`
	mill     = `"premises":{"addressLine1":"Old Mill","addressLine2":"9 Mill Road","postcode":"BD3 4CD","town":"Bradford","region":"West Yorkshire"}`
)

// referral is a referral by a number.
func referral(n int) store.Referral {
	return store.Referral(uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)))
}

func moment(s string) time.Time {
	at, err := store.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return at
}
