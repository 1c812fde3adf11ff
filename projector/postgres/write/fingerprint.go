package write

import (
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres/rows"
)

// Statements that take fingerprints, by whether the content of the rows is kept.
var (
	sqlContactFingerprints = map[bool]string{false: sqlFingerprintContacts(false), true: sqlFingerprintContacts(true)}
	sqlAddressFingerprints = map[bool]string{false: sqlFingerprintAddresses(false), true: sqlFingerprintAddresses(true)}
)

// A fingerprint is what a row was like when the projector left it: its version and time,
// whose it was, and a sum over all of it.
//
// sqlFingerprintContacts takes those of contacts as they stand, by their numbers; keep says
// whether their content is kept.
func sqlFingerprintContacts(keep bool) string {
	return `
		insert into projection.contact_fingerprint (contact_id, row_version, updated, offender_id, sum, content)
		select c.contact_id, c.row_version, c.last_updated_datetime, c.offender_id, ` + rows.Contacts.Fingerprint("c") + `,
			case when ` + strconv.FormatBool(keep) + ` then to_jsonb(c) end
		from delius.contact c where c.contact_id = any ($1) order by c.contact_id
		on conflict (contact_id) do update
		set row_version = excluded.row_version, updated = excluded.updated, offender_id = excluded.offender_id, sum = excluded.sum, content = excluded.content`
}

// sqlFingerprintAddresses does the same with addresses.
func sqlFingerprintAddresses(keep bool) string {
	return `
		insert into projection.address_fingerprint (offender_address_id, updated, offender_id, sum, content)
		select a.offender_address_id, a.last_updated_datetime, a.offender_id, ` + rows.Addresses.Fingerprint("a") + `,
			case when ` + strconv.FormatBool(keep) + ` then to_jsonb(a) end
		from delius.offender_address a where a.offender_address_id = any ($1) order by a.offender_address_id
		on conflict (offender_address_id) do update
		set updated = excluded.updated, offender_id = excluded.offender_id, sum = excluded.sum, content = excluded.content`
}

// sqlLeaveContacts drops those of rows that are an entry's no longer.
const sqlLeaveContacts = "delete from projection.contact_fingerprint where contact_id = any ($1)"

// sqlLeaveAddresses drops those of rows that are gone.
const sqlLeaveAddresses = `
	with gone as (
		select id from unnest($1::bigint[]) as r (id) where not exists (select from delius.offender_address a where a.offender_address_id = id)
	), terms as (
		delete from projection.address_term where offender_address_id = any (array(select id from gone))
	)
	delete from projection.address_fingerprint where offender_address_id = any (array(select id from gone))`

// fingerprints are the rows of which one is taken now.
type fingerprints struct{ contacts, addresses prints }

// prints are rows of one kind, by their numbers: whether their content is kept. A row that
// was inserted is what the ledger says; of the others, changed or adopted, the content is
// kept, too. Of those that were left nothing is.
type prints struct {
	rows map[int64]bool
	left []int64
}

func (p *prints) set(id int64, keep bool) {
	if p.rows == nil {
		p.rows = map[int64]bool{}
	}
	p.rows[id] = keep
}

// keep has fingerprints taken of rows as they stand, with their content.
func (p *prints) keep(ids []int64) {
	for _, id := range ids {
		p.set(id, true)
	}
}

// entry takes in a ledger entry that is written: its row, and the one that it had.
func (p *prints) entry(row, was int64, there bool) {
	if was == row && there {
		return
	}
	if _, written := p.rows[row]; !written && row != 0 {
		p.set(row, true)
	}
	if there {
		p.left = append(p.left, was)
	}
}

func (p *prints) queue(b *pgx.Batch, take map[bool]string, leave string) {
	for _, keep := range []bool{false, true} {
		var ids []int64
		for id, kept := range p.rows {
			if kept == keep {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			b.Queue(take[keep], ids)
		}
	}
	if len(p.left) > 0 {
		b.Queue(leave, p.left)
	}
}

// queueFingerprints takes fingerprints of the rows that are written now and of those that
// are adopted.
func (w *writer) queueFingerprints(b *pgx.Batch) {
	f := &w.fingerprints
	for i := range w.insertedContacts {
		f.contacts.set(w.insertedContacts[i].row.ID, false)
	}
	for i := range w.insertedAddresses {
		f.addresses.set(w.insertedAddresses[i].row.ID, false)
	}
	for i := range w.contacts {
		f.contacts.set(w.contacts[i].ID, true)
	}
	for i := range w.wholeContacts {
		f.contacts.set(w.wholeContacts[i].ID, true)
	}
	for i := range w.addresses {
		f.addresses.set(w.addresses[i].ID, true)
	}
	for i := range w.wholeAddresses {
		f.addresses.set(w.wholeAddresses[i].ID, true)
	}
	for _, k := range w.appliedContacts {
		f.contacts.entry(k.entry.ContactID, k.was, k.there)
	}
	for _, k := range w.appliedAddresses {
		f.addresses.entry(k.entry.AddressID, k.was, k.there)
	}
	f.contacts.queue(b, sqlContactFingerprints, sqlLeaveContacts)
	f.addresses.queue(b, sqlAddressFingerprints, sqlLeaveAddresses)
	w.editedContacts.queue(b, "projection.contact_fingerprint f", "f.contact_id")
	w.editedAddresses.queue(b, "projection.address_fingerprint f", "f.offender_address_id")
}

// edits are rows that somebody else had changed last, who that was, and when.
type edits struct {
	rows, users []int64
	at          []rows.Stamp
}

func (e *edits) add(row, user int64, at time.Time) {
	e.rows, e.users, e.at = append(e.rows, row), append(e.users, user), append(e.at, rows.Stamp(at))
}

// queue keeps who that was with the fingerprints, which have been taken before.
func (e *edits) queue(b *pgx.Batch, table, id string) {
	if len(e.rows) > 0 {
		b.Queue("update "+table+" set edited_user = r.edited, edited_at = r.at from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as r (id, edited, at) where "+id+" = r.id",
			e.rows, e.users, e.at)
	}
}
