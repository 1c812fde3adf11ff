package projector_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/foldversion"
	"casdelius/store"
)

// newer is the database as a program with the next fold opens it.
func (r *rig) newer(t *testing.T) *postgres.Database {
	t.Helper()
	db, err := postgres.New(ctx, r.delius.Projector, postgres.Config{
		RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, LockTimeout: time.Minute, FoldVersion: delius.FoldVersion + 1,
	})
	require.NoError(t, err)
	return db
}

func (r *rig) foldVersion(t *testing.T) (version int) {
	t.Helper()
	require.NoError(t, r.delius.Pool.QueryRow(ctx, "select version from projection.fold").Scan(&version))
	return version
}

func (r *rig) contacts(t *testing.T) int {
	t.Helper()
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	return len(contacts)
}

// project makes a projector on a database reconcile everyone who is due.
func projectOn(t *testing.T, r *rig, db *postgres.Database, dryRun bool) error {
	t.Helper()
	p, err := projector.New(r.stream, db.Ports(), projector.Config{Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	due, err := r.db.Due(ctx, time.Now(), time.Now(), 100, nil)
	require.NoError(t, err)
	report, err := p.Reconcile(ctx, projector.Selection{Referrals: due, DryRun: dryRun})
	require.Empty(t, report.Failed)
	return err
}

// Broken variant: the version is read, and compared, only at the start of a program.
func TestAnOlderFoldWritesNothingOnceANewerOneHasWritten(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0))
	older := r.take(t, booking(1)) // it has decided, and not written, when the newer one comes
	r.put(t, moved(2, another, 0))
	newer := r.newer(t)
	require.NoError(t, projectOn(t, r, newer, false))
	require.Equal(t, delius.FoldVersion+1, r.foldVersion(t))
	before := r.contacts(t)

	_, err := older.Apply(ctx, older.decisions, time.Now())
	require.ErrorIs(t, err, projector.ErrOlder)
	require.ErrorIs(t, projectOn(t, r, r.db, false), projector.ErrOlder)
	_, err = r.Rebuild(ctx, projector.Rebuild{})
	require.ErrorIs(t, err, projector.ErrOlder)
	require.Equal(t, before, r.contacts(t))
	require.ErrorIs(t, r.db.MayWrite(ctx), projector.ErrOlder)
	require.NoError(t, newer.MayWrite(ctx))

	was, err := foldversion.AllowOlder(ctx, r.delius.Projector)
	require.NoError(t, err)
	require.Equal(t, delius.FoldVersion+1, was)
	require.NoError(t, projectOn(t, r, r.db, false))
	require.Equal(t, delius.FoldVersion, r.foldVersion(t))
	require.Greater(t, r.contacts(t), before)
}

// Broken variant: the version is raised when a program starts, or by every step.
func TestOnlyAWriteRaisesTheFoldVersion(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0))
	newer := r.newer(t)
	require.NoError(t, newer.MayWrite(ctx))
	require.NoError(t, projectOn(t, r, newer, true))
	_, err := projectorOn(t, r.stream, newer, false).Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{DryRun: true}})
	require.NoError(t, err)
	_, err = newer.ReferralHistory(ctx, booking(1))
	require.NoError(t, err)
	_, _, _ = r.verify(t, false)
	running, stop := context.WithCancel(ctx)
	log := &quiet{stream: r.stream, replay: r.stream.messages, acked: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	p := projectorOn(t, log, newer, true)
	go func() { ended <- p.Run(running) }()
	<-log.acked
	stop()
	require.NoError(t, <-ended)
	require.Equal(t, delius.FoldVersion, r.foldVersion(t))
	require.NoError(t, projectOn(t, r, newer, false))
	require.Equal(t, delius.FoldVersion+1, r.foldVersion(t))
}

