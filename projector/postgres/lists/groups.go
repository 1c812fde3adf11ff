package lists

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// ParkedGroups gathers what is parked for a cause, or for each if it is "", and who fails, by
// what would free it. Of a cause it reads at most so many groups, those that concern most people
// first, and of a group its oldest items: however much is parked, as much is read.
func (l *Lists) ParkedGroups(ctx context.Context, cause delius.Cause, groups, items int) ([]inspect.ParkedCause, error) {
	rows, err := l.DB.Pool.Query(ctx, `
		with item as (
			select referral, urn, address, event, cause, problem, since, tries, retry_at from projection.parked where $1 in ('', cause)
			union all
			select referral, '', false, '', $4, problem, since, tries, next_try from projection.failing where $1 in ('', $4)
			union all
			select null, '', false, '', cause, `+sqlMessage+`, since, 0, null from projection.damage
			where referral is null and accepted is null and $1 in ('', cause)
		), named as (
			select referral, coalesce(nullif(max(crn), ''), max(noms))::text as person
			from projection.identity where referral in (select referral from item) group by referral
		), grouped as (
			select cause, problem, count(*) as items, count(distinct coalesce(person, referral::text)) as people, min(since) as oldest, min(retry_at) as next_try
			from item left join named using (referral) group by cause, problem
		), placed as (
			select *, row_number() over (partition by cause order by people desc, oldest, problem) as place,
				count(*) over (partition by cause) as groups, sum(items) over (partition by cause) as of_cause
			from grouped
		), listed as (
			select *, row_number() over (partition by cause, problem order by since, referral, urn, address, event) as nth from item
		)
		select g.of_cause, g.groups, g.place, g.items, g.people, g.oldest, g.next_try,
			coalesce(i.referral, '00000000-0000-0000-0000-000000000000'), i.urn, i.address, i.event, i.cause, i.problem, i.since, i.tries, i.retry_at
		from placed g join listed i using (cause, problem)
		where g.place <= $2 and i.nth <= $3 order by cause, g.place, i.nth`,
		string(cause), groups, items, string(delius.Failing))
	if err != nil {
		return nil, fmt.Errorf("grouping what is parked: %w", tx.Translate(err))
	}
	var all []inspect.ParkedCause
	place := 0
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var cause inspect.ParkedCause
		var group inspect.ParkedGroup
		var next *time.Time
		var groups, at int
		parked, err := scanParked(row, &cause.Items, &groups, &at, &group.Items, &group.People, &group.Since, &next)
		if cause.Cause = parked.Cause; len(all) == 0 || all[len(all)-1].Cause != cause.Cause {
			all, place = append(all, cause), 0
		}
		of := &all[len(all)-1]
		if at != place {
			group.Problem, group.Since, group.NextTry = parked.Problem, group.Since.UTC(), orZero(next)
			of.Groups, place = append(of.Groups, group), at
			of.More = groups - len(of.Groups)
		}
		in := &of.Groups[len(of.Groups)-1]
		in.List = append(in.List, parked)
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("grouping what is parked: %w", tx.Translate(err))
	}
	return all, l.own(ctx, all)
}

// own says whose the items that are listed are.
func (l *Lists) own(ctx context.Context, all []inspect.ParkedCause) error {
	var items []*inspect.Parked
	var referrals []store.Referral
	for _, cause := range all {
		for _, group := range cause.Groups {
			for i := range group.List {
				items, referrals = append(items, &group.List[i]), append(referrals, group.List[i].Referral)
			}
		}
	}
	owners, err := l.Finder.Owners(ctx, referrals)
	for _, item := range items {
		item.Owner = owners[item.Referral]
	}
	return err
}
