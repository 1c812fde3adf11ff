package lists

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/requests"
	"casdelius/store"
)

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// Conflicts lists the values of people's that events have replaced since a time, in the order
// in which that happened. Of a selection its CRNs count.
func (l *Lists) Conflicts(ctx context.Context, who projector.Selection, since time.Time) ([]inspect.Conflict, error) {
	if len(who.CRNs) == 0 {
		return conflicts(ctx, l.DB.Pool, "at >= $1 order by at, conflict_id", since)
	}
	return conflicts(ctx, l.DB.Pool, "crn = any ($1) and at >= $2 order by at, conflict_id", texts(who.CRNs), since)
}

// OpenConflicts lists those that are neither reviewed nor restored before a number, the newest
// first; 0 is all.
func (l *Lists) OpenConflicts(ctx context.Context, before int64, limit int) ([]inspect.Conflict, error) {
	return conflicts(ctx, l.DB.Pool, "settled is null and conflict_id < $1 order by conflict_id desc limit $2", orLast(before), limit)
}

// NewestConflicts lists conflicts before a number, the newest first, settled ones too; 0 is all.
func (l *Lists) NewestConflicts(ctx context.Context, before int64, limit int) ([]inspect.Conflict, error) {
	return conflicts(ctx, l.DB.Pool, "conflict_id < $1 order by conflict_id desc limit $2", orLast(before), limit)
}

// Conflict gives one; nil if there is none.
func (l *Lists) Conflict(ctx context.Context, number int64) (*inspect.Conflict, error) {
	list, err := conflicts(ctx, l.DB.Pool, "conflict_id = $1", number)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func orLast(before int64) int64 {
	if before == 0 {
		return math.MaxInt64
	}
	return before
}

func texts(crns []store.CRN) []string {
	out := make([]string, len(crns))
	for i, crn := range crns {
		out[i] = string(crn)
	}
	return out
}

// conflicts reads those that a condition selects. Whose value it was is known where no service
// of ours had changed the row last.
func conflicts(ctx context.Context, db querier, which string, args ...any) ([]inspect.Conflict, error) {
	rows, err := db.Query(ctx, `
		select conflict_id, at, crn, urn, coalesce(offender_address_id, 0), field, replaced, with_value, events,
			coalesce((select u.distinguished_name from delius.user_ u
				where u.user_id = edited_user and u.distinguished_name not in ('Cas2AndDelius', 'Cas3AndDelius')), ''),
			case when isfinite(edited_at) then edited_at end, value is not null and settled_as <> 'restored', settled, settled_as, settled_by, settled_why
		from projection.conflict where `+which, args...)
	if err != nil {
		return nil, fmt.Errorf("listing conflicts: %w", tx.Translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (inspect.Conflict, error) {
		var c inspect.Conflict
		var edited, settled *time.Time
		err := row.Scan(&c.Number, &c.At, &c.CRN, &c.URN, &c.AddressID, &c.Field, &c.Replaced, &c.With, &c.EventIDs,
			&c.EditedBy, &edited, &c.Restorable, &settled, &c.SettledAs, &c.SettledBy, &c.SettledWhy)
		c.At, c.Settled = c.At.UTC(), orZero(settled)
		if c.EditedBy != "" {
			c.EditedAt = orZero(edited)
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing conflicts: %w", tx.Translate(err))
	}
	return list, nil
}

// Replaced implements requests.Conflicts.
func (l *Lists) Replaced(ctx context.Context, conflict int64) (delius.Restore, store.CRN, []store.Referral, error) {
	var r delius.Restore
	var crn store.CRN
	var value []byte
	var settled string
	var booking *store.Referral
	var offender *int64
	err := l.DB.Pool.QueryRow(ctx, `
		select c.crn, c.urn, coalesce(c.offender_address_id, 0), c.field, c.with_value, c.value, c.settled_as, coalesce(k.referral, a.booking), o.offender_id
		from projection.conflict c
		left join projection.contact k on c.urn <> '' and k.urn = c.urn
		left join projection.address a on a.offender_address_id = c.offender_address_id
		left join delius.offender_address o on o.offender_address_id = c.offender_address_id
		where c.conflict_id = $1`, conflict).Scan(&crn, &r.URN, &r.AddressID, &r.Field, &r.With, &value, &settled, &booking, &offender)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return r, "", nil, requests.Refuse("there is no conflict %d", conflict)
	case err != nil:
		return r, "", nil, fmt.Errorf("reading conflict %d: %w", conflict, tx.Translate(err))
	case settled == "restored":
		return r, crn, nil, requests.Refuse("conflict %d is restored already", conflict)
	case value == nil:
		return r, crn, nil, requests.Refuse("the value of conflict %d was not kept whole: enter it by hand", conflict)
	}
	if err := json.Unmarshal(value, &r.Value); err != nil {
		return r, crn, nil, fmt.Errorf("reading the value of conflict %d: %w", conflict, err)
	}
	if booking != nil {
		return r, crn, []store.Referral{*booking}, nil
	}
	var referrals []store.Referral
	if offender != nil {
		if referrals, err = l.Finder.ReferralsOf(ctx, []int64{*offender}); err != nil {
			return r, crn, nil, err
		}
	}
	if len(referrals) == 0 {
		return r, crn, nil, requests.Refuse("the row of conflict %d is nobody's any more", conflict)
	}
	return r, crn, referrals, nil
}
