package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
)

// advisoryLock is the advisory lock that whoever rebuilds everyone has: it goes with the
// connection, however the process ends. The row beside it says who that is and keeps
// the bookmark for whoever goes on.
const advisoryLock = 0x6361736465 // "casde"

// rebuildLock implements projector.RebuildLock.
type rebuildLock struct {
	db    *tx.DB
	conn  *pgxpool.Conn // holds the lock; nil while it is lost
	since time.Time
	by    string
}

// LockRebuild implements projector.RebuildLocks.
func (p *People) LockRebuild(ctx context.Context, by string, restart bool, now time.Time) (projector.RebuildLock, projector.Bookmark, error) {
	c := &rebuildLock{db: p.DB, by: by, since: now.UTC().Truncate(time.Microsecond)}
	at := projector.Bookmark{}
	if err := c.lock(ctx); err != nil {
		return nil, at, err
	}
	var tally []byte
	err := c.conn.QueryRow(ctx, `
		insert into projection.rebuild as r (worker, since, started) values ($1, $2, $2)
		on conflict (one) do update set worker = $1, since = $2,
			started = case when $3 then $2 else r.started end, person = case when $3 then 0 else r.person end,
			people = case when $3 then 0 else r.people end, tally = case when $3 then '{}' else r.tally end
		returning started, person, people, tally`, c.by, c.since, restart).
		Scan(&at.Started, &at.Person, &at.People, &tally)
	if err == nil {
		err = json.Unmarshal(tally, &at.Tally)
	}
	if err != nil {
		c.Release()
		return nil, at, fmt.Errorf("taking the rebuild lock: %w", tx.Translate(err))
	}
	return c, at, nil
}

// lock gets a connection with the lock, or says who has it.
func (c *rebuildLock) lock(ctx context.Context) error {
	conn, err := c.db.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("taking the rebuild lock: %w", tx.Translate(err))
	}
	had := false
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", advisoryLock).Scan(&had); err != nil {
		conn.Release()
		return fmt.Errorf("taking the rebuild lock: %w", tx.Translate(err))
	}
	if had {
		c.conn = conn
		return nil
	}
	defer conn.Release()
	return c.running(ctx, conn)
}

// running says who has the lock. The error is transient if that is ourselves, on a
// connection that the server does not yet know to be lost.
func (c *rebuildLock) running(ctx context.Context, conn *pgxpool.Conn) error {
	var by string
	var since time.Time
	if err := conn.QueryRow(ctx, "select worker, since from projection.rebuild").Scan(&by, &since); err != nil {
		return fmt.Errorf("%w: it has only just begun", projector.ErrRebuildRunning)
	}
	if by == c.by && since.Equal(c.since) {
		return fmt.Errorf("%w: the connection that had the rebuild lock was lost", projector.ErrRetry)
	}
	return fmt.Errorf("%w: %s runs it since %s", projector.ErrRebuildRunning, by, since.UTC().Format(time.DateTime+" MST"))
}

// Reached implements projector.RebuildLock.
func (c *rebuildLock) Reached(ctx context.Context, at projector.Bookmark) error {
	tally, err := json.Marshal(at.Tally)
	if err != nil {
		return fmt.Errorf("keeping the bookmark of the rebuild: %w", err)
	}
	return c.write(ctx, `update projection.rebuild set person = $3, people = $4, tally = $5 where worker = $1 and since = $2`,
		at.Person, at.People, string(tally))
}

// Finish implements projector.RebuildLock.
func (c *rebuildLock) Finish(ctx context.Context) error {
	return c.write(ctx, `delete from projection.rebuild where worker = $1 and since = $2`)
}

// write writes the row, if it is still ours, on the connection that has the lock.
func (c *rebuildLock) write(ctx context.Context, query string, args ...any) error {
	if c.conn == nil {
		if err := c.lock(ctx); err != nil {
			return err
		}
	}
	tag, err := c.conn.Exec(ctx, query, append([]any{c.by, c.since}, args...)...)
	switch {
	case err != nil:
		c.Release() // the lock may be lost: it is taken again before the next write
		return fmt.Errorf("keeping the bookmark of the rebuild: %w", tx.Translate(err))
	case tag.RowsAffected() == 0:
		err := c.running(ctx, c.conn)
		c.Release()
		if errors.Is(err, projector.ErrRetry) {
			return fmt.Errorf("%w: its row in projection.rebuild is gone", projector.ErrRebuildRunning)
		}
		return err
	}
	return nil
}

// Release implements projector.RebuildLock.
func (c *rebuildLock) Release() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.conn.Exec(ctx, "select pg_advisory_unlock($1)", advisoryLock); err != nil {
		_ = c.conn.Conn().Close(ctx) // the lock goes with the connection
	}
	c.conn.Release()
	c.conn = nil
}
