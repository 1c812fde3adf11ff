// Package projection wires the projector to its stream and its database, for the
// programs that run it.
package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector"
	"casdelius/projector/postgres"
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

func translate(err error) error {
	if errors.Is(err, jetstream.ErrUnavailable) {
		return fmt.Errorf("%w: %w", projector.ErrUnavailable, err)
	}
	return err
}

// Connect opens the database with connections for a number of workers.
func Connect(ctx context.Context, url string, workers int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("DELIUS_DATABASE_URL is no database URL: want postgres://user:password@host:5432/database")
	}
	config.MaxConns = int32(workers + 4) //nolint:gosec // a handful
	config.ConnConfig.Tracer = otelpgx.NewTracer()
	postgres.Settle(config.ConnConfig)
	config.ConnConfig.RuntimeParams["application_name"] = "casdelius projector"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connecting to the database %s@%s:%d/%s: %w", config.ConnConfig.User, config.ConnConfig.Host, config.ConnConfig.Port, config.ConnConfig.Database, err)
	}
	return pool, nil
}
