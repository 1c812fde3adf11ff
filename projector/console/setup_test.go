package console_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/console"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/pages"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// ctx is for what has to be done also while a test is being cleaned up after.
var ctx = context.Background()

const limit = 60 * time.Second // for what has to happen

func TestMain(m *testing.M) {
	code := postgrestest.Main(m, func(ctx context.Context, conn *pgx.Conn) error {
		pool, err := pgxpool.New(ctx, conn.Config().ConnString())
		if err != nil {
			return err
		}
		defer pool.Close()
		return postgres.Migrate(ctx, pool)
	}).Run()
	stopBrowser()
	exit(code)
}

// world is a Delius with a few people, a projector whose clock is set by hand, and a console.
type world struct {
	t         *testing.T
	delius    postgrestest.Database
	db        *postgres.Database
	projector *projector.Projector
	now       time.Time
	sequence  uint64

	seen   journal
	server *httptest.Server
	url    string
}

// options of a world.
type options struct {
	config console.Config
	now    time.Time             // default: a summer's day of 2024
	signIn func(*console.SignIn) // nil: the console is local
}

func setup(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, delius: postgrestest.New(t), now: o.now}
	if o.now.IsZero() {
		w.now = moment("2024-06-01T09:00:00Z")
	}
	manager := postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}
	require.NoError(t, w.delius.AddPeople(ctx, []postgrestest.Person{
		{CRN: "X000001", NOMS: "A0001AA", Manager: manager}, {CRN: "X000002", NOMS: "A0002AA", Manager: manager}, {CRN: "X000003", NOMS: "A0003AA", Manager: manager},
	}))
	var err error
	w.db, err = postgres.New(ctx, w.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	w.projector, err = projector.New(nil, w.db.Ports(), projector.Config{Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	o.config.Now = func() time.Time { return w.now }
	w.server = httptest.NewUnstartedServer(nil)
	if o.signIn != nil {
		o.config.SignIn = &console.SignIn{URL: "https://" + w.server.Listener.Addr().String()}
		o.signIn(o.config.SignIn)
	}
	w.server.Config.Handler = console.New(console.Ports{
		Histories: w.db, People: w.db.Pages, Lists: w.db, Journal: &w.seen, Sessions: &pages.Sessions{Read: w.db.Pages.DB, Write: w.db.Pages.DB},
	}, o.config)
	if o.signIn != nil {
		w.server.StartTLS()
	} else {
		w.server.Start()
	}
	t.Cleanup(w.server.Close)
	w.url = w.server.URL
	return w
}

// journal keeps who was seen, in a test.
type journal struct {
	seen []console.Seen
	err  error
}

func (j *journal) Record(_ context.Context, s console.Seen) error {
	j.seen = append(j.seen, s)
	return j.err
}

// get asks for a page.
func (w *world) get(path string) (code int, body string, header http.Header) {
	w.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(w.url + path)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return answer.StatusCode, string(text), answer.Header
}

// put puts events into the inbox: each was received two seconds after it was emitted, and
// stored a second later.
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

// reconcile reconciles everyone who is due, a day after the last time.
func (w *world) reconcile() {
	w.t.Helper()
	w.now = w.now.AddDate(0, 0, 1)
	due, err := w.db.Due(ctx, time.Now(), time.Now().Add(time.Minute), 1000, nil)
	require.NoError(w.t, err)
	report, err := w.projector.Reconcile(ctx, projector.Selection{Referrals: due})
	require.NoError(w.t, err)
	require.Empty(w.t, report.Failed)
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

// raised is an event of a person with these details.
func raised(crn store.CRN, kind store.Type, n int, id, emitted, details string) store.Event {
	return store.Event{
		ID: id, Type: kind, Referral: referral(n), CRN: crn, Emitted: moment(emitted),
		Body: fmt.Appendf(nil, `{"id":%q,"timestamp":%q,"eventDetails":{%s}}`, id, emitted, details),
	}
}

const (
	recorded = `"recordedBy":{"staffCode":"N50A001","probationRegionCode":"N50"}`
	stranger = `"recordedBy":{"staffCode":"N50X999","probationRegionCode":"N50"}` // whom Delius does not know
	house    = `"premises":{"addressLine1":"1 Long Lane","postcode":"LS1 2AB","town":"Leeds","region":"West Yorkshire"}`
	mill     = `"premises":{"addressLine1":"Old Mill","addressLine2":"9 Mill Road","postcode":"BD3 4CD","town":"Bradford","region":"West Yorkshire"}`

	arrival = "urn:hmpps:cas3:person-arrived:"
)

// story is what happened to X000001: a booking, an arrival that was corrected, and a move. A
// practitioner edits the arrival's notes in between.
func (w *world) story() {
	w.t.Helper()
	w.put(
		raised("X000001", store.BookingConfirmed, 1, "confirmed", "2024-03-05T09:00:00Z", `"expectedArrivedAt":"2024-03-08T00:00:00Z","notes":"Bring the keys",`+recorded),
		raised("X000001", store.PersonArrived, 1, "arrived", "2024-03-08T13:00:00Z", `"arrivedAt":"2024-03-08T12:00:00Z","notes":"Came by train",`+recorded+`,`+house),
	)
	w.reconcile()
	require.NoError(w.t, w.delius.EditContact(ctx, w.contact("EAAR").ID, func(c *postgrestest.Contact) { c.Notes += "\nRang the landlord" }))
	w.put(
		raised("X000001", store.PersonArrivedUpdated, 1, "corrected", "2024-03-10T13:00:00Z", `"arrivedAt":"2024-03-07T12:00:00Z",`+recorded+`,`+house),
		raised("X000001", store.PersonDeparted, 1, "left", "2024-04-01T09:00:00Z", `"departedAt":"2024-03-31T12:00:00Z","notes":"Moved on",`+recorded+`,`+house),
		raised("X000001", store.PersonArrived, 2, "moved", "2024-04-02T09:00:00Z", `"arrivedAt":"2024-04-01T12:00:00Z",`+recorded+`,`+mill),
	)
	w.reconcile()
}

// wait parks the arrivals of X000002 and X000003, for a member of staff whom Delius lacks.
func (w *world) wait() {
	w.t.Helper()
	w.put(
		raised("X000002", store.PersonArrived, 3, "arrived", "2024-05-01T09:00:00Z", `"arrivedAt":"2024-05-01T08:00:00Z",`+stranger+`,`+house),
		raised("X000003", store.PersonArrived, 4, "arrived", "2024-05-02T09:00:00Z", `"arrivedAt":"2024-05-02T08:00:00Z",`+stranger+`,`+mill),
		raised("X000003", store.PersonDeparted, 4, "left", "2024-05-03T09:00:00Z", `"departedAt":"soon",`+recorded+`,`+mill),
	)
	w.reconcile()
}

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

var (
	errTest  = errors.New("in a test")
	everyone projector.Selection
)

// retry reconciles what is parked and may be tried again.
func (w *world) retry() {
	w.t.Helper()
	report, err := w.projector.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{referral(3), referral(4)}})
	require.NoError(w.t, err)
	require.Empty(w.t, report.Failed)
}
