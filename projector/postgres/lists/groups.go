package lists

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
)

// ParkedGroups lists what is parked by what would free it: the same cause and the same missing
// reference, those that concern most people first.
func (l *Lists) ParkedGroups(ctx context.Context, limit int) ([]inspect.ParkedGroup, error) {
	rows, err := l.DB.Pool.Query(ctx, `
		with groups as (
			select cause, problem, count(*) as items, count(distinct referral) as referrals, min(since) as since, min(retry_at) as next_try, array_agg(distinct referral) as of
			from projection.parked group by cause, problem order by count(distinct referral) desc, cause, problem limit $1
		)
		select cause, problem, items, referrals,
			(select count(distinct coalesce(nullif(i.crn, ''), i.noms)) from projection.identity i where i.referral = any (g.of)) as people, since, next_try
		from groups g order by people desc, referrals desc, cause, problem`, limit)
	if err == nil {
		var list []inspect.ParkedGroup
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (inspect.ParkedGroup, error) {
			var g inspect.ParkedGroup
			var next *time.Time
			err := row.Scan(&g.Cause, &g.Problem, &g.Items, &g.Referrals, &g.People, &g.Since, &next)
			g.Since, g.NextTry, g.Remedy = g.Since.UTC(), orZero(next), g.Cause.Remedy()
			return g, err
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("grouping what is parked: %w", tx.Translate(err))
}
