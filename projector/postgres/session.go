package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector/postgres/tx"
)

// session are the settings that decide what is read or written. Whatever the role, the
// database or the server have for them, a connection of ours has these.
var session = map[string]string{
	"client_encoding":             "UTF8",
	"timezone":                    "UTC",
	"datestyle":                   "ISO, YMD",
	"intervalstyle":               "postgres",
	"extra_float_digits":          "1",
	"bytea_output":                "hex",
	"standard_conforming_strings": "on",
	"backslash_quote":             "safe_encoding",
	"array_nulls":                 "on",
	"transform_null_equals":       "off",
	// Every statement names its schema. Triggers of Delius's may not.
	"search_path": "delius",
	// A policy that hides rows is an error, not an answer with fewer rows.
	"row_security":                   "off",
	"default_transaction_isolation":  "read committed",
	"default_transaction_read_only":  "off",
	"default_transaction_deferrable": "off",
	// What is acknowledged to the stream has to survive a power cut.
	"synchronous_commit": "on",
	// Each transaction sets its own limits.
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
	// The server notices within half a minute that nobody is there any more.
	"tcp_keepalives_idle":     "10",
	"tcp_keepalives_interval": "5",
	"tcp_keepalives_count":    "4",
}

// Settle makes connections of a configuration set for themselves whatever decides what they
// read and write, instead of trusting role, database and server. It wins over options of the
// URL. Both ends notice that a connection is cut off, and one whose session cannot be used on
// after an error is closed.
func Settle(config *pgx.ConnConfig) {
	maps.Copy(config.RuntimeParams, session)
	guard(config)
}

func guard(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = dial
	closes := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool { return closes(conn, err) && tx.Sound(err) }
}

// Connect opens a database on settled sessions of its own; see [Settle].
//
// A pooler in transaction mode, PgBouncer say, hands out sessions that others have as well:
// it refuses such settings, or forgets them. Behind one, each transaction makes them for
// itself, and no statement has a name that another client could meet. That costs a live step
// some hundredths of a millisecond, and PostgreSQL plans each statement anew.
func Connect(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	shared := config.Copy()
	Settle(config.ConnConfig)
	pool, err := open(ctx, config)
	if err == nil {
		err = holds(ctx, pool)
	}
	switch {
	case err == nil:
		return pool, nil
	case pool != nil:
		pool.Close()
	}
	if !isPooler(err) {
		return nil, err
	}
	for name := range session {
		delete(shared.ConnConfig.RuntimeParams, name)
	}
	guard(shared.ConnConfig)
	shared.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	shared.ConnConfig.StatementCacheCapacity = 0
	return open(ctx, shared)
}

func open(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// errForgotten is what a pooler's session shows that does not refuse settings.
var errForgotten = errors.New("the session has not kept its settings")

// isPooler says whether an error is that of a session that is not ours alone.
func isPooler(err error) bool {
	if errors.Is(err, errForgotten) {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "08P01" && strings.Contains(pg.Message, "startup parameter")
}

// holds is nil if a session has the settings that it was opened with. Its statement has no
// name: of a pooler's session it is not known who prepared what.
func holds(ctx context.Context, pool *pgxpool.Pool) error {
	names := slices.Sorted(maps.Keys(session))
	rows, err := pool.Query(ctx, "select current_setting(name) from unnest($1::text[]) name", pgx.QueryExecModeExec, names)
	if err != nil {
		return err
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for i, name := range names {
		if !strings.EqualFold(values[i], session[name]) {
			return fmt.Errorf("%w: %s is %q", errForgotten, name, values[i])
		}
	}
	return nil
}

// Pooled says whether a pool's sessions are a pooler's, so that nothing about them can be
// relied on outside a transaction.
func Pooled(pool *pgxpool.Pool) bool {
	_, own := pool.Config().ConnConfig.RuntimeParams["search_path"]
	return !own
}

// local are the settings as a transaction makes them for itself; those that the beginning of
// a transaction decides are not among them.
func local() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(session)) {
		if !strings.HasPrefix(name, "default_transaction_") && !slices.Contains(tx.OfLimits, name) {
			fmt.Fprintf(&b, "; set local %s = '%s'", name, session[name])
		}
	}
	return b.String()
}

const (
	connectTimeout = 5 * time.Second
	// lostAfter is how long bytes may stay without an acknowledgement. It is long enough for a
	// server that has to write a chunk of the stream to a slow disk before it reads on.
	lostAfter = 30 * time.Second
)

var dialer = net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4}}

// dial connects. Keep-alive notices a server that is gone while nothing is sent; what was sent
// and nobody acknowledges needs a limit of its own.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		boundUnacknowledged(tcp, lostAfter)
	}
	return conn, err
}
