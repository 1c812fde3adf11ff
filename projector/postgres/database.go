package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/failing"
	"casdelius/projector/postgres/foldversion"
	"casdelius/projector/postgres/inbox"
	"casdelius/projector/postgres/lists"
	"casdelius/projector/postgres/orders"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/postgres/pages"
	"casdelius/projector/postgres/people"
	"casdelius/projector/postgres/rows"
	"casdelius/projector/postgres/step"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/postgres/verified"
	"casdelius/projector/postgres/verify"
	"casdelius/projector/postgres/write"
	"casdelius/projector/requests"
	check "casdelius/projector/verify"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says how the database is used. The zero value of a limit is its default.
type Config struct {
	LockTimeout      time.Duration // of one statement; default 500 ms. Keep it below the server's deadlock_timeout
	StatementTimeout time.Duration // default 60 s
	IdleTimeout      time.Duration // within a transaction; default 60 s
	LocksTimeout     time.Duration // from the first lock of a row of Delius to the commit; default 3 s
	RetryMin         time.Duration // first pause of what is parked; default 1 s
	RetryMax         time.Duration // longest pause; default 5 min
	RebuildLease     time.Duration // after which a rebuild that does not renew it is another's; default 12 s
	FoldVersion      int           // default [delius.FoldVersion]; another one for tests of two programs at once
}

// limits are those of its transactions.
func (c *Config) limits() tx.Limits {
	return tx.Limits{Lock: c.LockTimeout, Statement: c.StatementTimeout, Idle: c.IdleTimeout, Locks: c.LocksTimeout}
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.LockTimeout, 500 * time.Millisecond},
		{&c.StatementTimeout, time.Minute},
		{&c.IdleTimeout, time.Minute},
		{&c.LocksTimeout, 3 * time.Second},
		{&c.RetryMin, time.Second},
		{&c.RetryMax, 5 * time.Minute},
		{&c.RebuildLease, 12 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if c.FoldVersion == 0 {
		c.FoldVersion = delius.FoldVersion
	}
}

// Database is Delius and the projector's own tables beside it, room by room.
type Database struct {
	*inbox.Inbox   // the copy of the stream
	*people.People // who there is to reconcile
	*step.Steps    // the one way into Delius
	*verify.Ledger // the ledger held against Delius
	*lists.Lists   // what is shown

	Orders *orders.Orders // what somebody asked for, and who did what
	Outbox *outbox.Outbox // what others are to be told
	Pages  *pages.Pages   // what the console's pages ask besides

	Verified *verified.Verified // runs of verify, and what they found

	pool *pgxpool.Pool
}

// Migrate makes or updates the schema projection. Delius's own tables are not touched.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to migrate: %w", err)
	}
	defer conn.Release()
	// The version table lives in the schema, so this has to be there first. Asking for what is
	// there already would take the right to make schemas.
	var there bool
	err = conn.QueryRow(ctx, "select to_regnamespace('projection') is not null").Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, "create schema if not exists projection")
	}
	if err != nil {
		return fmt.Errorf("creating schema projection: %w", denied(err))
	}
	m, err := migrate.NewMigrator(ctx, conn.Conn(), "projection.schema_version")
	if err != nil {
		return fmt.Errorf("reading projection.schema_version: %w", denied(err))
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := m.LoadMigrations(files); err != nil {
		return fmt.Errorf("loading migrations: %w", err)
	}
	if err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrating schema projection: %w", denied(err))
	}
	return nil
}

// denied says what to do where a role may not do what it has to.
func denied(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42501" {
		return fmt.Errorf("%w: have the database's administrator run what `projector grants --role ROLE` prints, and migrate as that role", err)
	}
	return err
}

// Version is the version of schema projection: the number of the last migration that was
// run; 0 if there was none.
func Version(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	var table *string
	var version int
	err := pool.QueryRow(ctx, "select to_regclass('projection.schema_version')::text").Scan(&table)
	if err == nil && table != nil {
		err = pool.QueryRow(ctx, "select version from projection.schema_version").Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("reading projection.schema_version: %w", tx.Translate(err))
	}
	return version, nil
}

