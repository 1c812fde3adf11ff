package console_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/console"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/orders"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/requests"
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
	clock     atomic.Int64 // in microseconds
	sequence  uint64

	rejections rejections
	server     *httptest.Server
	url        string
}

// options of a world.
type options struct {
	config console.Config
	now    time.Time             // default: a summer's day of 2024
	signIn func(*console.SignIn) // nil: the console is local
}

func setup(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, delius: postgrestest.New(t)}
	if w.set(o.now); o.now.IsZero() {
		w.set(moment("2024-06-01T09:00:00Z"))
	}
	manager := postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}
	require.NoError(t, w.delius.AddPeople(ctx, []postgrestest.Person{
		{CRN: "X000001", NOMS: "A0001AA", Manager: manager}, {CRN: "X000002", NOMS: "A0002AA", Manager: manager}, {CRN: "X000003", NOMS: "A0003AA", Manager: manager},
	}))
	var err error
	w.db, err = postgres.New(ctx, w.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	w.projector, err = projector.New(nil, w.db.Ports(), projector.Config{Now: w.now, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	o.config.Now = w.now
	w.server = httptest.NewUnstartedServer(nil)
	if o.signIn != nil {
		o.config.SignIn = &console.SignIn{URL: "https://" + w.server.Listener.Addr().String()}
		o.signIn(o.config.SignIn)
	}
	w.server.Config.Handler = console.New(w.ports(), o.config)
	if o.signIn != nil {
		w.server.StartTLS()
	} else {
		w.server.Start()
	}
	t.Cleanup(w.server.Close)
	w.url = w.server.URL
	return w
}

// ports are those of a console whose roles in the database may do what they need, and no more.
func (w *world) ports() console.Ports {
	w.t.Helper()
	name := strings.TrimPrefix(w.delius.Pool.Config().ConnConfig.Database, "test_")
	open := func(role string, grants func(string) []string) *pgxpool.Pool {
		url, err := postgrestest.AddRole(ctx, w.delius.URL, role+name, grants(role+name))
		require.NoError(w.t, err)
		config, err := pgxpool.ParseConfig(url)
		require.NoError(w.t, err)
		pool, err := postgres.Connect(ctx, config)
		require.NoError(w.t, err)
		w.t.Cleanup(pool.Close)
		return pool
	}
	reader, writer := open("reader", postgres.ConsoleGrants), open("writer", postgres.ConsoleWriterGrants)
	db, err := postgres.New(ctx, reader, postgres.Config{})
	require.NoError(w.t, err)
	ports := db.ConsolePorts(writer, postgres.Config{})
	ports.Rejections = &w.rejections
	return ports
}

// rejections stands in for the stream's rejected messages.
type rejections struct{ all []console.Rejected }

// Newest implements console.Rejections.
func (r *rejections) Newest(_ context.Context, limit int) ([]console.Rejected, int, error) {
	return r.all[:min(limit, len(r.all))], len(r.all), nil
}

// BySequence implements console.Rejections.
func (r *rejections) BySequence(_ context.Context, sequence uint64) (console.Rejected, error) {
	for _, one := range r.all {
		if one.Sequence == sequence {
			return one, nil
		}
	}
	return console.Rejected{}, console.ErrNoRejection
}

// audit is who looked at whom, and did what.
func (w *world) audit() (all []audit.Entry) {
	w.t.Helper()
	list, err := w.db.Orders.Audit(ctx, orders.Entries{Limit: 100})
	require.NoError(w.t, err)
	return list
}

// carryOut carries out what is asked for, for as long as the test runs.
func (w *world) carryOut() {
	w.t.Helper()
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.db.Executor(w.projector, nil, requests.Config{Holder: "test", Every: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}).Run(running)
	}()
	w.t.Cleanup(func() {
		stop()
		<-ended
	})
}

// now is what its clock shows.
func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

func (w *world) set(now time.Time) { w.clock.Store(now.UnixMicro()) }

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
	w.set(w.now().AddDate(0, 0, 1))
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

// address is the only address.
func (w *world) address() postgrestest.Address {
	w.t.Helper()
	all, err := w.delius.Addresses(ctx)
	require.NoError(w.t, err)
	require.Len(w.t, all, 1)
	return all[0]
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
	require.NoError(w.t, w.delius.EditAddress(ctx, w.address().ID, func(a *postgrestest.Address) { a.TelephoneNumber = "0113 496 0000" }))
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

// retry reconciles what is parked and may be tried again.
func (w *world) retry() {
	w.t.Helper()
	report, err := w.projector.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{referral(3), referral(4)}})
	require.NoError(w.t, err)
	require.Empty(w.t, report.Failed)
}

// contacts are all contacts of a type.
func (w *world) contacts(code string) []postgrestest.Contact {
	w.t.Helper()
	all, err := w.delius.Contacts(ctx)
	require.NoError(w.t, err)
	return slices.DeleteFunc(all, func(c postgrestest.Contact) bool { return c.Type != code })
}

// everyone reconciles everyone, as a rebuild does.
func (w *world) everyone() error {
	var all []store.Referral
	for n := range 9 {
		all = append(all, referral(n+1))
	}
	report, err := w.projector.Reconcile(ctx, projector.Selection{Referrals: all, Quiet: true})
	return errors.Join(err, failures(report))
}

func failures(r projector.Report) error {
	if len(r.Failed) > 0 {
		return fmt.Errorf("failed: %v", r.Failed)
	}
	return nil
}
