package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// adopted is how many events are read at once that only the inbox has.
const adopted = 500

// Filled implements verify.Adopter.
func (i *Inbox) Filled(ctx context.Context) (stream projector.Stream, err error) {
	if stream.LastSequence, err = i.Last(ctx); err != nil {
		return stream, err
	}
	err = i.DB.Pool.QueryRow(ctx, "select created from projection.stream").Scan(&stream.Created)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return stream, fmt.Errorf("reading which stream the inbox was filled from: %w", tx.Translate(err))
	}
	stream.Created = stream.Created.UTC()
	return stream, nil
}

// Beyond implements verify.Adopter.
func (i *Inbox) Beyond(ctx context.Context, sequence uint64) (events, others int, err error) {
	err = i.DB.Pool.QueryRow(ctx, `
		select (select count(*) from projection.event where sequence > $1), (select count(*) from projection.other_sequence where sequence > $1)`, sequence).
		Scan(&events, &others)
	if err != nil {
		return 0, 0, fmt.Errorf("counting what the inbox has beyond message %d: %w", sequence, tx.Translate(err))
	}
	return events, others, nil
}

// Events implements verify.Adopter.
func (i *Inbox) Events(ctx context.Context, after uint64) ([]store.Stored, error) {
	rows, err := i.DB.Pool.Query(ctx, `
		select sequence, referral, type, id, coalesce(crn::text, ''), coalesce(noms::text, ''), emitted, occurred, received, stored, source, body
		from projection.event where sequence > $1 order by sequence limit $2`, after, adopted)
	if err != nil {
		return nil, fmt.Errorf("reading events of the inbox beyond message %d: %w", after, tx.Translate(err))
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Stored, error) {
		var e store.Stored
		var occurred, received *time.Time
		err := row.Scan(&e.Sequence, &e.Referral, &e.Type, &e.ID, &e.CRN, &e.NOMS, &e.Emitted, &occurred, &received, &e.Stored, &e.Source, &e.Body)
		e.Emitted, e.Occurred, e.Received = e.Emitted.UTC(), orZero(occurred), orZero(received)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading events of the inbox beyond message %d: %w", after, tx.Translate(err))
	}
	return events, nil
}

// forgotten is how many sequences are forgotten at once.
const forgotten = 10_000

// Adopt implements verify.Adopter. What was applied of the events that are forgotten is known
// to the ledger. The last ones are forgotten first, so that what is left of an adoption that is
// interrupted is the beginning of the stream still.
func (i *Inbox) Adopt(ctx context.Context, stream projector.Stream, common uint64) error {
	for _, table := range []string{"applied", "other_sequence", "event"} {
		for n := forgotten; n == forgotten; {
			var err error
			n, err = i.DB.Exec(ctx, "delete from projection."+table+" where sequence = any (array(select sequence from projection."+table+" where sequence > $1 order by sequence desc limit $2))", common, forgotten)
			if err != nil {
				return fmt.Errorf("forgetting what the inbox has beyond message %d: %w", common, err)
			}
		}
	}
	_, err := i.DB.Exec(ctx, "insert into projection.stream (created) values ($1) on conflict (one) do update set created = $1", stream.Created.UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("adopting the stream: %w", err)
	}
	return nil
}
