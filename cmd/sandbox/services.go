package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/rejected"
	"casdelius/cmd/internal/service"
	"casdelius/ingest"
	"casdelius/ingest/casapi"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/freshness"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/relay"
	"casdelius/projector/sns"
	"casdelius/store/jetstream/natstest"
)

// workers of one projector.
const workers = 2

// relayConnections are those that its relay uses beside them.
const relayConnections = 3

// canaryPause is long, as in production: the stream is not to look as if it moved.
const canaryPause = 30 * time.Second

// serve runs ingest and a number of projectors until ctx ends.
func (s *system) serve(ctx context.Context, projectors int, committed func(projector.Applied, time.Time)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.ingest(ctx) })
	for n := range projectors {
		group.Go(func() error {
			if err := s.project(ctx, n+1, committed); err != nil {
				return fmt.Errorf("projector %d: %w", n+1, err)
			}
			return nil
		})
	}
	s.health.Started(
		service.Check{Name: "nats", Serving: true, Run: s.log.Ready},
		service.Check{Name: "database", Serving: true, Run: s.inbox.Ready},
	)
	return group.Wait()
}

// ingest runs the service ingest.
func (s *system) ingest(ctx context.Context) (err error) {
	queue, err := sqs.New(awssqs.NewFromConfig(s.sqs.AWSConfig()), sqs.Config{Queue: queueName})
	if err != nil {
		return err
	}
	details, err := casapi.New(casapi.Config{
		BaseURLs: []string{s.casURL}, TokenURL: s.casURL + casapitest.TokenPath,
		ClientID: casapitest.ClientID, ClientSecret: casapitest.ClientSecret,
	})
	if err != nil {
		return err
	}
	defer details.Close()
	log, err := s.connectLog(ctx, natstest.Ingest, "ingest")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	logger := s.logger.With("service", "ingest")
	intake := ingest.NewIntake(details, log, logger, ingest.NewMetrics(s.registry))
	config := ingest.DefaultConfig()
	config.Canary = canaryPause
	consumer, err := ingest.New(config, queue, intake, logger)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return rejected.Messages{Log: log, Logger: logger}.Answer(ctx, intake) })
	group.Go(func() error { return consumer.Run(ctx) })
	return group.Wait()
}

// verifyPause is shorter than in production: here somebody watches.
const verifyPause = 30 * time.Second

// project runs one of the projectors, all of them on one consumer.
func (s *system) project(ctx context.Context, number int, committed func(projector.Applied, time.Time)) (err error) {
	pool, err := projection.Delius(postgrestest.AsRole(s.database)).Connect(ctx, workers+relayConnections)
	if err != nil {
		return err
	}
	defer pool.Close()
	// What is parked is tried again more often than in production: here somebody watches.
	db, err := postgres.New(ctx, pool, postgres.Config{RetryMin: 200 * time.Millisecond, RetryMax: 2 * time.Second})
	if err != nil {
		return err
	}
	log, err := s.connectLog(ctx, natstest.Projector, fmt.Sprintf("projector %d", number))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	registry := prometheus.WrapRegistererWith(prometheus.Labels{"projector": fmt.Sprint(number)}, s.registry)
	logger := s.logger.With("service", "projector", "number", number)
	topic, err := sns.New(awssns.NewFromConfig(s.sns.AWSConfig()), s.topic)
	if err != nil {
		return err
	}
	notices := relay.New(db.Outbox, topic, relay.Config{Holder: fmt.Sprintf("projector %d", number), Logger: logger, Registry: registry})
	canaries := freshness.NewCanaries(registry, time.Now)
	p, err := projector.New(projection.NewLog(log), db.Ports(), projector.Config{
		Workers: workers, Logger: logger, Registry: registry, Received: canaries.Committed,
		Committed: func(applied projector.Applied, at time.Time) {
			committed(applied, at)
			if applied.Notices > 0 {
				notices.Wake()
			}
		},
	})
	if err != nil {
		return err
	}
	monitor, stopWatching, err := projection.Watch(ctx, pool, projection.NewLog(log), p, freshness.Config{
		Logger: logger, Registry: registry, Canaries: canaries, Sampled: projection.Sampled(db),
	})
	if err != nil {
		return err
	}
	defer stopWatching()
	group, ctx := errgroup.WithContext(ctx)
	projection.Beside{DB: db, Log: log, Projector: p, VerifyInterval: verifyPause, Logger: logger, Registry: registry}.Go(ctx, group)
	group.Go(func() error { return p.Run(ctx) })
	group.Go(func() error { return monitor.Run(ctx) })
	group.Go(func() error { return notices.Run(ctx) })
	return group.Wait()
}

// retried says whether time can heal what is parked.
func retried(p delius.Parked) bool { return p.Cause.Retried() }
