package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/projector/requests"
)

type parkedCommands struct {
	List  parkedListCommand  `cmd:"" default:"withargs" help:"List what is parked, why, and what to do (the default)."`
	Retry parkedRetryCommand `cmd:"" help:"Retry what is parked at once."`
}

// Help implements kong.HelpProvider.
func (parkedCommands) Help() string { return parkedListCommand{}.Help() }

type parkedListCommand struct {
	CRN   string `name:"crn" placeholder:"CRN" help:"Only of this person."`
	Cause string `placeholder:"CAUSE" help:"Only for this cause, such as staff-not-found."`
	JSON  bool   `name:"json" help:"One JSON object a line."`

	command.Layout `embed:""`
}

// Help implements kong.HelpProvider.
func (parkedListCommand) Help() string {
	return `Contacts and addresses are retried by themselves. Events that cannot be used are not: their details never change. A referral is failing where looking at its person, or writing, met an unexpected error; it is tried again with growing pauses, and the log has the error, PostgreSQL's own also what it says of values.

Examples:
  projector parked
  projector parked --cause staff-not-found --json
  projector parked retry --cause staff-not-found`
}

// Suggest implements command.Suggester.
func (parkedListCommand) Suggest() map[string][]string { return map[string][]string{"cause": causes()} }

// Run lists what is parked, the oldest first.
func (c *parkedListCommand) Run(ctx context.Context, s *session) error {
	who, cause, err := parkedSelection(c.CRN, c.Cause)
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		list, err := db.Parked(ctx, who, cause)
		if err != nil {
			return err
		}
		now := time.Now()
		if c.JSON {
			return writeLines(s.stdout, len(list), func(i int) any { return list[i].Line(now) })
		}
		return c.write(s, list, now)
	})
}

func (c *parkedListCommand) write(s *session, list []inspect.Parked, now time.Time) error {
	page := c.Layout.Page(s.stdout)
	if len(list) == 0 {
		page.Line(command.Plain, "", "nothing is parked")
		return page.Flush()
	}
	table := command.NewTable(s.stdout, c.Layout, command.Column{Name: "CAUSE"}, command.Column{Name: "PERSON"}, command.Column{Name: "WHAT", Wraps: true},
		command.Column{Name: "AGE"}, command.Column{Name: "TRIES"}, command.Column{Name: "NEXT TRY"}, command.Column{Name: "PROBLEM", Wraps: true})
	causes := map[delius.Cause]int{}
	for i := range list {
		p := &list[i]
		causes[p.Cause]++
		next := "never"
		if !p.RetryAt.IsZero() {
			next = nextTry(p.RetryAt, now)
		}
		table.StyledRow(command.Yellow, p.Cause, cmp.Or(string(p.Owner.CRN), string(p.Owner.NOMS)), parkedWhat(p), ago(now.Sub(p.Since)), p.Tries, next, p.Problem)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	page.Blank()
	page.Printf(command.Plain, "%s parked. What to do:", inspect.Number(len(list)))
	for _, cause := range inspect.Causes() {
		if n := causes[cause]; n > 0 {
			page.Line(command.Plain, fmt.Sprintf("  %-22s  %3d  ", cause, n), cause.Remedy())
		}
	}
	return page.Flush()
}

// parkedWhat is what is parked.
func parkedWhat(p *inspect.Parked) string {
	switch p.Kind() {
	case "event":
		return fmt.Sprintf("event %q of %s", p.Events[0].ID, p.URN)
	case "address":
		return "address of " + p.URN
	case "message":
		return "-"
	case "referral":
		return "referral " + p.Referral.String()
	}
	return p.URN
}

type parkedRetryCommand struct {
	CRN   string `name:"crn" xor:"which" placeholder:"CRN" help:"What is parked of this person."`
	Cause string `xor:"which" placeholder:"CAUSE" help:"What is parked for this cause."`
	All   bool   `xor:"which" help:"Everything."`

	command.Actor `embed:""`
}

// Help implements kong.HelpProvider.
func (parkedRetryCommand) Help() string {
	return `The running service retries them within seconds; the command does not wait for it.

Examples:
  projector parked retry --cause team-not-found
  projector parked retry --crn X123456`
}

// Suggest implements command.Suggester.
func (parkedRetryCommand) Suggest() map[string][]string {
	return map[string][]string{"cause": causes()}
}

// Run makes what is parked be retried at once.
func (c *parkedRetryCommand) Run(ctx context.Context, s *session) error {
	if c.CRN == "" && c.Cause == "" && !c.All {
		return command.Misused("say what to retry: --crn, --cause or --all")
	}
	who, cause, err := parkedSelection(c.CRN, c.Cause)
	if err != nil {
		return err
	}
	if c.Cause != "" && !cause.Retried() {
		return command.Misused("--cause: %s is of events whose detail never changes, so that a retry is of no use: %s", cause, cause.Remedy())
	}
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		return s.ask(ctx, db, nil, requests.Request{
			Kind: requests.Retry, Target: requests.Target{CRNs: who.CRNs, Cause: cause, All: c.All}, Who: c.Who(), Why: c.Why,
		})
	})
}

// parkedSelection is who and which cause is meant; a cause of "" is every one.
func parkedSelection(crn, cause string) (who projector.Selection, of delius.Cause, err error) {
	if who, err = selectCRN(crn); err != nil {
		return who, "", err
	}
	of = delius.Cause(cause)
	if cause != "" && !slices.Contains(inspect.Causes(), of) {
		return who, "", command.Misused("--cause: %q is none: want one of %s", cause, strings.Join(causes(), ", "))
	}
	return who, of, nil
}

// causes are the names of all that things are parked for.
func causes() []string {
	names := make([]string, len(inspect.Causes()))
	for i, known := range inspect.Causes() {
		names[i] = string(known)
	}
	return names
}
