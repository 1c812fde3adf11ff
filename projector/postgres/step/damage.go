package step

import (
	"context"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
	"casdelius/store"
)

// loadDamage loads what is damaged of the rows of everybody's ledger.
func (l *loader) loadDamage(ctx context.Context, transaction pgx.Tx) error {
	for i := range l.subjects {
		l.subjects[i].Current.Damage = &delius.Damage{Contacts: map[int64]delius.Damaged[delius.ContactRow]{}, Addresses: map[int64]delius.Damaged[delius.AddressRow]{}}
	}
	if err := l.damagedContacts(ctx, transaction); err != nil {
		return err
	}
	return l.damagedAddresses(ctx, transaction)
}

// SQL of what is wrong with contacts: c is a row, l its entry in the ledger, f its
// fingerprint, d another row.
var (
	// SQLContactAltered holds for a contact that has the version and time of its fingerprint
	// and yet is another.
	SQLContactAltered = `c.row_version = f.row_version and c.last_updated_datetime = f.updated and ` + rows.Contacts.Fingerprint("c") + ` <> f.sum`
	// SQLAddressAltered holds for such an address a.
	SQLAddressAltered = `a.last_updated_datetime = f.updated and ` + rows.Addresses.Fingerprint("a") + ` <> f.sum`
)

const (
	// SQLContactCopy holds for a second live contact d under the URN of ours, c, that nobody
	// but a service, of the users $2, or a copy can have made. A service that updated it was
	// not alone with it: a person may have written into it before.
	SQLContactCopy = `(d.row_version = 0 and d.last_updated_user_id = any ($2)
		or (d.row_version, d.last_updated_datetime, d.last_updated_user_id) = (c.row_version, c.last_updated_datetime, c.last_updated_user_id))`
	// SQLAddressCopy holds for such an address d of ours, a.
	SQLAddressCopy = `(d.last_updated_user_id = any ($2) or (d.last_updated_datetime, d.last_updated_user_id) = (a.last_updated_datetime, a.last_updated_user_id))`

	// SQLSecondAddress holds for a second address d of ours, a. An address has no URN: a
	// second one is known by being the same from its creation on, to the microsecond.
	SQLSecondAddress = `d.offender_id = a.offender_id and d.offender_address_id <> a.offender_address_id and d.created_datetime = a.created_datetime
		and d.address_type_id = a.address_type_id and d.soft_deleted = 0 and a.soft_deleted = 0
		and (d.start_date, d.building_name, d.street_name, d.district, d.town_city, d.county, d.postcode)
			is not distinct from (a.start_date, a.building_name, a.street_name, a.district, a.town_city, a.county, a.postcode)
		and not exists (select from projection.address o where o.offender_address_id = d.offender_address_id)
		and d.created_by_user_id = any ($2) and a.created_by_user_id = any ($2)`

	// SQLAddressesOf are the address rows that the ledger has of the bookings $1 and the
	// offenders $3, on whomever they now stand.
	SQLAddressesOf = `(
		select offender_address_id as id from projection.address where booking = any ($1)
		union select t.offender_address_id from projection.address_term t join projection.address_fingerprint f using (offender_address_id)
			where f.offender_id = any ($3) and not exists (select from projection.address o where o.offender_address_id = t.offender_address_id)
		union select t.offender_address_id from projection.address_term t join delius.offender_address a using (offender_address_id)
			where a.offender_id = any ($3) and not exists (select from projection.address o where o.offender_address_id = t.offender_address_id)
				and not exists (select from projection.address_fingerprint f where f.offender_address_id = t.offender_address_id))`
)

var (
	sqlCopiedContacts = "select " + rows.Contacts.List("d") + ", " + `'', '', '', l.contact_id, l.referral
		from delius.contact d join projection.contact l on d.external_reference = l.urn collate "default" and l.contact_id <> d.contact_id
		join delius.contact c on c.contact_id = l.contact_id
		where l.referral = any ($1) and d.soft_deleted = 0 and c.soft_deleted = 0 and ` + SQLContactCopy + " order by d.contact_id"

	sqlGoneContacts = `
		select l.urn, l.referral from projection.contact l
		where l.referral = any ($1) and not l.deleted and not exists (select from delius.contact c where c.contact_id = l.contact_id)`

	sqlUnknownContacts = `
		select c.contact_id, l.referral from projection.contact l join delius.contact c using (contact_id)
		where l.referral = any ($1) and not exists (select from projection.contact_fingerprint f where f.contact_id = c.contact_id)`
)

func (l *loader) damage(referral store.Referral) *delius.Damage {
	return l.subjects[l.byReferral[referral]].Current.Damage
}

func (l *loader) damagedContacts(ctx context.Context, transaction pgx.Tx) error {
	referrals := l.referrals()
	var b pgx.Batch
	b.Queue(sqlCopiedContacts, referrals, l.fixed.Users()).Query(func(found pgx.Rows) error {
		type copied struct {
			delius.Copied[delius.ContactRow]
			referral store.Referral
		}
		return each(found, func(c *copied) []any { return append(contactTargets(&c.Row), &c.Of, &c.referral) }, func(c copied) {
			of := l.damage(c.referral)
			of.CopiedContacts = append(of.CopiedContacts, c.Copied)
		})
	})
	b.Queue(sqlGoneContacts, referrals).Query(func(found pgx.Rows) error {
		return eachOf(found, func(urn string, r store.Referral) {
			l.damage(r).GoneContacts = append(l.damage(r).GoneContacts, urn)
		})
	})
	b.Queue(sqlUnknownContacts, referrals).Query(func(found pgx.Rows) error {
		return eachOf(found, func(id int64, r store.Referral) {
			l.damage(r).UnknownContacts = append(l.damage(r).UnknownContacts, id)
		})
	})
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	altered, err := AlteredContacts(ctx, transaction, l.fixed, "l.referral = any ($1)", referrals)
	for _, a := range altered {
		l.damage(a.Referral).Contacts[a.Is.ID] = a.Damaged
	}
	return err
}

// eachOf hands on rows of two columns.
func eachOf[A, B any](found pgx.Rows, do func(A, B)) error {
	var a A
	var b B
	_, err := pgx.ForEachRow(found, []any{&a, &b}, func() error {
		do(a, b)
		return nil
	})
	return err
}
