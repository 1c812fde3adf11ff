package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/requests"
)

var _ requests.Queue = (*Orders)(nil)

// sqlLong holds for requests that take minutes.
const sqlLong = "(kind = 'plan' or kind = 'rebuild' and coalesce((target ->> 'all')::boolean, false))"

const sqlRequest = `id, kind, target, plan_hash, who, why, at, state, tries, taken, ended, outcome, result`

// Add adds a request. One that is there already is left as it is.
func (o *Orders) Add(ctx context.Context, r *requests.Request) error {
	if err := r.Validate(); err != nil {
		return err
	}
	target, err := json.Marshal(&r.Target)
	if err != nil {
		return fmt.Errorf("adding a request: %w", err)
	}
	_, err = o.DB.Exec(ctx, "insert into projection.request (id, kind, target, plan_hash, who, why) values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
		[16]byte(r.ID), string(r.Kind), string(target), r.PlanHash, r.Who, r.Why)
	if err != nil {
		return fmt.Errorf("adding a request: %w", err)
	}
	return nil
}

// Take implements requests.Queue.
func (o *Orders) Take(ctx context.Context, holder string, long bool, lease time.Duration) (*requests.Request, error) {
	return o.take(ctx, `(select id from projection.request
		where state in ('waiting', 'working') and (state = 'waiting' or lease_end < now()) and `+sqlLong+` = $3
		order by at, id limit 1 for update skip locked)`, holder, lease, long)
}

// TakeThis takes one request; nil if it is not to be had.
func (o *Orders) TakeThis(ctx context.Context, id uuid.UUID, holder string, lease time.Duration) (*requests.Request, error) {
	return o.take(ctx, `(select id from projection.request
		where id = $3 and (state = 'waiting' or state = 'working' and lease_end < now()) for update skip locked)`, holder, lease, [16]byte(id))
}

func (o *Orders) take(ctx context.Context, which, holder string, lease time.Duration, arg any) (*requests.Request, error) {
	t, err := o.DB.Fill(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, t)
	r, err := scan(t.QueryRow(ctx, `
		update projection.request set state = 'working', holder = $1, lease_end = now() + $2::interval, tries = tries + 1, taken = coalesce(taken, now())
		where id = `+which+` returning `+sqlRequest, holder, lease, arg))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil // none is to be had
	case err == nil:
		err = t.Commit(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("taking a request: %w", tx.Translate(err))
	}
	return r, nil
}

// Renew implements requests.Queue.
func (o *Orders) Renew(ctx context.Context, id uuid.UUID, holder string, lease time.Duration) error {
	return o.own(ctx, "lease_end = now() + $3::interval", id, holder, lease)
}

// Release implements requests.Queue.
func (o *Orders) Release(ctx context.Context, id uuid.UUID, holder string) error {
	return o.own(ctx, "lease_end = '-infinity'", id, holder)
}

func (o *Orders) own(ctx context.Context, set string, id uuid.UUID, holder string, args ...any) error {
	n, err := o.DB.Exec(ctx, "update projection.request set "+set+" where id = $1 and holder = $2 and state = 'working'", append([]any{[16]byte(id), holder}, args...)...)
	if err == nil && n == 0 {
		return projector.ErrTaken
	}
	return err
}

// End implements requests.Queue.
func (o *Orders) End(ctx context.Context, id uuid.UUID, holder string, end requests.End) error {
	t, err := o.DB.Fill(ctx, 1)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx, t)
	var result *string
	if end.Result != nil {
		text := string(end.Result)
		result = &text
	}
	tag, err := t.Exec(ctx, `
		update projection.request set state = $3, ended = now(), outcome = $4, result = $5::jsonb where id = $1 and holder = $2 and state = 'working'`,
		[16]byte(id), holder, string(end.State), end.Outcome, result)
	if err == nil && tag.RowsAffected() == 0 {
		return projector.ErrTaken
	}
	if err == nil {
		_, err = t.Exec(ctx, sqlEnter, columns(&end.Entry, string(end.State)+": "+end.Outcome)...)
	}
	if err == nil {
		err = t.Commit(ctx)
	}
	if err != nil {
		return fmt.Errorf("ending a request: %w", tx.Translate(err))
	}
	return nil
}

// Request gives one request; nil if there is none.
func (o *Orders) Request(ctx context.Context, id uuid.UUID) (*requests.Request, error) {
	r, err := scan(o.DB.Pool.QueryRow(ctx, "select "+sqlRequest+" from projection.request where id = $1", [16]byte(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w", tx.Translate(err))
	}
	return r, nil
}

// Requests lists the requests that were made before a time, the newest first; a zero time is all.
func (o *Orders) Requests(ctx context.Context, before time.Time, limit int) ([]requests.Request, error) {
	rows, err := o.DB.Pool.Query(ctx, "select "+sqlRequest+" from projection.request where $1::timestamptz is null or at < $1 order by at desc, id limit $2", orNever(before), limit)
	if err == nil {
		var list []requests.Request
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (requests.Request, error) {
			r, err := scan(row)
			if err != nil {
				return requests.Request{}, err
			}
			return *r, nil
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("listing requests: %w", tx.Translate(err))
}

func orNever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func scan(row pgx.Row) (*requests.Request, error) {
	var r requests.Request
	var id [16]byte
	var target []byte
	var taken, ended *time.Time
	err := row.Scan(&id, &r.Kind, &target, &r.PlanHash, &r.Who, &r.Why, &r.At, &r.State, &r.Tries, &taken, &ended, &r.Outcome, &r.Result)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(target, &r.Target); err != nil {
		r.Invalid = "its target cannot be read" // it is refused, and in nobody's way
	}
	r.ID, r.At = id, r.At.UTC()
	for from, to := range map[*time.Time]*time.Time{taken: &r.Taken, ended: &r.Ended} {
		if from != nil {
			*to = from.UTC()
		}
	}
	return &r, nil
}

// Review settles a conflict as looked at.
func (o *Orders) Review(ctx context.Context, conflict int64, order *projector.Order) error {
	return o.Within(ctx, order, func(t pgx.Tx) (string, error) {
		var settled string
		err := t.QueryRow(ctx, "select settled_as from projection.conflict where conflict_id = $1 for update", conflict).Scan(&settled)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return "", requests.Refuse("there is no conflict %d", conflict)
		case err == nil && settled == "restored":
			return "", requests.Refuse("conflict %d is restored already", conflict)
		}
		order.Settle = conflict
		return "reviewed", err
	})
}

// Pause has the rebuild of everyone pause, or go on.
func (o *Orders) Pause(ctx context.Context, paused bool, order *projector.Order) error {
	return o.Within(ctx, order, func(t pgx.Tx) (string, error) {
		by, outcome := "", "it goes on"
		if paused {
			by, outcome = order.Entry.Who, "it pauses after the chunk in hand"
		}
		tag, err := t.Exec(ctx, "update projection.rebuild set paused_by = $1", by)
		if err == nil && tag.RowsAffected() == 0 {
			return "", requests.Refuse("no rebuild of everyone is under way")
		}
		return outcome, err
	})
}