func projectorOn(t *testing.T, log projector.Log, db *postgres.Database, hold bool) *projector.Projector {
	t.Helper()
	p, err := projector.New(log, db.Ports(), projector.Config{
		Hold: hold, Sweep: 5 * time.Millisecond, Search: 20 * time.Millisecond, Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return p
}

// waiting says how many sessions wait for an advisory lock.
func (r *rig) waiting(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, r.delius.Pool.QueryRow(ctx, `
		select count(*) from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`).Scan(&n))
	return n
}

// share is what a step does first when it writes.
func share(transaction pgx.Tx, guard *foldversion.Guard) error {
	var b pgx.Batch
	guard.Queue(&b)
	return transaction.SendBatch(ctx, &b).Close()
}

// A raise waits for the transactions that write, and those that come after it for the raise,
// so that it waits for no others, however many there are.
//
// Broken variant: row locks alone, among which later readers pass the raise that waits.
func TestARaiseWaitsForRunningTransactionsOnly(t *testing.T) {
	t.Parallel()
	r := populated(t)
	mine, next := r.db.Config.Fold, r.newer(t).Config.Fold
	begin := func() pgx.Tx {
		transaction, err := r.delius.Pool.Begin(ctx)
		require.NoError(t, err)
		t.Cleanup(func() { _ = transaction.Rollback(ctx) })
		return transaction
	}
	running, beside, later := begin(), begin(), begin()
	require.NoError(t, share(running, &mine))
	require.NoError(t, share(beside, &mine), "those that write do not wait for one another")

	behind := begin()
	failed := share(behind, &next)
	require.Error(t, failed)
	require.NoError(t, behind.Rollback(ctx))
	raised := make(chan error, 1)
	go func() { raised <- next.Settle(ctx, failed) }()
	require.Eventually(t, func() bool { return r.waiting(t) == 1 }, time.Minute, time.Millisecond, "the raise waits")
	shared := make(chan error, 1)
	go func() { shared <- share(later, &mine) }()
	require.Eventually(t, func() bool { return r.waiting(t) == 2 }, time.Minute, time.Millisecond, "the later one waits for the raise")
	require.NoError(t, running.Commit(ctx))
	require.NoError(t, beside.Commit(ctx))
	require.ErrorIs(t, <-raised, projector.ErrRetry)
	require.ErrorIs(t, <-shared, projector.ErrOlder)
	require.Equal(t, delius.FoldVersion+1, r.foldVersion(t))
}

// handed is a stream with one delivery for every follower, which notes when that is closed.
// It ends at a sequence that moves.
type handed struct {
	*stream
	last             atomic.Uint64
	followed, closed chan struct{}
}

func (h *handed) Stream(context.Context) (projector.Stream, error) {
	return projector.Stream{Created: created, LastSequence: h.last.Load()}, nil
}

func (h *handed) Follow(context.Context) (projector.Follower, error) {
	h.followed <- struct{}{}
	return &hand{h, h.messages[:h.last.Load()]}, nil
}

type hand struct {
	*handed
	left []store.Stored
}

func (h *hand) Fetch(ctx context.Context, _ int) ([]store.Stored, error) {
	if some := h.left; len(some) > 0 {
		h.left = nil
		return some, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (*hand) Ack([]store.Stored) error     { return nil }
func (*hand) Release([]store.Stored) error { return nil }
func (h *hand) Close() error {
	h.closed <- struct{}{}
	return nil
}

// Broken variants: the error of an older fold ends the run; or it is retried with the events
// in hand, which the newer programs then do not get.
func TestAnOlderProjectorStandsBackAndGoesOnWhenItMay(t *testing.T) {
	t.Parallel()
	r := populated(t)
	messages := r.stream.add(moved(2, another, 0), moved(1, someone, 0))
	log := &handed{stream: r.stream, followed: make(chan struct{}, 10), closed: make(chan struct{}, 10)}
	comes := func(sequence uint64) {
		log.last.Store(sequence)
		require.NoError(t, r.db.Put(ctx, messages[sequence-1:sequence]))
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	p := projectorOn(t, log, r.db, false)
	go func() { ended <- p.Run(running) }()
	<-log.followed
	comes(1)
	require.Eventually(t, func() bool { return r.contacts(t) == 1 }, time.Minute, time.Millisecond)

	r.exec(t, "update projection.fold set version = version + 1")
	comes(2)
	<-log.closed // whatever it had in hand is anybody's again
	require.Equal(t, 1, r.contacts(t))
	require.Empty(t, ended)
	require.Empty(t, log.followed)

	_, err := foldversion.AllowOlder(ctx, r.delius.Projector)
	require.NoError(t, err)
	<-log.followed
	require.Eventually(t, func() bool { return r.contacts(t) == 2 }, time.Minute, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}
