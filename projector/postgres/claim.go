package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector"
)

// rebuildLock is the advisory lock that whoever rebuilds everyone has: it goes with the
// connection, however the process ends. The row beside it says who that is and keeps
// the place for whoever goes on.
const rebuildLock = 0x6361736465 // "casde"

// claim implements projector.Claim.
type claim struct {
	db    *Database
	conn  *pgxpool.Conn // holds the lock; nil while it is lost
	since time.Time
	by    string
}

// Claim implements projector.Roll.
func (db *Database) Claim(ctx context.Context, by string, restart bool, now time.Time) (projector.Claim, projector.Bookmark, error) {
	c := &claim{db: db, by: by, since: now.UTC().Truncate(time.Microsecond)}
	place := projector.Bookmark{}
	if err := c.lock(ctx); err != nil {
		return nil, place, err
	}
	err := c.conn.QueryRow(ctx, `
		insert into projection.rebuild as r (worker, since, started) values ($1, $2, $2)
		on conflict (one) do update set worker = $1, since = $2,
			started = case when $3 then $2 else r.started end, person = case when $3 then 0 else r.person end,
			people = case when $3 then 0 else r.people end, changed = case when $3 then 0 else r.changed end
		returning started, person, people, changed`, c.by, c.since, restart).
		Scan(&place.Started, &place.Person, &place.People, &place.Changed)
	if err != nil {
		c.Release()
		return nil, place, fmt.Errorf("claiming the rebuild: %w", translate(err))
	}
	return c, place, nil
}

// lock gets a connection with the lock, or says who has it.
func (c *claim) lock(ctx context.Context) error {
	conn, err := c.db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("claiming the rebuild: %w", translate(err))
	}
	had := false
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", rebuildLock).Scan(&had); err != nil {
		conn.Release()
		return fmt.Errorf("claiming the rebuild: %w", translate(err))
	}
	if had {
		c.conn = conn
		return nil
	}
	defer conn.Release()
	return c.claimed(ctx, conn)
}

// claimed says who has the claim. It is one of the moment if that is ourselves, on a
// connection that the server does not yet know to be lost.
func (c *claim) claimed(ctx context.Context, conn *pgxpool.Conn) error {
	var by string
	var since time.Time
	if err := conn.QueryRow(ctx, "select worker, since from projection.rebuild").Scan(&by, &since); err != nil {
		return fmt.Errorf("%w: it has only just begun", projector.ErrClaimed)
	}
	if by == c.by && since.Equal(c.since) {
		return fmt.Errorf("%w: the connection that claimed the rebuild was lost", projector.ErrRetry)
	}
	return fmt.Errorf("%w: %s runs it since %s", projector.ErrClaimed, by, since.UTC().Format(time.DateTime+" MST"))
}

// Reached implements projector.Claim.
func (c *claim) Reached(ctx context.Context, place projector.Bookmark) error {
	return c.write(ctx, `update projection.rebuild set person = $3, people = $4, changed = $5 where worker = $1 and since = $2`,
		place.Person, place.People, place.Changed)
}

// Finish implements projector.Claim.
func (c *claim) Finish(ctx context.Context) error {
	return c.write(ctx, `delete from projection.rebuild where worker = $1 and since = $2`)
}

// write writes the row, if it is still ours, on the connection that has the lock.
func (c *claim) write(ctx context.Context, query string, args ...any) error {
	if c.conn == nil {
		if err := c.lock(ctx); err != nil {
			return err
		}
	}
	tag, err := c.conn.Exec(ctx, query, append([]any{c.by, c.since}, args...)...)
	switch {
	case err != nil:
		c.Release() // the lock may be lost: it is claimed again before the next write
		return fmt.Errorf("keeping the place of the rebuild: %w", translate(err))
	case tag.RowsAffected() == 0:
		err := c.claimed(ctx, c.conn)
		c.Release()
		if errors.Is(err, projector.ErrRetry) {
			return fmt.Errorf("%w: its row in projection.rebuild is gone", projector.ErrClaimed)
		}
		return err
	}
	return nil
}

// Release implements projector.Claim.
func (c *claim) Release() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.conn.Exec(ctx, "select pg_advisory_unlock($1)", rebuildLock); err != nil {
		_ = c.conn.Conn().Close(ctx) // the lock goes with the connection
	}
	c.conn.Release()
	c.conn = nil
}
