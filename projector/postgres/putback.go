package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/store"
)

// putBack puts all damaged rows of the step's people back as the projector left them, so
// that what follows compares events with what people made of them and with nothing
// else. A row that somebody has edited, or is editing now, stays as it is. Of one that is
// gone the ledger is forgotten: what the events want is written again, or is parked. A
// second row is marked as deleted.
func (s *step) putBack(ctx context.Context, now time.Time) error {
	var referrals []store.Referral
	var offenders []int64
	for i := range s.people {
		referrals = append(referrals, s.people[i].Referrals...)
		if id := s.people[i].OffenderID; id != 0 {
			offenders = append(offenders, id)
		}
	}
	now = now.UTC().Truncate(time.Microsecond)
	if err := s.putBackContacts(ctx, referrals, now); err != nil {
		return err
	}
	return s.putBackAddresses(ctx, referrals, offenders, now)
}

func (s *step) putBackContacts(ctx context.Context, referrals []store.Referral, now time.Time) error {
	doubles, err := s.lockContacts(ctx, sqlContactDoubles+" order by d.contact_id for no key update of d skip locked", referrals, s.db.services())
	if err != nil {
		return err
	}
	damaged, err := s.lockContacts(ctx, `
		select c.contact_id, c.offender_id, l.urn, l.referral
		from projection.contact l join projection.contact_seal s using (contact_id) join delius.contact c using (contact_id)
		where l.referral = any ($1) and `+sqlContactAltered+`
		order by c.contact_id for no key update of c skip locked`, referrals)
	if err != nil {
		return err
	}
	var b pgx.Batch
	w := write{step: s, now: now}
	if len(doubles.ids) > 0 {
		b.Queue(`
			update delius.contact c set soft_deleted = 1, row_version = c.row_version + 1,
				last_updated_datetime = `+sqlTouched("c", "$3")+`, last_updated_user_id = r.usr
			from unnest($1::bigint[], $2::bigint[]) as r (id, usr) where c.contact_id = r.id`, doubles.ids, doubles.users, now)
		w.queueAudit(&b, s.db.fixed.changed, doubles)
	}
	if len(damaged.ids) > 0 {
		b.Queue(sqlPutBackContacts, damaged.ids, damaged.users, now)
		w.queueAudit(&b, s.db.fixed.changed, damaged)
	}
	b.Queue(sealContacts(`
		projection.contact l join delius.contact c using (contact_id) left join projection.contact_seal s using (contact_id)
		where l.referral = any ($1) and (s.contact_id is null or l.contact_id = any ($2))`, "s.contact_id is null or s.content is not null"), referrals, damaged.ids)
	b.Queue(`
		with gone as (
			delete from projection.contact l
			where referral = any ($1) and not deleted and not exists (select from delius.contact c where c.contact_id = l.contact_id)
			returning contact_id
		) delete from projection.contact_seal s using gone where s.contact_id = gone.contact_id`, referrals)
	return s.tx.SendBatch(ctx, &b).Close()
}

// lockContacts locks the contacts that a query names.
func (s *step) lockContacts(ctx context.Context, query string, args ...any) (contactColumns, error) {
	var out contactColumns
	rows, err := s.tx.Query(ctx, query, args...) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return out, err
	}
	w := write{step: s}
	var id, offender int64
	var urn string
	var referral store.Referral
	_, err = pgx.ForEachRow(rows, []any{&id, &offender, &urn, &referral}, func() error {
		user := s.db.fixed.cas3
		if kind := kindOf(urn, referral); kind != nil {
			user = w.user(kind)
		}
		out.ids, out.users = append(out.ids, id), append(out.users, user)
		out.audits = append(out.audits, fmt.Sprintf("contactId='%d',offenderId='%d'", id, offender))
		return nil
	})
	return out, err
}

// kindOf is the kind of contact that a URN of a referral names.
func kindOf(urn string, referral store.Referral) *delius.Kind {
	for _, kind := range delius.Kinds() {
		if kind.URN(referral) == urn {
			return kind
		}
	}
	return nil
}

