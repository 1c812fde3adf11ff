package projector_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/delius"
	"casdelius/projector/verify"
	"casdelius/store"
)

// poison makes every write of a contact of somebody fail, with an error that tells of them.
func (r *rig) poison(t *testing.T, crn string) {
	t.Helper()
	r.exec(t, `create function delius.poison() returns trigger language plpgsql as $$ begin
		if exists (select from delius.offender o where o.offender_id = new.offender_id and o.crn = '`+crn+`') then
			raise exception 'Jane Doe lives at 1 Secret Street' using errcode = '23514', table = 'contact', schema = 'delius', constraint = 'contact_check';
		end if;
		return new;
	end $$`)
	r.exec(t, "create trigger poison before insert or update on delius.contact for each row execute function delius.poison()")
}

func (r *rig) heal(t *testing.T) { r.exec(t, "drop trigger poison on delius.contact") }

// Broken variant: an unexpected error goes to a log line and a counter alone, and is forgotten
// with the process.
func TestWhoFailsIsKeptWithTheLastErrorUntilItSucceeds(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.poison(t, string(someone))
	r.put(t, moved(1, someone, 0), moved(2, another, 0))
	began := time.Now()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	p := projectorOn(t, &quiet{stream: r.stream}, r.db, false)
	go func() { ended <- p.Run(running) }()
	var who []projector.Failure
	require.Eventually(t, func() bool {
		list, err := r.db.Parked(ctx, projector.Selection{}, delius.Failing)
		require.NoError(t, err)
		who = nil
		for _, p := range list {
			require.Equal(t, someone, p.Owner.CRN)
			require.WithinRange(t, p.Since, began.Add(-time.Minute), time.Now())
			require.False(t, p.RetryAt.IsZero())
			if p.Tries >= 3 { // it is tried again by itself
				who = append(who, projector.Failure{Referral: p.Referral, Problem: p.Problem})
			}
		}
		return len(who) == 1 && r.contacts(t) == 1
	}, time.Minute, 5*time.Millisecond)
	require.Equal(t, []projector.Failure{{Referral: booking(1), Problem: "SQLSTATE 23514 on delius.contact, constraint contact_check"}}, who)
	backlog, err := r.db.Backlog(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, backlog.Failing.Count)
	require.False(t, backlog.Failing.Since.IsZero())
	require.Empty(t, backlog.Parked)
	history, err := r.db.PersonHistory(ctx, someone)
	require.NoError(t, err)
	require.Len(t, history.Failing, 1)
	require.Empty(t, history.Unseen)

	r.heal(t)
	require.Eventually(t, func() bool {
		backlog, err := r.db.Backlog(ctx)
		require.NoError(t, err)
		return backlog.Failing.Count == 0 && r.contacts(t) == 2
	}, time.Minute, 5*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

// Broken variant: the pause is the process's, so that another one tries again at once.
func TestWhoFailsIsLeftAloneByEveryProcessUntilTheNextTry(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0), moved(2, another, 0))
	now := time.Now()
	for range 3 {
		_, err := r.db.Fail(ctx, booking(1), context.DeadlineExceeded, true, now)
		require.NoError(t, err)
	}
	list, err := r.db.Parked(ctx, projector.Selection{}, "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, 3, list[0].Tries)
	require.Equal(t, 4*time.Millisecond, list[0].RetryAt.Sub(now.UTC().Truncate(time.Microsecond)).Round(time.Millisecond), "1 ms, doubled by each try")
	due, err := r.db.Due(ctx, now, time.Now(), 10, nil)
	require.NoError(t, err)
	require.Equal(t, []any{booking(2)}, []any{due[0]})
	require.Len(t, due, 1)
	due, err = r.db.Due(ctx, now.Add(time.Second), time.Now(), 10, nil)
	require.NoError(t, err)
	require.Len(t, due, 2)

	order := projector.Order{Entry: audit.Entry{Who: "somebody", What: audit.Retried}}
	require.NoError(t, r.db.RetryParked(ctx, projector.Selection{}, delius.Failing, &order))
	require.Equal(t, "1 parked item will be retried at once by the running projector", order.Outcome)
	due, err = r.db.Due(ctx, now, time.Now(), 10, nil)
	require.NoError(t, err)
	require.Len(t, due, 2)
}

// Catches a fault that everybody meets as an error of their own: each person fails, nobody is
// due any more, and readiness says that all is well.
func TestWhereEveryoneBeginsToFailTheServiceIsNotHealthy(t *testing.T) {
	t.Parallel()
	r := populated(t)
	p, err := projector.New(r.stream, r.db.Ports(), projector.Config{Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	try := func(n byte) {
		report, err := p.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(n)}})
		require.NoError(t, err)
		require.Empty(t, report.Plan)
	}
	r.poison(t, string(someone))
	for n := byte(1); n <= 5; n++ {
		r.put(t, moved(n, someone, 0))
		require.NoError(t, p.Healthy(ctx), "%d may fail by themselves", n-1)
		try(n)
		try(n) // again is no news
	}
	require.ErrorContains(t, p.Healthy(ctx), "5 referrals have begun to fail, the last by SQLSTATE 23514 on delius.contact")
	r.put(t, moved(6, another, 0))
	try(6)
	require.NoError(t, p.Healthy(ctx), "something was written")
}

// unreadable makes the history of a referral one that cannot be read.
func (r *rig) unreadable(t *testing.T, n byte) {
	t.Helper()
	r.exec(t, "update projection.event set emitted = 'infinity' where referral = $1", booking(n))
}

// Broken variants: the error of one person ends a plan, a rebuild or a verification.
func TestEveryoneElseIsLookedAtWhereOneCannotBe(t *testing.T) {
	t.Parallel()
	r := populated(t)
	r.put(t, moved(1, someone, 0), moved(2, another, 0), moved(3, another, 0))
	p, err := projector.New(r.stream, r.db.Ports(), projector.Config{Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	r.unreadable(t, 1)
	plan, err := p.Rebuild(ctx, projector.Rebuild{Selection: projector.Selection{DryRun: true}})
	require.NoError(t, err)
	require.Len(t, plan.Failed, 1)
	require.Equal(t, booking(1), plan.Failed[0].Referral)
	require.Equal(t, 1, plan.Changed)
	require.Empty(t, r.ids(t, "select 1 from projection.failing"), "a plan keeps nothing")
	tally, err := p.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Len(t, tally.Failed, 1)
	require.Equal(t, 2, r.contacts(t))
	require.Len(t, r.ids(t, "select 1 from projection.failing"), 1)

	_, err = r.db.PersonHistory(ctx, another)
	require.NoError(t, err)
	history, err := r.db.PersonHistory(ctx, someone)
	require.NoError(t, err)
	require.Len(t, history.Unseen, 1)
	require.Len(t, history.Failing, 1)

	var damaged []verify.Finding
	verdict, err := r.Verify(ctx, verify.Verification{Grace: time.Nanosecond, Found: func(f verify.Finding) error { damaged = append(damaged, f); return nil }})
	require.NoError(t, err)
	require.Empty(t, damaged)
	require.Len(t, verdict.Unseen, 1)
	require.Equal(t, uint64(1), verdict.Unseen[0].Sequence)
	require.Equal(t, 2, verdict.Messages)
	require.Equal(t, 2, verdict.Contacts)
}
