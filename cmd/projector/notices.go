package main

import (
	"context"
	"fmt"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
)

type noticesCommand struct {
	CRN  string `name:"crn" placeholder:"CRN" help:"Only of this person, and also what was sent in the last 7 days."`
	JSON bool   `name:"json" help:"One JSON object a line."`

	command.Layout `embed:""`
}

// Help implements kong.HelpProvider.
func (noticesCommand) Help() string {
	return `A notice tells others that an address row was created or updated. It is kept by the transaction that writes the row, and sent by projector run. The notices of one person are sent one after the other: those behind one that fails wait for it.

Examples:
  projector notices
  projector notices --crn X123456
  projector notices --json`
}

// Run lists notices in the order in which they came about.
func (c *noticesCommand) Run(ctx context.Context, s *session) error {
	who, err := selectCRN(c.CRN)
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		list, err := db.Notices(ctx, who, 0)
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

func (c *noticesCommand) write(s *session, list []inspect.Notice, now time.Time) error {
	if len(list) == 0 {
		s.stdout.Sayf("no notices")
		return nil
	}
	table := command.NewTable(s.stdout, c.Layout, command.Column{Name: "NOTICE"}, command.Column{Name: "PERSON"}, command.Column{Name: "ADDRESS"},
		command.Column{Name: "KIND"}, command.Column{Name: "STATUS", Extra: true}, command.Column{Name: "WRITTEN", Extra: true},
		command.Column{Name: "BECAUSE", Wraps: true}, command.Column{Name: "STATE"}, command.Column{Name: "AGE"}, command.Column{Name: "TRIES"},
		command.Column{Name: "NEXT TRY"}, command.Column{Name: "ERROR", Wraps: true})
	waiting := 0
	for i := range list {
		n := &list[i]
		age, next := "-", "-"
		if n.State != inspect.Sent {
			waiting++
			age = ago(now.Sub(n.Occurred))
		}
		switch n.State {
		case inspect.Failed:
			next = nextTry(n.NextTry, now)
		case inspect.InFlight:
			next = "until " + command.London(n.LeaseEnd)
		case inspect.Behind:
			next = fmt.Sprintf("after %d", n.After)
		}
		table.Row(n.Number, n.CRN, n.AddressID, n.Kind, n.Status, command.London(n.Occurred), n.Cause, n.State, age, n.Tries, next, n.Error)
	}
	waits := inspect.Number(waiting) + " wait"
	if waiting == 1 {
		waits = "1 waits"
	}
	err := table.Flush()
	s.stdout.Sayf("\n%s to be sent", waits)
	return err
}
