package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

// foldedRows are the rows of the ledger with the hashes of the events that they were folded
// from, as a source l.
var foldedRows = map[projector.Place]string{
	projector.InContacts: `(
		select contact_id as id, urn, referral, events, s.offender_id
		from projection.contact left join projection.contact_seal s using (contact_id)) l`,
	projector.InAddresses: `(
		select offender_address_id as id, '' as urn, booking as referral, events, s.offender_id
		from projection.address left join projection.address_seal s using (offender_address_id)) l`,
}

// folded is a row of the ledger.
type folded struct {
	ID       int64
	Referral store.Referral
	Events   []int64 // hashes
}

// lackingEvents lists the rows of a place, of those that a condition picks, that were
// folded from events that the inbox does not hold, with the hashes of these. The ledger is
// read before the inbox: what is put there meanwhile is not missed.
func lackingEvents(ctx context.Context, tx pgx.Tx, place projector.Place, which string, args ...any) ([]folded, error) {
	rows, err := tx.Query(ctx, "select coalesce(id, 0), referral, events from "+foldedRows[place]+" where "+which, args...)
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
	rows, err = tx.Query(ctx, "select referral, type, id from projection.event where referral = any ($1)", referrals)
	if err != nil {
		return nil, err
	}
	held := map[int64]bool{}
	var k store.Key
	_, err = pgx.ForEachRow(rows, []any{&k.Referral, &k.Type, &k.ID}, func() error {
		held[delius.HashOf(k)] = true
		return nil
	})
	var lacking []folded
	for _, row := range all {
		row.Events = slices.DeleteFunc(row.Events, func(hash int64) bool { return held[hash] })
		if len(row.Events) > 0 {
			lacking = append(lacking, row)
		}
	}
	return lacking, err
}

// Lost implements projector.Inspector.
func (db *Database) Lost(ctx context.Context, place projector.Place, scope *projector.Scope, after, last int64) ([]projector.Finding, error) {
	tx, err := db.beginLook(ctx)
	if err != nil {
		return nil, err
	}
	defer rollback(ctx, tx)
	found, err := lost(ctx, tx, place, scope, after, last)
	if err != nil {
		return nil, fmt.Errorf("holding the %s rows of the ledger against the inbox: %w", place, translate(err))
	}
	return found, nil
}

func lost(ctx context.Context, tx pgx.Tx, place projector.Place, scope *projector.Scope, after, last int64) ([]projector.Finding, error) {
	referrals, _ := limits(scope)
	lacking, err := lackingEvents(ctx, tx, place, "($1::uuid[] is null or referral = any ($1)) and id > $2 and id <= $3", referrals, after, last)
	if err != nil || len(lacking) == 0 {
		return nil, err
	}
	ids := make([]int64, len(lacking))
	for i := range lacking {
		ids[i] = lacking[i].ID
	}
	return rowFindings(ctx, tx, place, `
		select 'lost', false, l.id, l.urn, l.referral, '', 'epoch'::timestamptz, coalesce(o.crn, ''), coalesce(l.offender_id, 0)
		from `+foldedRows[place]+` left join delius.offender o using (offender_id)
		where l.id = any ($1) order by l.id`, ids)
}

// Forget implements projector.Inspector.
func (db *Database) Forget(ctx context.Context, referrals []store.Referral) error {
	tx, err := db.begin(ctx)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	if err := forget(ctx, tx, referrals); err != nil {
		return fmt.Errorf("forgetting lost events of %d referrals: %w", len(referrals), translate(err))
	}
	return translate(tx.Commit(ctx))
}

func forget(ctx context.Context, tx pgx.Tx, referrals []store.Referral) error {
	var b pgx.Batch
	for _, place := range []projector.Place{projector.InContacts, projector.InAddresses} {
		lacking, err := lackingEvents(ctx, tx, place, "referral = any ($1) order by id", referrals)
		if err != nil {
			return err
		}
		for _, row := range lacking {
			for _, hash := range row.Events {
				queueForget(&b, row.Referral, hash)
			}
		}
	}
	return tx.SendBatch(ctx, &b).Close()
}

// queueForget makes the ledger forget one event of a referral, who is to be looked at then.
func queueForget(b *pgx.Batch, referral store.Referral, hash int64) {
	b.Queue("update projection.contact set events = array_remove(events, $2) where referral = $1 and $2 = any (events)", referral, hash)
	b.Queue("update projection.address set events = array_remove(events, $2) where booking = $1 and $2 = any (events)", referral, hash)
	b.Queue("insert into projection.due (referral) values ($1)", referral)
}
