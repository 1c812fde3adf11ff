// Package outbox is what others are still to be told of address rows, and what they were told
// in the last days. Package write keeps the notices; a relay takes, sends and settles them.
//
// A notice is taken with a lease, in a transaction that is over before anything is sent. A
// lease ends by itself, so that another relay goes on where one was killed or hangs; whoever
// had it can then settle nothing any more. Of a person, and of an address row, only the first
// notice that waits can be taken: the next one when that one is known to be sent.
//
// All times of leases and pauses are the database's, whichever machine asks.
package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres/tx"
	"casdelius/projector/relay"
	"casdelius/store/failpoint"
)

// Outbox implements relay.Outbox.
type Outbox struct{ DB *tx.DB }

// sqlTake takes notices that are the first of their person and of their address row. One that
// failed before is taken alone: what SNS has against it must not fail others again.
const sqlTake = `
	with free as materialized (
		select o.number, o.tries > 0 as failed from projection.outbox o
		where o.sent is null and o.next_try <= now() and o.lease_end <= now()
			and not exists (select from projection.outbox e where e.sent is null and e.offender_id = o.offender_id and e.number < o.number)
			and not exists (select from projection.outbox e where e.sent is null and e.offender_address_id = o.offender_address_id and e.number < o.number)
		order by o.number limit $1 for update of o skip locked
	), first as (
		select number, failed from free order by number limit 1
	)
	update projection.outbox o set holder = $2, lease_end = now() + $3::interval
	from free, first
	where o.number = free.number and (free.number = first.number or not free.failed and not first.failed)
	returning o.number, o.offender_address_id, o.offender_id, o.crn, o.kind, o.status, o.occurred, o.trace, o.tries, o.lease_end`

// Take implements relay.Outbox.
func (o *Outbox) Take(ctx context.Context, holder string, length time.Duration, limit int) (relay.Lease, error) {
	lease := relay.Lease{Holder: holder}
	err := o.write(ctx, "taking notices", func(t pgx.Tx) error {
		rows, err := t.Query(ctx, sqlTake, limit, holder, length)
		if err != nil {
			return err
		}
		lease.Notices, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (relay.Notice, error) {
			var n relay.Notice
			err := row.Scan(&n.Number, &n.AddressID, &n.OffenderID, &n.CRN, &n.Kind, &n.Status, &n.Occurred, &n.Trace, &n.Tries, &lease.End)
			return n, err
		})
		return err
	})
	return lease, err
}

// sqlSettle writes what came of notices whose lease has not passed to another.
const sqlSettle = `
	update projection.outbox o
	set holder = '', lease_end = '-infinity',
		tries = o.tries + (not r.gave_back)::int,
		error = case when r.gave_back then o.error else r.error end,
		sent = case when r.error = '' and not r.gave_back then now() end,
		next_try = case when r.error = '' then o.next_try else now() + r.pause end
	from unnest($1::bigint[], $2::text[], $3::interval[], $4::boolean[]) as r (number, error, pause, gave_back)
	where o.number = r.number and o.sent is null and o.holder = $5 and o.lease_end = $6`

// Settle implements relay.Outbox.
func (o *Outbox) Settle(ctx context.Context, lease *relay.Lease, outcomes []relay.Outcome) (settled int, err error) {
	var numbers []int64
	var failures []string
	var pauses []time.Duration
	var back []bool
	for _, out := range outcomes {
		numbers, failures, pauses, back = append(numbers, out.Number), append(failures, out.Failure), append(pauses, out.Pause), append(back, out.GaveBack)
	}
	err = failpoint.Around(ctx, failpoint.NoticeAcknowledged, func() error {
		return o.write(ctx, "settling notices", func(t pgx.Tx) error {
			tag, err := t.Exec(ctx, sqlSettle, numbers, failures, pauses, back, lease.Holder, lease.End)
			settled = int(tag.RowsAffected())
			return err
		})
	})
	return settled, err
}

// Forget implements relay.Outbox.
func (o *Outbox) Forget(ctx context.Context, age time.Duration, limit int) (forgotten int, err error) {
	err = o.write(ctx, "forgetting notices that were sent", func(t pgx.Tx) error {
		tag, err := t.Exec(ctx, `
			delete from projection.outbox where number = any (array(
				select number from projection.outbox where sent < now() - $1::interval order by sent limit $2 for update skip locked))`, age, limit)
		forgotten = int(tag.RowsAffected())
		return err
	})
	return forgotten, err
}

// Backlog implements relay.Outbox.
func (o *Outbox) Backlog(ctx context.Context) (relay.Backlog, error) {
	var b relay.Backlog
	var oldest *time.Time
	err := o.DB.Pool.QueryRow(ctx, `
		select (select kept from projection.notices), count(*), min(occurred) from projection.outbox where sent is null`).Scan(&b.Kept, &b.Waiting, &oldest)
	if err != nil {
		return b, fmt.Errorf("counting the notices that wait: %w", tx.Translate(err))
	}
	if oldest != nil {
		b.Oldest = oldest.UTC()
	}
	return b, nil
}

// write runs f in a transaction of its own.
func (o *Outbox) write(ctx context.Context, doing string, f func(pgx.Tx) error) error {
	t, err := o.DB.WriteQueue(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer tx.Rollback(ctx, t)
	if err := f(t); err != nil {
		return fmt.Errorf("%s: %w", doing, tx.Translate(err))
	}
	if err := t.Commit(ctx); err != nil {
		return fmt.Errorf("%s: %w", doing, tx.Translate(err))
	}
	return nil
}
