// Package foldversion keeps two programs with different folds from overwriting one another's
// rows, as they would in a rolling deployment.
//
// The version of the fold that has written last is a row of its own, [Guard]'s. A transaction
// that writes reads it FOR SHARE before anything else is written, in a round trip that it makes
// anyway, and is rolled back if it is newer than its own. Whoever has a newer one raises it
// before its first write, in a transaction of its own. Who only looks does neither.
//
// # Locks
//
// Row locks alone would let one reader after the other pass a raise that waits, for as long as
// there is always one. So readers share an advisory lock, too, which is given in the order in
// which it was asked for: a raise waits for the transactions that have it, at most for the
// lock timeout, and later ones for the raise. Nobody has written a row by the time they wait,
// and a raise locks nothing else, so there is no circle.
package foldversion

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
)

// Guard guards writes by a program whose fold has the version Mine.
type Guard struct {
	DB   *tx.DB
	Mine int
}

// lock is the advisory lock that writers share and a raise has alone.
const lock = 0x6361736466 // "casdf"

var (
	sqlShare = fmt.Sprintf(`with turn as materialized (select pg_advisory_xact_lock_shared(%d))
		select version from turn, projection.fold for share of fold`, lock)
	sqlAlone = fmt.Sprintf("select pg_advisory_xact_lock(%d)", lock)
)

// errBehind marks that the version has to be raised first.
var errBehind = errors.New("the fold version is to be raised")

// Queue reads the version FOR SHARE as the next statement of a batch. The batch fails where
// this program may not write, or not yet: see [Guard.Settle].
func (g *Guard) Queue(b *pgx.Batch) {
	b.Queue(sqlShare).QueryRow(func(row pgx.Row) error {
		var version int
		if err := row.Scan(&version); err != nil {
			return err
		}
		if version < g.Mine {
			return errBehind
		}
		return g.older(version)
	})
}

// Settle raises the version if that is what a transaction failed for, which is over by now;
// the step may then be run again. Any other error it returns.
func (g *Guard) Settle(ctx context.Context, err error) error {
	if !errors.Is(err, errBehind) {
		return err
	}
	if err := g.raise(ctx); err != nil {
		return fmt.Errorf("raising the fold version to %d: %w", g.Mine, tx.Translate(err))
	}
	return fmt.Errorf("%w: the fold version was raised to %d", projector.ErrRetry, g.Mine)
}

func (g *Guard) raise(ctx context.Context) error {
	transaction, err := g.DB.Write(ctx, 1)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx, transaction)
	if _, err := transaction.Exec(ctx, sqlAlone); err != nil {
		return err
	}
	if _, err := transaction.Exec(ctx, "update projection.fold set version = $1 where version < $1", g.Mine); err != nil {
		return err
	}
	return transaction.Commit(ctx)
}

// MayWrite says whether this program may write as things stand. The error is
// [projector.ErrOlder] if it may not.
func (g *Guard) MayWrite(ctx context.Context) error {
	var version int
	if err := g.DB.Pool.QueryRow(ctx, "select version from projection.fold").Scan(&version); err != nil {
		return fmt.Errorf("reading the fold version: %w", tx.Translate(err))
	}
	return g.older(version)
}

func (g *Guard) older(version int) error {
	if version <= g.Mine {
		return nil
	}
	return fmt.Errorf("%w: this program's fold has version %d, version %d has written. Nothing is written by it: deploy the newer one everywhere, "+
		"or to go back stop the newer ones and run `projector migrate --allow-older`", projector.ErrOlder, g.Mine, version)
}

// AllowOlder lets a program with any fold write again: the first that writes has the version
// from then on. It returns the version that was.
func AllowOlder(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	var was int
	err := pgx.BeginFunc(ctx, pool, func(transaction pgx.Tx) error {
		if _, err := transaction.Exec(ctx, sqlAlone); err != nil {
			return err
		}
		if err := transaction.QueryRow(ctx, "select version from projection.fold").Scan(&was); err != nil {
			return err
		}
		_, err := transaction.Exec(ctx, "update projection.fold set version = 0")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("allowing an older fold: %w", tx.Translate(err))
	}
	return was, nil
}
