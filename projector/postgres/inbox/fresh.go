package inbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/freshness"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/referrals"
	"casdelius/store"
)

var _ freshness.Inbox = (*Inbox)(nil)

// sqlOtherTypes is the predicate of the index event_other_type, word for word.
const sqlOtherTypes = `type not in (
	'applications.cas2.application.submitted', 'applications.cas2.application.status-updated',
	'accommodation.cas3.referral.submitted',
	'accommodation.cas3.booking.provisionally-made', 'accommodation.cas3.booking.confirmed',
	'accommodation.cas3.booking.cancelled', 'accommodation.cas3.booking.cancelled.updated',
	'accommodation.cas3.person.arrived', 'accommodation.cas3.person.arrived.updated',
	'accommodation.cas3.person.departed', 'accommodation.cas3.person.departed.updated')`

// sqlLacks finds the first gap within a range, by its ends alone, and counts what is without an
// event before it: it goes along two indexes.
const sqlLacks = `
	with recorded as (
		select sequence, other, lag(sequence, 1, $1::bigint) over (order by sequence) as before from (
			select sequence, false as other from projection.event where sequence > $1 and sequence <= $2
			union all
			select sequence, true from projection.other_sequence where sequence > $1 and sequence <= $2
			union all
			select $2 + 1, false
		) s
	), gap as (select min(before + 1) as first from recorded where sequence > before + 1)
	select coalesce(first, 0),
	(select count(*) from recorded where other and (first is null or sequence < first)),
	greatest((select coalesce(max(sequence), 0) from projection.event), (select coalesce(max(sequence), 0) from projection.other_sequence))
	from gap`

// Lacks implements freshness.Inbox.
func (i *Inbox) Lacks(ctx context.Context, after, to uint64) (freshness.Recorded, error) {
	var is freshness.Recorded
	transaction, err := i.DB.LookMany(ctx)
	if err != nil {
		return is, err
	}
	defer tx.Rollback(ctx, transaction)
	if err := transaction.QueryRow(ctx, sqlLacks, int64(after), int64(to)).Scan(&is.Gap, &is.Others, &is.Last); err != nil { //nolint:gosec // sequences are smaller
		return is, fmt.Errorf("looking for what the inbox lacks after sequence %d: %w", after, tx.Translate(err))
	}
	return is, nil
}

// Whatever is not applied is due or parked: to look at the whole inbox for it would take longer
// every day. Those who have been due for longest have the oldest event.
var sqlWaiting = `
	select e.sequence, e.stored
	from (select distinct referral from (select referral from projection.due where referral <> all ($1) order by mark limit 1000) d) r
		join projection.event e using (referral) join ` + sqlTypes + ` using (type)
	where not exists (select from projection.applied a where a.sequence = e.sequence)
		and not exists (select from projection.failing f where f.referral = e.referral and f.tries >= $2)
		and not exists (select from projection.parked p where p.referral = e.referral
			and (p.event = e.type || ' ' || e.id or p.urn = k.urn || e.referral::text and not p.address and p.retry_at is not null))
	order by e.stored, e.sequence limit 1`

// Waiting implements freshness.Inbox.
func (i *Inbox) Waiting(ctx context.Context, except []store.Referral) (freshness.Message, error) {
	transaction, err := i.DB.LookMany(ctx)
	if err != nil {
		return freshness.Message{}, err
	}
	defer tx.Rollback(ctx, transaction)
	var m freshness.Message
	err = transaction.QueryRow(ctx, sqlWaiting, append([]store.Referral{}, except...), referrals.Persistent).Scan(&m.Sequence, &m.Stored)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return freshness.Message{}, fmt.Errorf("looking for the oldest event that is not applied: %w", tx.Translate(err))
	}
	m.Stored = m.Stored.UTC()
	return m, nil
}
