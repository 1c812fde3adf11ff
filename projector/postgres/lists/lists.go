// Package lists reads what is shown: histories, what is parked, conflicts. It locks nothing
// and, but for making what is parked be tried again, writes nothing.
package lists

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/failing"
	"casdelius/projector/postgres/orders"
	"casdelius/projector/postgres/people"
	"casdelius/projector/postgres/step"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// Lists reads what is shown.
type Lists struct {
	DB     *tx.DB
	Steps  *step.Steps
	Finder *people.People

	Failing *failing.Failing
	Orders  *orders.Orders
}

// sqlParked picks what is parked: of these referrals, or of all if $1 is null, and for a cause.
const sqlParked = "($1::uuid[] is null or referral = any ($1)) and ($2 = '' or cause = $2)"

// Parked lists what is parked, and who fails, the oldest first. Of a selection its CRNs count: they are its
// owners', or where that is nobody, those that the events name.
func (l *Lists) Parked(ctx context.Context, who projector.Selection, cause delius.Cause) ([]inspect.Parked, error) {
	naming, err := l.naming(ctx, who)
	if err != nil {
		return nil, err
	}
	rows, err := l.DB.Pool.Query(ctx, `
		select referral, urn, address, event, cause, problem, since, tries, retry_at from projection.parked where `+sqlParked+`
		order by since, referral, urn, address, event`, naming, string(cause))
	if err != nil {
		return nil, fmt.Errorf("listing what is parked: %w", tx.Translate(err))
	}
	list, err := pgx.CollectRows(rows, parked)
	if err != nil {
		return nil, fmt.Errorf("listing what is parked: %w", tx.Translate(err))
	}
	if len(who.CRNs) == 0 {
		damaged, err := l.damaged(ctx, cause)
		if err != nil {
			return nil, err
		}
		list = append(list, damaged...)
	}
	if cause == "" || cause == delius.Failing {
		fails, err := l.Failing.List(ctx, naming)
		if err != nil {
			return nil, err
		}
		for i := range fails {
			list = append(list, fails[i].Parked())
		}
		slices.SortStableFunc(list, func(a, b inspect.Parked) int { return a.Since.Compare(b.Since) })
	}
	var referrals []store.Referral
	for i := range list {
		referrals = append(referrals, list[i].Referral)
	}
	owners, err := l.Finder.Owners(ctx, referrals)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Owner = owners[list[i].Referral]
	}
	return slices.DeleteFunc(list, func(p inspect.Parked) bool {
		return len(who.CRNs) > 0 && !slices.Contains(who.CRNs, p.Owner.CRN)
	}), nil
}

// sqlMessage is what is said of a message of which nobody knows whose it is.
const sqlMessage = "'message ' || sequence || ' of the stream'"

// damaged lists the damage of the stream of which nobody knows whose it is.
func (l *Lists) damaged(ctx context.Context, cause delius.Cause) ([]inspect.Parked, error) {
	rows, err := l.DB.Pool.Query(ctx, `
		select cause, `+sqlMessage+`, since from projection.damage
		where referral is null and accepted is null and ($1 = '' or cause = $1) order by since, sequence`, string(cause))
	if err == nil {
		var list []inspect.Parked
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (inspect.Parked, error) {
			var p inspect.Parked
			err := row.Scan(&p.Cause, &p.Problem, &p.Since)
			p.Since = p.Since.UTC()
			return p, err
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("listing damage of the stream: %w", tx.Translate(err))
}

// naming are the referrals that may be those of whom is selected; nil is all.
func (l *Lists) naming(ctx context.Context, who projector.Selection) ([]store.Referral, error) {
	if len(who.CRNs) == 0 {
		return nil, nil
	}
	naming, err := l.Finder.ReferralsNaming(ctx, who.CRNs)
	return append([]store.Referral{}, naming...), err
}

func parked(row pgx.CollectableRow) (inspect.Parked, error) { return scanParked(row) }

// scanParked reads something parked, behind other columns.
func scanParked(row pgx.CollectableRow, others ...any) (inspect.Parked, error) {
	var p inspect.Parked
	var event string
	var retry *time.Time
	err := row.Scan(append(others, &p.Referral, &p.URN, &p.Address, &event, &p.Cause, &p.Problem, &p.Since, &p.Tries, &retry)...)
	if kind, id, isEvent := strings.Cut(event, " "); isEvent {
		p.Events = []store.Key{{Type: store.Type(kind), Referral: p.Referral, ID: id}}
	}
	p.Since = p.Since.UTC()
	if retry != nil {
		p.RetryAt = retry.UTC()
	}
	return p, err
}

// RetryParked implements requests.Effects. Events that are parked themselves never change, and
// are not among what is tried; neither is what is being tried right now.
func (l *Lists) RetryParked(ctx context.Context, who projector.Selection, cause delius.Cause, order *projector.Order) error {
	list, err := l.Parked(ctx, who, cause)
	if err != nil {
		return err
	}
	referrals, failed := []store.Referral{}, []store.Referral{}
	for i := range list {
		referrals = append(referrals, list[i].Referral)
		if list[i].Cause == delius.Failing {
			failed = append(failed, list[i].Referral)
		}
	}
	return l.Orders.Within(ctx, order, func(t pgx.Tx) (string, error) {
		tag, err := t.Exec(ctx, `
			with locked as (
				select referral, urn, address, event from projection.parked
				where retry_at is not null and `+sqlParked+`
				order by 1, 2, 3, 4 for update skip locked
			)
			update projection.parked p set retry_at = least(retry_at, since, now())
			from locked l where (p.referral, p.urn, p.address, p.event) = (l.referral, l.urn, l.address, l.event)`,
			referrals, string(cause))
		if err != nil {
			return "", err
		}
		n, err := l.Failing.Retry(ctx, t, failed)
		switch n += int(tag.RowsAffected()); n {
		case 0:
			return "nothing of that is parked that could be retried", err
		case 1:
			return "1 parked item will be retried at once by the running projector", err
		}
		return fmt.Sprintf("%d parked items will be retried at once by the running projector", n), err
	})
}
