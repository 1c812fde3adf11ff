package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres/postgrestest"
)

type deliusCommand struct {
	DatabaseURL string `name:"database-url" env:"DELIUS_DATABASE_URL" required:"" help:"The database, postgres://user:password@host:5432/database."`
}

// Run makes the schema with its reference data. What stands there stays as it is.
func (c *deliusCommand) Run(ctx context.Context, t terminal) error {
	config, err := pgx.ParseConfig(c.DatabaseURL)
	if err != nil {
		return errors.New("the database URL cannot be read: want postgres://user:password@host:5432/database") // it may hold a password
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to database %s at %s:%d (--database-url, DELIUS_DATABASE_URL): %w", config.Database, config.Host, config.Port, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to be written
	var stood bool
	if err := conn.QueryRow(ctx, "select to_regclass('delius.offender') is not null").Scan(&stood); err != nil {
		return fmt.Errorf("look for schema delius: %w", err)
	}
	if err := postgrestest.CreateDelius(ctx, conn); err != nil {
		return err
	}
	if stood {
		fmt.Fprintf(t.stdout, "The stand-in Delius was in database %s already: what was missing of it is there now, the rest is as it was.\n", config.Database)
		return nil
	}
	fmt.Fprintf(t.stdout, "The stand-in Delius is in database %s now, schema delius, with its reference data. Next: projector migrate.\n", config.Database)
	return nil
}
