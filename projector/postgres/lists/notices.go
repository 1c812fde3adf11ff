package lists

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
)

// Notices lists the notices that wait, in the order in which they were kept. Of a selection
// its CRNs count; of these it lists what was sent in the last days, too. It lists so many at
// most; 0 is all.
func (l *Lists) Notices(ctx context.Context, who projector.Selection, limit int) ([]inspect.Notice, error) {
	which, args := "o.sent is null", []any{limit}
	if len(who.CRNs) > 0 {
		which, args = "o.crn = any ($2)", []any{limit, texts(who.CRNs)}
	}
	rows, err := l.DB.Pool.Query(ctx, `
		select o.number, o.crn, o.offender_address_id, o.kind, o.status, o.occurred, o.cause, o.tries, o.error,
			case when isfinite(o.next_try) then o.next_try end, o.holder, case when isfinite(o.lease_end) then o.lease_end end, o.sent,
			coalesce(case when o.sent is null then (
				select max(e.number) from projection.outbox e
				where e.sent is null and e.number < o.number and (e.offender_id = o.offender_id or e.offender_address_id = o.offender_address_id)
			) end, 0),
			case
				when o.sent is not null then 'sent'
				when o.lease_end > now() then 'in-flight'
				when o.tries > 0 then 'failed'
				else 'waiting'
			end
		from projection.outbox o
		where `+which+` order by o.number limit nullif($1, 0)`, args...)
	if err != nil {
		return nil, fmt.Errorf("listing notices: %w", tx.Translate(err))
	}
	list, err := pgx.CollectRows(rows, notice)
	if err != nil {
		return nil, fmt.Errorf("listing notices: %w", tx.Translate(err))
	}
	return list, nil
}

func notice(row pgx.CollectableRow) (inspect.Notice, error) {
	var n inspect.Notice
	var next, end, sent *time.Time
	err := row.Scan(&n.Number, &n.CRN, &n.AddressID, &n.Kind, &n.Status, &n.Occurred, &n.Cause, &n.Tries, &n.Error,
		&next, &n.Holder, &end, &sent, &n.After, &n.State)
	n.Occurred = n.Occurred.UTC()
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{next, &n.NextTry}, {end, &n.LeaseEnd}, {sent, &n.SentAt}} {
		if t.from != nil {
			*t.to = t.from.UTC()
		}
	}
	if n.State == inspect.Waiting && n.After != 0 {
		n.State = inspect.Behind
	}
	return n, err
}
