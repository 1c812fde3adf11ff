package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/store"
)

// named are the offenders whom events name, each with the referrals of these events, as a
// source w. Some come twice: by their CRN and by their NOMS number.
const named = `(
	select o.offender_id, o.soft_deleted, i.referral from delius.offender o join projection.identity i on i.crn = o.crn where i.crn <> ''
	union all
	select o.offender_id, o.soft_deleted, i.referral from delius.offender o join projection.identity i on i.noms = o.noms_number where i.noms <> ''
) w`

// People implements projector.Roll.
func (db *Database) People(ctx context.Context, after int64) ([]int64, error) {
	return collect[int64](ctx, db.beginScan, "listing the people whom events name",
		"select distinct offender_id from "+named+" where soft_deleted = 0 and offender_id > $1 order by 1", after)
}

// Behind implements projector.Roll.
func (db *Database) Behind(ctx context.Context, last int64) ([]store.Referral, error) {
	return collect[store.Referral](ctx, db.beginScan, "listing whom a rebuild has passed and who are due",
		"select referral from "+named+` where soft_deleted = 0 and offender_id <= $1 and exists (select from projection.due d where d.referral = w.referral)
		group by referral order by min(offender_id), referral`, last)
}

// ReferralsOf implements projector.Roll.
func (db *Database) ReferralsOf(ctx context.Context, offenders []int64) ([]store.Referral, error) {
	return collect[store.Referral](ctx, db.beginLook, "listing the referrals of people",
		"select distinct referral from "+named+" where offender_id = any ($1) order by 1", offenders)
}

// Unowned implements projector.Roll.
func (db *Database) Unowned(ctx context.Context) ([]store.Referral, error) {
	return collect[store.Referral](ctx, db.beginScan, "listing the referrals of nobody",
		"select distinct referral from projection.event except select referral from "+named+" where soft_deleted = 0 order by 1")
}

// Named implements projector.Roll.
func (db *Database) Named(ctx context.Context, crn store.CRN) ([]store.Referral, error) {
	return collect[store.Referral](ctx, db.beginLook, "listing the referrals of "+string(crn), `
		select referral from projection.identity where crn = $1 and crn <> ''
		union
		select i.referral from delius.offender o join projection.identity i on i.noms = o.noms_number
		where i.noms <> '' and o.crn = $1
		order by 1`, string(crn))
}

// Stored implements projector.Roll.
func (db *Database) Stored(ctx context.Context, referrals []store.Referral) ([]store.Referral, error) {
	return collect[store.Referral](ctx, db.beginLook, "looking for referrals", "select distinct referral from projection.event where referral = any ($1)", referrals)
}

// MarkDue implements projector.Roll.
func (db *Database) MarkDue(ctx context.Context, referrals []store.Referral) error {
	_, err := db.pool.Exec(ctx, "insert into projection.due (referral) select distinct r from unnest($1::uuid[]) r order by 1", referrals)
	if err != nil {
		return fmt.Errorf("marking %d referrals as due: %w", len(referrals), translate(err))
	}
	return nil
}

// collect reads one column, in a transaction that begin starts.
func collect[T any](ctx context.Context, begin func(context.Context) (pgx.Tx, error), what, query string, args ...any) ([]T, error) {
	tx, err := begin(ctx)
	if err != nil {
		return nil, err
	}
	defer rollback(ctx, tx)
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, translate(err))
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, translate(err))
	}
	return values, nil
}
