package postgrestest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

// Merge merges one person into another as Delius does: the source is soft-deleted and gets an
// additional identifier, "Merged To CRN". Rows stay where they are, see [Delius.MoveRows].
func (d Delius) Merge(ctx context.Context, source, target store.CRN) error {
	return d.inOne(ctx, fmt.Sprintf("merge %s into %s", source, target), []step{
		{`update delius.offender set soft_deleted = 1 where crn = $1`, []any{source}},
		{
			`insert into delius.additional_identifier (offender_id, identifier, identifier_name_id)
			select offender_id, $2, standard_reference_list_id from delius.offender, delius.r_standard_reference_list where crn = $1 and code_value = 'MTCRN'`,
			[]any{source, string(target)},
		},
	})
}

// Unmerge makes a person who was merged away one of their own again.
func (d Delius) Unmerge(ctx context.Context, source store.CRN) error {
	return d.inOne(ctx, fmt.Sprintf("unmerge %s", source), []step{
		{`update delius.additional_identifier set soft_deleted = 1 where offender_id = (select offender_id from delius.offender where crn = $1)`, []any{source}},
		{`update delius.offender set soft_deleted = 0 where crn = $1`, []any{source}},
	})
}

// MoveRows moves all contacts and addresses of one person to another, as Delius may do when it
// merges or unmerges them.
func (d Delius) MoveRows(ctx context.Context, from, to store.CRN) error {
	const who = `(select user_id from delius.user_ where distinguished_name = $3)`
	return d.inOne(ctx, fmt.Sprintf("move the rows of %s to %s", from, to), []step{
		{`update delius.contact set offender_id = (select offender_id from delius.offender where crn = $2), row_version = row_version + 1,
			last_updated_datetime = greatest(clock_timestamp(), last_updated_datetime + interval '1 microsecond'), last_updated_user_id = ` + who + `
			where offender_id = (select offender_id from delius.offender where crn = $1)`, []any{from, to, Practitioner}},
		{`update delius.offender_address set offender_id = (select offender_id from delius.offender where crn = $2),
			last_updated_datetime = greatest(clock_timestamp(), last_updated_datetime + interval '1 microsecond'), last_updated_user_id = ` + who + `
			where offender_id = (select offender_id from delius.offender where crn = $1)`, []any{from, to, Practitioner}},
	})
}

type step struct {
	statement string
	args      []any
}

func (d Delius) inOne(ctx context.Context, doing string, steps []step) error {
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		for _, s := range steps {
			if _, err := tx.Exec(ctx, s.statement, s.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

const selectOffenders = `
	select o.offender_id, o.crn, coalesce(o.noms_number, ''), o.soft_deleted = 1, coalesce((
		select i.identifier from delius.additional_identifier i join delius.r_standard_reference_list r on r.standard_reference_list_id = i.identifier_name_id
		where i.offender_id = o.offender_id and i.soft_deleted = 0 and r.code_value = 'MTCRN'
		order by i.created_datetime desc, i.additional_identifier_id desc limit 1), '')
	from delius.offender o`

// Offenders lists the people for a twin, as they are now.
func (d Delius) Offenders(ctx context.Context) ([]deliustest.Offender, error) {
	rows, err := d.Pool.Query(ctx, selectOffenders)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (o deliustest.Offender, err error) {
		err = r.Scan(&o.ID, &o.CRN, &o.NOMS, &o.SoftDeleted, &o.MergedInto)
		return o, err
	})
}
