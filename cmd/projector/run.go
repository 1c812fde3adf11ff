package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/projector/postgres"
	"casdelius/projector/sns"
)

type runCommand struct {
	Topic   string        `name:"messaging-producer-topic" env:"MESSAGING_PRODUCER_TOPIC" placeholder:"ARN" help:"The topic that notices of address rows are sent to. Needed while these are kept: projector migrate --notices=on."`
	HTTP    command.HTTP  `embed:"" prefix:"http-"`
	Hold    bool          `help:"Fill the inbox and plan, but write nothing to Delius: everyone stays due until the service runs without it."`
	Workers int           `default:"2" help:"Batches that are worked on at once."`
	Search  time.Duration `default:"5m" help:"Time between searches for gaps in the inbox."`
	Verify  time.Duration `name:"verify-interval" env:"VERIFY_INTERVAL" default:"24h" help:"Time between two verifications of everyone, by one of the projectors; 0: none."`
	Rate    int           `name:"verify-rate" env:"VERIFY_RATE" default:"5000" placeholder:"N" help:"Messages and rows that a scheduled verification looks at in a second; 0 is no limit."`
	Lease   time.Duration `name:"notice-lease" default:"30s" help:"For how long a notice is this process's own while it is being sent: what a killed one had waits for so long. A call to the topic is given half of it."`
}

// Run runs the service until ctx ends.
func (c *runCommand) Run(ctx context.Context, s *session) error {
	stopTracing, err := service.Tracing(ctx, "projector")
	if err != nil {
		return err
	}
	defer stopTracing()
	registry := service.Registry()
	endpoints, err := service.Serve("projector", c.HTTP.At(), registry, s.logger, service.Limits{})
	if err != nil {
		return err
	}
	defer endpoints.Close()
	await := &command.Await{Logger: s.logger, Endpoints: endpoints}
	pool, db, err := c.awaitDatabase(ctx, s, await)
	if err != nil || pool == nil {
		return err
	}
	defer pool.Close()
	notices, err := c.notices(ctx, db, s, registry)
	if err != nil {
		return err
	}
	log, err := command.AwaitLog(ctx, s.NATS.Config("projector", s.Stream), await)
	if err != nil || log == nil {
		return err
	}
	defer func() { _ = log.Close() }() // everything that counts is acknowledged
	canaries := freshness.NewCanaries(registry, time.Now)
	p, err := projector.New(projection.NewLog(log), db.Ports(), projector.Config{
		Hold: c.Hold, Workers: c.Workers, Search: c.Search, Logger: s.logger, Registry: registry, Committed: notices.committed,
		Received: canaries.Committed,
	})
	if err != nil {
		return err
	}
	monitor, stopWatching, err := projection.Watch(ctx, pool, projection.NewLog(log), p, freshness.Config{
		Hold: c.Hold, Logger: s.logger, Registry: registry, Canaries: canaries, Sampled: projection.Sampled(db),
	})
	if err != nil {
		return err
	}
	defer stopWatching()
	endpoints.Started(append(append(notices.checks(), projection.Checks(monitor)...),
		service.Check{Name: "nats", Serving: true, Run: log.Ready},
		service.Check{Name: "natsSettings", Run: log.Settings},
		service.Check{Name: "database", Serving: true, Run: func(ctx context.Context) error {
			return s.source().CheckSchemas(ctx, pool)
		}},
		service.Check{Name: "databaseRights", Run: func(ctx context.Context) error {
			missing, err := db.MissingRights(ctx)
			if err == nil && len(missing) > 0 {
				err = fmt.Errorf("the role lacks rights: %s", strings.Join(missing, "; "))
			}
			return err
		}},
		service.Check{Name: "projection", Serving: true, Run: p.Healthy},
		service.Check{Name: "foldVersion", Serving: true, Run: func(ctx context.Context) error {
			if c.Hold {
				return nil // writes nothing
			}
			return db.MayWrite(ctx)
		}},
	)...)
	s.logger.InfoContext(ctx, "started", "hold", c.Hold, "http", endpoints.Address())
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return p.Run(running) })
	group.Go(func() error { return notices.relay.Run(running) })
	group.Go(func() error { return monitor.Run(running) })
	group.Go(func() error { return forgetSessions(running, db, s.logger) })
	projection.Beside{
		DB: db, Log: log, Projector: p, Hold: c.Hold, VerifyInterval: c.Verify, VerifyRate: c.Rate, Logger: s.logger, Registry: registry,
	}.Go(running, group)
	err = group.Wait()
	s.logger.InfoContext(ctx, "stopped")
	return err
}

// awaitDatabase opens the database, for as long as it takes that to be there. No pool and no
// error: ctx ended first.
func (c *runCommand) awaitDatabase(ctx context.Context, s *session, await *command.Await) (pool *pgxpool.Pool, db *postgres.Database, err error) {
	err = await.For(ctx, "the database", projection.Passes, func() error {
		connected, err := s.source().Connect(ctx, c.Workers+relayConnections, projection.Primary)
		if err != nil {
			return err
		}
		opened, err := s.source().Open(ctx, connected, postgres.Config{})
		if err == nil {
			err = c.warn(ctx, s, opened)
		}
		if err != nil {
			connected.Close()
			return err
		}
		pool, db = connected, opened
		return nil
	})
	return pool, db, err
}

// warn says in one list what the database has to be and is not. Nothing is lost by it: events
// wait, and the service begins by itself when it is put right.
func (c *runCommand) warn(ctx context.Context, s *session, db *postgres.Database) error {
	missing, err := db.MissingRights(ctx)
	if err != nil {
		return err
	}
	weak, err := db.Weaknesses(ctx)
	if err != nil {
		return err
	}
	if len(missing)+len(weak) > 0 {
		s.logger.WarnContext(ctx, "the database of DELIUS_DATABASE_URL is not as it has to be", "grant", missing, "settings", weak)
	}
	return nil
}

// Faults names what is wrong with the options.
func (c *runCommand) Faults() error {
	all := []error{c.HTTP.Faults()}
	if c.Topic != "" {
		all = append(all, sns.Validate(c.Topic))
	}
	if c.Workers < 1 {
		all = append(all, fmt.Errorf("--workers is %d: want 1 or more", c.Workers))
	}
	if c.Lease < shortestLease {
		all = append(all, fmt.Errorf("--notice-lease is %s: want %s or more", c.Lease, shortestLease))
	}
	if c.Verify < 0 || c.Verify > 0 && c.Verify < shortestVerify {
		all = append(all, fmt.Errorf("VERIFY_INTERVAL is %s: want 0, or %s or more", c.Verify, shortestVerify))
	}
	if c.Rate < 0 {
		all = append(all, fmt.Errorf("VERIFY_RATE is %d: want messages and rows a second, or 0 for no limit", c.Rate))
	}
	if c.Search <= 0 {
		all = append(all, fmt.Errorf("--search is %s: want a time such as 5m", c.Search))
	}
	return errors.Join(all...)
}

// shortestVerify leaves the stream and the database something else to do.
const shortestVerify = time.Minute

// source is the database of most commands.
func (s *session) source() projection.Source { return projection.Delius(s.Database) }

func (s *session) connect(ctx context.Context, workers int) (*pgxpool.Pool, error) {
	pool, err := s.source().Connect(ctx, workers)
	if err == nil && postgres.Pooled(pool) {
		s.logger.InfoContext(ctx, "a pooler in transaction mode answers for the database: each transaction makes its own settings, and no statement is kept prepared")
	}
	return pool, err
}
