package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/projection"
	"casdelius/projector/audit"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/foldversion"
	"casdelius/projector/postgres/outbox"
	"casdelius/store/jetstream"
)

type migrateCommand struct {
	AllowOlder bool   `help:"Let a program with an older fold write again: to go back to an older version, once every newer one is stopped."`
	Notices    string `placeholder:"on|off" help:"Whether notices of address rows are kept from now on, and sent by projector run; off at first. Left as it is where this is not given."`

	command.Actor `embed:""`
}

// Help implements kong.HelpProvider.
func (migrateCommand) Help() string {
	return `Whether others are told of address rows that are written is a setting in the database, which every projector goes by, a rebuild from a shell too. It holds from the commit that turns it: no row that was written before is told of. What waits is sent also after it was turned off. While it is on, projector run needs MESSAGING_PRODUCER_TOPIC.

Where NATS can be reached, a consumer of the stream that an older version has made gets the settings of this one; nothing else ever changes it.

A program whose fold is older than the one that has written stands back, so that in a rolling deployment neither undoes what the other has written. --allow-older is for going back on purpose, with the older program or the newer one. Stop every newer one first: the next write of one would shut the older out again.

Examples:
  projector migrate
  projector migrate --notices=on --as jane.smith --why "the switch-over"
  projector migrate --notices=off
  projector migrate --allow-older`
}

// Faults names what is wrong with the options.
func (c *migrateCommand) Faults() error {
	switch c.Notices {
	case "", "on", "off":
		return nil
	}
	return fmt.Errorf("--notices is %q: want on or off", c.Notices)
}

// Run makes or updates the schema projection, turns notices on or off, and gives the consumer
// of the stream its settings.
func (c *migrateCommand) Run(ctx context.Context, s *session) error {
	pool, err := s.connect(ctx, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	if postgres.Pooled(pool) {
		return errors.New("a pooler answers at DELIUS_DATABASE_URL, and a migration takes a lock that would stay with one of its sessions: give it the URL of the server itself for this command")
	}
	before, err := postgres.Version(ctx, pool)
	if err != nil {
		return err
	}
	newer := before > postgres.NeededVersion()
	if !newer || !c.AllowOlder { // a newer program's tables are left as they are
		err = postgres.Migrate(ctx, pool)
	}
	if err != nil {
		return err
	}
	after, err := postgres.Version(ctx, pool)
	switch {
	case err != nil:
		return err
	case newer:
		s.stdout.Sayf("schema projection is at version %d, newer than this program's %d: nothing was done", after, postgres.NeededVersion())
	case before == after:
		s.stdout.Sayf("schema projection is at version %d already: nothing was done", after)
	case before == 0:
		s.stdout.Sayf("schema projection was made, at version %d; Delius's own tables were not touched", after)
	default:
		s.stdout.Sayf("schema projection was brought from version %d to %d; Delius's own tables were not touched", before, after)
	}
	if c.AllowOlder {
		was, err := foldversion.AllowOlder(ctx, pool)
		if err != nil {
			return err
		}
		s.stdout.Sayf("the fold version was %d: the next program that writes sets it anew, an older one too", was)
		if err := c.record(ctx, pool, audit.Older, map[string]any{"foldVersion": was}, "done"); err != nil {
			return err
		}
	}
	if c.Notices != "" {
		if err := c.turn(ctx, s, pool); err != nil {
			return err
		}
	}
	return c.updateConsumer(ctx, s)
}

// natsTime bounds the wait for NATS, which the tables do not need.
const natsTime = 5 * time.Second

// updateConsumer gives the consumer of the stream the settings of this version. Without NATS
// that is left, and said: a service says so at its start where it matters.
func (c *migrateCommand) updateConsumer(ctx context.Context, s *session) error {
	config := s.NATS.Config("projector", s.Stream)
	config.Timeout = natsTime
	log, err := jetstream.Connect(ctx, config, s.logger)
	if err == nil {
		defer func() { _ = log.Close() }() // nothing was published
		var changes []jetstream.Difference
		if changes, err = log.UpdateConsumer(ctx, projection.Durable); len(changes) > 0 {
			s.stdout.Sayf("consumer %s of the stream was changed: %s", projection.Durable, join(changes))
		}
	}
	if errors.Is(err, jetstream.ErrUnavailable) {
		s.stderr.Sayf("projector: the consumer of the stream was not looked at: run `projector migrate` again where NATS can be reached, if `projector run` warns of its settings: %v", err)
		return nil
	}
	return err
}

func join(changes []jetstream.Difference) string {
	all := make([]string, len(changes))
	for i, change := range changes {
		all[i] = change.Setting + " " + change.Have + " → " + change.Want
	}
	return strings.Join(all, ", ")
}

// turn turns notices on or off.
func (c *migrateCommand) turn(ctx context.Context, s *session, pool *pgxpool.Pool) error {
	changed, err := outbox.Keep(ctx, pool, c.Notices == "on")
	if err != nil {
		return err
	}
	came := "done"
	if !changed {
		came = "was so already"
	}
	if err := c.record(ctx, pool, audit.Notices, map[string]any{"keep": c.Notices}, came); err != nil {
		return err
	}
	switch {
	case !changed:
		s.stdout.Sayf("notices of address rows were %s already", c.Notices)
	case c.Notices == "on":
		s.stdout.Sayf("notices of address rows are kept from now on: projector run sends them to MESSAGING_PRODUCER_TOPIC")
	default:
		s.stdout.Sayf("notices of address rows are not kept any more; those that wait are still sent")
	}
	return nil
}

// record adds what was done to the audit.
func (c *migrateCommand) record(ctx context.Context, pool *pgxpool.Pool, what string, detail map[string]any, came string) error {
	db, err := postgres.New(ctx, pool, postgres.Config{})
	if err != nil {
		return err
	}
	return record(ctx, db, &c.Actor, what, detail, came)
}
