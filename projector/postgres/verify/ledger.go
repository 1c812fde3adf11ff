package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/inbox"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/verify"
	"casdelius/store"
)

// foldedRows are the rows of the ledger with the hashes of the events that they were folded
// from, as a source l.
var foldedRows = map[verify.Place]string{
	verify.InContacts: `(
		select contact_id as id, urn, referral, events, f.offender_id
		from projection.contact left join projection.contact_fingerprint f using (contact_id)) l`,
	verify.InAddresses: `(
		select offender_address_id as id, '' as urn, booking as referral, events, f.offender_id
		from projection.address left join projection.address_fingerprint f using (offender_address_id)) l`,
}

// folded is a row of the ledger.
type folded struct {
	ID       int64
	Referral store.Referral
	Events   []int64 // hashes
}

// lackingEvents lists the rows of a place, of those that a condition picks, that were
// folded from events that the inbox does not have, with the hashes of these. The ledger is
// read before the inbox: what is put there meanwhile is not missed.
func lackingEvents(ctx context.Context, transaction pgx.Tx, place verify.Place, which string, args ...any) ([]folded, error) {
	rows, err := transaction.Query(ctx, "select coalesce(id, 0), referral, events from "+foldedRows[place]+" where "+which, args...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[folded])
	if err != nil {
		return nil, err
	}
	referrals := make([]store.Referral, len(all))
	for i := range all {
		referrals[i] = all[i].Referral
	}
	//nolint:rowserrcheck // ForEachRow checks it
	rows, err = transaction.Query(ctx, "select referral, type, id from projection.event where referral = any ($1)", referrals)
	if err != nil {
		return nil, err
	}
	has := map[int64]bool{}
	var k store.Key
	_, err = pgx.ForEachRow(rows, []any{&k.Referral, &k.Type, &k.ID}, func() error {
		has[delius.HashOf(k)] = true
		return nil
	})
	var lacking []folded
	for _, row := range all {
		row.Events = slices.DeleteFunc(row.Events, func(hash int64) bool { return has[hash] })
		if len(row.Events) > 0 {
			lacking = append(lacking, row)
		}
	}
	return lacking, err
}

// Lost implements verify.Ledger.
func (l *Ledger) Lost(ctx context.Context, place verify.Place, selection *projector.Selection, after, last int64) ([]verify.Finding, error) {
	transaction, err := l.DB.LookMany(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, transaction)
	found, err := lost(ctx, transaction, place, selection, after, last)
	if err != nil {
		return nil, fmt.Errorf("holding the %s rows of the ledger against the inbox: %w", place, tx.Translate(err))
	}
	return found, nil
}

func lost(ctx context.Context, transaction pgx.Tx, place verify.Place, selection *projector.Selection, after, last int64) ([]verify.Finding, error) {
	referrals, _ := limits(selection)
	lacking, err := lackingEvents(ctx, transaction, place, "($1::uuid[] is null or referral = any ($1)) and id > $2 and id <= $3", referrals, after, last)
	if err != nil || len(lacking) == 0 {
		return nil, err
	}
	ids := make([]int64, len(lacking))
	for i := range lacking {
		ids[i] = lacking[i].ID
	}
	return rowFindings(ctx, transaction, place, `
		select 'lost', false, l.id, l.urn, l.referral, '', 'epoch'::timestamptz, coalesce(o.crn, ''), coalesce(l.offender_id, 0)
		from `+foldedRows[place]+` left join delius.offender o using (offender_id)
		where l.id = any ($1) order by l.id`, ids)
}

// Forget implements verify.Ledger.
func (l *Ledger) Forget(ctx context.Context, referrals []store.Referral) error {
	transaction, err := l.DB.Fill(ctx, len(referrals))
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx, transaction)
	if err := forget(ctx, transaction, referrals); err != nil {
		return fmt.Errorf("forgetting lost events of %d referrals: %w", len(referrals), tx.Translate(err))
	}
	return tx.Translate(transaction.Commit(ctx))
}

func forget(ctx context.Context, transaction pgx.Tx, referrals []store.Referral) error {
	var b pgx.Batch
	for _, place := range []verify.Place{verify.InContacts, verify.InAddresses} {
		lacking, err := lackingEvents(ctx, transaction, place, "referral = any ($1) order by id", referrals)
		if err != nil {
			return err
		}
		for _, row := range lacking {
			for _, hash := range row.Events {
				inbox.QueueForget(&b, row.Referral, hash)
			}
		}
	}
	return transaction.SendBatch(ctx, &b).Close()
}
