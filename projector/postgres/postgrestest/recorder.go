package postgrestest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Projector is the application name of a projector's connections.
const Projector = "casdelius projector"

// AddressChange is an address row that one transaction of a projector inserted or changed.
type AddressChange struct {
	AddressID  int64
	OffenderID int64
	CRN        string
	Kind       string // created: inserted or brought back from deletion; else updated
	Status     string // description of the status after the transaction
}

// A trigger sees every row as it is written, and what it records commits with the row. What
// only says when a row was last updated is no change.
const recorderSQL = `
	create schema recorder;
	create table recorder.address_change (
		number bigint generated always as identity primary key, transaction xid8 not null default pg_current_xact_id(),
		inserted boolean not null, returned boolean not null,
		offender_address_id bigint not null, offender_id bigint not null, crn text not null, status text not null
	);
	create function recorder.record() returns trigger language plpgsql security definer as $$
	declare
		inserted boolean := tg_op = 'INSERT';
	begin
		if current_setting('application_name') = '` + Projector + `'
			and (inserted or to_jsonb(new) - 'last_updated_datetime' <> to_jsonb(old) - 'last_updated_datetime') then
			insert into recorder.address_change (inserted, returned, offender_address_id, offender_id, crn, status)
			values (inserted, not inserted and old.soft_deleted = 1 and new.soft_deleted = 0, new.offender_address_id, new.offender_id,
				(select crn from delius.offender o where o.offender_id = new.offender_id),
				(select code_description from delius.r_standard_reference_list s where s.standard_reference_list_id = new.address_status_id));
		end if;
		return null;
	end $$;
	create trigger record after insert or update on delius.offender_address for each row execute function recorder.record();`

// RecordAddressChanges has every change of an address row recorded from now on that a
// projector commits.
func (d Delius) RecordAddressChanges(ctx context.Context) error {
	if _, err := d.Pool.Exec(ctx, recorderSQL); err != nil {
		return fmt.Errorf("record changes of addresses: %w", err)
	}
	return nil
}

// AddressChanges are the changes that were recorded: of a person in the order of their
// commits, and within a transaction rows that were inserted first, then by their number.
func (d Delius) AddressChanges(ctx context.Context) ([]AddressChange, error) {
	rows, err := d.Pool.Query(ctx, `
		with changes as (
			select transaction, offender_address_id, bool_or(inserted) as inserted, bool_or(inserted or returned) as created,
				(array_agg(array[offender_id::text, crn, status] order by number desc))[1:1] as last,
				min(min(number)) over (partition by transaction) as first
			from recorder.address_change group by transaction, offender_address_id
		)
		select offender_address_id, last[1][1]::bigint, last[1][2], case when created then 'created' else 'updated' end, last[1][3]
		from changes order by first, not inserted, offender_address_id`)
	if err != nil {
		return nil, fmt.Errorf("list changes of addresses: %w", err)
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AddressChange])
	if err != nil {
		return nil, fmt.Errorf("list changes of addresses: %w", err)
	}
	return changes, nil
}
