// Package projection wires the projector to its stream and its database, for the
// programs that run it.
package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
	"casdelius/store/jetstream"
)

// Durable is the consumer that all projectors of one Delius share.
const Durable = "delius"

// Log is the log on JetStream as the projector wants it.
type Log struct {
	stream *jetstream.Log
}

// NewLog adapts the log.
func NewLog(stream *jetstream.Log) Log { return Log{stream} }

// Stream implements projector.Log.
func (l Log) Stream(ctx context.Context) (projector.Stream, error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return projector.Stream{}, translate(err)
	}
	return projector.Stream{Created: info.Created, LastSequence: info.LastSequence, Bytes: info.Bytes, MaxBytes: info.MaxBytes}, nil
}

// Read implements projector.Log.
func (l Log) Read(ctx context.Context, from, to uint64) iter.Seq2[store.Stored, error] {
	return func(yield func(store.Stored, error) bool) {
		for message, err := range l.stream.Read(ctx, from, to) {
			if !yield(message, translate(err)) {
				return
			}
		}
	}
}

// Follow implements projector.Log.
func (l Log) Follow(ctx context.Context) (projector.Follower, error) {
	follower, err := l.stream.Follow(ctx, Durable)
	if err != nil {
		return nil, translate(err)
	}
	return follower, nil
}

// Append implements verify.Appender.
func (l Log) Append(ctx context.Context, e *store.Event) (store.Ack, error) {
	return l.stream.Append(ctx, e)
}

// From implements freshness.Log.
func (l Log) From(ctx context.Context, sequence uint64) (freshness.Message, error) {
	at, stored, err := l.stream.From(ctx, sequence)
	return freshness.Message{Sequence: at, Stored: stored}, translate(err)
}

// Delivers implements freshness.Log.
func (l Log) Delivers(ctx context.Context) error { return l.stream.Delivers(ctx, Durable) }

func translate(err error) error {
	var weak *jetstream.SettingsError
	switch {
	case errors.Is(err, jetstream.ErrUnavailable):
		return fmt.Errorf("%w: %w", projector.ErrUnavailable, err)
	case errors.As(err, &weak):
		return projector.Refuse(err)
	}
	return err
}

// Source is a database, by its URL, and the variable that says so: errors name it.
type Source struct{ Variable, URL string }

// Delius is the source of what projects.
func Delius(url string) Source { return Source{"DELIUS_DATABASE_URL", url} }

// Connect opens the database with connections for a number of workers. All are opened anew
// after one of them was found to be read-only: another server may be the primary now.
func (s Source) Connect(ctx context.Context, workers int, options ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(s.URL)
	if err != nil {
		return nil, projector.Refuse(fmt.Errorf("%s is no database URL: want postgres://user:password@host:5432/database", s.Variable)) // it may hold a password
	}
	config.MaxConns = int32(workers + 8) //nolint:gosec // a handful: four steps beside the lanes, and four for what else there is to ask
	config.PingTimeout = pingTimeout
	config.ConnConfig.Tracer = tracer{otelpgx.NewTracer()}
	config.ConnConfig.RuntimeParams["application_name"] = "casdelius projector"
	for _, option := range options {
		option(config)
	}
	var opened atomic.Pointer[pgxpool.Pool]
	sound := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if pool := opened.Load(); pool != nil && err.Code == readOnly {
			pool.Reset()
		}
		return sound(conn, err)
	}
	pool, err := postgres.Connect(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.nameOf(config), tx.Explain(err, s.Variable))
	}
	opened.Store(pool)
	return pool, nil
}

// Primary makes connections to a standby fail, which the server says itself when it is
// connected to: what is read from one may be old, and nothing can be written.
func Primary(config *pgxpool.Config) {
	valid := config.ConnConfig.ValidateConnect
	config.ConnConfig.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if conn.ParameterStatus("in_hot_standby") == "on" {
			return errors.New("the server is a standby: a primary is waited for")
		}
		if valid == nil {
			return nil
		}
		return valid(ctx, conn)
	}
}

// pingTimeout bounds the look at a connection that was idle for a second before it is used again.
const pingTimeout = 5 * time.Second

// readOnly is the SQLSTATE of a session, or a server, that does not write.
const readOnly = "25006"

// nameOf names the database, and the variable that does, without the password.
func (s Source) nameOf(config *pgxpool.Config) string {
	c := config.ConnConfig
	return fmt.Sprintf("database %s at %s (%s)", c.Database, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), s.Variable)
}

// Open makes the projector's database of a pool whose schemas are as this program needs
// them.
func (s Source) Open(ctx context.Context, pool *pgxpool.Pool, config postgres.Config) (*postgres.Database, error) {
	if err := s.CheckSchemas(ctx, pool); err != nil {
		return nil, err
	}
	db, err := postgres.New(ctx, pool, config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.nameOf(pool.Config()), tx.Explain(err, s.Variable))
	}
	return db, nil
}

// missing is the error of a schema that is not there, or not as it has to be.
func missing(format string, args ...any) error { return projector.Refuse(fmt.Errorf(format, args...)) }

// Passes says of an error at the start whether the database can be waited for. What it refuses
// is a mistake in the configuration, or a schema that is not there.
func Passes(err error) bool {
	fate, _ := tx.FateOf(err)
	return fate == tx.Retry
}

// CheckSchemas says whether Delius's schema is there, and the projector's own at a version
// that this program can work with, or what to run.
func (s Source) CheckSchemas(ctx context.Context, pool *pgxpool.Pool) error {
	var delius bool
	if err := pool.QueryRow(ctx, "select to_regclass('delius.offender') is not null").Scan(&delius); err != nil {
		return fmt.Errorf("%s: looking for schema delius: %w", s.nameOf(pool.Config()), tx.Explain(err, s.Variable))
	}
	if !delius {
		return missing("%s has no schema delius with Delius's tables: change the variable if this is another database; to try things out, `sandbox delius` makes a stand-in", s.nameOf(pool.Config()))
	}
	version, err := postgres.Version(ctx, pool)
	needed := postgres.NeededVersion()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", s.nameOf(pool.Config()), err)
	case version == 0:
		return missing("%s has no schema projection: run `projector migrate` first", s.nameOf(pool.Config()))
	case version < needed:
		return missing("%s has schema projection at version %d, and this program needs %d: run `projector migrate` first", s.nameOf(pool.Config()), version, needed)
	}
	return nil
}
