package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/projector/verify"
	"casdelius/store"
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
	out := bufio.NewWriter(s.stdout)
	order.Progress = meter.report
	order.Found = func(f verify.Finding) error { return c.show(out, "finding", &f) }
	order.Left = func(f verify.Finding) error { return c.show(out, "left", &f) }
	verdict, err := c.verify(ctx, p, &order)
	meter.close()
	if err == nil {
		err = c.total(out, verdict)
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
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

func (c *verifyCommand) show(out io.Writer, what string, f *verify.Finding) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(inspect.FindingOf(what, f))
	}
	if what == "left" {
		_, err := fmt.Fprintf(out, "left     %s %s: %s\n", subject(f), predicate(f), remedy(f))
		return err
	}
	_, err := fmt.Fprintln(out, sentence(f))
	for _, d := range f.Differences {
		if err == nil {
			_, err = fmt.Fprintf(out, "    %s: was %q, is %q\n", d.Field, d.Was, d.Is)
		}
	}
	return err
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

// sayUnseen says what could not be looked at.
func sayUnseen(w io.Writer, unseen []verify.Unseen) {
	for _, u := range unseen {
		what := fmt.Sprintf("message %d", u.Sequence)
		switch {
		case u.Row != 0:
			what = fmt.Sprintf("%s %d", u.Place, u.Row)
		case u.Sequence == 0:
			what = "referral " + u.Referral.String()
		}
		fmt.Fprintf(w, "unseen   %s: %s\n", what, u.Problem)
	}
}

// sentence says what was found to a person.
func sentence(f *verify.Finding) string {
	text := fmt.Sprintf("%-8s %s %s", f.Severity, subject(f), predicate(f))
	if f.CRN != "" {
		text += ", " + f.CRN
	}
	if f.Severity == verify.Edited {
		text += fmt.Sprintf(", by %s on %s", command.Line(f.By), f.At.In(store.London()).Format("02/01/2006 15:04:05"))
	}
	return text
}

func subject(f *verify.Finding) string {
	switch f.Place {
	case verify.InContacts:
		return fmt.Sprintf("contact %d (%s)", f.Row, f.URN)
	case verify.InAddresses:
		return fmt.Sprintf("address %d", f.Row)
	}
	switch {
	case f.URN != "":
		return "contact " + f.URN
	case f.Event != (store.Key{}):
		return fmt.Sprintf("message %d, %s", f.Sequence, f.Event)
	case f.Person != (store.PersonKey{}):
		return fmt.Sprintf("message %d, %s", f.Sequence, f.Person)
	}
	return fmt.Sprintf("message %d", f.Sequence)
}

func predicate(f *verify.Finding) string {
	switch f.Problem {
	case verify.Corrupt:
		return "of the stream is corrupt: its body is not what its checksum says"
	case verify.Missing:
		return "is not in the inbox"
	case verify.Extra:
		return "is in the inbox but not in the stream"
	case verify.Unapplied:
		return "was never applied, and nobody meant to"
	case verify.Unnamed:
		return "names a person that the inbox has forgotten"
	case verify.Unwritten:
		return "is not in the ledger although its events were applied"
	case verify.Gone:
		if f.Place == verify.InStream {
			return "is gone from the stream"
		}
		return "is gone from Delius"
	case verify.Unknown:
		return "is in the ledger without a fingerprint"
	case verify.Lost:
		return "was made of an event that the stream does not have: nothing is written for its person"
	case verify.Twice:
		return "is a second row beside the projector's own"
	case verify.EditedByHand:
		return "was edited"
	}
	if f.Place == verify.InInbox {
		return "is in the inbox otherwise than in the stream"
	}
	return "was altered without a new version or time"
}

// remedy says what to do about damage that a repair leaves.
func remedy(f *verify.Finding) string {
	if f.Place == verify.InStream {
		return "restore the stream from its backup, or accept the loss with --accept-loss"
	}
	if f.Problem == verify.Extra {
		return "because nothing else may have it: restore the stream if it has lost messages, else remove it from schema projection"
	}
	return "its rows may be locked: verify again"
}

func (c *verifyCommand) total(out io.Writer, v verify.Verdict) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(inspect.VerdictOf(v))
	}
	after := ""
	if c.Repair {
		after = fmt.Sprintf(", %d not repaired", v.Left)
	}
	_, err := fmt.Fprintf(out, "%d messages, %d contacts and %d addresses checked: %d edited, %d damaged%s.\n",
		v.Messages, v.Contacts, v.Addresses, v.Edited, v.Damaged, after)
	return err
}
