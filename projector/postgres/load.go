package postgres

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/store"
)

// The events of a chunk, before they are the inbox's.
const sqlStaging = `
create temporary table if not exists staging (
	referral uuid, type text collate "C", id text collate "C", sequence bigint, crn text, noms text, known boolean,
	emitted timestamptz, occurred timestamptz, received timestamptz, stored timestamptz, source text, sha256 bytea, body bytea
) on commit delete rows`

// As sqlPutEvents, from the staging table, in the order in which it was filled: that of
// identity. To sort there would mean to write everything once more.
const sqlLoadEvents = `
with put as (
	insert into projection.event (referral, type, id, sequence, crn, noms, emitted, occurred, received, stored, source, sha256, body)
	select referral, type, id, sequence, nullif(crn, ''), nullif(noms, ''), emitted, occurred, received, stored, source, sha256, body
	from pg_temp.staging
	on conflict do nothing
	returning referral
), marked as (
	insert into projection.due (referral) select distinct referral from put order by 1
)
select count(*) from put`

const sqlLoadIdentities = `
insert into projection.identity (referral, crn, noms)
select distinct referral, crn, noms from pg_temp.staging
where known and (crn <> '' or noms <> '')
order by referral, crn, noms
on conflict do nothing`

var stagingColumns = []string{
	"referral", "type", "id", "sequence", "crn", "noms", "known", "emitted", "occurred", "received", "stored", "source", "sha256", "body",
}

// Load implements projector.Loader: like [Database.Put], but the messages are copied
// into a temporary table first, which is faster by the thousand.
func (db *Database) Load(ctx context.Context, messages []store.Stored) error {
	return db.inOne(ctx, messages, "loading messages into the inbox", load)
}

func load(ctx context.Context, tx pgx.Tx, messages []store.Stored) error {
	events, unreadable := winners(messages)
	if _, err := tx.Exec(ctx, sqlStaging); err != nil {
		return err
	}
	rows := pgx.CopyFromSlice(len(events), func(i int) ([]any, error) { return staged(events[i]) })
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "staging"}, stagingColumns, rows); err != nil {
		return err
	}
	inserted := 0
	var b pgx.Batch
	b.Queue(sqlLoadEvents).QueryRow(func(row pgx.Row) error { return row.Scan(&inserted) })
	b.Queue(sqlLoadIdentities)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if inserted == len(messages) {
		return nil
	}
	var args []any
	if len(events) > 0 {
		args = eventColumns(events)
	}
	return putRest(ctx, tx, messages, args, unreadable)
}

// staged is an event as a row of the staging table.
func staged(e *store.Stored) ([]any, error) {
	sum, err := hex.DecodeString(e.Checksum())
	return []any{
		[16]byte(e.Referral), string(e.Type), e.ID, int64(e.Sequence), string(e.CRN), string(e.NOMS), e.Type.Known(), //nolint:gosec // see put
		e.Emitted, orNull(e.Occurred), orNull(e.Received), e.Stored, e.Source, sum, e.Body,
	}, err
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
