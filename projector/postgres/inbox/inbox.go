// Package inbox is the database's copy of the stream: every event once, as it was first
// stored, and the sequences that have no event of their own.
//
// Whoever puts an event into the inbox marks its referral as due in the same transaction; only
// a step that commits clears the mark. A person event leaves its sequence and marks; nothing
// else of it is kept. Of one event the lowest sequence stays, in whatever
// order and by however many hands messages come. The inbox can be made again from the stream
// at any time, and is checked against it ([Inbox.Entries] and the like).
package inbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/verify"
	"casdelius/store"
	"casdelius/store/failpoint"
)

// Inbox is the inbox.
type Inbox struct{ DB *tx.DB }

var (
	_ projector.Inbox  = (*Inbox)(nil)
	_ projector.Mender = (*Inbox)(nil)
	_ projector.Due    = (*Inbox)(nil)
	_ verify.Inbox     = (*Inbox)(nil)
	_ verify.Mender    = (*Inbox)(nil)
)

// Put implements projector.Inbox. It takes stored messages into the inbox and marks their referrals as due, in one
// transaction. It is idempotent: of one event the lowest sequence of the stream
// stays, in whatever order they come.
func (i *Inbox) Put(ctx context.Context, messages []store.Stored) error {
	return i.inOne(ctx, messages, "putting messages into the inbox", putOnly)
}

// inOne does something with messages in one transaction; doing says what. Of no messages
// nothing is done.
func (i *Inbox) inOne(ctx context.Context, messages []store.Stored, doing string, do func(context.Context, pgx.Tx, []store.Stored) error) error {
	if len(messages) == 0 {
		return nil
	}
	begun, err := i.DB.Fill(ctx, len(messages))
	if err != nil {
		return err
	}
	transaction := filling{begun}
	defer tx.Rollback(ctx, transaction)
	if err := do(ctx, transaction, messages); err != nil {
		return fmt.Errorf("%s, %d from sequence %d: %w", doing, len(messages), messages[0].Sequence, tx.Translate(err))
	}
	return tx.Translate(transaction.Commit(ctx))
}

// PutIn does what Put does in a transaction of the caller's, which it gives back: with the commit
// that is then the inbox's as well. What then is to be asked goes in the same round trip; it does
// not see marks of events that take the place of later ones.
func PutIn(ctx context.Context, transaction pgx.Tx, messages []store.Stored, then func(*pgx.Batch)) (pgx.Tx, error) {
	return filling{transaction}, put(ctx, transaction, messages, then)
}

// filling is a transaction that fills the inbox.
type filling struct{ pgx.Tx }

// Commit implements pgx.Tx.
func (f filling) Commit(ctx context.Context) error {
	return failpoint.Around(ctx, failpoint.InboxCommit, func() error { return f.Tx.Commit(ctx) })
}

func putOnly(ctx context.Context, transaction pgx.Tx, messages []store.Stored) error {
	return put(ctx, transaction, messages, func(*pgx.Batch) {})
}

func put(ctx context.Context, transaction pgx.Tx, messages []store.Stored, then func(*pgx.Batch)) error {
	events, unreadable := winners(messages)
	inserted := 0
	var args []any
	if len(events) > 0 {
		args = eventColumns(events)
		var b pgx.Batch
		b.Queue(sqlPutEvents, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&inserted) })
		b.Queue(sqlPutIdentities, identitiesOf(events)...)
		then(&b)
		if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
	}
	if inserted == len(messages) {
		return nil
	}
	return putRest(ctx, transaction, messages, args, unreadable)
}

// putRest records the sequences of messages that gave no new event, lets those that are
// earlier than what stands in the inbox take its place, notes what is damaged, and marks whom
// person events wake.
func putRest(ctx context.Context, transaction pgx.Tx, messages []store.Stored, args []any, unreadable []int64) error {
	sequences := make([]int64, len(messages))
	for i := range messages {
		sequences[i] = int64(messages[i].Sequence) //nolint:gosec // a stream holds fewer than 2^63 messages
	}
	var b pgx.Batch
	if args != nil {
		b.Queue(sqlReplaced, args[:4]...)
		b.Queue(sqlReplace, args...)
	}
	b.Queue(sqlPutOthers, sequences, unreadable)
	queueDamage(&b, messages)
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	return wake(ctx, transaction, messages)
}

// identitiesOf are the arrays of whom events name that have an effect, each referral with
// each name once.
func identitiesOf(events []*store.Stored) []any {
	type identity struct {
		referral  store.Referral
		crn, noms string
	}
	seen := map[identity]bool{}
	referrals, crns, noms := [][16]byte{}, []string{}, []string{}
	for _, e := range events {
		named := identity{e.Referral, string(e.CRN), string(e.NOMS)}
		if !e.Type.Known() || seen[named] || named.crn == "" && named.noms == "" {
			continue
		}
		seen[named] = true
		referrals, crns, noms = append(referrals, named.referral), append(crns, named.crn), append(noms, named.noms)
	}
	return []any{referrals, crns, noms}
}

