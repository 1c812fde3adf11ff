package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
)

type conflictsCommands struct {
	List     conflictsCommand `cmd:"" default:"withargs" help:"List them (the default)."`
	Restore  restoreCommand   `cmd:"" help:"Write the person's value back, which then counts as theirs."`
	Reviewed reviewedCommand  `cmd:"" help:"Say that somebody has looked at one, and that the events are right."`
}

// Help implements kong.HelpProvider.
func (conflictsCommands) Help() string { return conflictsCommand{}.Help() }

type conflictsCommand struct {
	Open  bool   `help:"Only those that are neither reviewed nor restored."`
	CRN   string `name:"crn" placeholder:"CRN" help:"Only of this person."`
	Since string `placeholder:"TIME" help:"Only from then on: a time, a date of London, or how long ago, such as 24h."`
	JSON  bool   `name:"json" help:"One JSON object a line."`
}

// Help implements kong.HelpProvider.
func (conflictsCommand) Help() string {
	return `A conflict is a value that a person had set in Delius and that a later event replaced. The value is kept here, so that somebody can look whether the event was right. EDITED BY is who had changed the row last before, where that was not a service.

Restored, a value counts as the person's: no event undoes it until it says something new.

Examples:
  projector conflicts --since 24h --open
  projector conflicts --crn X123456 --json`
}

// Run lists conflicts in the order in which they came about.
func (c *conflictsCommand) Run(ctx context.Context, s *session) error {
	who, err := selectCRN(c.CRN)
	if err != nil {
		return err
	}
	since, err := parseSince(c.Since, time.Now())
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		list, err := db.Conflicts(ctx, who, since)
		if err != nil {
			return err
		}
		if c.Open {
			list = slices.DeleteFunc(list, func(c inspect.Conflict) bool { return c.SettledAs != "" })
		}
		if c.JSON {
			return writeLines(s.stdout, len(list), func(i int) any { return list[i] })
		}
		return s.writeConflicts(list)
	})
}

func (s *session) writeConflicts(list []inspect.Conflict) error {
	if len(list) == 0 {
		fmt.Fprintln(s.stdout, "no conflicts")
		return nil
	}
	table := command.NewTable(s.stdout, "CONFLICT", "WHEN", "PERSON", "WHERE", "FIELD", "REPLACED", "WITH", "EDITED BY", "SETTLED", "EVENTS")
	for _, c := range list {
		where := c.URN
		if where == "" {
			where = fmt.Sprintf("address %d", c.AddressID)
		}
		settled := c.SettledAs
		if settled != "" {
			settled += " by " + c.SettledBy
		}
		table.Row(c.Number, london(c.At), c.CRN, where, c.Field, oneLine(c.Field, c.Replaced), oneLine(c.Field, c.With), c.EditedBy, settled, strings.Join(c.EventIDs, ", "))
	}
	return table.Flush()
}

// parseSince takes a time, a date, or how long before now; "" is from the beginning.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d < 0 {
		return time.Time{}, command.Misused("--since %s is in the future: want how long ago, such as %s", text, -d)
	} else if err == nil {
		return now.Add(-d), nil
	}
	return parseMoment("--since", text, startOfDay)
}
