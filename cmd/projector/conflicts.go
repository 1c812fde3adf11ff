package main

import (
	"cmp"
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

	command.Layout `embed:""`
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
		return c.write(s, list)
	})
}

// write lists conflicts: on a terminal each in a few lines, unless the wide form is asked for, which
// is a table.
func (c *conflictsCommand) write(s *session, list []inspect.Conflict) error {
	page := command.NewPage(s.stdout)
	if len(list) == 0 {
		page.Line(command.Plain, "", "no conflicts")
		return page.Flush()
	}
	if c.Wide || s.stdout.Width() == 0 {
		return c.table(s, list)
	}
	for i := range list {
		if i > 0 {
			page.Blank()
		}
		printConflict(page, &list[i])
	}
	return page.Flush()
}

func printConflict(page *command.Page, c *inspect.Conflict) {
	page.Line(command.Bold, "", fmt.Sprintf("conflict %d: %s, %s", c.Number, c.CRN, command.London(c.At)))
	page.Line(command.Plain, "    ", conflictWhere(c))
	page.Line(command.Plain, "    ", fmt.Sprintf("%s: what was set by %s was replaced by %s", c.Field, editor(c), events(c.EventIDs)))
	printDifference(page, "      ", c.Field, c.Replaced, c.With)
	switch {
	case c.SettledAs != "":
		text := fmt.Sprintf("%s by %s, %s", c.SettledAs, c.SettledBy, command.London(c.Settled))
		if c.SettledWhy != "" {
			text += ": " + c.SettledWhy
		}
		page.Line(command.Faint, "    ", text)
	case c.Restorable:
		page.Line(command.Plain, "    next: ", fmt.Sprintf("projector conflicts restore %d --dry-run", c.Number))
		page.Line(command.Plain, "          ", fmt.Sprintf("projector conflicts reviewed %d", c.Number))
	default:
		page.Line(command.Plain, "    next: ", "enter it by hand in Delius")
		page.Line(command.Plain, "          ", fmt.Sprintf("projector conflicts reviewed %d", c.Number))
	}
}

// editor is whose edit it was.
func editor(c *inspect.Conflict) string {
	switch {
	case c.EditedBy == "":
		return "somebody whom Delius does not name"
	case c.EditedAt.IsZero():
		return c.EditedBy
	}
	return c.EditedBy + " on " + command.London(c.EditedAt)
}

func events(ids []string) string {
	if len(ids) == 1 {
		return "event " + ids[0]
	}
	return "events " + strings.Join(ids, ", ")
}

func conflictWhere(c *inspect.Conflict) string {
	if c.URN == "" {
		return fmt.Sprintf("address %d", c.AddressID)
	}
	return c.URN
}

func (c *conflictsCommand) table(s *session, list []inspect.Conflict) error {
	table := command.NewTable(s.stdout, c.Layout, command.Column{Name: "CONFLICT"}, command.Column{Name: "WHEN"}, command.Column{Name: "PERSON"},
		command.Column{Name: "WHERE"}, command.Column{Name: "FIELD"}, command.Column{Name: "REPLACED"}, command.Column{Name: "WITH"},
		command.Column{Name: "EDITED BY"}, command.Column{Name: "SETTLED"}, command.Column{Name: "EVENTS"})
	for i := range list {
		c := &list[i]
		settled := "no"
		if c.SettledAs != "" {
			settled = c.SettledAs + " by " + c.SettledBy
		}
		table.Row(c.Number, command.London(c.At), c.CRN, conflictWhere(c), c.Field, oneLine(c.Field, c.Replaced), oneLine(c.Field, c.With),
			cmp.Or(c.EditedBy, "not known"), settled, strings.Join(c.EventIDs, ", "))
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
