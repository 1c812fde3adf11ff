package main

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/projector/requests"
	"casdelius/projector/retry"
)

// ask makes a request and carries it out, by the way that a running projector does. p may be nil
// where nothing is written to Delius.
func (s *session) ask(ctx context.Context, db *postgres.Database, p *projector.Projector, r requests.Request) error {
	r.ID = uuid.New()
	if err := db.Orders.Add(ctx, &r); err != nil {
		return err
	}
	const lease = 12 * time.Second
	holder := projection.ProcessName() + " " + r.ID.String()
	taken, err := db.Orders.TakeThis(ctx, r.ID, holder, lease)
	if err != nil {
		return err
	}
	if taken != nil {
		db.Executor(p, nil, requests.Config{Holder: holder, Lease: lease, Logger: s.logger, Tries: 1}).Execute(ctx, taken)
	}
	for ctx.Err() == nil { // a running projector may have been faster
		is, err := db.Orders.Request(ctx, r.ID)
		if err != nil {
			return err
		}
		switch is.State {
		case requests.Done:
			s.stdout.Sayf("%s", is.Outcome)
			return nil
		case requests.Refused, requests.Failed:
			return errors.New(is.Outcome)
		}
		if err := retry.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

type restoreCommand struct {
	Conflict int64 `arg:"" help:"Its number in the list."`
	DryRun   bool  `help:"Only show what would be written; exit 2 if there is anything."`

	command.Actor `embed:""`
}

// Help implements kong.HelpProvider.
func (restoreCommand) Help() string {
	return `Shows what is written, and writes it: the person's value in the place of the events', and whatever else follows from it. The value counts as the person's from then on. Duplicates and a rebuild leave it; an event that says something new replaces it, as it does with every edit.

It is refused where somebody has changed the field since.

Examples:
  projector conflicts restore 17 --dry-run
  projector conflicts restore 17 --why "the start was corrected by hand"`
}

// Run restores the value of a conflict.
func (c *restoreCommand) Run(ctx context.Context, s *session) error {
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		r := requests.Request{Kind: requests.Restore, Target: requests.Target{Conflict: c.Conflict}, Who: c.Who(), Why: c.Why}
		preview, err := db.Look(ctx, &r)
		if err != nil {
			return err
		}
		for i := range preview.Decisions {
			if err := printPerson(s.stdout, inspect.PlanOf(&preview.Decisions[i])); err != nil {
				return err
			}
		}
		if c.DryRun {
			return command.Outcome(service.ExitChanges)
		}
		p, err := projector.New(nil, db.Ports(), projector.Config{Logger: s.logger}) // a step needs no stream
		if err != nil {
			return err
		}
		r.PlanHash = preview.Hash
		return s.ask(ctx, db, p, r)
	})
}

type reviewedCommand struct {
	Conflict int64 `arg:"" help:"Its number in the list."`

	command.Actor `embed:""`
}

// Run marks a conflict as reviewed.
func (c *reviewedCommand) Run(ctx context.Context, s *session) error {
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		return s.ask(ctx, db, nil, requests.Request{Kind: requests.Reviewed, Target: requests.Target{Conflict: c.Conflict}, Who: c.Who(), Why: c.Why})
	})
}
