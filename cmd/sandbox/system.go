package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"casdelius/cmd/internal/service"
	roles "casdelius/deploy/nats"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/sns/snstest"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// system is every part that the services need around them, running.
type system struct {
	dir      string // of streams and log
	logFile  *os.File
	logger   *slog.Logger
	nats     *natstest.Server
	sqs      *sqstest.Server
	sns      *snstest.Server
	topic    string // its ARN
	cas      *casapitest.Server
	casURL   string // where ingest fetches details
	database string // its URL, as its owner: the services have [postgrestest.AsRole] of it
	delius   postgrestest.Delius
	inbox    *postgres.Database
	log      *jetstream.Log
	health   *service.Endpoints
	console  *service.Endpoints
	registry *prometheus.Registry

	closers []func() error
}

// parts says where the parts of a system live.
type parts struct {
	dir         string // "" is a temporary folder
	httpAddress string
	console     string       // its address
	logs        slog.Handler // of what somebody should see at once
}

// start starts every part but the services.
func start(ctx context.Context, p parts) (_ *system, err error) {
	s := &system{registry: service.Registry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, one := range []func(context.Context, parts) error{
		s.openDir, s.startCAS, s.startSQS, s.startSNS, s.startNATS, s.startPostgreSQL, s.prepareDelius, s.serveHealth, s.serveConsole,
	} {
		if err := one(ctx, p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// close stops the parts, the last one first.
func (s *system) close() error {
	var all error
	for _, one := range slices.Backward(s.closers) {
		all = errors.Join(all, one())
	}
	s.closers = nil
	return all
}

func (s *system) onClose(f func() error) { s.closers = append(s.closers, f) }

// openDir makes the folder for streams and log. One that is given must be empty: a
// story can only begin at its beginning.
func (s *system) openDir(_ context.Context, p parts) error {
	var err error
	if s.dir = p.dir; s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "casdelius-sandbox-"); err != nil {
			return fmt.Errorf("make a temporary folder, or name one with --dir: %w", err)
		}
		s.onClose(func() error { return os.RemoveAll(s.dir) })
	} else if err := useFolder(s.dir); err != nil {
		return err
	}
	s.logFile, err = os.Create(filepath.Join(s.dir, "sandbox.log"))
	if err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	s.onClose(s.logFile.Close)
	everything := slog.NewTextHandler(s.logFile, nil)
	s.logger = slog.New(slog.NewMultiHandler(everything, p.logs))
	return nil
}

// useFolder makes a folder that PostgreSQL can enter, or takes an empty one.
func useFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.MkdirAll(dir, 0o755) //nolint:gosec // PostgreSQL runs as another user where this is root
	case err == nil && len(entries) > 0:
		return fmt.Errorf("folder %s is not empty: name a new one with --dir, or remove what an earlier run left there", dir)
	}
	if err != nil {
		return fmt.Errorf("folder %s: %w", dir, err)
	}
	return nil
}

func (s *system) startCAS(context.Context, parts) (err error) {
	if s.cas, err = casapitest.Run("127.0.0.1:0"); err != nil {
		return err
	}
	s.casURL = s.cas.URL()
	s.onClose(func() error { s.cas.Close(); return nil })
	return nil
}

func (s *system) startSQS(context.Context, parts) (err error) {
	if s.sqs, err = sqstest.Run("127.0.0.1:0"); err != nil {
		return err
	}
	s.onClose(func() error { s.sqs.Close(); return nil })
	const retention = 14 * 24 * time.Hour
	if _, err := s.sqs.CreateQueue(deadName, sqstest.QueueSettings{Retention: retention}); err != nil {
		return err
	}
	_, err = s.sqs.CreateQueue(queueName, sqstest.QueueSettings{
		Visibility: 2 * time.Minute, Retention: retention, DeadLetterQueue: deadName, MaxReceiveCount: 10,
	})
	return err
}

func (s *system) startSNS(context.Context, parts) (err error) {
	if s.sns, err = snstest.Run("127.0.0.1:0"); err != nil {
		return err
	}
	s.onClose(func() error { s.sns.Close(); return nil })
	s.topic = s.sns.CreateTopic(topicName)
	return nil
}

func (s *system) startNATS(ctx context.Context, _ parts) (err error) {
	if s.nats, err = natstest.Run(natstest.Options{Dir: filepath.Join(s.dir, "nats"), Roles: roles.Roles}); err != nil {
		return err
	}
	s.onClose(func() error { s.nats.Shutdown(); return nil })
	administrator, err := s.connectLog(ctx, natstest.Administrator, "sandbox")
	if err != nil {
		return err
	}
	if err := errors.Join(administrator.Ensure(ctx), administrator.Close()); err != nil {
		return err
	}
	if s.log, err = s.connectLog(ctx, natstest.Operator, "sandbox"); err != nil {
		return err
	}
	s.onClose(s.log.Close)
	return nil
}

// connectLog makes a connection to the log as a service of that role has one.
func (s *system) connectLog(ctx context.Context, role, name string) (*jetstream.Log, error) {
	return jetstream.Connect(ctx, jetstream.Config{
		URL: s.nats.URLAs(role), Inbox: natstest.InboxOf(role), MonitorURL: s.nats.MonitorURL(), Replicas: 1, Name: name,
	}, s.logger)
}

func (s *system) startPostgreSQL(ctx context.Context, p parts) error {
	o := postgrestest.Options{Fsync: true} // as in production, so that the figures say something
	if p.dir != "" {
		o.Dir = filepath.Join(p.dir, "postgres")
	}
	cluster, err := postgrestest.Run(ctx, o)
	if err != nil {
		return err
	}
	s.onClose(cluster.Stop)
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to be written
	if _, err := conn.Exec(ctx, "create database delius"); err != nil {
		return fmt.Errorf("create database delius: %w", err)
	}
	s.database = cluster.URL("delius")
	return nil
}

// prepareDelius makes both schemas.
func (s *system) prepareDelius(ctx context.Context, _ parts) error {
	config, err := pgxpool.ParseConfig(s.database)
	if err != nil {
		return fmt.Errorf("database URL: %w", err)
	}
	postgres.Settle(config.ConnConfig)
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "off" // the stand-in's people wait for no disk
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open database delius: %w", err)
	}
	s.onClose(func() error { pool.Close(); return nil })
	s.delius = postgrestest.Delius{Pool: pool}
	if err := postgrestest.CreateDelius(ctx, pool); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		return fmt.Errorf("open database delius: %w", err)
	}
	err = postgrestest.Granted(postgres.Grants, postgres.Migrate)(ctx, conn)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	if err := s.delius.RecordAddressChanges(ctx); err != nil {
		return err
	}
	if _, err := outbox.Keep(ctx, pool, true); err != nil {
		return err
	}
	s.inbox, err = postgres.New(ctx, pool, postgres.Config{})
	return err
}

func (s *system) serveHealth(_ context.Context, p parts) (err error) {
	if s.health, err = service.Serve("sandbox", service.Address{Variable: "--http-address", Value: p.httpAddress}, s.registry, s.logger, service.Limits{}); err != nil {
		return err
	}
	s.onClose(func() error { s.health.Close(); return nil })
	return nil
}

// enqueue publishes an event: SNS puts it into the queue at once.
func (s *system) enqueue(_ context.Context, e event) error {
	_, err := s.sqs.Send(queueName, sqstest.EnvelopeSNS(e.body, e.typ, e.id, time.Now()), nil)
	return err
}
