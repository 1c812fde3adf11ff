package inbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/people"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

const (
	sqlWake  = "insert into projection.due (referral) select referral from (" + people.SQLReferralsNaming + ") w order by 1"
	sqlWoken = "select referral, max(coalesce(nullif(crn, ''), noms))::text from (" + people.SQLReferralsNaming + ") w join projection.identity using (referral) group by referral order by referral"
)

// wake marks the referrals that the person events among messages wake, as often as they come.
// What a step has read before does not clear these marks, and what it reads after them is
// Delius as it was when the person event was raised, or later.
func wake(ctx context.Context, transaction pgx.Tx, messages []store.Stored) error {
	var events []*store.PersonEvent
	for i := range messages {
		if messages[i].Person != nil {
			events = append(events, messages[i].Person)
		}
	}
	if len(events) == 0 {
		return nil
	}
	names, err := namesIn(ctx, transaction, events)
	if err != nil {
		return err
	}
	_, err = transaction.Exec(ctx, sqlWake, names...)
	return err
}

// namesIn are the CRNs and NOMS numbers that person events name, and those of the offenders
// who have one of these or whom merges connect with them: the arguments of [people.SQLReferralsNaming].
func namesIn(ctx context.Context, transaction pgx.Tx, events []*store.PersonEvent) ([]any, error) {
	var names people.Names
	crns, noms := []store.CRN{}, []store.NOMS{}
	for _, e := range events {
		names.Add(e.CRNs, e.NOMS)
		crns, noms = append(crns, e.CRNs...), append(noms, e.NOMS...)
	}
	err := people.LookUp(ctx, transaction, &names, func(o delius.Offender) {
		crns, noms = append(crns, o.CRN), append(noms, o.NOMS)
	}, nil)
	return []any{crns, noms}, err
}

// sqlKnown finds events under their sequences, and whether somebody has marked their referrals. What
// is known to be damaged is to be put there again.
const sqlKnown = `
	select e.sequence, exists (select from projection.due d where d.referral = e.referral)
	from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) as b (referral, type, id, sequence) join projection.event e using (sequence)
	where e.referral = b.referral and e.type = b.type and e.id = b.id and not exists (select from projection.damage d where d.sequence = e.sequence)`

// Known implements projector.Due.
func (i *Inbox) Known(ctx context.Context, events []store.Stored) (map[uint64]bool, error) {
	transaction, err := i.DB.LookMany(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, transaction)
	all, _ := winners(events)
	known := make(map[uint64]bool, len(all))
	rows, err := transaction.Query(ctx, sqlKnown, placeColumns(all)...) //nolint:rowserrcheck // ForEachRow checks it
	if err == nil {
		var sequence uint64
		var due bool
		_, err = pgx.ForEachRow(rows, []any{&sequence, &due}, func() error {
			known[sequence] = due
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("asking which of %d events the inbox has: %w", len(events), tx.Translate(err))
	}
	return known, nil
}

// Woken implements projector.Due.
func (i *Inbox) Woken(ctx context.Context, events []*store.PersonEvent) ([]projector.Woken, error) {
	transaction, err := i.DB.LookMany(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, transaction)
	failed := func(err error) error {
		return fmt.Errorf("asking whom %d person events wake: %w", len(events), tx.Translate(err))
	}
	names, err := namesIn(ctx, transaction, events)
	if err != nil {
		return nil, failed(err)
	}
	rows, err := transaction.Query(ctx, sqlWoken, names...)
	if err != nil {
		return nil, failed(err)
	}
	woken, err := pgx.CollectRows(rows, pgx.RowToStructByPos[projector.Woken])
	if err != nil {
		return nil, failed(err)
	}
	return woken, nil
}
