// Package verify holds the ledger against Delius and against the inbox.
//
// A row of Delius that the projector wrote or adopted has a fingerprint: its version and time,
// whose it was, and a sum over all of it. One whose version or time has moved since was
// edited; one that changed without that, is gone, or stands twice is damaged.
package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/postgres/rows"
	"casdelius/projector/postgres/step"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/verify"
	"casdelius/store"
)

// Ledger is the ledger as a verification sees it.
type Ledger struct {
	DB    *tx.DB
	Fixed rows.Fixed
}

var _ verify.Ledger = (*Ledger)(nil)

// ledgerRows gives the numbers of the rows that the ledger knows, as a source k of id,
// of all people or of those of a selection: $1 are referrals and $2 offenders. What picks
// some of them by their id is said of each table, so that none is read to its end.
func ledgerRows(place verify.Place, some string) string {
	if place == verify.InContacts {
		return `(
			select id from (select contact_id as id, referral from projection.contact where contact_id is not null) c
			where ($1::uuid[] is null or referral = any ($1)) and ($2::bigint[] is null or true)` + some + `) k`
	}
	return `((
			select id from (select offender_address_id as id, booking from projection.address) a
			where ($1::uuid[] is null or booking = any ($1))` + some + `
		) union (
			select id from (select offender_address_id as id, f.offender_id from projection.address_term left join projection.address_fingerprint f using (offender_address_id)) m
			where ($2::bigint[] is null or offender_id = any ($2))` + some + `)) k`
}

// limits are the arguments of a selection; nil is everybody.
func limits(selection *projector.Selection) (referrals []store.Referral, offenders []int64) {
	if selection == nil {
		return nil, nil
	}
	return append([]store.Referral{}, selection.Referrals...), append([]int64{}, selection.Offenders...)
}

// Rows implements verify.Ledger.
func (l *Ledger) Rows(ctx context.Context, place verify.Place, selection *projector.Selection) (int, error) {
	referrals, offenders := limits(selection)
	var n int
	err := l.DB.Pool.QueryRow(ctx, "select count(*) from "+ledgerRows(place, ""), referrals, offenders).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the %s rows of the ledger: %w", place, tx.Translate(err))
	}
	return n, nil
}

// Chunk implements verify.Ledger.
func (l *Ledger) Chunk(ctx context.Context, place verify.Place, selection *projector.Selection, after int64, limit int) (last int64, n int, err error) {
	transaction, err := l.DB.LookMany(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback(ctx, transaction)
	referrals, offenders := limits(selection)
	const next = " and id > $3 order by id limit $4"
	err = transaction.QueryRow(ctx, "select coalesce(max(id), 0), count(*) from (select id from "+ledgerRows(place, next)+" order by id limit $4) c",
		referrals, offenders, after, limit).Scan(&last, &n)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the %s rows of the ledger: %w", place, tx.Translate(err))
	}
	return last, n, nil
}

// Check implements verify.Ledger.
func (l *Ledger) Check(ctx context.Context, place verify.Place, selection *projector.Selection, after, last int64) ([]verify.Finding, error) {
	transaction, err := l.DB.LookMany(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, transaction)
	referrals, offenders := limits(selection)
	check := l.checkContacts
	if place == verify.InAddresses {
		check = l.checkAddresses
	}
	found, err := check(ctx, transaction, []any{referrals, offenders, after, last})
	if err != nil {
		return nil, fmt.Errorf("holding the %s rows of the ledger against Delius: %w", place, tx.Translate(err))
	}
	return found, nil
}

// sqlWho tells of rows p by whom and when they were changed, and whose they are.
const sqlWho = `coalesce(u.distinguished_name, ''), coalesce(p.at, 'epoch'), coalesce(o.crn, ''), coalesce(p.offender_id, 0)
	from p left join delius.user_ u using (user_id) left join delius.offender o using (offender_id)
	where p.problem is not null order by p.id`

const sqlSomeContacts = ` where ($1::uuid[] is null or l.referral = any ($1)) and ($2::bigint[] is null or true) and l.contact_id > $3 and l.contact_id <= $4`

var sqlCheckContacts = `
	with p as (
		select l.contact_id as id, l.urn, l.referral, false as copy,
			case when c.contact_id is null then 'gone' when f.contact_id is null then 'unknown'
				when c.row_version <> f.row_version or c.last_updated_datetime <> f.updated then 'edited'
				when ` + rows.Contacts.Fingerprint("c") + ` <> f.sum then 'altered' end as problem,
			c.last_updated_user_id as user_id, c.last_updated_datetime as at, coalesce(c.offender_id, f.offender_id) as offender_id
		from projection.contact l left join projection.contact_fingerprint f using (contact_id) left join delius.contact c using (contact_id)` + sqlSomeContacts + `
	) select p.problem, p.copy, p.id, p.urn, p.referral, ` + sqlWho

// Delius's index is in the database's own collation, the ledger's URNs are not.
var sqlSecondContacts = `
	with p as (
		select d.contact_id as id, l.urn, l.referral, ` + copyOf(step.SQLContactCopy) + ` as copy, 'twice' as problem,
			d.last_updated_user_id as user_id, d.last_updated_datetime as at, d.offender_id
		from projection.contact l join delius.contact d on d.external_reference = l.urn collate "default" and d.contact_id <> l.contact_id
		join delius.contact c on c.contact_id = l.contact_id` + sqlSomeContacts + ` and d.soft_deleted = 0 and c.soft_deleted = 0
	) select p.problem, p.copy, p.id, p.urn, p.referral, ` + sqlWho

