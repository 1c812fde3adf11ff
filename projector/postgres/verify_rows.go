package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/store"
)

// ledgerRows gives the numbers of the rows that the ledger knows, as a source k of id,
// of all people or of those of a scope: $1 are referrals and $2 offenders. What picks
// some of them by their id is said of each table, so that none is read to its end.
func ledgerRows(place projector.Place, some string) string {
	if place == projector.InContacts {
		return `(
			select id from (select contact_id as id, referral from projection.contact where contact_id is not null) c
			where ($1::uuid[] is null or referral = any ($1)) and ($2::bigint[] is null or true)` + some + `) k`
	}
	return `((
			select id from (select offender_address_id as id, booking from projection.address) a
			where ($1::uuid[] is null or booking = any ($1))` + some + `
		) union (
			select id from (select offender_address_id as id, s.offender_id from projection.address_memory left join projection.address_seal s using (offender_address_id)) m
			where ($2::bigint[] is null or offender_id = any ($2))` + some + `)) k`
}

// limits are the arguments of a scope; nil is everybody.
func limits(scope *projector.Scope) (referrals []store.Referral, offenders []int64) {
	if scope == nil {
		return nil, nil
	}
	return append([]store.Referral{}, scope.Referrals...), append([]int64{}, scope.Offenders...)
}

// Rows implements projector.Inspector.
func (db *Database) Rows(ctx context.Context, place projector.Place, scope *projector.Scope) (int, error) {
	referrals, offenders := limits(scope)
	var n int
	err := db.pool.QueryRow(ctx, "select count(*) from "+ledgerRows(place, ""), referrals, offenders).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the %s rows of the ledger: %w", place, translate(err))
	}
	return n, nil
}

// Chunk implements projector.Inspector.
func (db *Database) Chunk(ctx context.Context, place projector.Place, scope *projector.Scope, after int64, limit int) (last int64, n int, err error) {
	tx, err := db.beginLook(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer rollback(ctx, tx)
	referrals, offenders := limits(scope)
	const next = " and id > $3 order by id limit $4"
	err = tx.QueryRow(ctx, "select coalesce(max(id), 0), count(*) from (select id from "+ledgerRows(place, next)+" order by id limit $4) c",
		referrals, offenders, after, limit).Scan(&last, &n)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the %s rows of the ledger: %w", place, translate(err))
	}
	return last, n, nil
}

// Check implements projector.Inspector.
func (db *Database) Check(ctx context.Context, place projector.Place, scope *projector.Scope, after, last int64) ([]projector.Finding, error) {
	tx, err := db.beginLook(ctx)
	if err != nil {
		return nil, err
	}
	defer rollback(ctx, tx)
	referrals, offenders := limits(scope)
	look := lookAtContacts
	if place == projector.InAddresses {
		look = lookAtAddresses
	}
	found, err := look(ctx, db, tx, []any{referrals, offenders, after, last})
	if err != nil {
		return nil, fmt.Errorf("holding the %s rows of the ledger against Delius: %w", place, translate(err))
	}
	return found, nil
}

