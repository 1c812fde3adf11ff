package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/inspect"
)

type planCommand struct{ selection }

// Help implements kong.HelpProvider.
func (planCommand) Help() string {
	return `Shows, person by person, every field of every row that would be written if everyone,
or whom the options select, were rebuilt now: from what, to what, why, and because of
which events. Values of people's that the events would replace are marked as conflicts.
Adopted rows that differ from their events, with what stands and what the events say,
and what is parked are listed as well: neither is a change.

Nothing in Delius or the ledger is written; the inbox is filled from the stream.

Examples:
  projector plan
  projector plan --crn X123456 --crn X234567
  projector plan --json | jq 'select(.conflict)'

Exit codes: 0 nothing to change, 2 there are changes, 1 an error, 130 interrupted.`
}

// Run plans.
func (c *planCommand) Run(ctx context.Context, s *session) error {
	r, err := c.rebuild()
	if err != nil {
		return err
	}
	p, err := s.worker(ctx, c.workers())
	if err != nil {
		return err
	}
	defer p.close()
	meter := newMeter(s.stderr)
	r.DryRun = true
	r.Planned = func(d projector.Decision) error { return c.show(s.stdout, inspect.PlanOf(&d)) }
	r.Progress = func(p projector.Progress) { meter.report(p) }
	tally, err := p.Rebuild(ctx, r)
	meter.Close()
	if err == nil {
		err = c.total(s.stdout, &tally)
	}
	switch {
	case err != nil:
		return err
	case len(tally.Failed) > 0:
		s.sayFailed(tally.Failed)
		return fmt.Errorf("%s could not be looked at; everyone else was, and the log says why", inspect.Count(len(tally.Failed), "referral"))
	case tally.Rows > 0:
		return command.Outcome(service.ExitChanges)
	}
	return nil
}

// show prints the rows of one person.
func (c *planCommand) show(out *command.Output, rows []inspect.PlanRow) error {
	if !c.JSON {
		return printPerson(out, rows)
	}
	return writeLines(out, len(rows), func(i int) any { return &rows[i] })
}

func (c *planCommand) total(out *command.Output, t *projector.Tally) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(inspect.TotalOf(t))
	}
	page := command.NewPage(out)
	page.Line(command.Bold, "", fmt.Sprintf("%s checked, %s with changes: %s of %s. %s", inspect.Count(t.People, "person"), inspect.Number(t.Changed),
		inspect.Count(t.Fields, "field"), inspect.Count(t.Rows, "row"), asides(t)))
	if t.Rows > 0 {
		next := "projector rebuild"
		for _, crn := range c.CRN {
			next += " --crn " + strings.ToUpper(crn)
		}
		for _, referral := range c.Referral {
			next += " --referral " + referral
		}
		page.Line(command.Plain, "next: ", next)
	}
	return page.Flush()
}
