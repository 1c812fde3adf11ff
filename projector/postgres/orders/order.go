// Package orders keeps what somebody asked for: requests, from whoever asks to what became of
// them, and the audit of who did what.
//
// A request is taken by a process for as long as its lease holds. Where that one is killed
// another takes it over. What a request does in the database it does in one transaction with
// the entry of the audit and the note that it is done, and only while it is still that
// process's: so it is done once, however many had it.
package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// sqlEnter adds an entry of the audit: $1 to $6 are its columns, $7 its request.
const sqlEnter = `
	insert into projection.audit (who, what, crn, referral, why, detail, request)
	select $1, $2, $3, $4::uuid, $5, $6::jsonb, $7::uuid`

// sqlDone does so while the request is still its holder's, and ends the request. A conflict that
// is settled by it is settled.
const sqlDone = `
	with mine as (
		update projection.request set state = 'done', ended = now(), outcome = $9
		where id = $7 and holder = $8 and state = 'working' returning id
	), settled as (
		update projection.conflict set settled = now(), settled_as = case when $2 = 'restore' then 'restored' else 'reviewed' end, settled_by = $1, settled_why = $5
		where conflict_id = $10 and exists (select from mine)
	)` + sqlEnter + ` where exists (select from mine)`

// Queue writes down an order in the transaction that carries it out. The batch fails with
// [projector.ErrTaken] where the request is not the holder's any more.
func Queue(b *pgx.Batch, o *projector.Order) {
	if o.Request == (uuid.UUID{}) {
		b.Queue(sqlEnter, columns(&o.Entry, o.Outcome)...)
		return
	}
	b.Queue(sqlDone, append(columns(&o.Entry, o.Outcome), o.Holder, o.Outcome, o.Settle)...).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return projector.ErrTaken
		}
		return nil
	})
}

// columns are those of an entry, with what came of it among its details.
func columns(e *audit.Entry, outcome string) []any {
	detail := map[string]json.RawMessage{}
	if len(e.Detail) > 0 {
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			panic(err) // unreachable: whoever makes an entry makes an object
		}
	}
	if outcome != "" {
		text, err := json.Marshal(outcome)
		if err != nil {
			panic(err) // unreachable: of a text
		}
		detail["outcome"] = text
	}
	text, err := json.Marshal(detail)
	if err != nil {
		panic(err) // unreachable: of what was read
	}
	return []any{e.Who, e.What, string(e.CRN), orNull(e.Referral == store.Referral{}, [16]byte(e.Referral)), e.Why, string(text), orNull(e.Request == uuid.UUID{}, [16]byte(e.Request))}
}

func orNull(null bool, id [16]byte) *[16]byte {
	if null {
		return nil
	}
	return &id
}

// Within carries out an order in one transaction of the projector's own: what f does, and what is
// written down with it. What f returns is the outcome.
func (o *Orders) Within(ctx context.Context, order *projector.Order, f func(pgx.Tx) (string, error)) error {
	t, err := o.DB.Fill(ctx, tx.Few+1)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx, t)
	if order.Outcome, err = f(t); err != nil {
		return tx.Translate(err)
	}
	var b pgx.Batch
	Queue(&b, order)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing down what was done: %w", tx.Translate(err))
	}
	return tx.Translate(t.Commit(ctx))
}

// Orders keeps requests and the audit.
type Orders struct {
	DB *tx.DB
}

// Record adds an entry to the audit.
func (o *Orders) Record(ctx context.Context, e audit.Entry) error {
	if _, err := o.DB.Exec(ctx, sqlEnter, columns(&e, "")...); err != nil {
		return fmt.Errorf("adding to the audit: %w", err)
	}
	return nil
}

// Entries selects entries of the audit: of a person, by somebody, before an entry; zero is all.
type Entries struct {
	CRN    store.CRN
	Who    string
	Before int64 // the number of the entry after the last that is wanted
	Limit  int
}

// Audit lists entries, the newest first.
func (o *Orders) Audit(ctx context.Context, which Entries) ([]audit.Entry, error) {
	rows, err := o.DB.Pool.Query(ctx, `
		select audit, at, who, what, crn, coalesce(referral, '00000000-0000-0000-0000-000000000000'), why, detail, coalesce(request, '00000000-0000-0000-0000-000000000000')
		from projection.audit
		where ($1 = '' or crn = $1 and crn <> '') and ($2 = '' or who = $2) and ($3 = 0 or audit < $3) order by audit desc limit $4`,
		string(which.CRN), which.Who, which.Before, which.Limit)
	if err == nil {
		var list []audit.Entry
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (audit.Entry, error) {
			var e audit.Entry
			var request [16]byte
			err := row.Scan(&e.Number, &e.At, &e.Who, &e.What, &e.CRN, &e.Referral, &e.Why, &e.Detail, &request)
			e.At, e.Request = e.At.UTC(), request
			return e, err
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("listing the audit: %w", tx.Translate(err))
}