func (s *step) putBackAddresses(ctx context.Context, referrals []store.Referral, offenders []int64, now time.Time) error {
	doubles, err := s.lockAddresses(ctx, sqlAddressDoubles+" order by d.offender_address_id for no key update of d skip locked", referrals, s.db.fixed.cas3)
	if err != nil {
		return err
	}
	damaged, err := s.lockAddresses(ctx, `
		select a.offender_address_id
		from `+sqlAddressesOf+` k join projection.address_seal s on s.offender_address_id = k.id join delius.offender_address a on a.offender_address_id = k.id
		where `+sqlAddressAltered+`
		order by a.offender_address_id for no key update of a skip locked`, referrals, offenders)
	if err != nil {
		return err
	}
	var b pgx.Batch
	if len(doubles) > 0 {
		b.Queue(`
			update delius.offender_address a set soft_deleted = 1,
				last_updated_datetime = `+sqlTouched("a", "$2")+`, last_updated_user_id = $3
			where a.offender_address_id = any ($1)`, doubles, now, s.db.fixed.cas3)
	}
	if len(damaged) > 0 {
		f := s.db.fixed
		b.Queue(sqlPutBackAddresses, damaged, now, f.a17, f.main, f.previous, f.cas3)
	}
	b.Queue(sealAddresses(sqlAddressesOf+` k join delius.offender_address a on a.offender_address_id = k.id
		left join projection.address_seal s on s.offender_address_id = k.id
		where s.offender_address_id is null or k.id = any ($3)`, "s.offender_address_id is null or s.content is not null"), referrals, offenders, damaged)
	b.Queue(`
		with gone as (
			select k.id from `+sqlAddressesOf+` k where not exists (select from delius.offender_address a where a.offender_address_id = k.id)
		), ledger as (
			delete from projection.address l using gone where l.offender_address_id = gone.id
		), memories as (
			delete from projection.address_memory m using gone where m.offender_address_id = gone.id
		) delete from projection.address_seal s using gone where s.offender_address_id = gone.id`, referrals, offenders)
	return s.tx.SendBatch(ctx, &b).Close()
}

