package cmd_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector/console"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/storetest"
)

// BenchmarkPages measures how long each page of the console takes where the tables are large and
// much waits: the mean, and of 100 requests the slowest but one. Each request is for somebody else,
// and none finds what another has kept, but for the list of rejected messages.
func BenchmarkPages(b *testing.B) {
	waiting := 10_000
	if testing.Short() {
		waiting = 1000
	}
	bySize(b, func(b *testing.B, program string, events int) {
		l := newLarge(b, program, events)
		l.rebuild(b)
		l.letWait(b, min(waiting, events/20))
		l.addIdle(b, events/10)
		l.exec(b, "vacuum analyze")
		handler := l.console(b)
		for _, page := range l.pages(b) {
			b.Run(page.name, func(b *testing.B) {
				var took []time.Duration
				page.ask(b, handler, 0) // a console is asked more than once
				for b.Loop() {
					took = append(took, page.ask(b, handler, len(took)+1))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			})
		}
	})
}

// letWait makes so many things wait of each kind, for as many people, and as much be kept as is
// ever kept of what is limited.
func (l *large) letWait(b *testing.B, n int) {
	b.Helper()
	for _, statement := range []string{
		// one member of staff in a hundred is unknown, and each to a hundred people
		`insert into projection.parked (referral, urn, address, event, cause, problem, since, tries, retry_at)
			select referral, urn, false, '', 'staff-not-found', 'no member of staff has the code N50X' || row_number() over (order by urn) / 100, now() - interval '1 hour', 3, now()
			from projection.contact order by urn limit %d`,
		`insert into projection.failing (referral, problem, since, tries, next_try)
			select referral, 'an error', now(), 3, now() from (select distinct referral from projection.contact order by referral limit %d / 100) c`,
		`insert into projection.conflict (crn, urn, field, replaced, with_value, events, at)
			select o.crn, c.urn, 'notes', 'what a practitioner wrote', 'what events say', '{}', now()
			from projection.contact c join delius.contact d using (contact_id) join delius.offender o using (offender_id) order by c.urn limit %d`,
		`insert into projection.outbox (offender_address_id, offender_id, crn, kind, status, occurred, cause, trace)
			select a.offender_address_id, o.offender_id, o.crn, 'updated', 'M', now(), '', ''
			from projection.address a join delius.offender_address d using (offender_address_id) join delius.offender o using (offender_id) order by a.booking limit %d`,
		`insert into projection.verified (who, scheduled, repair, began, lease_end, ended) select 'bench', true, false, now(), now(), now() from generate_series(1, least(%d, 20))`,
		`insert into projection.verified_finding (verified, number, severity, crn, finding)
			select (select max(verified) from projection.verified), n, 'edited', o.crn, jsonb_build_object('severity', 'edited', 'crn', trim(o.crn), 'problem', 'notes were edited')
			from (select crn, row_number() over (order by crn) as n from delius.offender order by crn limit %d) o`,
		`insert into projection.request (id, kind, who, why, state, ended) select gen_random_uuid(), 'retry', 'bench', 'why', 'done', now() from generate_series(1, %d)`,
		`insert into projection.figure (at, figures) select now() - n * interval '8 s', jsonb_build_object('at', now() - n * interval '8 s', 'oldestUnappliedSeconds', n %% 60)
			from generate_series(1, least(%d, 450)) n`,
	} {
		l.exec(b, fmt.Sprintf(statement, n))
	}
	for i := range n / 10 {
		require.NoError(b, l.log.Reject(ctx, store.Rejection{Reason: store.Malformed, Problem: "no JSON", MessageID: fmt.Sprint(i), ReceiveCount: 1, Body: make([]byte, 2000)}))
	}
}

// addIdle adds people of whom no event tells, so that a Delius has so many.
func (l *large) addIdle(b *testing.B, people int) {
	b.Helper()
	var known int
	require.NoError(b, l.pool.QueryRow(ctx, "select count(*) from delius.offender").Scan(&known))
	var idle []postgrestest.Person
	for h := range storetest.Generate(storetest.Options{Seed: 2, First: 2_000_000, People: people - known}) {
		idle = append(idle, inDelius(h.Person))
	}
	require.NoError(b, postgrestest.Delius{Pool: l.pool}.AddPeople(ctx, idle))
}

// console is one as it is shipped, through its own role.
func (l *large) console(b *testing.B) http.Handler {
	b.Helper()
	open := func(role string, grants []string, connections int) *pgxpool.Pool {
		url, err := postgrestest.AddRole(ctx, l.url, role, grants)
		require.NoError(b, err)
		pool, err := projection.Delius(url).Connect(ctx, connections)
		require.NoError(b, err)
		b.Cleanup(pool.Close)
		return pool
	}
	db, err := postgres.New(ctx, open("console", postgres.ConsoleGrants("console"), 8), postgres.Config{})
	require.NoError(b, err)
	ports := db.ConsolePorts(open("console_writer", postgres.ConsoleWriterGrants("console_writer"), 1), postgres.Config{})
	ports.Rejections = &projection.Rejections{Connect: func(context.Context) (*jetstream.Log, error) { return l.log, nil }}
	return console.New(ports, console.Config{})
}

// somePage is a page of the console, of one person after the other where it is a person's.
type somePage struct {
	name string
	path string   // with a place for whose it is
	of   []string // whose, one after the other
}

func (l *large) pages(b *testing.B) []somePage {
	b.Helper()
	some := func(query string) []string {
		rows, err := l.pool.Query(ctx, query)
		require.NoError(b, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(b, err)
		require.NotEmpty(b, list)
		return list
	}
	people := some(`select distinct trim(crn) from projection.identity where crn <> '' and hashtext(crn) % 7 = 0 limit 5000`)
	return []somePage{
		{"home", "/", nil},
		{"person", "/person/%s", people},
		{"row", "/person/%s", some(`select trim(o.crn) || '/row?urn=' || c.urn
			from projection.contact c join delius.contact d using (contact_id) join delius.offender o using (offender_id) where hashtext(o.crn) % 7 = 1 limit 5000`)},
		{"referral", "/referral/%s", some("select referral::text from projection.identity where hashtext(referral::text) % 7 = 2 limit 5000")},
		{"plan", "/plan?crn=%s", people},
		{"plans", "/plan", nil},
		{"drift", "/drift", nil},
		{"parked", "/parked", nil},
		{"conflicts", "/conflicts", nil},
		{"all-conflicts", "/conflicts?all=yes", nil},
		{"conflict", "/conflicts/%s", some("select conflict_id::text from projection.conflict limit 5000")},
		{"rejected", "/rejected", nil},
		{"rejection", "/rejected/%s", []string{"1", "2", "3"}},
		{"rebuild", "/rebuild", nil},
		{"notices", "/notices", nil},
		{"notices-of-one", "/notices?crn=%s", people},
		{"requests", "/requests", nil},
	}
}

// ask asks for the page of the n-th.
func (p somePage) ask(b *testing.B, console http.Handler, n int) time.Duration {
	b.Helper()
	path := p.path
	if p.of != nil {
		path = fmt.Sprintf(p.path, p.of[n%len(p.of)])
	}
	answer, request := httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	start := time.Now()
	console.ServeHTTP(answer, request)
	took := time.Since(start)
	require.Equal(b, http.StatusOK, answer.Code, "%s: %s", path, answer.Body)
	return took
}
