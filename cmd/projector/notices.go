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
		return s.writeNotices(list, now)
	})
}

func (s *session) writeNotices(list []inspect.Notice, now time.Time) error {
	if len(list) == 0 {
		fmt.Fprintln(s.stdout, "no notices")
		return nil
	}
	table := command.NewTable(s.stdout, "NOTICE", "PERSON", "ADDRESS", "KIND", "STATUS", "WRITTEN", "BECAUSE", "STATE", "AGE", "TRIES", "NEXT TRY", "ERROR")
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
			next = "until " + london(n.LeaseEnd)
		case inspect.Behind:
			next = fmt.Sprintf("after %d", n.After)
		}
		table.Row(n.Number, n.CRN, n.AddressID, n.Kind, n.Status, london(n.Occurred), n.Cause, n.State, age, n.Tries, next, n.Error)
	}
	err := table.Flush()
	fmt.Fprintf(s.stdout, "\n%d wait to be sent\n", waiting)
	return err
}
