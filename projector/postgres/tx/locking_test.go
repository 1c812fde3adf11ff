package tx_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/postgres/tx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

// ctx is for what has to be done also while a test is being cleaned up after.
var ctx = context.Background()

var limits = tx.Limits{Lock: 500 * time.Millisecond, Statement: time.Minute, Idle: time.Minute, Locks: 3 * time.Second}

// setup gives a database with somebody in it.
func setup(t *testing.T) postgrestest.Database {
	t.Helper()
	database := postgrestest.New(t)
	require.NoError(t, database.AddPeople(ctx, []postgrestest.Person{
		{CRN: "X000001", Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}},
	}))
	return database
}

const lockSomeone = "select from delius.offender where crn = 'X000001' for no key update"

// requireFree has a practitioner write to the person who is locked: the server sees to it that
// this does not have to wait for long.
func requireFree(t *testing.T, database postgrestest.Database) {
	t.Helper()
	_, err := database.Pool.Exec(ctx, "set lock_timeout = '10s'; update delius.offender set noms_number = 'A0001AA' where crn = 'X000001'")
	require.NoError(t, err)
}

// version is that of the tests' server.
func version(t *testing.T, database postgrestest.Database) (version int) {
	t.Helper()
	require.NoError(t, database.Pool.QueryRow(ctx, "select current_setting('server_version_num')::int / 10000").Scan(&version))
	return version
}

// Whoever is stopped, or cut off, does nothing any more: these clients have no deadline of
// their own. Catches limits of a minute, and for the last of them a server that has no limit
// for its socket: neither a statement's limit nor a transaction's is heeded where an answer
// cannot be sent.
func TestTheServerItselfEndsATransactionThatLocksRows(t *testing.T) {
	t.Parallel()
	for state, stopped := range map[string]func(*testing.T, *pgx.Conn){
		"between two statements": func(*testing.T, *pgx.Conn) {},
		"in a statement": func(_ *testing.T, conn *pgx.Conn) {
			conn.PgConn().Exec(ctx, "select pg_sleep(60)")
		},
		"in an answer": func(_ *testing.T, conn *pgx.Conn) {
			conn.PgConn().Exec(ctx, "select repeat('x', 10000) from generate_series(1, 100000)")
		},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			database := setup(t)
			conn, err := pgx.Connect(ctx, database.URL)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.PgConn().Conn().Close() })
			settings, _ := limits.Locking(version(t, database))
			_, err = conn.Exec(ctx, "begin; "+settings)
			require.NoError(t, err)
			_, err = conn.Exec(ctx, lockSomeone)
			require.NoError(t, err)
			stopped(t, conn)
			requireFree(t, database)
		})
	}
}

// Catches a limit of each statement alone, by never ending: many short ones take as long as one
// that is long.
func TestATransactionThatLocksRowsIsTooSlowAsAWhole(t *testing.T) {
	t.Parallel()
	database := setup(t)
	db := &tx.DB{Pool: database.Pool, Limits: limits}
	transaction, err := db.Write(ctx, 1)
	require.NoError(t, err)
	defer tx.Rollback(ctx, transaction)
	for err == nil {
		_, err = transaction.Exec(ctx, "select pg_sleep(0.01)")
	}
	require.ErrorIs(t, tx.Translate(err), projector.ErrTooSlow)
	tx.Rollback(ctx, transaction)
	requireFree(t, database)
}

// Catches limits that outlive their transaction, or that depend on a session's own.
func TestTheLimitsAreThoseOfATransaction(t *testing.T) {
	t.Parallel()
	database := setup(t)
	db := &tx.DB{Pool: database.Pool, Limits: limits}
	setting := func(q interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}, name string,
	) (value string) {
		require.NoError(t, q.QueryRow(ctx, "select current_setting($1)", name).Scan(&value))
		return value
	}
	transaction, err := db.Write(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "2000", setting(transaction, "tcp_user_timeout"))
	require.Equal(t, "500ms", setting(transaction, "lock_timeout"))
	if version(t, database) >= 17 {
		require.Equal(t, "3s", setting(transaction, "transaction_timeout"))
	} else {
		require.Equal(t, "1s", setting(transaction, "statement_timeout"))
		require.Equal(t, "1s", setting(transaction, "idle_in_transaction_session_timeout"))
	}
	require.NoError(t, transaction.Commit(ctx))
	require.Zero(t, database.Pool.Stat().AcquiredConns(), "the connection is given back")
	require.Equal(t, "0", setting(database.Pool, "statement_timeout"))

	scan, err := db.Scan(ctx)
	require.NoError(t, err)
	defer tx.Rollback(ctx, scan)
	require.Equal(t, "0", setting(scan, "statement_timeout"))
	require.Equal(t, "0", setting(scan, "tcp_user_timeout"), "whoever reads slowly what locks nobody may")
}

// Catches a server that is asked for a setting which it does not know: every step would fail.
func TestOnlyAServerThatKnowsItBoundsATransactionAsAWhole(t *testing.T) {
	t.Parallel()
	for _, version := range []int{0, 15, 16} {
		settings, client := limits.Locking(version)
		require.NotContains(t, settings, "transaction_timeout")
		require.Contains(t, settings, "statement_timeout = 1000;")
		require.Contains(t, settings, "idle_in_transaction_session_timeout = 1000")
		require.Equal(t, 2*time.Second, client, "and a third for the server to notice")
	}
	for _, version := range []int{17, 18, 20} {
		settings, client := limits.Locking(version)
		require.Contains(t, settings, "set local transaction_timeout = 3000;")
		require.Equal(t, 3*time.Second, client)
	}
}
