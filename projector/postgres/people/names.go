package people

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
	"casdelius/store"
)

// isMerge joins what an additional identifier ai is called: MTCRN is "Merged To CRN".
const isMerge = ` join delius.r_standard_reference_list r on r.standard_reference_list_id = ai.identifier_name_id and r.code_value = 'MTCRN'`

// latestMerge is what a soft-deleted offender o was merged into, as a source m: of several
// entries the latest counts. Of whoever is live nothing is read.
const latestMerge = `lateral (
		select upper(trim(ai.identifier))::bpchar as into_crn, ai.created_datetime as at from delius.additional_identifier ai` + isMerge + `
		where o.soft_deleted <> 0 and ai.offender_id = o.offender_id and ai.soft_deleted = 0
		order by ai.created_datetime desc nulls last, ai.additional_identifier_id desc limit 1
	) m`

// mergedAway are those s whom some entry says to be merged into whoever has the CRN of k.
// Whether that is their latest is not looked at.
const mergedAway = `delius.additional_identifier ai` + isMerge + `
		join delius.offender s on s.offender_id = ai.offender_id and s.soft_deleted <> 0
		where ai.identifier = k.crn::text and ai.soft_deleted = 0`

// merged are the CRNs that events name and that somebody has who was merged away, each with
// every CRN that it leads to, as a source m.
const merged = `(
		with recursive step (crn, into_crn, steps) as (
			select i.crn, m.into_crn, 1 from (select distinct crn::bpchar as crn from projection.identity where crn <> '') i
			join delius.offender o on o.crn = i.crn and o.soft_deleted <> 0 cross join ` + latestMerge + `
			union all
			select k.crn, m.into_crn, k.steps + 1 from step k join delius.offender o on o.crn = k.into_crn and o.soft_deleted <> 0
			cross join ` + latestMerge + ` where k.steps < 8
		) select crn, into_crn from step
	) m`

// family are some CRNs and all that merges lead to from them, one way or the other, as a
// source f.
func family(crns string) string {
	return `(
		with recursive step (crn, steps) as (
			select c.crn::bpchar, 0 from ` + crns + ` c (crn)
			union
			select n.crn, k.steps + 1 from step k cross join lateral (
				select m.into_crn from delius.offender o cross join ` + latestMerge + ` where o.crn = k.crn
				union all
				select s.crn::bpchar from ` + mergedAway + `
			) n (crn) where k.steps < 8
		) select distinct crn from step
	) f`
}

// SQLReferralsOf are the referrals whose events name any of the offenders of an array, or
// somebody whom merges connect with them.
func SQLReferralsOf(offenders string) string {
	return `
		select i.referral from delius.offender o join projection.identity i on i.noms = o.noms_number
		where o.offender_id = any (` + offenders + `) and o.soft_deleted = 0 and i.noms <> ''
		union
		select i.referral from ` + family("(select crn from delius.offender where offender_id = any ("+offenders+"))") + `
		join projection.identity i on i.crn = f.crn where i.crn <> ''`
}

// SQLMisplaced are referrals of which live rows of ours stand on somebody who was merged away,
// or were put over a merge on somebody whom it does not lead to any more.
const SQLMisplaced = `
	select i.referral from ` + merged + ` join delius.offender t on t.crn = m.into_crn and t.soft_deleted = 0 join projection.identity i on i.crn = m.crn
	where exists (
		select from projection.contact l join delius.contact c using (contact_id) join delius.offender s on s.offender_id = c.offender_id
		where l.referral = i.referral and c.soft_deleted = 0 and s.soft_deleted <> 0
	) or exists (
		select from projection.address l join delius.offender_address a using (offender_address_id) join delius.offender s on s.offender_id = a.offender_id
		where l.booking = i.referral and a.soft_deleted = 0 and s.soft_deleted <> 0)
	union
	select l.referral from (
		select referral, placed_by, placed_on from projection.contact where placed_by <> ''
		union all select booking, placed_by, placed_on from projection.address where placed_by <> ''
	) l join (
		select crn, offender_id from delius.offender where soft_deleted = 0
		union all select m.crn, t.offender_id from ` + merged + ` join delius.offender t on t.crn = m.into_crn and t.soft_deleted = 0
	) o on o.crn = l.placed_by::bpchar where o.offender_id <> l.placed_on`

