package projector_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/verify"
	"casdelius/store"
)

// poor is a projector of the role with the grants, which counts what it is denied.
type poor struct {
	*rig
	pool   *pgxpool.Pool
	denied atomic.Int64
}

func newPoor(t *testing.T) *poor {
	t.Helper()
	p := &poor{rig: populated(t)}
	config := p.delius.Projector.Config()
	config.ConnConfig.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool {
		if err.Code == "42501" {
			p.denied.Add(1)
		}
		return true
	}
	var err error
	p.pool, err = pgxpool.NewWithConfig(ctx, config)
	require.NoError(t, err)
	t.Cleanup(p.pool.Close)
	return p
}

// work does all that a projector does in Delius: looks up reference data, a manager and a
// recorder, inserts, updates, and repairs whole rows. It says whether anything was denied.
func (p *poor) work(t *testing.T) (denied bool) {
	t.Helper()
	p.begin(t, nil)
	require.NoError(t, p.delius.AddPeople(ctx, []postgrestest.Person{{CRN: someone, Manager: manager}, {CRN: another, Manager: manager}}))
	before := p.denied.Load()
	denies := func() bool { return p.denied.Load() > before }
	db, err := postgres.New(ctx, p.pool, postgres.Config{RetryMin: time.Hour, LocksTimeout: time.Minute})
	if denies() {
		return true
	}
	require.NoError(t, err)
	reconciler, err := projector.New(p.stream, db.Ports(), projector.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	second := arrival(2, "second", store.PersonArrived, 1, another)
	second.Body = []byte(strings.Replace(string(second.Body), `"notes"`, `"recordedBy":{"staffCode":"N50A001","probationRegionCode":"N50"},"notes"`, 1))
	for _, events := range [][]store.Event{{arrival(1, "first", store.PersonArrived, 0, someone), second}, {arrival(1, "later", store.PersonArrivedUpdated, 2, someone)}} {
		p.put(t, events...)
		due, err := p.db.Due(ctx, time.Now(), time.Now(), 100, nil)
		require.NoError(t, err)
		_, err = reconciler.Reconcile(ctx, projector.Selection{Referrals: due})
		if denies() {
			return true
		}
		require.NoError(t, err)
	}
	p.exec(t, "update delius.contact set notes = 'damaged'")
	p.exec(t, "update delius.offender_address set street_name = 'damaged'")
	_, err = db.Verifier(p.stream, reconciler, verify.Verification{Selection: projector.Selection{Repair: true}, Grace: time.Nanosecond}).Run(ctx)
	if denies() {
		return true
	}
	require.NoError(t, err)
	require.Equal(t, []string{"A000001 later Street", "A000002 second Street"}, p.streets(t))
	return false
}

// privileges are all that the role has in Delius, by the catalogue.
func (p *poor) privileges(t *testing.T) []string {
	t.Helper()
	rows, err := p.delius.Pool.Query(ctx, `
		select format('%s (%I) on %s', privilege_type, attname, attrelid::regclass)
		from pg_attribute join pg_class c on c.oid = attrelid, aclexplode(attacl) where relnamespace = 'delius'::regnamespace and grantee = $1::regrole
		union all
		select format('%s on %s %s', privilege_type, case relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
		from pg_class c, aclexplode(relacl) where relnamespace = 'delius'::regnamespace and grantee = $1::regrole
		union all
		select format('%s on schema delius', privilege_type) from pg_namespace, aclexplode(nspacl) where nspname = 'delius' and grantee = $1::regrole
		order by 1`, postgrestest.Role)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

// unneeded are those of the privileges without which nothing is denied.
func (p *poor) unneeded(t *testing.T, privileges []string) (unneeded []string) {
	t.Helper()
	for _, one := range privileges {
		p.exec(t, "revoke "+one+" from "+postgrestest.Role)
		if !p.work(t) {
			unneeded = append(unneeded, one)
		}
		p.exec(t, "grant "+one+" to "+postgrestest.Role)
	}
	return unneeded
}

// Every privilege in Delius that the grants give is one without which a step is denied: there is
// none too many, and with all of them nothing is denied. The control grants one column more.
func TestTheRoleHasNoPrivilegeInDeliusThatItDoesNotUse(t *testing.T) {
	t.Parallel()
	p := newPoor(t)
	require.False(t, p.work(t))
	all := p.privileges(t)
	require.Greater(t, len(all), 50)
	require.Empty(t, p.unneeded(t, all))

	const uprn = "UPDATE (uprn) on delius.offender_address"
	p.exec(t, "grant "+uprn+" to "+postgrestest.Role)
	require.Contains(t, p.privileges(t), uprn)
	require.Equal(t, []string{uprn}, p.unneeded(t, []string{uprn}))
}

func TestTheRoleMayDoNothingElse(t *testing.T) {
	t.Parallel()
	p := newPoor(t)
	require.False(t, p.work(t))
	for _, statement := range []string{
		"update delius.contact set contact_id = contact_id",
		"update delius.offender_address set offender_address_id = offender_address_id",
		"update delius.offender_address set uprn = 1",
		"update delius.offender set crn = 'A000009'",
		"update delius.offender set noms_number = null",
		"update delius.offender set soft_deleted = 1",
		"update delius.offender set current_restriction = 1",
		"update delius.offender_manager set active_flag = 0",
		"update delius.staff set officer_code = 'N50A009'",
		"update delius.user_ set distinguished_name = 'another'",
		"update delius.r_contact_type set sensitive_contact = 'N'",
		"update delius.audited_interaction set outcome = 'F'",
		"insert into delius.offender (crn) values ('A000009')",
		"insert into delius.offender_manager (offender_id) select offender_id from delius.offender",
		"insert into delius.user_ (distinguished_name) values ('another')",
		"insert into delius.staff (officer_code) values ('N50A009')",
		"delete from delius.contact", "delete from delius.offender_address", "delete from delius.offender", "delete from delius.audited_interaction",
		"truncate delius.contact", "truncate delius.audited_interaction",
		"select * from delius.audited_interaction",
		"do $$ begin lock table delius.contact in access exclusive mode; end $$", "do $$ begin lock table delius.offender in share mode; end $$",
		"select setval('delius.contact_id_seq', 1)",
		"create table delius.mine ()", "create function delius.mine() returns int language sql return 1",
		"create trigger mine before insert on delius.contact for each row execute function suppress_redundant_updates_trigger()",
		"create table projection.mine (contact_id bigint references delius.contact)",
		"alter table delius.contact disable trigger all", "alter table delius.contact add column mine int", "drop table delius.contact", "drop schema delius cascade",
		"grant select on delius.contact to public with grant option",
		"create schema mine", "create role mine", "alter role " + postgrestest.Role + " superuser", "create database mine",
		"copy delius.contact to program 'cat'", "copy (select 1) to '/tmp/mine'", "select pg_read_file('PG_VERSION')",
		"set session_replication_role = replica", "alter system set fsync = off",
		"set role postgres",
	} {
		_, err := p.delius.Projector.Exec(ctx, statement)
		pg := new(pgconn.PgError)
		require.ErrorAs(t, err, &pg, statement)
		require.Contains(t, []string{"42501", "0LP01"}, pg.Code, "%s: %v", statement, err) // 0LP01: public can be given no grant option
	}
	// The one column of an offender: whatever is known of a person keeps it as it is.
	_, err := p.delius.Projector.Exec(ctx, "update delius.offender set offender_id = offender_id + 1000000 where crn = $1", string(someone))
	require.ErrorContains(t, err, "violates foreign key constraint")
	require.False(t, p.work(t), "nothing of that has changed anything")
}

// Catches an installation whose tables stay those of whoever made them, and statements that can
// be run only once.
func TestGrantsHandOverWhatIsThereAndCanBeRunAgain(t *testing.T) {
	t.Parallel()
	p := newPoor(t)
	owners := func(is string) (n int) {
		require.NoError(t, p.delius.Pool.QueryRow(ctx, `
			select (select count(*) from pg_class where relnamespace = 'projection'::regnamespace and pg_get_userbyid(relowner) = $1)
				+ (select count(*) from pg_namespace where nspname = 'projection' and pg_get_userbyid(nspowner) = $1)`, is).Scan(&n))
		return n
	}
	all := owners(postgrestest.Role)
	require.Greater(t, all, 20)
	require.Zero(t, owners("postgres"))
	p.exec(t, "drop schema projection cascade")
	require.NoError(t, postgres.Migrate(ctx, p.delius.Pool)) // as an owner of everything did before
	p.exec(t, "create table projection.later (id bigint generated always as identity, other serial, at timestamptz); create view projection.seen as select at from projection.later")
	p.exec(t, "grant delete on delius.contact to "+postgrestest.Role)
	require.Zero(t, owners(postgrestest.Role))
	statements, err := postgres.Grants(postgrestest.Role)
	require.NoError(t, err)
	before := p.privileges(t)
	for range 2 {
		p.exec(t, statements)
		require.Zero(t, owners("postgres"))
		require.Equal(t, all+4, owners(postgrestest.Role)) // the table, its two sequences and the view
		require.Len(t, p.privileges(t), len(before)-1, "what it had beside is taken away")
	}
	require.NoError(t, postgres.Migrate(ctx, p.delius.Projector))
	_, err = outbox.Keep(ctx, p.delius.Projector, true)
	require.NoError(t, err)
	require.False(t, p.work(t))
}

func TestGrantsQuoteTheRoleAndRefuseWhatIsNoneOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newPoor(t)
	var database string
	require.NoError(t, p.delius.Pool.QueryRow(ctx, "select current_database()").Scan(&database))
	for _, name := range []string{`it's "a" role; drop table delius.contact; --`, `back\slash`, "Ünïcode Rôle", "select"} {
		name += database // roles are of all databases
		quoted := pgx.Identifier{name}.Sanitize()
		statements, err := postgres.Grants(name)
		require.NoError(t, err)
		_, err = p.delius.Pool.Exec(ctx, statements)
		require.ErrorContains(t, err, "does not exist", name)
		p.exec(t, "rollback")
		p.exec(t, "create role "+quoted)
		t.Cleanup(func() { p.exec(t, "drop owned by "+quoted+"; drop role "+quoted) })
		p.exec(t, statements)
		var may bool
		require.NoError(t, p.delius.Pool.QueryRow(ctx, "select has_column_privilege($1, 'delius.contact', 'notes', 'UPDATE')", name).Scan(&may))
		require.True(t, may, name)
		p.exec(t, "alter schema projection owner to postgres")
		p.exec(t, fmt.Sprintf("reassign owned by %s to postgres", quoted))
	}
	for _, name := range []string{"", " ", "public", "PUBLIC", "none", "a\x00b", "a$$b"} {
		_, err := postgres.Grants(name)
		require.Error(t, err, "%q", name)
	}
	for name, says := range map[string]string{"postgres": "is a superuser", "keeper_" + database: "owns tables of Delius"} {
		if name != "postgres" {
			p.exec(t, "create role "+name)
			t.Cleanup(func() { p.exec(t, "reassign owned by "+name+" to postgres; drop role "+name) })
			p.exec(t, "alter table delius.staff owner to "+name)
		}
		statements, err := postgres.Grants(name)
		require.NoError(t, err)
		_, err = p.delius.Pool.Exec(ctx, statements)
		require.ErrorContains(t, err, says)
		p.exec(t, "rollback")
	}
}
