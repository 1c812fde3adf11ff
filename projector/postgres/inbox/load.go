package inbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres/people"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// Which of these events the inbox has, or has something else in the place of.
const sqlThere = `
with b as (
	select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) with ordinality as b (referral, type, id, sequence, position)
)
select position from b join projection.event e using (referral, type, id)
union select position from b join projection.event e using (sequence)`

const sqlMark = "insert into projection.due (referral) select r from unnest($1::uuid[]) r order by 1"

var eventNames = []string{
	"referral", "type", "id", "sequence", "crn", "noms", "emitted", "occurred", "received", "stored", "source", "sha256", "body",
}

// Load implements projector.Inbox: like [Database.Put], but what the inbox lacks is
// copied into it, which is faster by the thousand. If somebody else puts one of these
// events there meanwhile, it fails with [projector.ErrRetry].
func (i *Inbox) Load(ctx context.Context, messages []store.Stored) error {
	return i.inOne(ctx, messages, "loading messages into the inbox", load)
}

func load(ctx context.Context, transaction pgx.Tx, messages []store.Stored) error {
	events, unreadable := winners(messages)
	absent, err := lacking(ctx, transaction, events)
	if err != nil {
		return err
	}
	rows := pgx.CopyFromSlice(len(absent), func(i int) ([]any, error) { return eventRow(absent[i]), nil })
	if _, err := transaction.CopyFrom(ctx, pgx.Identifier{"projection", "event"}, eventNames, rows); err != nil {
		return err
	}
	var b pgx.Batch
	b.Queue(sqlMark, referralsOf(absent))
	b.Queue(sqlPutIdentities, identitiesOf(events)...)
	b.Queue(sqlMended, placeColumns(absent)[3])
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if len(absent) == len(messages) {
		return nil
	}
	var args []any
	if len(events) > 0 {
		args = eventColumns(events)
	}
	return putRest(ctx, transaction, messages, args, unreadable)
}

// lacking are those events that the inbox has not, nor anything in their place.
func lacking(ctx context.Context, transaction pgx.Tx, events []*store.Stored) ([]*store.Stored, error) {
	rows, err := transaction.Query(ctx, sqlThere, placeColumns(events)...)
	if err != nil {
		return nil, err
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(positions) == 0 {
		return events, err
	}
	there := make([]bool, len(events))
	for _, position := range positions {
		there[position-1] = true
	}
	var absent []*store.Stored
	for i, e := range events {
		if !there[i] {
			absent = append(absent, e)
		}
	}
	return absent, nil
}

// eventRow is an event as a row of the inbox.
func eventRow(e *store.Stored) []any {
	return []any{
		[16]byte(e.Referral), string(e.Type), e.ID, int64(e.Sequence), textOrNull(string(e.CRN)), textOrNull(string(e.NOMS)), //nolint:gosec // see put
		e.Emitted, orNull(e.Occurred), orNull(e.Received), e.Stored, e.Source, e.Sum(), e.Body,
	}
}

// referralsOf are the referrals of events that are in the order of identity, each once.
func referralsOf(events []*store.Stored) [][16]byte {
	out := make([][16]byte, 0, len(events))
	for _, e := range events {
		out = append(out, e.Referral)
	}
	return slices.Compact(out)
}

// RestoreIdentities implements projector.Mender.
func (i *Inbox) RestoreIdentities(ctx context.Context) error {
	if _, err := i.DB.Exec(ctx, sqlRestoreIdentities+" order by 1"); err != nil {
		return fmt.Errorf("bringing back whom events name: %w", err)
	}
	return nil
}

// CorruptSequences implements projector.Mender.
func (i *Inbox) CorruptSequences(ctx context.Context, referrals []store.Referral) ([]uint64, error) {
	if len(referrals) > 0 {
		return tx.Collect[uint64](ctx, i.DB.LookMany, "looking for altered bodies",
			"select sequence from projection.event where referral = any ($1) and sha256(body) <> sha256 order by sequence", referrals)
	}
	return tx.Collect[uint64](ctx, i.DB.Scan, "looking for altered bodies", "select sequence from projection.event where sha256(body) <> sha256 order by sequence")
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Misplaced implements projector.Mender.
func (i *Inbox) Misplaced(ctx context.Context) ([]store.Referral, error) {
	return tx.Collect[store.Referral](ctx, i.DB.Scan, "looking for rows that a merge has left behind", people.SQLMisplaced+" order by 1")
}
