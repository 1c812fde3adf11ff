package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/retry"
)

// renewals is how often a lease is renewed in its time.
const renewals = 4

// rebuildLock implements projector.RebuildLock: a row that says whose lease it is, its number
// and its end by the database's clock. It also keeps the bookmark for whoever goes on.
type rebuildLock struct {
	db      *tx.DB
	lease   time.Duration
	fence   int64
	release func()
}

// errEnded says that the rebuild which had the lock has ended since.
var errEnded = errors.New("the other rebuild has just ended")

// LockRebuild implements projector.RebuildLocks. A rebuild that was paused goes on where somebody
// begins one; the same that is taken over, by its name, stays paused.
func (p *People) LockRebuild(ctx context.Context, by string, restart bool, now time.Time) (projector.RebuildLock, projector.Bookmark, error) {
	for {
		lock, at, err := p.lockRebuild(ctx, by, restart, now)
		if !errors.Is(err, errEnded) {
			return lock, at, err
		}
	}
}

func (p *People) lockRebuild(ctx context.Context, by string, restart bool, now time.Time) (projector.RebuildLock, projector.Bookmark, error) {
	l := &rebuildLock{db: p.DB, lease: p.Lease}
	at := projector.Bookmark{}
	var tally []byte
	t, err := p.DB.Fill(ctx, 1)
	if err != nil {
		return nil, at, fmt.Errorf("taking the rebuild lock: %w", err)
	}
	defer tx.Rollback(ctx, t)
	err = t.QueryRow(ctx, `
		insert into projection.rebuild as r (worker, since, started, fence, lease_end)
		values ($1, $2, $2, nextval('projection.rebuild_fence'), now() + $4::interval)
		on conflict (one) do update set worker = $1, since = $2, fence = excluded.fence, lease_end = excluded.lease_end,
			started = case when $3 then $2 else r.started end, person = case when $3 then 0 else r.person end,
			people = case when $3 then 0 else r.people end, tally = case when $3 then '{}' else r.tally end,
			paused_by = case when r.worker = $1 then r.paused_by else '' end
		where r.lease_end <= now()
		returning fence, started, person, people, tally`, by, now, restart, p.Lease).
		Scan(&l.fence, &at.Started, &at.Person, &at.People, &tally)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, at, l.running(ctx)
	}
	if err == nil {
		err = errors.Join(json.Unmarshal(tally, &at.Tally), t.Commit(ctx))
	}
	if err != nil {
		return nil, at, fmt.Errorf("taking the rebuild lock: %w", tx.Translate(err))
	}
	l.keep()
	return l, at, nil
}

// running says whose lease it is.
func (l *rebuildLock) running(ctx context.Context) error {
	running := &projector.RebuildRunning{}
	err := l.db.Pool.QueryRow(ctx, "select worker, since, lease_end, lease_end - now() from projection.rebuild").
		Scan(&running.By, &running.Since, &running.End, &running.Left)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errEnded
	case err != nil:
		return fmt.Errorf("asking who rebuilds: %w", tx.Translate(err))
	}
	return running
}

// keep renews the lease until it is released. Where that fails for too long another process may
// take it: the number tells.
func (l *rebuildLock) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for retry.Pause(ctx, l.lease/renewals) == nil {
			l.renew(ctx)
		}
	})
	l.release = sync.OnceFunc(func() {
		cancel()
		renewing.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.write(ctx, "giving the rebuild's lease back", "set lease_end = '-infinity'") // or it ends by itself
	})
}

// renew prolongs the lease. Where that cannot be, the next time may.
func (l *rebuildLock) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.lease/renewals)
	defer cancel()
	_ = l.write(ctx, "renewing the rebuild's lease", "set lease_end = now() + $2::interval", l.lease)
}

// Fence implements projector.RebuildLock.
func (l *rebuildLock) Fence() int64 { return l.fence }

// Reached implements projector.RebuildLock.
func (l *rebuildLock) Reached(ctx context.Context, at projector.Bookmark) error {
	tally, err := json.Marshal(at.Tally)
	if err != nil {
		return fmt.Errorf("keeping the bookmark of the rebuild: %w", err)
	}
	return l.write(ctx, "keeping the bookmark of the rebuild", `set person = $2, people = $3, tally = $4,
		phase = $5, phase_since = $6, phase_from = $7, done = $8, total = $9, rate = $10, reached = now()`,
		at.Person, at.People, string(tally), string(at.Progress.Phase), at.Since, at.From, at.Progress.Done, at.Progress.Total, at.Rate)
}

// Paused implements projector.RebuildLock.
func (l *rebuildLock) Paused(ctx context.Context) (paused bool, err error) {
	err = l.db.Pool.QueryRow(ctx, "select paused_by <> '' from projection.rebuild where fence = $1", l.fence).Scan(&paused)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, fmt.Errorf("%w: this one's lease has ended", projector.ErrRebuildRunning)
	case err != nil:
		return false, fmt.Errorf("asking whether the rebuild is to pause: %w", tx.Translate(err))
	}
	return paused, nil
}

// Finish implements projector.RebuildLock.
func (l *rebuildLock) Finish(ctx context.Context) error {
	return l.exec(ctx, "forgetting the bookmark of the rebuild", "delete from projection.rebuild where fence = $1")
}

// Release implements projector.RebuildLock.
func (l *rebuildLock) Release() { l.release() }

// write changes the row, if it is still ours.
func (l *rebuildLock) write(ctx context.Context, doing, set string, args ...any) error {
	return l.exec(ctx, doing, "update projection.rebuild "+set+" where fence = $1", args...)
}

func (l *rebuildLock) exec(ctx context.Context, doing, query string, args ...any) error {
	rows, err := l.db.Exec(ctx, query, append([]any{l.fence}, args...)...)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case rows == 0:
		return fmt.Errorf("%s: %w: this one's lease has ended", doing, projector.ErrRebuildRunning)
	}
	return nil
}
