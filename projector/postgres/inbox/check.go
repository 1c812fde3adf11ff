package inbox

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/verify"
	"casdelius/store"
)

// sqlAccepted says whether the loss of a sequence of o was accepted.
const sqlAccepted = "exists (select from projection.damage d where d.sequence = o.sequence and d.accepted is not null)"

// Entries implements verify.Inbox.
func (i *Inbox) Entries(ctx context.Context, r projector.Range) ([]verify.Entry, error) {
	rows, err := i.DB.Pool.Query(ctx, `
		select sequence, referral, type, id, coalesce(crn, ''), coalesce(noms, ''), emitted, occurred, received, stored, source, sha256,
			sha256(body) = sha256, false as other, `+sqlAccepted+`
		from projection.event o where sequence between $1 and $2
		union all
		select sequence, '00000000-0000-0000-0000-000000000000', '', '', '', '', 'epoch', null, null, 'epoch', '', '', true, true, `+sqlAccepted+`
		from projection.other_sequence o
		where sequence between $1 and $2 and not exists (select from projection.event e where e.sequence = o.sequence)
		order by 1`, r.From, r.To)
	if err != nil {
		return nil, fmt.Errorf("reading the inbox from sequence %d: %w", r.From, tx.Translate(err))
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (verify.Entry, error) {
		var h verify.Entry
		var occurred, received *time.Time
		var sum []byte
		err := row.Scan(&h.Sequence, &h.Referral, &h.Type, &h.ID, &h.CRN, &h.NOMS, &h.Emitted, &occurred, &received, &h.Stored, &h.Source, &sum, &h.Intact, &h.Other, &h.Accepted)
		h.Occurred, h.Received, h.Sum = orZero(occurred), orZero(received), hex.EncodeToString(sum)
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the inbox from sequence %d: %w", r.From, tx.Translate(err))
	}
	return entries, nil
}

// keyColumns turns identities into the arrays that statements unnest.
func keyColumns(keys []store.Key) (referrals [][16]byte, types, ids []string) {
	for _, k := range keys {
		referrals, types, ids = append(referrals, k.Referral), append(types, string(k.Type)), append(ids, k.ID)
	}
	return referrals, types, ids
}

// FirstSequences implements verify.Inbox.
func (i *Inbox) FirstSequences(ctx context.Context, keys []store.Key) (map[store.Key]uint64, error) {
	referrals, types, ids := keyColumns(keys)
	//nolint:rowserrcheck // ForEachRow checks it
	rows, err := i.DB.Pool.Query(ctx, `
		select e.referral, e.type, e.id, e.sequence
		from unnest($1::uuid[], $2::text[], $3::text[]) as k (referral, type, id) join projection.event e using (referral, type, id)`, referrals, types, ids)
	if err != nil {
		return nil, fmt.Errorf("looking for %d events in the inbox: %w", len(keys), tx.Translate(err))
	}
	first := map[store.Key]uint64{}
	var k store.Key
	var sequence uint64
	_, err = pgx.ForEachRow(rows, []any{&k.Referral, &k.Type, &k.ID, &sequence}, func() error {
		first[k] = sequence
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for %d events in the inbox: %w", len(keys), tx.Translate(err))
	}
	return first, nil
}

// BeyondStream implements verify.Inbox.
func (i *Inbox) BeyondStream(ctx context.Context, last uint64) ([]verify.Finding, error) {
	return i.findings(ctx, nil, "looking beyond the stream", `
		select 'extra', sequence, referral, type, id, coalesce(crn, ''), '' from projection.event where sequence > $1 or sequence < 1
		union all
		select 'extra', sequence, '00000000-0000-0000-0000-000000000000', '', '', '', '' from projection.other_sequence where sequence > $1 or sequence < 1
		order by 2`, last)
}

// findings collects what a query finds about the inbox.
func (i *Inbox) findings(ctx context.Context, transaction pgx.Tx, doing, query string, args ...any) ([]verify.Finding, error) {
	ask := i.DB.Pool.Query
	if transaction != nil {
		ask = transaction.Query
	}
	rows, err := ask(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, tx.Translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (verify.Finding, error) {
		f := verify.Finding{Severity: verify.Damaged, Place: verify.InInbox}
		var sequence int64
		err := row.Scan(&f.Problem, &sequence, &f.Referral, &f.Event.Type, &f.Event.ID, &f.CRN, &f.URN)
		f.Sequence = uint64(max(0, sequence))
		if f.Event.Type != "" {
			f.Event.Referral = f.Referral
		}
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, tx.Translate(err))
	}
	return found, nil
}

// Restore implements projector.Mender. What stands under the messages' sequences, or
// later under their identities, goes first; the ledger forgets events that only the
// inbox had.
func (i *Inbox) Restore(ctx context.Context, messages []store.Stored) error {
	return i.inOne(ctx, messages, "restoring messages in the inbox", restore)
}

func restore(ctx context.Context, transaction pgx.Tx, messages []store.Stored) error {
	var sequences, keySequences []int64
	var keys []store.Key
	stays := map[store.Key]bool{}
	for i := range messages {
		if messages[i].Damaged() {
			continue // what the inbox has is better
		}
		sequence := int64(messages[i].Sequence) //nolint:gosec // see put
		sequences = append(sequences, sequence)
		if messages[i].IsEvent() {
			key := messages[i].Key()
			keys, keySequences, stays[key] = append(keys, key), append(keySequences, sequence), true
		}
	}
	referrals, types, ids := keyColumns(keys)
	rows, err := transaction.Query(ctx, `
		with others as (
			delete from projection.other_sequence where sequence = any ($1)
		)
		delete from projection.event where sequence = any (array(
			select unnest($1::bigint[])
			union
			select e.sequence from unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[]) as k (referral, type, id, sequence)
			join projection.event e using (referral, type, id) where e.sequence > k.sequence))
		returning referral, type, id`, sequences, referrals, types, ids, keySequences)
	if err != nil {
		return err
	}
	gone, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Key, error) {
		var k store.Key
		return k, row.Scan(&k.Referral, &k.Type, &k.ID)
	})
	if err != nil {
		return err
	}
	var b pgx.Batch
	for _, k := range gone {
		if !stays[k] {
			QueueForget(&b, k.Referral, delius.HashOf(k))
		}
	}
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	return putOnly(ctx, transaction, messages)
}

