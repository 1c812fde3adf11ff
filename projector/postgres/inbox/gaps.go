package inbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// Last implements projector.Inbox.
func (i *Inbox) Last(ctx context.Context) (uint64, error) {
	var last int64
	err := i.DB.Pool.QueryRow(ctx, `
		select greatest((select coalesce(max(sequence), 0) from projection.event), (select coalesce(max(sequence), 0) from projection.other_sequence))`).
		Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("asking for the inbox's highest sequence: %w", tx.Translate(err))
	}
	return uint64(last), nil //nolint:gosec // sequences are positive
}

// VerifyStream implements projector.Inbox. It holds the inbox against the stream that it is to be filled from: the first
// one it sees is remembered, and another one, or one that has forgotten what the
// inbox has, is refused.
func (i *Inbox) VerifyStream(ctx context.Context, last uint64, stream projector.Stream) error {
	created := stream.Created.UTC().Truncate(time.Microsecond)
	var was time.Time
	// The update writes nothing new: it is there so that, of projectors that start at
	// once, all see the row that one of them made.
	err := i.DB.Pool.QueryRow(ctx, `
		insert into projection.stream (created) values ($1) on conflict (one) do update set one = true returning created`, created).Scan(&was)
	switch {
	case err != nil:
		return fmt.Errorf("reading which stream the inbox was filled from: %w", tx.Translate(err))
	case !was.Equal(created):
		return projector.Refuse(fmt.Errorf("the inbox was filled from a stream created at %s, this one was created at %s: "+
			"it is another stream. Connect to the old one; if this one was restored from a backup of it, `projector adopt-stream` compares them and goes on with this one",
			was.UTC().Format(time.RFC3339Nano), created.Format(time.RFC3339Nano)))
	case last > stream.LastSequence:
		return projector.Refuse(fmt.Errorf("the inbox has sequence %d, but the stream ends at %d: the stream has lost messages. "+
			"Restore the stream from its backup; `projector adopt-stream` appends to it what only the inbox has", last, stream.LastSequence))
	}
	return nil
}

// Missing lists the gaps in the sequences that the inbox has recorded, from 1 to the
// given one. What it knows to be damaged in the stream counts as one: it may be restored.
func (i *Inbox) Missing(ctx context.Context, to uint64) ([]projector.Range, error) {
	rows, err := i.DB.Pool.Query(ctx, `
		select before + 1, sequence - 1 from (
			select sequence, lag(sequence, 1, 0::bigint) over (order by sequence) as before from (
				select sequence from projection.event where sequence <= $1
				union all
				select sequence from projection.other_sequence where sequence <= $1
				union all
				select $1 + 1
			) s
		) g where sequence > before + 1
		order by 1`, int64(to)) //nolint:gosec // sequences are smaller
	if err != nil {
		return nil, fmt.Errorf("looking for gaps in the inbox: %w", tx.Translate(err))
	}
	gaps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (projector.Range, error) {
		var from, to int64
		err := row.Scan(&from, &to)
		return projector.Range{From: uint64(from), To: uint64(to)}, err //nolint:gosec // sequences are positive
	})
	if err != nil {
		return nil, fmt.Errorf("looking for gaps in the inbox: %w", tx.Translate(err))
	}
	damaged, err := tx.Collect[uint64](ctx, i.DB.LookMany, "looking for damage", "select sequence from projection.damage where accepted is null and sequence <= $1 order by 1", int64(to)) //nolint:gosec // see above
	if err != nil {
		return nil, err
	}
	damaged = slices.DeleteFunc(damaged, func(s uint64) bool {
		return slices.ContainsFunc(gaps, func(g projector.Range) bool { return g.From <= s && s <= g.To })
	})
	gaps = append(gaps, projector.RangesOf(damaged)...)
	slices.SortFunc(gaps, func(a, b projector.Range) int { return cmp.Compare(a.From, b.From) })
	return gaps, nil
}

// sqlRestoreIdentities brings back whom events name where that was lost, and marks their referrals.
var sqlRestoreIdentities = `
	with unnamed as (
		insert into projection.identity (referral, crn, noms)
		select distinct e.referral, coalesce(e.crn, ''), coalesce(e.noms, '') from projection.event e join ` + sqlTypes + ` using (type)
		where ` + sqlUnnamed + `
		order by 1, 2, 3
		on conflict do nothing
		returning referral
	)
	insert into projection.due (referral)
	select distinct referral from unnamed`

