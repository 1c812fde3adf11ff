package main

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres"
)

type grantsCommand struct {
	Role string `required:"" placeholder:"ROLE" help:"The role that the projector, or the console, connects as. It has to exist."`
	For  string `enum:"projector,console,console-writer" default:"projector" help:"Whose role it is: projector, console (which may only read) or console-writer (which may only add sessions, requests and entries of the audit)."`
}

// Help implements kong.HelpProvider.
func (grantsCommand) Help() string {
	return `Prints SQL and connects to nothing. Whoever owns Delius's tables runs it, as a role that may make schemas and hand them over, before the first projector migrate and again after each update. The role ends up with exactly what a projector needs: it owns schema projection with everything in it; in schema delius it reads, inserts, and updates single columns. What it had in delius before is taken away. A superuser, or a role that owns tables of Delius, is refused.

Examples:
  projector grants --role projector | psql postgres://owner@host/delius
  projector grants --role projector > grants.sql
  projector grants --role console --for console | psql postgres://owner@host/delius`
}

// Faults names what is wrong with the options.
func (c *grantsCommand) Faults() error {
	if _, err := postgres.Grants(c.Role); err != nil {
		return fmt.Errorf("--role: %w", err)
	}
	return nil
}

// Run prints the statements.
func (c *grantsCommand) Run(s *session) error {
	quoted := pgx.Identifier{c.Role}.Sanitize()
	switch c.For {
	case "console":
		fmt.Fprintln(s.stdout, strings.Join(postgres.ConsoleGrants(quoted), "\n"))
		return nil
	case "console-writer":
		fmt.Fprintln(s.stdout, strings.Join(postgres.ConsoleWriterGrants(quoted), "\n"))
		return nil
	}
	statements, err := postgres.Grants(c.Role)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(s.stdout, statements)
	return err
}
