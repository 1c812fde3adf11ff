package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector/audit"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/orders"
	"casdelius/store"
)

type auditCommand struct {
	CRN   string `name:"crn" placeholder:"CRN" help:"Only about this person."`
	By    string `placeholder:"NAME" help:"Only what this one did."`
	Limit int    `default:"100" placeholder:"N" help:"So many entries at most."`
	JSON  bool   `name:"json" help:"One JSON object a line."`

	command.Layout `embed:""`
}

// Help implements kong.HelpProvider.
func (auditCommand) Help() string {
	return `Who did what by a command, in the console, or by a request; and who looked at whom in the console. Entries are added only. The newest comes first.

Examples:
  projector audit --crn X123456
  projector audit --by jane.smith --json`
}

// Run lists entries.
func (c *auditCommand) Run(ctx context.Context, s *session) error {
	crn, err := parseCRN(c.CRN)
	if err != nil {
		return err
	}
	if c.Limit < 1 {
		return command.Misused("--limit is %d: want 1 or more", c.Limit)
	}
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		list, err := db.Orders.Audit(ctx, orders.Entries{CRN: crn, Who: c.By, Limit: c.Limit})
		if err != nil {
			return err
		}
		if c.JSON {
			return writeLines(s.stdout, len(list), func(i int) any { return list[i] })
		}
		return c.write(s, list)
	})
}

func (c *auditCommand) write(s *session, list []audit.Entry) error {
	if len(list) == 0 {
		s.stdout.Sayf("no entries")
		return nil
	}
	table := command.NewTable(s.stdout, c.Layout, command.Column{Name: "WHEN"}, command.Column{Name: "WHO"}, command.Column{Name: "WHAT"}, command.Column{Name: "PERSON"},
		command.Column{Name: "WHY", Wraps: true}, command.Column{Name: "DETAIL", Wraps: true})
	for i := range list {
		e := &list[i]
		table.Row(command.London(e.At), e.Who, e.What, e.CRN, e.Why, detailOf(e))
	}
	return table.Flush()
}

// detailOf is the detail of an entry for people: what came of it, and what else it says.
func detailOf(e *audit.Entry) string {
	var detail map[string]any
	if json.Unmarshal(e.Detail, &detail) != nil {
		return string(e.Detail)
	}
	var all []string
	if outcome, is := detail["outcome"].(string); is {
		all = append(all, outcome)
	}
	delete(detail, "outcome")
	for _, name := range slices.Sorted(maps.Keys(detail)) {
		switch value := detail[name].(type) {
		case nil:
		case []any:
			all = append(all, name+" "+strings.Trim(fmt.Sprint(value), "[]"))
		default:
			if value != false && value != "" && value != 0.0 {
				all = append(all, fmt.Sprintf("%s %v", name, value))
			}
		}
	}
	return strings.Join(all, "; ")
}

// record adds an entry to the audit, also of what was interrupted.
func record(ctx context.Context, db *postgres.Database, actor *command.Actor, what string, detail map[string]any, outcome string) error {
	detail = maps.Clone(detail)
	detail["outcome"] = outcome
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	entry := audit.Entry{Who: actor.Who(), What: what, Why: actor.Why}
	if crns, _ := detail["crns"].([]store.CRN); len(crns) == 1 {
		entry.CRN = crns[0]
	}
	return db.Orders.Record(ending, entry.With(detail))
}

// ended is the outcome of what ended with an error, or came to something.
func ended(ctx context.Context, err error, came string) string {
	switch {
	case ctx.Err() != nil:
		return "interrupted: " + came
	case err != nil:
		return "failed, by " + postgres.Problem(err) + ": " + came
	}
	return came
}
