package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/retry"
)

// Whoever writes address rows shares an advisory lock until the commit; whoever turns notices
// on or off has it alone. So every transaction that commits before the change has gone by the
// old setting, and every one that commits after it goes by the new one.
const (
	// SharedLock shares the lock.
	SharedLock = "select pg_advisory_xact_lock_shared(426836714606)" // 0x636173646e, "casdn"
	soleLock   = "select pg_advisory_xact_lock(426836714606)"
)

const (
	// soleLockTimeout is shorter than that of whoever writes: they queue behind this lock, and
	// must not run into their own.
	soleLockTimeout = "set local lock_timeout = 200"
	keepTries       = 100
	keepPause       = 100 * time.Millisecond
)

// Keep turns the keeping of notices on or off, and says whether that was a change.
func Keep(ctx context.Context, pool *pgxpool.Pool, on bool) (changed bool, err error) {
	for range keepTries {
		err = pgx.BeginFunc(ctx, pool, func(t pgx.Tx) error {
			for _, statement := range []string{soleLockTimeout, soleLock} {
				if _, err := t.Exec(ctx, statement); err != nil {
					return err
				}
			}
			var tag pgconn.CommandTag
			tag, err := t.Exec(ctx, "update projection.notices set kept = $1 where kept <> $1", on)
			changed = tag.RowsAffected() > 0
			return err
		})
		if err = tx.Translate(err); !errors.Is(err, projector.ErrRetry) {
			break
		}
		if paused := retry.Pause(ctx, keepPause); paused != nil {
			return false, paused
		}
	}
	if err != nil {
		return false, fmt.Errorf("turning notices on or off: %w", err)
	}
	return changed, nil
}

// Kept says whether notices are kept.
func Kept(ctx context.Context, pool *pgxpool.Pool) (kept bool, err error) {
	if err := pool.QueryRow(ctx, "select kept from projection.notices").Scan(&kept); err != nil {
		return false, fmt.Errorf("asking whether notices are kept: %w", tx.Translate(err))
	}
	return kept, nil
}