// winners are the messages' events, one of each identity, in the order of identity,
// and the sequences of the messages that are neither that nor person events.
func winners(messages []store.Stored) (events []*store.Stored, unreadable []int64) {
	for i := range messages {
		switch m := &messages[i]; {
		case m.Err != nil:
			unreadable = append(unreadable, int64(m.Sequence)) //nolint:gosec // see put
		case m.IsEvent():
			events = append(events, m)
		}
	}
	slices.SortFunc(events, func(a, b *store.Stored) int {
		if c := a.Key().Compare(b.Key()); c != 0 {
			return c
		}
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	events = slices.CompactFunc(events, func(a, b *store.Stored) bool { return a.Key() == b.Key() })
	return events, unreadable
}

// placeColumns turns events into arrays of what they are and where in the stream, eventColumns
// into those of all that there is to them: for statements to unnest.
func placeColumns(events []*store.Stored) []any {
	n := len(events)
	referrals, types, ids, sequences := make([][16]byte, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, e := range events {
		referrals[i], types[i], ids[i] = e.Referral, string(e.Type), e.ID
		sequences[i] = int64(e.Sequence) //nolint:gosec // see put
	}
	return []any{referrals, types, ids, sequences}
}

func eventColumns(events []*store.Stored) []any {
	n := len(events)
	crns, noms := make([]string, n), make([]string, n)
	emitted, stored := make([]time.Time, n), make([]time.Time, n)
	occurred, received := make([]*time.Time, n), make([]*time.Time, n)
	sources, sums, bodies := make([]string, n), make([][]byte, n), make([][]byte, n)
	for i, e := range events {
		crns[i], noms[i] = string(e.CRN), string(e.NOMS)
		emitted[i], stored[i] = e.Emitted, e.Stored
		occurred[i], received[i] = orNull(e.Occurred), orNull(e.Received)
		sources[i], sums[i], bodies[i] = e.Source, e.Sum(), e.Body
	}
	return append(placeColumns(events), crns, noms, emitted, occurred, received, stored, sources, sums, bodies)
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

const sqlBatch = `
	select referral, type, id, sequence, nullif(crn, '') as crn, nullif(noms, '') as noms, emitted, occurred, received, stored, source, sha256, body
	from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
		$9::timestamptz[], $10::timestamptz[], $11::text[], $12::bytea[], $13::bytea[])
		as b (referral, type, id, sequence, crn, noms, emitted, occurred, received, stored, source, sha256, body)`

// An event that stood there already was marked by whoever put it there.
const sqlPutEvents = `
with put as (
	insert into projection.event (referral, type, id, sequence, crn, noms, emitted, occurred, received, stored, source, sha256, body)` + sqlBatch + `
	on conflict do nothing
	returning referral, sequence
), marked as (
	insert into projection.due (referral) select distinct referral from put order by 1
), mended as (
	delete from projection.damage d using put p where d.sequence = p.sequence
)
select count(*) from put`

// An event whose place is taken by an earlier message leaves a sequence without a
// row, and what was applied of it moves along, unless that was known already: of an
// inbox that was lost.
const sqlReplaced = `
with batch as (
	select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) as b (referral, type, id, sequence)
), replaced as (
	select e.sequence as late, b.sequence as early
	from batch b join projection.event e using (referral, type, id)
	where e.sequence > b.sequence
), gone as (
	delete from projection.applied a using replaced r where a.sequence = r.late returning r.early, a.applied
), moved as (
	insert into projection.applied (sequence, applied) select early, applied from gone order by 1 on conflict do nothing
)
insert into projection.other_sequence (sequence, unreadable) select late, false from replaced
on conflict do nothing`

const sqlReplace = `
with replaced as (
	update projection.event e
	set sequence = b.sequence, crn = b.crn, noms = b.noms, emitted = b.emitted, occurred = b.occurred, received = b.received,
		stored = b.stored, source = b.source, sha256 = b.sha256, body = b.body
	from (` + sqlBatch + `) b
	where e.referral = b.referral and e.type = b.type and e.id = b.id and e.sequence > b.sequence
	returning e.referral
)
insert into projection.due (referral) select distinct referral from replaced order by 1`

const sqlPutIdentities = `
insert into projection.identity (referral, crn, noms)
select referral, crn, noms from unnest($1::uuid[], $2::text[], $3::text[]) as b (referral, crn, noms)
order by referral, crn, noms
on conflict do nothing`

const sqlPutOthers = `
insert into projection.other_sequence (sequence, unreadable)
select s, s = any (coalesce($2::bigint[], '{}'))
from unnest($1::bigint[]) s
where not exists (select from projection.event e where e.sequence = s)
order by s
on conflict do nothing`