const (
	// sqlUnapplied holds for an event e that was never applied although nobody is to look
	// at it: its referral is neither due nor parked until a retry, and it is not one that
	// cannot be used.
	sqlUnapplied = `not exists (select from projection.applied a where a.sequence = e.sequence)
		and not exists (select from projection.due d where d.referral = e.referral)
		and not exists (select from projection.parked p where p.referral = e.referral and (p.retry_at is not null or p.event = e.type || ' ' || e.id))`

	// sqlUnnamed holds for an event e whose person is not looked for.
	sqlUnnamed = `(e.crn is not null or e.noms is not null) and not exists (select from projection.identity i
		where i.referral = e.referral and i.crn = coalesce(e.crn, '') and i.noms = coalesce(e.noms, ''))`
)

// Unprocessed implements verify.Inbox.
func (i *Inbox) Unprocessed(ctx context.Context, referrals []store.Referral) ([]verify.Finding, error) {
	transaction, err := i.DB.Scan(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, transaction)
	var all []verify.Finding
	for _, query := range []string{
		`select 'unapplied', e.sequence, e.referral, e.type, e.id, coalesce(e.crn, ''), '' from projection.event e
			where ($1::uuid[] is null or e.referral = any ($1)) and ` + sqlUnapplied + ` order by e.sequence`,
		`select 'unnamed', e.sequence, e.referral, e.type, e.id, coalesce(e.crn, ''), '' from projection.event e join ` + sqlTypes + ` using (type)
			where ($1::uuid[] is null or e.referral = any ($1)) and ` + sqlUnnamed + ` order by e.sequence`,
		`select distinct 'unwritten', 0, e.referral, '', '', '', k.urn || e.referral::text from projection.event e join ` + sqlTypes + ` using (type)
			where ($1::uuid[] is null or e.referral = any ($1))
				and exists (select from projection.applied a where a.sequence = e.sequence)
				and not exists (select from projection.contact l where l.urn = k.urn || e.referral::text)
				and not exists (select from projection.due d where d.referral = e.referral)
				and not exists (select from projection.parked p where p.referral = e.referral and p.urn = k.urn || e.referral::text)
			order by 7`,
	} {
		found, err := i.findings(ctx, transaction, "looking for what was never processed", query, referrals)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// Sequences implements verify.Inbox.
func (i *Inbox) Sequences(ctx context.Context, referrals []store.Referral) ([]uint64, error) {
	return tx.Collect[uint64](ctx, i.DB.LookMany, "reading the sequences of referrals", "select sequence from projection.event where referral = any ($1) order by sequence", referrals)
}

// QueueForget makes the ledger forget one event of a referral, who is to be looked at then.
func QueueForget(b *pgx.Batch, referral store.Referral, hash int64) {
	b.Queue("update projection.contact set events = array_remove(events, $2) where referral = $1 and $2 = any (events)", referral, hash)
	b.Queue("update projection.address set events = array_remove(events, $2) where booking = $1 and $2 = any (events)", referral, hash)
	b.Queue("insert into projection.due (referral) values ($1)", referral)
}

// sqlTypes has every type of event that makes a contact, with how the URN of that begins, as
// rows of a values list k.
var sqlTypes = func() string {
	var all []string
	for _, kind := range delius.Kinds() {
		for _, told := range kind.Events {
			all = append(all, fmt.Sprintf("('%s', '%s')", told.Type, kind.URNPrefix()))
		}
	}
	return "(values " + strings.Join(all, ", ") + ") as k (type, urn)"
}()
