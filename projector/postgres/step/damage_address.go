package step

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
	"casdelius/store"
)

// sqlWhose tells whose an address row k is in the ledger: its booking, and the offender on
// whom it was left, else on whom it stands.
const sqlWhose = `coalesce(l.booking, '00000000-0000-0000-0000-000000000000'), coalesce(f.offender_id, a.offender_id, 0)`

// sqlKnownAddresses are the rows of the ledger as a source k, with what is known of each.
const sqlKnownAddresses = SQLAddressesOf + ` k
	left join projection.address l on l.offender_address_id = k.id
	left join projection.address_fingerprint f on f.offender_address_id = k.id
	left join delius.offender_address a on a.offender_address_id = k.id`

// sqlAlteredOf picks the rows of the ledger that belong to these people, and those that stand
// on them and were left on another.
const sqlAlteredOf = "k.id in (select id from " + SQLAddressesOf + ` o
	union all select a.offender_address_id from delius.offender_address a join projection.address_fingerprint f using (offender_address_id)
		where a.offender_id = any ($3) and f.offender_id <> a.offender_id)
	and ($2::bigint[] is null or true)`

var (
	sqlCopiedAddresses = "select " + rows.Addresses.List("d") + `, false, coalesce(s.code_value, ''), false, l.offender_address_id, l.booking
		from projection.address l join delius.offender_address a using (offender_address_id) join delius.offender_address d on ` + SQLSecondAddress + `
		left join delius.r_standard_reference_list s on s.standard_reference_list_id = d.address_status_id
		where l.booking = any ($1) and ` + SQLAddressCopy + " order by d.offender_address_id"

	sqlGoneAddresses = "select k.id, " + sqlWhose + " from " + sqlKnownAddresses + " where ($2::bigint[] is null or true) and a.offender_address_id is null"

	sqlUnknownAddresses = "select k.id, " + sqlWhose + " from " + sqlKnownAddresses + `
		where ($2::bigint[] is null or true) and a.offender_address_id is not null and f.offender_address_id is null`
)

// whose is to whom an address row of the ledger belongs.
type whose struct {
	id       int64
	booking  store.Referral
	offender int64
}

// of is the damage of the person whose row it is; nil if that is none of these.
func (l *loader) of(w whose) *delius.Damage {
	if i, ok := l.byReferral[w.booking]; ok {
		return l.subjects[i].Current.Damage
	}
	if i, ok := l.byOffender[w.offender]; ok && w.booking == store.Referral(uuid.Nil) {
		return l.subjects[i].Current.Damage
	}
	return nil
}

func (l *loader) damagedAddresses(ctx context.Context, transaction pgx.Tx) error {
	referrals, users, offenders := l.referrals(), []int64{l.fixed.CAS3}, l.offenders()
	var b pgx.Batch
	b.Queue(sqlCopiedAddresses, referrals, users).Query(func(found pgx.Rows) error {
		type copied struct {
			delius.Copied[delius.AddressRow]
			whose
		}
		return each(found, func(c *copied) []any { return append(addressTargets(&c.Row), &c.Of, &c.booking) }, func(c copied) {
			if of := l.of(c.whose); of != nil {
				of.CopiedAddresses = append(of.CopiedAddresses, c.Copied)
			}
		})
	})
	l.queueWhose(&b, sqlGoneAddresses, func(of *delius.Damage, id int64) { of.GoneAddresses = append(of.GoneAddresses, id) })
	l.queueWhose(&b, sqlUnknownAddresses, func(of *delius.Damage, id int64) { of.UnknownAddresses = append(of.UnknownAddresses, id) })
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	altered, err := AlteredAddresses(ctx, transaction, l.fixed, sqlAlteredOf, referrals, users, offenders)
	for _, a := range altered {
		if i, here := l.byOffender[a.Is.OffenderID]; here && a.Is.OffenderID != a.OffenderID {
			on := l.subjects[i].Current.Damage
			on.MisplacedAddresses = append(on.MisplacedAddresses, a.Is.ID)
		}
		if of := l.of(whose{a.Is.ID, a.Booking, a.OffenderID}); of != nil {
			of.Addresses[a.Is.ID] = a.Damaged
		}
	}
	return err
}

func (l *loader) queueWhose(b *pgx.Batch, query string, found func(*delius.Damage, int64)) {
	b.Queue(query, l.referrals(), []int64{l.fixed.CAS3}, l.offenders()).Query(func(all pgx.Rows) error {
		return each(all, func(w *whose) []any { return []any{&w.id, &w.booking, &w.offender} }, func(w whose) {
			if of := l.of(w); of != nil && !slices.Contains(of.GoneAddresses, w.id) {
				found(of, w.id)
			}
		})
	})
}