func lookAtContacts(ctx context.Context, db *Database, tx pgx.Tx, args []any) ([]projector.Finding, error) {
	const person = `coalesce(u.distinguished_name, ''), coalesce(p.at, 'epoch'), coalesce(o.crn, ''), coalesce(p.offender_id, 0)
		from p left join delius.user_ u using (user_id) left join delius.offender o using (offender_id)
		where p.problem is not null order by p.id`
	const which = ` where ($1::uuid[] is null or l.referral = any ($1)) and ($2::bigint[] is null or true) and l.contact_id > $3 and l.contact_id <= $4`
	found, err := rowFindings(ctx, tx, projector.InContacts, `
		with p as (
			select l.contact_id as id, l.urn, l.referral, false as copy,
				case when c.contact_id is null then 'gone' when s.contact_id is null then 'unsealed'
					when c.row_version <> s.row_version or c.last_updated_datetime <> s.updated then 'edited'
					when `+sqlContactSum+` <> s.sum then 'altered' end as problem,
				c.last_updated_user_id as user_id, c.last_updated_datetime as at, coalesce(c.offender_id, s.offender_id) as offender_id
			from projection.contact l left join projection.contact_seal s using (contact_id) left join delius.contact c using (contact_id)`+which+`
		) select p.problem, p.copy, p.id, p.urn, p.referral, `+person, args...)
	if err != nil {
		return nil, err
	}
	// Delius's index is in the database's own collation, the ledger's URNs are not.
	twice, err := rowFindings(ctx, tx, projector.InContacts, `
		with p as (
			select d.contact_id as id, l.urn, l.referral, `+copyOf(sqlContactCopy, "$5")+` as copy, 'twice' as problem,
				d.last_updated_user_id as user_id, d.last_updated_datetime as at, d.offender_id
			from projection.contact l join delius.contact d on d.external_reference = l.urn collate "default" and d.contact_id <> l.contact_id
			join delius.contact c on c.contact_id = l.contact_id`+which+` and d.soft_deleted = 0 and c.soft_deleted = 0
		) select p.problem, p.copy, p.id, p.urn, p.referral, `+person, append(args, db.services())...)
	if err != nil {
		return nil, err
	}
	err = tell(ctx, tx, found, `
		select c.contact_id, was.key, coalesce(was.value, ''), coalesce(now.value, '')
		from projection.contact l join projection.contact_seal s using (contact_id) join delius.contact c using (contact_id)`+sqlContactLeft+`
		cross join lateral jsonb_each_text(to_jsonb(o)) was join lateral jsonb_each_text(to_jsonb(c)) now on now.key = was.key
		where c.contact_id = any ($1) and was.value is distinct from now.value order by 1, 2`)
	return append(found, twice...), err
}

func lookAtAddresses(ctx context.Context, db *Database, tx pgx.Tx, args []any) ([]projector.Finding, error) {
	const person = `coalesce(u.distinguished_name, ''), coalesce(p.at, 'epoch'), coalesce(o.crn, ''), coalesce(p.offender_id, 0)
		from p left join delius.user_ u using (user_id) left join delius.offender o using (offender_id)
		where p.problem is not null order by p.id`
	const nobody = `coalesce(l.booking, '00000000-0000-0000-0000-000000000000') as referral`
	found, err := rowFindings(ctx, tx, projector.InAddresses, `
		with p as (
			select k.id, `+nobody+`, false as copy,
				case when a.offender_address_id is null then 'gone' when s.offender_address_id is null then 'unsealed'
					when a.last_updated_datetime <> s.updated then 'edited' when `+sqlAddressSum+` <> s.sum then 'altered' end as problem,
				a.last_updated_user_id as user_id, a.last_updated_datetime as at, coalesce(s.offender_id, a.offender_id) as offender_id
			from `+ledgerRows(projector.InAddresses, " and id > $3 and id <= $4")+` left join projection.address l on l.offender_address_id = k.id
			left join projection.address_seal s on s.offender_address_id = k.id left join delius.offender_address a on a.offender_address_id = k.id
		) select p.problem, p.copy, p.id, '', p.referral, `+person, args...)
	if err != nil {
		return nil, err
	}
	twice, err := rowFindings(ctx, tx, projector.InAddresses, `
		with p as (
			select d.offender_address_id as id, l.booking as referral, `+copyOf(sqlAddressCopy, "$5")+` as copy, 'twice' as problem,
				d.last_updated_user_id as user_id, d.last_updated_datetime as at, d.offender_id
			from projection.address l join delius.offender_address a using (offender_address_id) join delius.offender_address d on `+sqlAddressDouble+`
				and d.created_by_user_id = $5 and a.created_by_user_id = $5
			where ($1::uuid[] is null or l.booking = any ($1)) and ($2::bigint[] is null or true)
				and l.offender_address_id > $3 and l.offender_address_id <= $4
		) select p.problem, p.copy, p.id, '', p.referral, `+person, append(args, db.fixed.cas3)...)
	if err != nil {
		return nil, err
	}
	f := db.fixed
	err = tell(ctx, tx, found, `
		select a.offender_address_id, was.key, coalesce(was.value, ''), coalesce(now.value, '')
		from projection.address_seal s join delius.offender_address a using (offender_address_id)
		left join projection.address l using (offender_address_id) left join projection.address_memory m using (offender_address_id)`+sqlAddressLeft+`
		cross join lateral jsonb_each_text(to_jsonb(o)) was join lateral jsonb_each_text(to_jsonb(a)) now on now.key = was.key
		where a.offender_address_id = any ($1) and was.value is distinct from now.value and $2::timestamptz is null order by 1, 2`,
		(*time.Time)(nil), f.a17, f.main, f.previous, f.cas3)
	return append(found, twice...), err
}