func (l *Ledger) checkContacts(ctx context.Context, transaction pgx.Tx, args []any) ([]verify.Finding, error) {
	found, err := rowFindings(ctx, transaction, verify.InContacts, sqlCheckContacts, args...)
	if err != nil {
		return nil, err
	}
	twice, err := rowFindings(ctx, transaction, verify.InContacts, sqlSecondContacts, append(args, l.Fixed.Users())...)
	if err != nil {
		return nil, err
	}
	altered := alteredOf(found)
	if len(altered) == 0 {
		return append(found, twice...), nil
	}
	rowsLeft, err := step.AlteredContacts(ctx, transaction, &l.Fixed, "l.contact_id = any ($1)", slices.Collect(maps.Keys(altered)))
	for i := range rowsLeft {
		r := &rowsLeft[i]
		altered[r.Is.ID].Differences = differences(rows.Contacts.Differences(&r.Left, &r.Is))
	}
	return append(found, twice...), err
}

var sqlCheckAddresses = `
	with p as (
		select k.id, coalesce(l.booking, '00000000-0000-0000-0000-000000000000') as referral, false as copy,
			case when a.offender_address_id is null then 'gone' when f.offender_address_id is null then 'unknown'
				when a.last_updated_datetime <> f.updated then 'edited' when ` + rows.Addresses.Fingerprint("a") + ` <> f.sum then 'altered' end as problem,
			a.last_updated_user_id as user_id, a.last_updated_datetime as at, coalesce(f.offender_id, a.offender_id) as offender_id
		from ` + ledgerRows(verify.InAddresses, " and id > $3 and id <= $4") + ` left join projection.address l on l.offender_address_id = k.id
		left join projection.address_fingerprint f on f.offender_address_id = k.id left join delius.offender_address a on a.offender_address_id = k.id
	) select p.problem, p.copy, p.id, '', p.referral, ` + sqlWho

var sqlSecondAddresses = `
	with p as (
		select d.offender_address_id as id, l.booking as referral, ` + copyOf(step.SQLAddressCopy) + ` as copy, 'twice' as problem,
			d.last_updated_user_id as user_id, d.last_updated_datetime as at, d.offender_id
		from projection.address l join delius.offender_address a using (offender_address_id) join delius.offender_address d on ` + copyOf(step.SQLSecondAddress) + `
		where ($1::uuid[] is null or l.booking = any ($1)) and ($2::bigint[] is null or true)
			and l.offender_address_id > $3 and l.offender_address_id <= $4
	) select p.problem, p.copy, p.id, '', p.referral, ` + sqlWho

func (l *Ledger) checkAddresses(ctx context.Context, transaction pgx.Tx, args []any) ([]verify.Finding, error) {
	found, err := rowFindings(ctx, transaction, verify.InAddresses, sqlCheckAddresses, args...)
	if err != nil {
		return nil, err
	}
	twice, err := rowFindings(ctx, transaction, verify.InAddresses, sqlSecondAddresses, append(args, []int64{l.Fixed.CAS3})...)
	if err != nil {
		return nil, err
	}
	altered := alteredOf(found)
	if len(altered) == 0 {
		return append(found, twice...), nil
	}
	rowsLeft, err := step.AlteredAddresses(ctx, transaction, &l.Fixed, "k.id = any ($1) and ($2::bigint[] is null or true) and ($3::bigint[] is null or true)",
		slices.Collect(maps.Keys(altered)), []int64(nil), []int64(nil))
	for i := range rowsLeft {
		r := &rowsLeft[i]
		altered[r.Is.ID].Differences = differences(rows.Addresses.Differences(&r.Left, &r.Is))
		if r.Is.OffenderID != r.OffenderID {
			altered[r.Is.ID].StandsOn = r.Is.OffenderID
		}
	}
	return append(found, twice...), err
}

// copyOf is a predicate whose users are the fifth argument.
func copyOf(predicate string) string { return strings.ReplaceAll(predicate, "$2", "$5") }

// alteredOf are the altered rows among findings, by their numbers.
func alteredOf(found []verify.Finding) map[int64]*verify.Finding {
	altered := map[int64]*verify.Finding{}
	for i := range found {
		if found[i].Problem == verify.Altered {
			altered[found[i].Row] = &found[i]
		}
	}
	return altered
}

func differences(of []rows.Difference) []verify.Difference {
	out := make([]verify.Difference, len(of))
	for i, d := range of {
		out[i] = verify.Difference{Field: d.Name, Was: d.Was, Is: d.Is}
	}
	return out
}

// rowFindings collects what a query finds about rows. A second row that only a person
// can have made is theirs.
func rowFindings(ctx context.Context, transaction pgx.Tx, place verify.Place, query string, args ...any) ([]verify.Finding, error) {
	all, err := transaction.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(all, func(row pgx.CollectableRow) (verify.Finding, error) {
		f := verify.Finding{Severity: verify.Damaged, Place: place}
		var copied bool
		err := row.Scan(&f.Problem, &copied, &f.Row, &f.URN, &f.Referral, &f.By, rows.Moment{To: &f.At}, &f.CRN, &f.Offender)
		if f.Problem == verify.EditedByHand || f.Problem == verify.Twice && !copied {
			f.Severity = verify.Edited
		} else {
			f.By, f.At = "", time.Time{}
		}
		return f, err
	})
}
