package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/store"
)

// Last implements projector.Inbox.
func (db *Database) Last(ctx context.Context) (uint64, error) {
	var last int64
	err := db.pool.QueryRow(ctx, `
		select greatest((select coalesce(max(sequence), 0) from projection.event), (select coalesce(max(sequence), 0) from projection.other_sequence))`).
		Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("asking for the inbox's highest sequence: %w", translate(err))
	}
	return uint64(last), nil //nolint:gosec // sequences are positive
}

// Attach holds the inbox against the stream that it is to be filled from: the first
// one it sees is remembered, and another one, or one that has forgotten what the
// inbox holds, is refused.
func (db *Database) Attach(ctx context.Context, held uint64, stream projector.Stream) error {
	created := stream.Created.UTC().Truncate(time.Microsecond)
	var was time.Time
	// The update writes nothing new: it is there so that, of projectors that start at
	// once, all see the row that one of them made.
	err := db.pool.QueryRow(ctx, `
		insert into projection.stream (created) values ($1) on conflict (one) do update set one = true returning created`, created).Scan(&was)
	switch {
	case err != nil:
		return fmt.Errorf("reading which stream the inbox was filled from: %w", translate(err))
	case !was.Equal(created):
		return fmt.Errorf("the inbox was filled from a stream created at %s, this one was created at %s: "+
			"it is another stream. Connect to the old one, or empty the inbox (tables event, other_sequence, applied and stream of schema projection) to fill it from this one",
			was.UTC().Format(time.RFC3339Nano), created.Format(time.RFC3339Nano))
	case held > stream.LastSequence:
		return fmt.Errorf("the inbox holds sequence %d, but the stream ends at %d: the stream has lost messages. "+
			"Restore the stream, or empty the inbox and run `projector verify --repair` to go on with what is left", held, stream.LastSequence)
	}
	return nil
}

// Missing lists the gaps in the sequences that the inbox has recorded, from 1 to the
// given one.
func (db *Database) Missing(ctx context.Context, to uint64) ([]projector.Range, error) {
	rows, err := db.pool.Query(ctx, `
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
		return nil, fmt.Errorf("looking for gaps in the inbox: %w", translate(err))
	}
	gaps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (projector.Range, error) {
		var from, to int64
		err := row.Scan(&from, &to)
		return projector.Range{From: uint64(from), To: uint64(to)}, err //nolint:gosec // sequences are positive
	})
	if err != nil {
		return nil, fmt.Errorf("looking for gaps in the inbox: %w", translate(err))
	}
	return gaps, nil
}

// sqlRecall brings back whom events name where that was lost, and marks their referrals.
var sqlRecall = `
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
func (db *Database) MarkForgotten(ctx context.Context) (int, error) {
	tag, err := db.pool.Exec(ctx, sqlRecall+`
		union select e.referral from projection.event e where `+sqlUnapplied+`
		order by 1`)
	if err != nil {
		return 0, fmt.Errorf("looking for events that were never applied: %w", translate(err))
	}
	return int(tag.RowsAffected()), nil
}

// Due lists referrals that have been due since before a time, the longest first, and
// before them those whose parked contacts are to be tried again by now. That time is the
// caller's, by whose clock the pauses were reckoned.
func (db *Database) Due(ctx context.Context, now, before time.Time, limit int, except []store.Referral) ([]store.Referral, error) {
	rows, err := db.pool.Query(ctx, `
		select referral from (
			(select referral, mark from projection.due where since <= $3 and referral <> all ($2::uuid[]) order by mark limit $1 * 8)
			union all
			(select referral, 0 from projection.parked where retry_at <= $4 and referral <> all ($2::uuid[]) order by retry_at limit $1)
		) t group by referral order by min(mark), referral limit $1`, limit, append([]store.Referral{}, except...), before, now)
	if err != nil {
		return nil, fmt.Errorf("asking who is due: %w", translate(err))
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[store.Referral])
	if err != nil {
		return nil, fmt.Errorf("asking who is due: %w", translate(err))
	}
	return due, nil
}

// Backlog tells what waits.
func (db *Database) Backlog(ctx context.Context) (projector.Backlog, error) {
	b := projector.Backlog{Parked: map[string]projector.ParkedCount{}}
	tx, err := db.beginLook(ctx)
	if err != nil {
		return b, err
	}
	defer rollback(ctx, tx)
	var due, oldest *time.Time
	// Whatever is not applied is due or parked; looking at the whole inbox for it would
	// take longer every day.
	err = tx.QueryRow(ctx, `
		select (select count(distinct referral) from projection.due),
			(select since from projection.due order by mark limit 1),
			(select count(*) from projection.conflict),
			(select min(e.stored) from (
				(select referral from projection.due order by mark limit 1000)
				union select referral from projection.parked where retry_at is not null
			) r join projection.event e using (referral)
			where not exists (select from projection.applied a where a.sequence = e.sequence))`).
		Scan(&b.Due, &due, &b.Conflicts, &oldest)
	if err != nil {
		return b, fmt.Errorf("counting what waits: %w", translate(err))
	}
	b.OldestDue, b.OldestUnapplied = orZero(due), orZero(oldest)
	rows, err := tx.Query(ctx, "select cause, count(*), min(since) from projection.parked group by cause") //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return b, fmt.Errorf("counting what is parked: %w", translate(err))
	}
	var cause string
	var p projector.ParkedCount
	_, err = pgx.ForEachRow(rows, []any{&cause, &p.Count, &p.Since}, func() error {
		b.Parked[cause] = p
		return nil
	})
	if err != nil {
		return b, fmt.Errorf("counting what is parked: %w", translate(err))
	}
	return b, nil
}
