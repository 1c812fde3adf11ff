package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says how the database is used. The zero value of a limit is its default.
type Config struct {
	LockTimeout      time.Duration // of one statement; default 500 ms. Keep it below the server's deadlock_timeout
	StatementTimeout time.Duration // default 60 s
	IdleTimeout      time.Duration // within a transaction; default 60 s
	RetryMin         time.Duration // first pause of what is parked; default 1 s
	RetryMax         time.Duration // longest pause; default 5 min
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.LockTimeout, 500 * time.Millisecond},
		{&c.StatementTimeout, time.Minute},
		{&c.IdleTimeout, time.Minute},
		{&c.RetryMin, time.Second},
		{&c.RetryMax, 5 * time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
}

// Database is Delius and the projector's own tables beside it.
type Database struct {
	pool   *pgxpool.Pool
	config Config
	fixed  fixed
}

// fixed are the rows of reference data that every write needs.
type fixed struct {
	cas2, cas3          int64 // users
	inserted, changed   int64 // business interactions
	a17, main, previous int64 // address type and statuses
}

// Migrate makes or updates the schema projection. Delius's own tables are not touched.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to migrate: %w", err)
	}
	defer conn.Release()
	// The version table lives in the schema, so this has to be there first.
	if _, err := conn.Exec(ctx, "create schema if not exists projection"); err != nil {
		return fmt.Errorf("creating schema projection: %w", err)
	}
	m, err := migrate.NewMigrator(ctx, conn.Conn(), "projection.schema_version")
	if err != nil {
		return fmt.Errorf("reading projection.schema_version: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := m.LoadMigrations(files); err != nil {
		return fmt.Errorf("loading migrations: %w", err)
	}
	if err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrating schema projection: %w", err)
	}
	return nil
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
		return 0, fmt.Errorf("reading projection.schema_version: %w", translate(err))
	}
	return version, nil
}

// New checks that the projector's tables and the reference data that every write
// needs are there. The pool stays the caller's.
func New(ctx context.Context, pool *pgxpool.Pool, config Config) (*Database, error) {
	config.setDefaults()
	db := &Database{pool: pool, config: config}
	var version *string
	if err := pool.QueryRow(ctx, "select to_regclass('projection.event')::text").Scan(&version); err != nil {
		return nil, fmt.Errorf("asking for schema projection: %w", translate(err))
	}
	if version == nil {
		return nil, errors.New("schema projection is not there: run `projector migrate` first")
	}
	for _, row := range []struct {
		id    *int64
		what  string
		query string
		value string
	}{
		{&db.fixed.cas2, "user", "select user_id from delius.user_ where distinguished_name = $1", "Cas2AndDelius"},
		{&db.fixed.cas3, "user", "select user_id from delius.user_ where distinguished_name = $1", "Cas3AndDelius"},
		{&db.fixed.inserted, "business interaction", "select business_interaction_id from delius.business_interaction where business_interaction_code = $1", "CLBI003"},
		{&db.fixed.changed, "business interaction", "select business_interaction_id from delius.business_interaction where business_interaction_code = $1", "CLBI007"},
		{&db.fixed.a17, "address type", reference("ADDRESS TYPE"), "A17"},
		{&db.fixed.main, "address status", reference("ADDRESS STATUS"), "M"},
		{&db.fixed.previous, "address status", reference("ADDRESS STATUS"), "P"},
	} {
		err := pool.QueryRow(ctx, row.query, row.value).Scan(row.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, fmt.Errorf("Delius has no %s %s: its reference data is incomplete", row.what, row.value)
		}
		if err != nil {
			return nil, fmt.Errorf("looking up %s %s: %w", row.what, row.value, translate(err))
		}
	}
	return db, nil
}

// reference is the query for one code of a reference data set; the set's name is ours.
func reference(set string) string {
	return `select l.standard_reference_list_id
		from delius.r_standard_reference_list l
		join delius.r_reference_data_master m using (reference_data_master_id)
		where m.code_set_name = '` + set + `' and l.code_value = $1`
}

// Ready says whether the database answers.
func (db *Database) Ready(ctx context.Context) error { return translate(db.pool.Ping(ctx)) }

// begin starts a transaction in which nothing waits for long, and which looks rows up by
// their keys.
func (db *Database) begin(ctx context.Context) (pgx.Tx, error) {
	return db.beginTx(ctx, committed, byKey)
}

// beginLook starts a transaction that only looks, and sees everything as it was at one
// moment: it locks nobody, so that others write meanwhile.
func (db *Database) beginLook(ctx context.Context) (pgx.Tx, error) {
	return db.beginTx(ctx, snapshot, byKey)
}

// beginScan starts a transaction that goes through whole tables, for as long as that takes,
// and in one process: whoever works live beside it needs the others.
func (db *Database) beginScan(ctx context.Context) (pgx.Tx, error) {
	return db.beginTx(ctx, snapshot, "set local statement_timeout = 0; set local max_parallel_workers_per_gather = 0")
}

const (
	committed = "begin isolation level read committed"
	snapshot  = "begin isolation level repeatable read read only"
)

// byKey has every table read through its indexes. A table that has grown since it was
// analysed, from nothing in a rebuild, looks so small that reading the whole of it for
// every few people seems best. A plan is made for each use: one that was made for small
// arrays would be kept for as long as the connection lives. Parallel workers take longer to
// start than such a look-up takes.
const byKey = keys + "; set local plan_cache_mode = force_custom_plan"

const keys = `set local jit = off; set local max_parallel_workers_per_gather = 0;
	set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off`

// byFewKeys keeps plans: to plan the look-up of a few rows takes as long as to run it. A
// plan is made again when the statistics of its tables are, so a table that has grown since
// it was empty is not read whole for long.
const byFewKeys = keys + "; set local plan_cache_mode = force_generic_plan"

// byKeys is byFewKeys if so many are few. PostgreSQL plans for ten elements where it does not
// know an array.
func byKeys(n int) string {
	if n <= 10 {
		return byFewKeys
	}
	return byKey
}

// beginTx starts a transaction with its settings in one round trip.
func (db *Database) beginTx(ctx context.Context, begin, settings string) (pgx.Tx, error) {
	limits := fmt.Sprintf("set local lock_timeout = %d; set local statement_timeout = %d; set local idle_in_transaction_session_timeout = %d",
		db.config.LockTimeout.Milliseconds(), db.config.StatementTimeout.Milliseconds(), db.config.IdleTimeout.Milliseconds())
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin + "; " + limits + "; " + settings})
	return tx, translate(err)
}

// rollback ends a transaction also when the context has ended.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // closes the connection if it fails, which rolls back as well
}