func (s *step) lockAddresses(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// kinds gives every kind of contact, and types every type of event of one, with how the
// URN of their contact begins, as rows of a values list.
func kinds() (kinds, types string) {
	none := store.Referral{}
	prefix := func(kind *delius.Kind) string { return strings.TrimSuffix(kind.URN(none), none.String()) }
	var k, t []string
	for _, kind := range delius.Kinds() {
		k = append(k, fmt.Sprintf("('%s', '%s')", prefix(kind), kind.Code))
	}
	for _, name := range store.Types() {
		t = append(t, fmt.Sprintf("('%s', '%s')", name, prefix(delius.KindOf(name))))
	}
	return "(values " + strings.Join(k, ", ") + ") as k (urn, code)", "(values " + strings.Join(t, ", ") + ") as k (type, urn)"
}

var sqlKinds, sqlTypes = kinds()

// services are the users by whom rows are written.
func (db *Database) services() []int64 { return []int64{db.fixed.cas2, db.fixed.cas3} }

const (
	// sqlAddressesOf are the address rows that the ledger or memory has of the bookings $1
	// and the offenders $2, on whomever they now stand.
	sqlAddressesOf = `(
		select offender_address_id as id from projection.address where booking = any ($1)
		union select m.offender_address_id from projection.address_memory m join projection.address_seal s using (offender_address_id)
			where s.offender_id = any ($2) and not exists (select from projection.address o where o.offender_address_id = m.offender_address_id)
		union select m.offender_address_id from projection.address_memory m join delius.offender_address a using (offender_address_id)
			where a.offender_id = any ($2) and not exists (select from projection.address o where o.offender_address_id = m.offender_address_id)
				and not exists (select from projection.address_seal s where s.offender_address_id = m.offender_address_id))`

	// sqlContactAltered holds for a contact c that has the version and time of its seal s
	// and yet is another.
	sqlContactAltered = `c.row_version = s.row_version and c.last_updated_datetime = s.updated and ` + sqlContactSum + ` <> s.sum`
	sqlAddressAltered = `a.last_updated_datetime = s.updated and ` + sqlAddressSum + ` <> s.sum`

	// sqlContactCopy holds for a second live contact d under the URN of ours, c, that
	// nobody but a service or a copy can have made. A service that updated it was not
	// alone with it: a person may have written into it before.
	sqlContactCopy = `(d.row_version = 0 and d.last_updated_user_id = any ($2)
		or (d.row_version, d.last_updated_datetime, d.last_updated_user_id) = (c.row_version, c.last_updated_datetime, c.last_updated_user_id))`
	sqlAddressCopy = `(d.last_updated_user_id = $2 or (d.last_updated_datetime, d.last_updated_user_id) = (a.last_updated_datetime, a.last_updated_user_id))`

	sqlContactDoubles = `
		select d.contact_id, d.offender_id, l.urn, l.referral
		from delius.contact d join projection.contact l on d.external_reference = l.urn collate "default" and l.contact_id <> d.contact_id
		join delius.contact c on c.contact_id = l.contact_id
		where l.referral = any ($1) and d.soft_deleted = 0 and c.soft_deleted = 0 and ` + sqlContactCopy

	// An address has no URN: a second one is known by being the same from its creation
	// on, by the service, to the microsecond.
	sqlAddressDouble = `d.offender_id = a.offender_id and d.offender_address_id <> a.offender_address_id and d.created_datetime = a.created_datetime
		and d.address_type_id = a.address_type_id and d.soft_deleted = 0 and a.soft_deleted = 0
		and (d.start_date, d.building_name, d.street_name, d.district, d.town_city, d.county, d.postcode)
			is not distinct from (a.start_date, a.building_name, a.street_name, a.district, a.town_city, a.county, a.postcode)
		and not exists (select from projection.address o where o.offender_address_id = d.offender_address_id)`

	sqlAddressDoubles = `
		select d.offender_address_id
		from projection.address l join delius.offender_address a using (offender_address_id) join delius.offender_address d on ` + sqlAddressDouble + `
			and d.created_by_user_id = $2 and a.created_by_user_id = $2
		where l.booking = any ($1) and ` + sqlAddressCopy
)

// sqlContactLeft is a contact l with its seal s and row c as the projector left it: what
// was kept of it, else what the ledger says of a row that it inserted.
var sqlContactLeft = `
	left join delius.r_contact_type t on t.code = (
		select k.code from ` + sqlKinds + ` where k.urn || l.referral::text = l.urn)
	cross join lateral (select coalesce(s.content, jsonb_build_object(
		'offender_id', s.offender_id,
		'contact_type_id', coalesce(t.contact_type_id, c.contact_type_id),
		'sensitive', coalesce(t.sensitive_contact, c.sensitive),
		'description', nullif(l.description, ''),
		'notes', nullif(l.notes, ''),
		'external_reference', l.urn,
		'contact_start_time', l.happened_at,
		'contact_date', (l.happened_at at time zone 'Europe/London')::date,
		'probation_area_id', coalesce((select p.probation_area_id from delius.probation_area p where trim(p.code) = l.provider), c.probation_area_id),
		'team_id', coalesce(m.team_id, c.team_id),
		'trust_provider_team_id', coalesce(m.team_id, c.trust_provider_team_id),
		'staff_id', coalesce((select f.staff_id from delius.staff f where f.officer_code = l.officer_code::bpchar), c.staff_id),
		'soft_deleted', 0, 'partition_area_id', 0, 'trust_provider_flag', 0
	)) as content from (select (
		select t.team_id from delius.team t join delius.probation_area p using (probation_area_id)
		where t.code = l.team::bpchar and trim(p.code) = l.provider) as team_id) m) x
	cross join lateral jsonb_populate_record(c, x.content) o`

var sqlPutBackContacts = `
	update delius.contact c
	set offender_id = o.offender_id, contact_type_id = o.contact_type_id, description = o.description, contact_date = o.contact_date,
		contact_start_time = o.contact_start_time, staff_id = o.staff_id, team_id = o.team_id, probation_area_id = o.probation_area_id,
		notes = o.notes, external_reference = o.external_reference, sensitive = o.sensitive, created_datetime = o.created_datetime,
		created_by_user_id = o.created_by_user_id, soft_deleted = o.soft_deleted, partition_area_id = o.partition_area_id,
		trust_provider_team_id = o.trust_provider_team_id, trust_provider_flag = o.trust_provider_flag, last_updated_user_id = o.last_updated_user_id,
		row_version = c.row_version + 1, last_updated_datetime = ` + sqlTouched("c", "$3") + `
	from (
		select c.contact_id, o.offender_id, o.contact_type_id, o.description, o.contact_date, o.contact_start_time, o.staff_id, o.team_id,
			o.probation_area_id, o.notes, o.external_reference, o.sensitive, o.soft_deleted, o.partition_area_id, o.trust_provider_team_id,
			o.trust_provider_flag,
			case when s.content is null and s.row_version = 0 then s.updated else o.created_datetime end as created_datetime,
			case when s.content is null then r.usr else o.created_by_user_id end as created_by_user_id,
			case when s.content is null then r.usr else o.last_updated_user_id end as last_updated_user_id
		from unnest($1::bigint[], $2::bigint[]) as r (id, usr)
		join projection.contact l on l.contact_id = r.id
		join projection.contact_seal s on s.contact_id = r.id
		join delius.contact c on c.contact_id = r.id` + sqlContactLeft + `
	) o
	where c.contact_id = o.contact_id`

// sqlAddressLeft is the same of an address: l and m are the ledger's entry and the
// memory, if there are.
const sqlAddressLeft = `
	cross join lateral (select case when m.status is null then '{}' else jsonb_build_object(
		'address_status_id', case m.status when 'M' then $4::bigint when 'P' then $5::bigint else a.address_status_id end, 'end_date', m.end_date) end as term) y
	cross join lateral (select case
		when s.content is not null then s.content
		when l.booking is null then y.term
		else y.term || jsonb_build_object(
			'offender_id', s.offender_id, 'address_type_id', $3::bigint, 'building_name', nullif(l.building, ''), 'address_number', null,
			'street_name', nullif(l.street, ''), 'district', nullif(l.district, ''), 'town_city', nullif(l.town, ''), 'county', nullif(l.county, ''),
			'postcode', nullif(l.postcode, ''), 'telephone_number', null, 'no_fixed_abode', 'N', 'type_verified', 'N', 'start_date', l.start_date,
			'soft_deleted', 0, 'partition_area_id', 0, 'created_by_user_id', $6::bigint, 'last_updated_user_id', $6::bigint)
		end as content) x
	cross join lateral jsonb_populate_record(a, x.content) o`

var sqlPutBackAddresses = `
	update delius.offender_address a
	set offender_id = o.offender_id, address_type_id = o.address_type_id, address_status_id = o.address_status_id, building_name = o.building_name,
		address_number = o.address_number, street_name = o.street_name, district = o.district, town_city = o.town_city, county = o.county,
		postcode = o.postcode, telephone_number = o.telephone_number, no_fixed_abode = o.no_fixed_abode, type_verified = o.type_verified,
		start_date = o.start_date, end_date = o.end_date, soft_deleted = o.soft_deleted, created_datetime = o.created_datetime,
		created_by_user_id = o.created_by_user_id, partition_area_id = o.partition_area_id, last_updated_user_id = o.last_updated_user_id,
		last_updated_datetime = ` + sqlTouched("a", "$2") + `
	from (
		select o.* from projection.address_seal s
		join delius.offender_address a using (offender_address_id)
		left join projection.address l using (offender_address_id)
		left join projection.address_memory m using (offender_address_id)` + sqlAddressLeft + `
		where s.offender_address_id = any ($1)
	) o
	where a.offender_address_id = o.offender_address_id`
