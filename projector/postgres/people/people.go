// Package people knows whom events name and who that is in Delius: who there is to
// reconcile, of which referrals, and who rebuilds them.
//
// Whom a name means is asked of the database in this package alone: named, family, [LookUp],
// [SQLReferralsNaming], [SQLReferralsOf] and what is made of them. That gives candidates; whose a referral is in
// the end [casdelius/projector/delius.Owner] decides from all of its events.
package people

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// People is who there is to reconcile.
type People struct {
	DB    *tx.DB
	Lease time.Duration // of a rebuild of everyone, which is renewed four times in it
}

// named are the offenders whom events name, each with the referrals of these events, as a
// source w. Some come twice: by their CRN and by their NOMS number. Whoever is soft-deleted
// is nobody, but that a CRN of somebody who was merged away names whom it leads to.
const named = `(
	select o.offender_id, i.referral from delius.offender o join projection.identity i on i.crn = o.crn where i.crn <> '' and o.soft_deleted = 0
	union all
	select o.offender_id, i.referral from delius.offender o join projection.identity i on i.noms = o.noms_number where i.noms <> '' and o.soft_deleted = 0
	union all
	select o.offender_id, i.referral from ` + merged + ` join delius.offender o on o.crn = m.into_crn and o.soft_deleted = 0
		join projection.identity i on i.crn = m.crn
) w`

// SQLReferralsNaming are the referrals that name people by any of the CRNs $1 and NOMS numbers
// $2.
const SQLReferralsNaming = `
	select referral from projection.identity where crn = any ($1::bpchar[]) and crn <> ''
	union select referral from projection.identity where noms = any ($2::bpchar[]) and noms <> ''`

// OffendersAfter implements projector.People.
func (p *People) OffendersAfter(ctx context.Context, after int64) ([]int64, error) {
	return tx.Collect[int64](ctx, p.DB.Scan, "listing the people whom events name",
		"select distinct offender_id from "+named+" where offender_id > $1 order by 1", after)
}

// DueUpTo implements projector.People.
func (p *People) DueUpTo(ctx context.Context, last int64) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, p.DB.Scan, "listing whom a rebuild has passed and who are due",
		"select referral from "+named+` where offender_id <= $1 and exists (select from projection.due d where d.referral = w.referral)
		group by referral order by min(offender_id), referral`, last)
}

// ReferralsOf implements projector.People.
func (p *People) ReferralsOf(ctx context.Context, offenders []int64) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, p.DB.LookMany, "listing the referrals of people", SQLReferralsOf("$1")+" order by 1", offenders)
}

// Unowned implements projector.People.
func (p *People) Unowned(ctx context.Context) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, p.DB.Scan, "listing the referrals of nobody",
		"(select referral from projection.event union select referral from projection.damage where accepted is null and referral is not null) except select referral from "+named+" order by 1")
}

// sqlNaming are the referrals whose events name any of the CRNs $1, or the person whose it is,
// over merges too.
var sqlNaming = `
	with f as materialized (select crn from ` + family("unnest($1::text[])") + `)
	select i.referral from f join projection.identity i on i.crn = f.crn where i.crn <> ''
	union
	select i.referral from f join delius.offender o on o.crn = f.crn and o.soft_deleted = 0
		join projection.identity i on i.noms = o.noms_number where i.noms <> ''`

// sqlMentioning are those, and all whose events mention the CRNs or their numbers although
// that was forgotten, or never had an effect. It reads the whole inbox.
var sqlMentioning = sqlNaming + `
	union
	select e.referral from projection.event e where e.crn = any (array(select crn from f))
	union
	select e.referral from delius.offender o join projection.event e on e.noms = o.noms_number where o.crn = any ($1::bpchar[])`

// ReferralsNaming implements projector.Finder.
func (p *People) ReferralsNaming(ctx context.Context, crns []store.CRN) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, p.DB.LookMany, "listing the referrals of people", sqlNaming+" order by 1", crns)
}

