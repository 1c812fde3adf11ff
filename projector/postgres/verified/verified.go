// Package verified keeps runs of verify, with what they came to, and what the newest of everyone
// has found. One whose process is killed is another's to begin anew once its lease has ended.
package verified

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/verify"
)

// Verified keeps runs of verify.
type Verified struct {
	DB *tx.DB
}

var _ verify.Runs = (*Verified)(nil)

// lock is the advisory lock of whoever begins.
const lock = 0x6361736476 // "casdv"

// most runs that are kept.
const most = 500

// Begin implements verify.Runs.
func (v *Verified) Begin(ctx context.Context, run verify.Run, since, failed time.Time, lease time.Duration) (int64, error) {
	number, err := v.begin(ctx, run, since, failed, lease)
	if err != nil {
		return 0, fmt.Errorf("beginning to keep a verification: %w", tx.Translate(err))
	}
	return number, nil
}

func (v *Verified) begin(ctx context.Context, run verify.Run, since, failed time.Time, lease time.Duration) (number int64, err error) {
	t, err := v.DB.Fill(ctx, tx.Few+1)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(ctx, t)
	if _, err := t.Exec(ctx, fmt.Sprintf("select pg_advisory_xact_lock(%d)", lock)); err != nil {
		return 0, err
	}
	if _, err := t.Exec(ctx, "update projection.verified set ended = now(), error = $1 where ended is null and lease_end < now()", verify.ProcessEnded); err != nil {
		return 0, err
	}
	var others bool
	if run.Scheduled {
		err = t.QueryRow(ctx, `
			select exists (select from projection.verified where crns = '{}' and (
				ended is null or began > $1 and error = '' or began > $2 and error not in ('', $3)))`, since, failed, verify.ProcessEnded).Scan(&others)
	}
	if err != nil || others {
		return 0, err
	}
	crns := []string{}
	for _, crn := range run.CRNs {
		crns = append(crns, string(crn))
	}
	err = t.QueryRow(ctx, `
		with old as (
			delete from projection.verified where verified <= (select max(verified) from projection.verified) - $7 and ended is not null
		)
		insert into projection.verified (who, scheduled, repair, crns, began, lease_end) values ($1, $2, $3, $4, $5, now() + $6::interval) returning verified`,
		run.Who, run.Scheduled, run.Repair, crns, run.Began, lease, most).Scan(&number)
	if err != nil {
		return 0, err
	}
	return number, t.Commit(ctx)
}

// Renew implements verify.Runs.
func (v *Verified) Renew(ctx context.Context, number int64, reached verify.Reached, lease time.Duration) error {
	n, err := v.DB.Exec(ctx, "update projection.verified set lease_end = now() + $2::interval, phase = $3, done = $4, total = $5 where verified = $1 and ended is null",
		number, lease, reached.Phase, reached.Done, reached.Total)
	switch {
	case err != nil:
		return fmt.Errorf("renewing the lease of a verification: %w", err)
	case n == 0:
		return verify.ErrLost
	}
	return nil
}

// End implements verify.Runs.
func (v *Verified) End(ctx context.Context, number int64, verdict verify.Verdict, found []verify.Finding, problem string) error {
	severities, crns, findings := make([]string, len(found)), make([]string, len(found)), make([]string, len(found))
	for i := range found {
		text, err := json.Marshal(inspect.FindingOf("finding", &found[i]))
		if err != nil {
			return fmt.Errorf("keeping a finding: %w", err)
		}
		severities[i], crns[i], findings[i] = string(found[i].Severity), found[i].CRN, string(text)
	}
	n, err := v.DB.Exec(ctx, `
		with run as (
			update projection.verified set ended = now(), messages = $2, contacts = $3, addresses = $4, edited = $5, damaged = $6, undone = $7, unseen = $8, error = $9
			where verified = $1 and ended is null returning verified, crns
		), older as (
			delete from projection.verified_finding f using run where run.crns = '{}' and f.verified < run.verified
		), kept as (
			insert into projection.verified_finding (verified, number, severity, crn, finding)
			select run.verified, f.number, f.severity, f.crn, f.finding::jsonb
			from run, unnest($10::text[], $11::text[], $12::text[]) with ordinality as f (severity, crn, finding, number) where run.crns = '{}'
		)
		select from run`,
		number, verdict.Messages, verdict.Contacts, verdict.Addresses, verdict.Edited, verdict.Damaged, verdict.Left, len(verdict.Unseen), problem,
		severities, crns, findings)
	switch {
	case err != nil:
		return fmt.Errorf("keeping what a verification came to: %w", err)
	case n == 0:
		return verify.ErrLost
	}
	return nil
}

// Last implements verify.Runs.
func (v *Verified) Last(ctx context.Context) (verify.Last, error) {
	var last verify.Last
	err := v.DB.Pool.QueryRow(ctx, `
		select ended, damaged, edited, unseen from projection.verified
		where crns = '{}' and ended is not null and error = '' order by began desc limit 1`).Scan(&last.Ended, &last.Damaged, &last.Edited, &last.Unseen)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return last, fmt.Errorf("reading what the last verification came to: %w", tx.Translate(err))
	}
	last.Ended = last.Ended.UTC()
	return last, nil
}

// Runs lists the runs, the newest first, those of some people too.
func (v *Verified) Runs(ctx context.Context, limit int) ([]inspect.Verified, error) {
	rows, err := v.DB.Pool.Query(ctx, `
		select verified, who, scheduled, repair, crns, began, ended, ended is null and lease_end < now() or error = $2,
			phase, done, total, messages, contacts, addresses, edited, damaged, undone, unseen, error
		from projection.verified order by verified desc limit $1`, limit, verify.ProcessEnded)
	if err == nil {
		var list []inspect.Verified
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (inspect.Verified, error) {
			var r inspect.Verified
			var ended *time.Time
			err := row.Scan(&r.Number, &r.Who, &r.Scheduled, &r.Repair, &r.CRNs, &r.Began, &ended, &r.Lost, &r.Phase, &r.Done, &r.Total,
				&r.Messages, &r.Contacts, &r.Addresses, &r.Edited, &r.Damaged, &r.Left, &r.Unseen, &r.Error)
			if r.Began = r.Began.UTC(); ended != nil {
				r.Ended = ended.UTC()
			}
			return r, err
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("listing verifications: %w", tx.Translate(err))
}

// Findings lists what a run found after a number, in order: damage, then edits.
func (v *Verified) Findings(ctx context.Context, run int64, after, limit int) ([]inspect.FindingLine, error) {
	rows, err := v.DB.Pool.Query(ctx, "select finding from projection.verified_finding where verified = $1 and number > $2 order by number limit $3", run, after, limit)
	if err == nil {
		var list []inspect.FindingLine
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (inspect.FindingLine, error) {
			var text []byte
			var line inspect.FindingLine
			if err := row.Scan(&text); err != nil {
				return line, err
			}
			return line, json.Unmarshal(text, &line)
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("listing findings: %w", tx.Translate(err))
}