// copyOf is a predicate whose users are another argument.
func copyOf(predicate, users string) string { return strings.Replace(predicate, "$2", users, 1) }

// rowFindings collects what a query finds about rows. A second row that only a person
// can have made is theirs.
func rowFindings(ctx context.Context, tx pgx.Tx, place projector.Place, query string, args ...any) ([]projector.Finding, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (projector.Finding, error) {
		f := projector.Finding{Severity: projector.Damaged, Place: place}
		var copied bool
		err := row.Scan(&f.Problem, &copied, &f.Row, &f.URN, &f.Referral, &f.By, moment{&f.At}, &f.CRN, &f.Offender)
		if f.Problem == projector.HandMade || f.Problem == projector.Twice && !copied {
			f.Severity = projector.Edited
		} else {
			f.By, f.At = "", time.Time{}
		}
		return f, err
	})
}

// tell adds to the altered rows what is different about them.
func tell(ctx context.Context, tx pgx.Tx, found []projector.Finding, query string, args ...any) error {
	altered := map[int64]*projector.Finding{}
	var ids []int64
	for i := range found {
		if found[i].Problem == projector.Altered {
			altered[found[i].Row] = &found[i]
			ids = append(ids, found[i].Row)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, query, append([]any{ids}, args...)...) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return err
	}
	var id int64
	var d projector.Difference
	_, err = pgx.ForEachRow(rows, []any{&id, &d.Field, &d.Was, &d.Is}, func() error {
		altered[id].Differences = append(altered[id].Differences, d)
		return nil
	})
	return err
}

// Scope implements projector.Inspector.
func (db *Database) Scope(ctx context.Context, crns []store.CRN) (projector.Scope, error) {
	var scope projector.Scope
	err := db.pool.QueryRow(ctx, `
		with o as (select offender_id, crn, noms_number from delius.offender where crn = any ($1::bpchar[])), r as (
			select referral from projection.identity where crn = any ($1::bpchar[]) and crn <> ''
			union select i.referral from projection.identity i join o on i.noms = o.noms_number where i.noms <> ''
			union select referral from projection.event where crn = any ($1::bpchar[])
		)
		select coalesce((select array_agg(referral order by referral) from r), '{}'), coalesce((select array_agg(offender_id order by offender_id) from o), '{}')`, crns).
		Scan(&scope.Referrals, &scope.Offenders)
	if err != nil {
		return scope, fmt.Errorf("looking for people: %w", translate(err))
	}
	return scope, nil
}

// Sequences implements projector.Inspector.
func (db *Database) Sequences(ctx context.Context, referrals []store.Referral) ([]uint64, error) {
	rows, err := db.pool.Query(ctx, "select sequence from projection.event where referral = any ($1) order by sequence", referrals)
	if err != nil {
		return nil, fmt.Errorf("reading the sequences of %d referrals: %w", len(referrals), translate(err))
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint64])
}
