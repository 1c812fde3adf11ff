package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/store"
)

// Conflicts lists the values of people's that events have replaced, in the order in
// which that happened.
func (db *Database) Conflicts(ctx context.Context, filter projector.Filter) ([]projector.Conflict, error) {
	return conflicts(ctx, db.pool, "($1 = '' or crn = $1) and at >= $2", string(filter.CRN), filter.Since)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

func conflicts(ctx context.Context, db querier, where string, args ...any) ([]projector.Conflict, error) {
	rows, err := db.Query(ctx, `
		select conflict_id, at, crn, urn, coalesce(offender_address_id, 0), field, replaced, with_value, events
		from projection.conflict where `+where+` order by at, conflict_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("listing conflicts: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (projector.Conflict, error) {
		var c projector.Conflict
		err := row.Scan(&c.Number, &c.At, &c.CRN, &c.URN, &c.AddressID, &c.Field, &c.Replaced, &c.With, &c.EventIDs)
		c.At = c.At.UTC()
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing conflicts: %w", translate(err))
	}
	return list, nil
}

// sqlParked is what is parked with whom the latest event of its referral names.
const sqlParked = `
	select p.*, coalesce(c.crn, '') as crn, coalesce(n.noms, '') as noms
	from projection.parked p
	left join lateral (
		select e.crn from projection.event e
		where e.referral = p.referral and e.crn is not null order by e.emitted desc, e.id desc limit 1) c on true
	left join lateral (
		select e.noms from projection.event e
		where e.referral = p.referral and e.noms is not null order by e.emitted desc, e.id desc limit 1) n on true`

// sqlPicked picks of it what a filter is for: $1 is a CRN, $2 a cause.
const sqlPicked = "($1 = '' or crn = $1) and ($2 = '' or cause = $2)"

// Parked lists what is parked, the oldest first.
func (db *Database) Parked(ctx context.Context, filter projector.Filter) ([]projector.Parked, error) {
	rows, err := db.pool.Query(ctx, `
		select crn, noms, referral, urn, address, event, cause, problem, since, tries, retry_at
		from (`+sqlParked+`) p where `+sqlPicked+`
		order by since, referral, urn, address, event`, string(filter.CRN), string(filter.Cause))
	if err != nil {
		return nil, fmt.Errorf("listing what is parked: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (projector.Parked, error) {
		var p projector.Parked
		var event string
		var retry *time.Time
		err := row.Scan(&p.CRN, &p.NOMS, &p.Referral, &p.URN, &p.Address, &event, &p.Cause, &p.Problem, &p.Since, &p.Tries, &retry)
		if kind, id, isEvent := strings.Cut(event, " "); isEvent {
			p.Events = []store.Key{{Type: store.Type(kind), Referral: p.Referral, ID: id}}
		}
		p.Since, p.RetryAt = p.Since.UTC(), orZero(retry)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing what is parked: %w", translate(err))
	}
	return list, nil
}

// RetryParked makes what is parked be tried again at once, and returns how many
// contacts and addresses that is. Events that are parked themselves never change, and
// are not among them; neither is what is being tried right now.
func (db *Database) RetryParked(ctx context.Context, filter projector.Filter, now time.Time) (int, error) {
	tag, err := db.pool.Exec(ctx, `
		with picked as (
			select referral, urn, address, event from (`+sqlParked+`) p where retry_at is not null and `+sqlPicked+`
		), locked as (
			select p.referral, p.urn, p.address, p.event
			from projection.parked p join picked using (referral, urn, address, event)
			order by 1, 2, 3, 4 for update of p skip locked
		)
		update projection.parked p set retry_at = least(retry_at, $3)
		from locked l where (p.referral, p.urn, p.address, p.event) = (l.referral, l.urn, l.address, l.event)`,
		string(filter.CRN), string(filter.Cause), now)
	if err != nil {
		return 0, fmt.Errorf("making what is parked be tried again: %w", translate(err))
	}
	return int(tag.RowsAffected()), nil
}
