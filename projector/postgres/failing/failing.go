// Package failing keeps which referrals' people met an unexpected error: the last one, since
// when, how often it was tried, and when it is tried next. A step of theirs that commits forgets
// it (package write).
//
// What is kept of an error is what the server calls it and which table, column or constraint it
// is about: never its text, which may hold values of somebody's. The log has that, but for texts
// that quote such values ([tx.Withhold]): those are in PostgreSQL's own log.
package failing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// Failing is who fails.
type Failing struct {
	DB       *tx.DB
	Min, Max time.Duration // the first pause and the longest
}

// Problem is what may be kept and shown of an error.
func Problem(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
			err = inner
		}
		return fmt.Sprintf("an error of the type %T", err)
	}
	text := "SQLSTATE " + pg.Code
	if pg.TableName != "" {
		text += " on " + pg.SchemaName + "." + pg.TableName
	}
	if pg.ColumnName != "" {
		text += ", column " + pg.ColumnName
	}
	if pg.ConstraintName != "" {
		text += ", constraint " + pg.ConstraintName
	}
	return text
}

// Fail keeps that a referral's person met an error, and says for which time. Each try that fails
// doubles the pause before the next.
func (f *Failing) Fail(ctx context.Context, referral store.Referral, problem string, now time.Time) (tries int, err error) {
	t, err := f.DB.Fill(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(ctx, t)
	err = t.QueryRow(ctx, `
		insert into projection.failing as f (referral, problem, since, tries, next_try) values ($1, $2, $3, 1, $3::timestamptz + $4::interval)
		on conflict (referral) do update set problem = excluded.problem, tries = f.tries + 1,
			next_try = $3::timestamptz + least($5::interval, $4::interval * power(2, least(f.tries, 30)))
		returning tries`,
		referral, problem, now, f.Min, f.Max).Scan(&tries)
	if err == nil {
		err = t.Commit(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("keeping that referral %s fails: %w", referral, tx.Translate(err))
	}
	return tries, nil
}

// List lists who of some referrals fails, the longest first; nil is everyone.
func (f *Failing) List(ctx context.Context, referrals []store.Referral) ([]inspect.Failing, error) {
	rows, err := f.DB.Pool.Query(ctx, `
		select referral, problem, since, tries, next_try from projection.failing
		where $1::uuid[] is null or referral = any ($1) order by since, referral`, referrals)
	if err == nil {
		var list []inspect.Failing
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[inspect.Failing]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("listing who fails: %w", tx.Translate(err))
}

// Retry makes those of some referrals be tried again at once, in a transaction, and returns how
// many that is.
func (f *Failing) Retry(ctx context.Context, t pgx.Tx, referrals []store.Referral) (int, error) {
	tag, err := t.Exec(ctx, `
		with locked as (
			select referral from projection.failing where referral = any ($1) order by 1 for update skip locked
		), due as (
			insert into projection.due (referral) select referral from locked order by 1
		)
		update projection.failing f set next_try = least(next_try, since, now()) from locked l where f.referral = l.referral`, referrals)
	if err != nil {
		return 0, fmt.Errorf("making who fails be tried again: %w", tx.Translate(err))
	}
	return int(tag.RowsAffected()), nil
}