// MarkForgotten marks referrals with an event that was never applied although nobody
// is to look at it, or whose person is not looked for because whom it names was lost. It
// returns how many there were.
func (i *Inbox) MarkForgotten(ctx context.Context) (int, error) {
	n, err := i.DB.Exec(ctx, sqlRestoreIdentities+`
		union select e.referral from projection.event e where `+sqlUnapplied+`
		order by 1`)
	if err != nil {
		return 0, fmt.Errorf("looking for events that were never applied: %w", err)
	}
	return n, nil
}

// sqlWell holds for a referral d that does not fail, or is to be tried again by $4.
const sqlWell = "not exists (select from projection.failing f where f.referral = d.referral and f.next_try > $4)"

// Due lists referrals that have been due since before a time, the longest first, and
// before them those whose parked contacts are to be tried again by now. Whoever fails is left
// out until they are to be. That time is the caller's, by whose clock the pauses were reckoned.
func (i *Inbox) Due(ctx context.Context, now, before time.Time, limit int, except []store.Referral) ([]store.Referral, error) {
	rows, err := i.DB.Pool.Query(ctx, `
		select referral from (
			(select referral, mark from projection.due d where since <= $3 and referral <> all ($2::uuid[]) and `+sqlWell+` order by mark limit $1 * 8)
			union all
			(select referral, 0 from projection.parked d where retry_at <= $4 and referral <> all ($2::uuid[]) and `+sqlWell+` order by retry_at limit $1)
		) t group by referral order by min(mark), referral limit $1`, limit, append([]store.Referral{}, except...), before, now)
	if err != nil {
		return nil, fmt.Errorf("asking who is due: %w", tx.Translate(err))
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[store.Referral])
	if err != nil {
		return nil, fmt.Errorf("asking who is due: %w", tx.Translate(err))
	}
	return due, nil
}

// Backlog tells what waits.
func (i *Inbox) Backlog(ctx context.Context) (freshness.Backlog, error) {
	b := freshness.Backlog{Parked: map[string]freshness.ParkedCount{}}
	transaction, err := i.DB.LookMany(ctx)
	if err != nil {
		return b, err
	}
	defer tx.Rollback(ctx, transaction)
	var due, failing, damaged, notices *time.Time
	err = transaction.QueryRow(ctx, `
		select (select count(distinct referral) from projection.due),
			(select since from projection.due order by mark limit 1),
			(select count(*) from projection.conflict),
			(select count(*) from projection.event where `+sqlOtherTypes+` and type <> all ($1)),
			(select count(*) from projection.failing),
			(select min(since) from projection.failing),
			(select count(*) from projection.damage where accepted is null),
			(select min(since) from projection.damage where accepted is null),
			(select count(*) from projection.conflict where settled is null),
			(select count(*) from projection.outbox where sent is null),
			(select occurred from projection.outbox where sent is null order by number limit 1)`, store.Types()).
		Scan(&b.Due, &due, &b.Conflicts, &b.Unknown, &b.Failing.Count, &failing, &b.Damaged.Count, &damaged, &b.Open, &b.Notices.Count, &notices)
	if err != nil {
		return b, fmt.Errorf("counting what waits: %w", tx.Translate(err))
	}
	b.OldestDue, b.Failing.Since, b.Damaged.Since, b.Notices.Since = orZero(due), orZero(failing), orZero(damaged), orZero(notices)
	rows, err := transaction.Query(ctx, "select cause, count(*), min(since) from projection.parked group by cause") //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return b, fmt.Errorf("counting what is parked: %w", tx.Translate(err))
	}
	var cause string
	var p freshness.ParkedCount
	_, err = pgx.ForEachRow(rows, []any{&cause, &p.Count, &p.Since}, func() error {
		b.Parked[cause] = p
		return nil
	})
	if err != nil {
		return b, fmt.Errorf("counting what is parked: %w", tx.Translate(err))
	}
	return b, nil
}

// MarkDue implements projector.Due.
func (i *Inbox) MarkDue(ctx context.Context, referrals []store.Referral) error {
	_, err := i.DB.Exec(ctx, "insert into projection.due (referral) select distinct r from unnest($1::uuid[]) r order by 1", referrals)
	if err != nil {
		return fmt.Errorf("marking %d referrals as due: %w", len(referrals), err)
	}
	return nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
