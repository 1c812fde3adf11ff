package tx

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// boundTx is a transaction whose statements have deadlines: a server that is cut off answers to
// none of its own limits. What can be said through pgx.Tx and is not here has none.
type boundTx struct {
	pgx.Tx
	conn     *pgxpool.Conn // nil once it is over
	deadline time.Time     // of all statements together; zero: each has its own
	each     time.Duration // of one; 0: it may take as long as it takes
	ends     []context.CancelFunc
}

// bound gives a context the deadline of a statement.
func (t *boundTx) bound(ctx context.Context) context.Context {
	deadline := t.deadline
	switch {
	case deadline.IsZero() && t.each == 0:
		return ctx
	case deadline.IsZero():
		deadline = time.Now().Add(t.each)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	t.ends = append(t.ends, cancel)
	return ctx
}

// end gives the connection back.
func (t *boundTx) end() {
	for _, cancel := range t.ends {
		cancel()
	}
	if t.ends = nil; t.conn != nil {
		t.conn.Release()
		t.conn = nil
	}
}

// Exec implements pgx.Tx.
func (t *boundTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.Tx.Exec(t.bound(ctx), sql, args...)
}

// Query implements pgx.Tx.
func (t *boundTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.Tx.Query(t.bound(ctx), sql, args...) //nolint:rowserrcheck // whoever asks checks it
}

// QueryRow implements pgx.Tx.
func (t *boundTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.Tx.QueryRow(t.bound(ctx), sql, args...)
}

// SendBatch implements pgx.Tx.
func (t *boundTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.Tx.SendBatch(t.bound(ctx), b)
}

// CopyFrom implements pgx.Tx.
func (t *boundTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.Tx.CopyFrom(t.bound(ctx), table, columns, rows)
}

// Commit implements pgx.Tx.
func (t *boundTx) Commit(ctx context.Context) error {
	defer t.end()
	return t.Tx.Commit(t.bound(ctx))
}

// Rollback implements pgx.Tx.
func (t *boundTx) Rollback(ctx context.Context) error {
	defer t.end()
	return t.Tx.Rollback(ctx)
}
