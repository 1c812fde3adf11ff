package postgres

import (
	"strconv"

	"github.com/jackc/pgx/v5"
)

// A seal is what a row was like when the projector left it: its version and time, whose
// it was, and a sum over all of it. The sum names its columns, so that a column that
// Delius gets one day does not make every row look damaged; it is computed from values,
// not from their texts, so that no setting of a session changes it.
const (
	sqlContactSum = `hash_record_extended(row(c.row_version, c.offender_id, c.contact_type_id, c.description, c.contact_date, c.contact_start_time,
		c.staff_id, c.team_id, c.probation_area_id, c.notes, c.external_reference, c.sensitive, c.created_datetime, c.last_updated_datetime,
		c.created_by_user_id, c.last_updated_user_id, c.soft_deleted, c.partition_area_id, c.trust_provider_team_id, c.trust_provider_flag), 0)`
	sqlAddressSum = `hash_record_extended(row(a.offender_id, a.address_type_id, a.address_status_id, a.building_name, a.address_number, a.street_name,
		a.district, a.town_city, a.county, a.postcode, a.telephone_number, a.no_fixed_abode, a.type_verified, a.start_date, a.end_date,
		a.soft_deleted, a.created_datetime, a.created_by_user_id, a.last_updated_datetime, a.last_updated_user_id, a.partition_area_id), 0)`
)

// sealContacts seals contacts as they stand. rows is what follows from: it gives the
// contacts, c. keep says which are kept with their content.
func sealContacts(rows, keep string) string {
	return `
		insert into projection.contact_seal (contact_id, row_version, updated, offender_id, sum, content)
		select c.contact_id, c.row_version, c.last_updated_datetime, c.offender_id, ` + sqlContactSum + `, case when ` + keep + ` then to_jsonb(c) end
		from ` + rows + ` order by c.contact_id
		on conflict (contact_id) do update
		set row_version = excluded.row_version, updated = excluded.updated, offender_id = excluded.offender_id, sum = excluded.sum, content = excluded.content`
}

// sealAddresses does the same with addresses, a.
func sealAddresses(rows, keep string) string {
	return `
		insert into projection.address_seal (offender_address_id, updated, offender_id, sum, content)
		select a.offender_address_id, a.last_updated_datetime, a.offender_id, ` + sqlAddressSum + `, case when ` + keep + ` then to_jsonb(a) end
		from ` + rows + ` order by a.offender_address_id
		on conflict (offender_address_id) do update
		set updated = excluded.updated, offender_id = excluded.offender_id, sum = excluded.sum, content = excluded.content`
}

// The rows that a step has just written or adopted. They are named by an array because
// the planner then always looks them up by their number.
const (
	sqlTheseContacts  = "delius.contact c where c.contact_id = any ($1)"
	sqlTheseAddresses = "delius.offender_address a where a.offender_address_id = any ($1)"
)

// sqlForgetContacts forgets rows that are a ledger entry's no longer.
const sqlForgetContacts = "delete from projection.contact_seal where contact_id = any ($1)"

// sqlForgetAddresses forgets rows that are gone.
const sqlForgetAddresses = `
	with gone as (
		select id from unnest($1::bigint[]) as r (id) where not exists (select from delius.offender_address a where a.offender_address_id = id)
	), memories as (
		delete from projection.address_memory where offender_address_id = any (array(select id from gone))
	)
	delete from projection.address_seal where offender_address_id = any (array(select id from gone))`

// seals are the rows of one kind to seal now, by their numbers: whether with their
// content. A row that was inserted is what the ledger says; of the others, changed or
// adopted, the content is kept, too. The seals of those that were left go.
type seals struct {
	rows map[int64]bool
	left []int64
}

// entry takes in a ledger entry that is written: its row, and the one that it had.
func (s *seals) entry(row, was int64, known bool) {
	if was == row {
		return
	}
	if _, written := s.rows[row]; !written && row != 0 {
		s.rows[row] = true
	}
	if known {
		s.left = append(s.left, was)
	}
}

func (s *seals) queue(b *pgx.Batch, seal func(rows, keep string) string, rows, leave string) {
	for _, keep := range []bool{false, true} {
		var ids []int64
		for id, kept := range s.rows {
			if kept == keep {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			b.Queue(seal(rows, strconv.FormatBool(keep)), ids)
		}
	}
	if len(s.left) > 0 {
		b.Queue(leave, s.left)
	}
}

// queueSeals seals the rows that are written now and those that are adopted.
func (w *write) queueSeals(b *pgx.Batch) {
	contacts, addresses := seals{rows: map[int64]bool{}}, seals{rows: map[int64]bool{}}
	for _, c := range w.contactInserts {
		contacts.rows[c.Row.ID] = false
	}
	for _, c := range w.contactUpdates {
		contacts.rows[c.Row.ID] = true
	}
	for i := range w.contactLedger {
		e := &w.contactLedger[i]
		was, known := w.step.ledger.contacts[e.URN]
		contacts.entry(e.ContactID, was, known)
	}
	for _, a := range w.addressInserts {
		addresses.rows[a.Row.ID] = false
	}
	for _, a := range w.addressUpdates {
		addresses.rows[a.Row.ID] = true
	}
	for i := range w.addressLedger {
		e := &w.addressLedger[i]
		was, known := w.step.ledger.addresses[e.Booking]
		addresses.entry(e.AddressID, was, known)
	}
	contacts.queue(b, sealContacts, sqlTheseContacts, sqlForgetContacts)
	addresses.queue(b, sealAddresses, sqlTheseAddresses, sqlForgetAddresses)
}
