// Package tx runs transactions in Delius's database: each with its limits, with the plans
// that suit what it reads, and with errors that say whether the same may simply be run
// again.
//
// There are five kinds. [DB.Write] looks rows of Delius up by their keys, locks and writes them:
// it is over within a few seconds, whatever becomes of us, and the server sees to that.
// [DB.Fill] writes what is the projector's own, however much that is. [DB.Look] sees everything
// as it was at one moment, locks nobody and writes nothing. [DB.Scan] goes through whole tables
// for as long as that takes. [DB.WriteQueue] takes from a queue.
//
// What an error means is decided in one place, [FateOf] and [Translate].
package tx

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Limits are those of a transaction.
type Limits struct {
	Lock      time.Duration // of one statement's wait for a lock
	Statement time.Duration
	Idle      time.Duration // between two statements
	Locks     time.Duration // from the first lock of a row of Delius to the commit, in place of the two before
}

// settings are the limits of a transaction.
func (l *Limits) settings(statement, idle time.Duration) string {
	return fmt.Sprintf("set local lock_timeout = %d; set local statement_timeout = %d; set local idle_in_transaction_session_timeout = %d",
		l.Lock.Milliseconds(), statement.Milliseconds(), idle.Milliseconds())
}

// OfLimits are the settings that every transaction makes for itself.
var OfLimits = []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"}

// DB is a database that transactions are run in.
type DB struct {
	Pool    *pgxpool.Pool
	Limits  Limits
	Session string // more settings, each after a semicolon, where the session does not have them
}

const (
	committed = "begin isolation level read committed read write not deferrable"
	snapshot  = "begin isolation level repeatable read read only"
)

// keys has every table read through its indexes. A table that has grown since it was
// analysed, from nothing in a rebuild, looks so small that reading the whole of it for
// every few people seems best. Parallel workers take longer to start than such a look-up
// takes.
const keys = `set local jit = off; set local max_parallel_workers_per_gather = 0;
	set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off`

// byMany makes a plan for each use: one that was made for small arrays would be kept for as
// long as the connection lives.
const byMany = keys + "; set local plan_cache_mode = force_custom_plan"

// byFew keeps plans: to plan the look-up of a few rows takes as long as to run it. A plan is
// made again when the statistics of its tables are, so a table that has grown since it was
// empty is not read whole for long.
const byFew = keys + "; set local plan_cache_mode = force_generic_plan"

// Few are so many keys that plans are kept. PostgreSQL plans for ten elements where it does
// not know an array.
const Few = 10

// byOrder finds the first rows of a queue by going through its index until there are enough. To
// the planner a table that was empty when it was analysed looks as if it were as well to read
// and sort all that waits: that takes 50 times as long where 4,000 do. Nor does a commit wait
// for the disk.
const byOrder = byFew + "; set local enable_sort = off; set local enable_bitmapscan = off; set local synchronous_commit = off"

func byKeys(n int) string {
	if n <= Few {
		return byFew
	}
	return byMany
}

// Write begins a transaction that looks up so many keys in Delius, locks and writes.
func (db *DB) Write(ctx context.Context, keys int) (pgx.Tx, error) {
	return db.begin(ctx, committed, byKeys(keys), func(version int, t *boundTx) string {
		limits, client := db.Limits.locking(version)
		t.deadline = time.Now().Add(client)
		return limits
	})
}

// Fill begins a transaction that writes so many entries of the projector's own. Others of ours
// wait for these, so a process that is stopped in the middle has them for a few seconds only.
func (db *DB) Fill(ctx context.Context, keys int) (pgx.Tx, error) {
	return db.begin(ctx, committed, byKeys(keys), db.each(db.Limits.Locks))
}

// WriteQueue begins a transaction that takes from a queue, or writes down what came of what was
// taken. A power cut may take its commit, so only what can be done twice belongs in it.
func (db *DB) WriteQueue(ctx context.Context) (pgx.Tx, error) {
	return db.begin(ctx, committed, byOrder, db.each(db.Limits.Locks))
}

// Look begins a transaction that only looks, by so many keys.
func (db *DB) Look(ctx context.Context, keys int) (pgx.Tx, error) {
	return db.begin(ctx, snapshot, byKeys(keys), db.each(db.Limits.Idle))
}

// LookMany begins one that looks by many keys.
func (db *DB) LookMany(ctx context.Context) (pgx.Tx, error) {
	return db.begin(ctx, snapshot, byMany, db.each(db.Limits.Idle))
}

// Scan begins a transaction that goes through whole tables, in one process: whoever works
// live beside it needs the others.
func (db *DB) Scan(ctx context.Context) (pgx.Tx, error) {
	return db.begin(ctx, snapshot, "set local max_parallel_workers_per_gather = 0",
		func(int, *boundTx) string {
			return db.Limits.settings(0, db.Limits.Idle)
		})
}

// later is how much later than the server a client gives up a statement.
const later = 10 * time.Second

// each are the limits of a transaction of which every statement has its own.
func (db *DB) each(idle time.Duration) limiter {
	return func(_ int, t *boundTx) string {
		t.each = db.Limits.Statement + later
		return db.Limits.settings(db.Limits.Statement, idle)
	}
}

// limiter gives the limits of a transaction on a server of a version, and sets the client's.
type limiter func(version int, t *boundTx) (settings string)

// begin starts a transaction with its settings in one round trip.
func (db *DB) begin(ctx context.Context, begin, settings string, limits limiter) (pgx.Tx, error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return nil, Translate(err)
	}
	t := &boundTx{conn: conn}
	query := begin + "; " + limits(versionOf(conn), t) + db.Session + "; " + settings
	if t.Tx, err = conn.BeginTx(t.bound(ctx), pgx.TxOptions{BeginQuery: query}); err != nil {
		t.end()
		return nil, Translate(err)
	}
	return t, nil
}

// Exec runs one statement that writes, in a transaction of its own, and says how many rows.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (rows int, err error) {
	t, err := db.Fill(ctx, Few+1)
	if err != nil {
		return 0, err
	}
	defer Rollback(ctx, t)
	tag, err := t.Exec(ctx, query, args...)
	if err == nil {
		err = t.Commit(ctx)
	}
	return int(tag.RowsAffected()), Translate(err)
}

// Rollback ends a transaction also when the context has ended. After a commit it does
// nothing.
func Rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // closes the connection if it fails, which rolls back as well
}

// Collect reads one column, in a transaction that begin starts; doing says what for.
func Collect[T any](ctx context.Context, begin func(context.Context) (pgx.Tx, error), doing, query string, args ...any) ([]T, error) {
	tx, err := begin(ctx)
	if err != nil {
		return nil, err
	}
	defer Rollback(ctx, tx)
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, Translate(err))
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, Translate(err))
	}
	return values, nil
}