// New checks that the projector's tables and the reference data that every write
// needs are there. The pool stays the caller's.
func New(ctx context.Context, pool *pgxpool.Pool, config Config) (*Database, error) {
	config.setDefaults()
	settings := ""
	if Pooled(pool) {
		settings = local()
	}
	var fixed rows.Fixed
	var version *string
	if err := pool.QueryRow(ctx, "select to_regclass('projection.event')::text").Scan(&version); err != nil {
		return nil, fmt.Errorf("asking for schema projection: %w", tx.Translate(err))
	}
	if version == nil {
		return nil, projector.Refuse(errors.New("schema projection is not there: run `projector migrate` first"))
	}
	for _, row := range []struct {
		id    *int64
		what  string
		query string
		value string
	}{
		{&fixed.CAS2, "user", "select user_id from delius.user_ where distinguished_name = $1", "Cas2AndDelius"},
		{&fixed.CAS3, "user", "select user_id from delius.user_ where distinguished_name = $1", "Cas3AndDelius"},
		{&fixed.Inserted, "business interaction", "select business_interaction_id from delius.business_interaction where business_interaction_code = $1", "CLBI003"},
		{&fixed.Changed, "business interaction", "select business_interaction_id from delius.business_interaction where business_interaction_code = $1", "CLBI007"},
		{&fixed.A17, "address type", reference("ADDRESS TYPE"), "A17"},
		{&fixed.Main, "address status", reference("ADDRESS STATUS"), "M"},
		{&fixed.Previous, "address status", reference("ADDRESS STATUS"), "P"},
	} {
		err := pool.QueryRow(ctx, row.query, row.value).Scan(row.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, projector.Refuse(fmt.Errorf("Delius has no %s %s: its reference data is incomplete", row.what, row.value))
		}
		if err != nil {
			return nil, fmt.Errorf("looking up %s %s: %w", row.what, row.value, tx.Translate(err))
		}
	}
	db := &tx.DB{Pool: pool, Session: settings, Limits: config.limits()}
	fails := &failing.Failing{DB: db, Min: config.RetryMin, Max: config.RetryMax}
	steps := &step.Steps{DB: db, Failing: fails, Config: write.Config{
		Fixed: fixed, RetryMin: config.RetryMin, RetryMax: config.RetryMax, Fold: foldversion.Guard{DB: db, Mine: config.FoldVersion},
	}}
	asked := &orders.Orders{DB: db}
	finder := &people.People{DB: db, Lease: config.RebuildLease}
	return &Database{
		Inbox: &inbox.Inbox{DB: db}, People: finder, Steps: steps, Ledger: &verify.Ledger{DB: db, Fixed: fixed},
		Lists: &lists.Lists{DB: db, Steps: steps, Finder: finder, Failing: fails, Orders: asked}, Orders: asked, Outbox: &outbox.Outbox{DB: db},
		Pages: &pages.Pages{DB: db}, Verified: &verified.Verified{DB: db}, pool: pool,
	}, nil
}

// reference is the query for one code of a reference data set; the set's name is ours.
func reference(set string) string {
	return `select l.standard_reference_list_id
		from delius.r_standard_reference_list l
		join delius.r_reference_data_master m using (reference_data_master_id)
		where m.code_set_name = '` + set + `' and l.code_value = $1`
}

// Ready says whether the database answers.
func (db *Database) Ready(ctx context.Context) error { return tx.Translate(db.pool.Ping(ctx)) }

// Ports are what the projector's workers call.
func (db *Database) Ports() projector.Ports {
	return projector.Ports{
		Inbox: db.Inbox, Mender: db.Inbox, Due: db.Inbox, Steps: db.Steps, People: db.People, Finder: db.People, Locks: db.People,
	}
}

// Problem is what may be told of an unexpected error.
func Problem(err error) string { return failing.Problem(err) }

// Sources say whom requests concern.
func (db *Database) Sources() requests.Sources {
	return requests.Sources{Finder: db.People, Conflicts: db.Lists}
}

// Executor makes what carries requests out by a projector on this database.
func (db *Database) Executor(p *projector.Projector, rejected requests.Rejected, config requests.Config) *requests.Executor {
	config.Problem = failing.Problem
	return requests.New(requests.Ports{
		Sources: db.Sources(), Queue: db.Orders, Effects: effects{db.Lists, db.Orders}, Projector: p, Rejected: rejected,
	}, config)
}

// effects implements requests.Effects.
type effects struct {
	*lists.Lists
	*orders.Orders
}

// Look says what a request of some people's rows would write now.
func (db *Database) Look(ctx context.Context, r *requests.Request) (requests.Preview, error) {
	return requests.Look(ctx, db.Sources(), db.Steps, r)
}

// Verifier makes a verification of what a projector on this database projects.
func (db *Database) Verifier(log check.Log, p *projector.Projector, v check.Verification) *check.Verifier {
	v.Problem = failing.Problem
	return check.New(check.Ports{Log: log, Inbox: db.Inbox, Mender: db.Inbox, Finder: db.People, Ledger: db.Ledger, Reconciler: p}, v)
}