// ReferralsMentioning implements verify.Finder.
func (p *People) ReferralsMentioning(ctx context.Context, crns []store.CRN) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, p.DB.Scan, "listing the referrals that mention people", sqlMentioning+" order by 1", crns)
}

// WithEvents implements projector.Finder.
func (p *People) WithEvents(ctx context.Context, referrals []store.Referral) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, p.DB.LookMany, "looking for referrals", "select distinct referral from projection.event where referral = any ($1)", referrals)
}

// OffendersOf implements verify.Finder. Whoever is soft-deleted is among them: rows of the
// ledger may stand there.
func (p *People) OffendersOf(ctx context.Context, crns []store.CRN) ([]int64, error) {
	return tx.Collect[int64](ctx, p.DB.LookMany, "looking for people",
		"select distinct o.offender_id from "+family("unnest($1::text[])")+" join delius.offender o on o.crn = f.crn order by 1", crns)
}

// Owners works out whose each of some referrals is, by all of its events that have an effect.
// Those whose events cannot be read are left out: whoever fails is nobody else's trouble.
func (p *People) Owners(ctx context.Context, referrals []store.Referral) (map[store.Referral]delius.Ownership, error) {
	owners, err := p.owners(ctx, referrals)
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, projector.ErrRetry), errors.Is(err, projector.ErrDenied):
		return owners, err
	case len(referrals) <= 1:
		return nil, nil //nolint:nilerr // left out
	}
	half := len(referrals) / 2
	owners, err = p.Owners(ctx, referrals[:half])
	if err != nil {
		return nil, err
	}
	others, err := p.Owners(ctx, referrals[half:])
	if err != nil {
		return nil, err
	}
	if owners == nil {
		return others, nil
	}
	maps.Copy(owners, others)
	return owners, nil
}

func (p *People) owners(ctx context.Context, referrals []store.Referral) (map[store.Referral]delius.Ownership, error) {
	transaction, err := p.DB.LookMany(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, transaction)
	events, err := namesOf(ctx, transaction, referrals)
	if err != nil {
		return nil, fmt.Errorf("reading whom the events of %d referrals name: %w", len(referrals), tx.Translate(err))
	}
	var all Names
	for _, some := range events {
		for _, e := range some {
			if e.CRN != "" {
				all.Add([]store.CRN{e.CRN}, nil)
			}
			if e.NOMS != "" {
				all.Add(nil, []store.NOMS{e.NOMS})
			}
		}
	}
	var offenders delius.Offenders
	if err := LookUp(ctx, transaction, &all, offenders.Add, nil); err != nil {
		return nil, fmt.Errorf("looking for people: %w", tx.Translate(err))
	}
	owners := make(map[store.Referral]delius.Ownership, len(referrals))
	for _, referral := range referrals {
		owners[referral] = delius.Owner(events[referral], &offenders)
	}
	return owners, nil
}

// namesOf are the events of referrals, with what decides whose these are.
func namesOf(ctx context.Context, transaction pgx.Tx, referrals []store.Referral) (map[store.Referral][]*delius.Event, error) {
	//nolint:rowserrcheck // ForEachRow checks it
	rows, err := transaction.Query(ctx, `
		select referral, type, id, emitted, coalesce(crn, ''), coalesce(noms, '') from projection.event
		where referral = any ($1) and (crn is not null or noms is not null)`, referrals)
	if err != nil {
		return nil, err
	}
	out := map[store.Referral][]*delius.Event{}
	var e store.Event
	_, err = pgx.ForEachRow(rows, []any{&e.Referral, &e.Type, &e.ID, &e.Emitted, &e.CRN, &e.NOMS}, func() error {
		out[e.Referral] = append(out[e.Referral], &delius.Event{Event: e})
		return nil
	})
	return out, err
}

var _ projector.People = (*People)(nil)
