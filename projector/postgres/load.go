package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/store"
)

// Which of these events the inbox has, or has something else in the place of.
const sqlHeld = `
with b as (
	select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) with ordinality as b (referral, type, id, sequence, position)
)
select position from b join projection.event e using (referral, type, id)
union select position from b join projection.event e using (sequence)`

const sqlMark = "insert into projection.due (referral) select r from unnest($1::uuid[]) r order by 1"

var eventNames = []string{
	"referral", "type", "id", "sequence", "crn", "noms", "emitted", "occurred", "received", "stored", "source", "sha256", "body",
}

// Load implements projector.Loader: like [Database.Put], but what the inbox lacks is
// copied into it, which is faster by the thousand. If somebody else puts one of these
// events there meanwhile, it fails with [projector.ErrRetry].
func (db *Database) Load(ctx context.Context, messages []store.Stored) error {
	return db.inOne(ctx, messages, "loading messages into the inbox", load)
}

func load(ctx context.Context, tx pgx.Tx, messages []store.Stored) error {
	events, unreadable := winners(messages)
	lacking, err := lacks(ctx, tx, events)
	if err != nil {
		return err
	}
	rows := pgx.CopyFromSlice(len(lacking), func(i int) ([]any, error) { return eventRow(lacking[i]) })
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"projection", "event"}, eventNames, rows); err != nil {
		return err
	}
	var b pgx.Batch
	b.Queue(sqlMark, referralsOf(lacking))
	b.Queue(sqlPutIdentities, identitiesOf(events)...)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if len(lacking) == len(messages) {
		return nil
	}
	var args []any
	if len(events) > 0 {
		args = eventColumns(events)
	}
	return putRest(ctx, tx, messages, args, unreadable)
}

// lacks are those events that the inbox has not, nor anything in their place.
func lacks(ctx context.Context, tx pgx.Tx, events []*store.Stored) ([]*store.Stored, error) {
	rows, err := tx.Query(ctx, sqlHeld, placeColumns(events)...)
	if err != nil {
		return nil, err
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(held) == 0 {
		return events, err
	}
	there := make([]bool, len(events))
	for _, position := range held {
		there[position-1] = true
	}
	var lacking []*store.Stored
	for i, e := range events {
		if !there[i] {
			lacking = append(lacking, e)
		}
	}
	return lacking, nil
}

// eventRow is an event as a row of the inbox.
func eventRow(e *store.Stored) ([]any, error) {
	sum, err := hex.DecodeString(e.Checksum())
	return []any{
		[16]byte(e.Referral), string(e.Type), e.ID, int64(e.Sequence), textOrNull(string(e.CRN)), textOrNull(string(e.NOMS)), //nolint:gosec // see put
		e.Emitted, orNull(e.Occurred), orNull(e.Received), e.Stored, e.Source, sum, e.Body,
	}, err
}

// referralsOf are the referrals of events that are in the order of identity, each once.
func referralsOf(events []*store.Stored) [][16]byte {
	out := make([][16]byte, 0, len(events))
	for _, e := range events {
		out = append(out, e.Referral)
	}
	return slices.Compact(out)
}

// Recall implements projector.Loader.
func (db *Database) Recall(ctx context.Context) error {
	if _, err := db.pool.Exec(ctx, sqlRecall+" order by 1"); err != nil {
		return fmt.Errorf("bringing back whom events name: %w", translate(err))
	}
	return nil
}

// Broken implements projector.Loader.
func (db *Database) Broken(ctx context.Context) ([]uint64, error) {
	return collect[uint64](ctx, db.beginScan, "looking for altered bodies", "select sequence from projection.event where sha256(body) <> sha256 order by sequence")
}