// Names are CRNs and NOMS numbers to look up.
type Names struct {
	crns map[store.CRN]bool
	noms map[store.NOMS]bool
}

// Add adds names.
func (n *Names) Add(crns []store.CRN, noms []store.NOMS) {
	if n.crns == nil {
		n.crns, n.noms = map[store.CRN]bool{}, map[store.NOMS]bool{}
	}
	for _, crn := range crns {
		n.crns[crn] = true
	}
	for _, number := range noms {
		n.noms[number] = true
	}
}

// Without takes out the names that others has.
func (n *Names) Without(others *Names) {
	maps.DeleteFunc(n.crns, func(crn store.CRN, _ bool) bool { return others.crns[crn] })
	maps.DeleteFunc(n.noms, func(noms store.NOMS, _ bool) bool { return others.noms[noms] })
}

// Empty says whether there are none.
func (n *Names) Empty() bool { return len(n.crns)+len(n.noms) == 0 }

func (n *Names) args() []any {
	return []any{slices.Sorted(maps.Keys(n.crns)), slices.Sorted(maps.Keys(n.noms))}
}

const (
	sqlWithNames = `(o.crn = any ($1::bpchar[]) or o.noms_number = any ($2::bpchar[]))`

	sqlLock = `select o.offender_id, o.crn, coalesce(o.noms_number, ''), o.soft_deleted <> 0, '', null::timestamptz from delius.offender o
		where ` + sqlWithNames + ` for no key update skip locked`
	sqlLookUp = `select o.offender_id, o.crn, coalesce(o.noms_number, ''), o.soft_deleted <> 0, coalesce(m.into_crn, ''), m.at
		from delius.offender o left join ` + latestMerge + ` on true where ` + sqlWithNames
	sqlAnyMerged = `select exists (select from delius.offender o cross join lateral (select o.crn) k cross join lateral (select from ` + mergedAway + `) s
		where ` + sqlWithNames + `)`
)

var sqlFamily = "select f.crn from " + family("(select o.crn from delius.offender o where "+sqlWithNames+")")

// LookUp looks up who has any of some names. Where one of them was merged into somebody, or
// somebody into them, all whom merges connect with them are looked up as well, and their CRNs
// added to the names. Lock is told who could be locked at once, FOR NO KEY UPDATE; nil locks
// nobody.
func LookUp(ctx context.Context, transaction pgx.Tx, n *Names, found, lock func(delius.Offender)) error {
	var connected bool
	var b pgx.Batch
	look := func(o delius.Offender) {
		connected = connected || o.MergedInto != ""
		found(o)
	}
	queueOffenders(&b, n, look, lock)
	b.Queue(sqlAnyMerged, n.args()...).QueryRow(func(row pgx.Row) error {
		var any bool
		err := row.Scan(&any)
		connected = connected || any
		return err
	})
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil || !connected {
		return err
	}
	rows, err := transaction.Query(ctx, sqlFamily, n.args()...)
	if err != nil {
		return err
	}
	crns, err := pgx.CollectRows(rows, pgx.RowTo[store.CRN])
	if err != nil {
		return err
	}
	n.Add(crns, nil)
	var more pgx.Batch
	queueOffenders(&more, n, found, lock)
	return transaction.SendBatch(ctx, &more).Close()
}

// queueOffenders locks people before it looks: what is locked stays as it is looked up.
func queueOffenders(b *pgx.Batch, n *Names, found, lock func(delius.Offender)) {
	each := func(do func(delius.Offender)) func(pgx.Rows) error {
		return func(all pgx.Rows) error {
			var o delius.Offender
			_, err := pgx.ForEachRow(all, []any{&o.ID, &o.CRN, &o.NOMS, &o.Deleted, &o.MergedInto, rows.Moment{To: &o.MergedAt}}, func() error {
				do(o)
				return nil
			})
			return err
		}
	}
	if lock != nil {
		b.Queue(sqlLock, n.args()...).Query(each(lock))
	}
	b.Queue(sqlLookUp, n.args()...).Query(each(found))
}
