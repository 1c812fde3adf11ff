package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/postgres"
	"casdelius/projector/verify"
)

type verifyCommand struct {
	CRN        []string `name:"crn" placeholder:"CRN" help:"Only this person; may be given several times."`
	Repair     bool     `help:"Fill the inbox from the stream, and repair damaged rows: as the projector left them."`
	AcceptLoss []string `placeholder:"SEQUENCE" help:"With --repair: go on without a message that the stream has lost or that is corrupt. One sequence or a range such as 17-20; may be given several times."`
	JSON       bool     `name:"json" help:"Print JSON lines."`

	command.Actor `embed:""`
}

// Help implements kong.HelpProvider.
func (verifyCommand) Help() string {
	return `Compares every message of the stream with the inbox, and every row that the projector
wrote or adopted with what it left there. The service may run meanwhile.

A row whose version or time has changed since was edited: it is listed with who did it
and when, and is no failure. One that changed without that, is gone, or stands twice is
damaged, and so is an inbox that lacks a message or says otherwise than the stream, and
a row that was made of an event that neither of them has.

A message that the stream has lost, or that is corrupt, is damage as well: whoever it is
of is held, and nothing of theirs is written until the stream is restored or the loss is
accepted.

With --repair damage is undone, and nothing that a person edited is touched: the inbox
is filled from the stream, a damaged row is repaired, one that is gone is written
again, a second one is marked as deleted; what the stream has lost is forgotten, so
that what it has is written again. A message that was stored less than ten seconds
ago may still be on its way to the inbox: it is waited for.

Examples:
  projector verify
  projector verify --crn X123456
  projector verify --repair
  projector verify --repair --accept-loss 17
  projector verify --json | jq 'select(.severity == "damaged")'

Exit codes: 0 no damage, or all of it repaired; 2 damage; 1 an error, or something that
could not be looked at; 130 interrupted.`
}

// Run verifies.
func (c *verifyCommand) Run(ctx context.Context, s *session) error {
	var err error
	order := verify.Verification{Selection: projector.Selection{Repair: c.Repair}}
	for _, text := range c.CRN {
		crn, err := parseCRN(text)
		if err != nil {
			return err
		}
		order.CRNs = append(order.CRNs, crn)
	}
	if order.AcceptLoss, err = c.accepted(); err != nil {
		return err
	}
	p, err := s.worker(ctx, 2)
	if err != nil {
		return err
	}
	defer p.close()
	meter := newMeter(s.stderr)
	out := newVerifyReport(s.stdout, c)
	order.Progress, order.Found, order.Left = meter.report, out.finding, out.leftover
	verdict, err := c.verify(ctx, p, &order)
	meter.Close()
	if ended := out.end(verdict, err); err == nil {
		err = ended
	}
	if err == nil && len(verdict.Unseen) > 0 {
		sayUnseen(s.stderr, verdict.Unseen)
		return fmt.Errorf("%d rows, messages or referrals could not be looked at; everything else was", len(verdict.Unseen))
	}
	if err == nil && verdict.Left > 0 {
		return command.Outcome(service.ExitChanges)
	}
	return err
}

// verify verifies, and keeps what that came to. What a repair does is in the audit.
func (c *verifyCommand) verify(ctx context.Context, p *worker, order *verify.Verification) (verify.Verdict, error) {
	what := map[string]any{"crns": order.CRNs, "acceptLoss": c.AcceptLoss}
	if c.Repair {
		if err := record(ctx, p.db, &c.Actor, audit.Repaired, what, "begun"); err != nil {
			return verify.Verdict{}, err
		}
	}
	end, err := verify.Keep(ctx, p.db.Verified, verify.Run{Who: c.Who(), Repair: c.Repair, CRNs: order.CRNs, Began: time.Now()}, order, postgres.Problem)
	if err != nil {
		return verify.Verdict{}, err
	}
	verdict, err := p.db.Verifier(p.log, p.Projector, *order).Run(ctx)
	kept := end(ctx, verdict, err)
	if c.Repair {
		came := fmt.Sprintf("%d damaged, %d of them not repaired", verdict.Damaged, verdict.Left)
		kept = errors.Join(kept, record(ctx, p.db, &c.Actor, audit.Repaired, what, ended(ctx, err, came)))
	}
	if err == nil {
		err = kept
	}
	return verdict, err
}

// accepted are the ranges of --accept-loss.
func (c *verifyCommand) accepted() (ranges []projector.Range, err error) {
	for _, text := range c.AcceptLoss {
		first, last, isRange := strings.Cut(text, "-")
		from, err := strconv.ParseUint(first, 10, 63)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(last, 10, 63)
		}
		if err != nil || from == 0 || to < from {
			return nil, command.Misused("--accept-loss: %q is neither a sequence nor a range such as 17-20", text)
		}
		ranges = append(ranges, projector.Range{From: from, To: to})
	}
	if len(ranges) > 0 && !c.Repair {
		return nil, command.Misused("--accept-loss needs --repair: the ledger is made to forget what is lost")
	}
	return ranges, nil
}
