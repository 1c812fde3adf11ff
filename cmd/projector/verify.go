package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/store"
)

type verifyCommand struct {
	CRN    []string `name:"crn" placeholder:"CRN" help:"Only this person; may be given several times."`
	Repair bool     `help:"Fill the inbox from the stream, and repair damaged rows: as the projector left them."`
	JSON   bool     `name:"json" help:"Print JSON lines."`
}

// Help implements kong.HelpProvider.
func (verifyCommand) Help() string {
	return `Compares every message of the stream with the inbox, and every row that the projector
wrote or adopted with what it left there. The service may run meanwhile.

A row whose version or time has changed since was edited: it is listed with who did it
and when, and is no failure. One that changed without that, is gone, or stands twice is
damaged, and so is an inbox that lacks a message or says otherwise than the stream, and
a row that was made of an event that neither of them has.

With --repair damage is undone, and nothing that a person edited is touched: the inbox
is filled from the stream, a damaged row is repaired, one that is gone is written
again, a second one is marked as deleted; what the stream has lost is forgotten, so
that what it has is written again. A message that was stored less than ten seconds
ago may still be on its way to the inbox: it is waited for.

Examples:
  projector verify
  projector verify --crn X123456
  projector verify --repair
  projector verify --json | jq 'select(.severity == "damaged")'

Exit codes: 0 no damage, or all of it repaired; 2 damage; 1 an error; 130 interrupted.`
}

// Run verifies.
func (c *verifyCommand) Run(ctx context.Context, s *session) error {
	order := projector.Verification{Repair: c.Repair}
	for _, text := range c.CRN {
		crn, err := parseCRN(text)
		if err != nil {
			return err
		}
		order.CRNs = append(order.CRNs, crn)
	}
	p, closeAll, err := s.projector(ctx, 2)
	if err != nil {
		return err
	}
	defer closeAll()
	meter := newMeter(s.stderr)
	out := bufio.NewWriter(s.stdout)
	order.Progress = meter.report
	order.Found = func(f projector.Finding) error { return c.show(out, "finding", &f) }
	order.Left = func(f projector.Finding) error { return c.show(out, "left", &f) }
	verdict, err := p.Verify(ctx, order)
	meter.close()
	if err == nil {
		err = c.total(out, verdict)
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	if err == nil && verdict.Left > 0 {
		return command.Outcome(service.ExitChanges)
	}
	return err
}

// finding is one line of a verification.
type finding struct {
	What        string     `json:"what"` // "finding"
	Severity    string     `json:"severity"`
	Problem     string     `json:"problem"`
	Place       string     `json:"place"`
	CRN         string     `json:"crn,omitempty"`
	URN         string     `json:"urn,omitempty"`
	Referral    string     `json:"referral,omitempty"`
	Contact     int64      `json:"contactId,omitempty"`
	Address     int64      `json:"addressId,omitempty"`
	Sequence    uint64     `json:"sequence,omitempty"`
	Event       *event     `json:"event,omitempty"`
	EditedBy    string     `json:"editedBy,omitempty"`
	EditedAt    *time.Time `json:"editedAt,omitempty"`
	Differences []altered  `json:"differences,omitempty"`
	Repaired    *bool      `json:"repaired,omitempty"`
}

type altered struct {
	Field string `json:"field"`
	Was   string `json:"was"`
	Is    string `json:"is"`
}

// verdict is the last line of a verification.
type verdict struct {
	What      string `json:"what"` // "total"
	Messages  int    `json:"messages"`
	Contacts  int    `json:"contacts"`
	Addresses int    `json:"addresses"`
	Edited    int    `json:"edited"`
	Damaged   int    `json:"damaged"`
	Left      int    `json:"left"`
}

func (c *verifyCommand) show(out io.Writer, what string, f *projector.Finding) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(findingOf(what, f))
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

func findingOf(what string, f *projector.Finding) finding {
	line := finding{
		What: what, Severity: string(f.Severity), Problem: string(f.Problem), Place: string(f.Place),
		CRN: f.CRN, URN: f.URN, Sequence: f.Sequence, EditedBy: f.By,
	}
	if f.Referral != (store.Referral{}) {
		line.Referral = f.Referral.String()
	}
	if f.Event != (store.Key{}) {
		line.Event = &eventsOf([]store.Key{f.Event})[0]
	}
	switch f.Place {
	case projector.InContacts:
		line.Contact = f.Row
	case projector.InAddresses:
		line.Address = f.Row
	}
	if !f.At.IsZero() {
		at := f.At.UTC()
		line.EditedAt = &at
	}
	for _, d := range f.Differences {
		line.Differences = append(line.Differences, altered(d))
	}
	return line
}

// sentence says what was found to a person.
func sentence(f *projector.Finding) string {
	text := fmt.Sprintf("%-8s %s %s", f.Severity, subject(f), predicate(f))
	if f.CRN != "" {
		text += ", " + f.CRN
	}
	if f.Severity == projector.Edited {
		text += fmt.Sprintf(", by %s on %s", command.Line(f.By), f.At.In(store.London()).Format("02/01/2006 15:04:05"))
	}
	return text
}

func subject(f *projector.Finding) string {
	switch f.Place {
	case projector.InContacts:
		return fmt.Sprintf("contact %d (%s)", f.Row, f.URN)
	case projector.InAddresses:
		return fmt.Sprintf("address %d", f.Row)
	}
	switch {
	case f.URN != "":
		return "contact " + f.URN
	case f.Event != (store.Key{}):
		return fmt.Sprintf("message %d, %s", f.Sequence, f.Event)
	}
	return fmt.Sprintf("message %d", f.Sequence)
}

func predicate(f *projector.Finding) string {
	switch f.Problem {
	case projector.Missing:
		return "is not in the inbox"
	case projector.Extra:
		return "is in the inbox but not in the stream"
	case projector.Unapplied:
		return "was never applied, and nobody meant to"
	case projector.Unnamed:
		return "names a person that the inbox has forgotten"
	case projector.Unwritten:
		return "is not in the ledger although its events were applied"
	case projector.Gone:
		return "is gone from Delius"
	case projector.Unsealed:
		return "is in the ledger without a fingerprint"
	case projector.Lost:
		return "was made of an event that the stream does not have: nothing is written for its person"
	case projector.Twice:
		return "is a second row beside the projector's own"
	case projector.HandMade:
		return "was edited"
	}
	if f.Place == projector.InInbox {
		return "is in the inbox otherwise than in the stream"
	}
	return "was altered without a new version or time"
}

// remedy says what to do about damage that a repair leaves.
func remedy(f *projector.Finding) string {
	if f.Problem == projector.Extra {
		return "because nothing else may have it: restore the stream if it has lost messages, else remove it from schema projection"
	}
	return "its rows may be locked: verify again"
}

func (c *verifyCommand) total(out io.Writer, v projector.Verdict) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(verdict{"total", v.Messages, v.Contacts, v.Addresses, v.Edited, v.Damaged, v.Left})
	}
	after := ""
	if c.Repair {
		after = fmt.Sprintf(", %d not repaired", v.Left)
	}
	_, err := fmt.Fprintf(out, "%d messages, %d contacts and %d addresses checked: %d edited, %d damaged%s.\n",
		v.Messages, v.Contacts, v.Addresses, v.Edited, v.Damaged, after)
	return err
}
