package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/ingest"
	"casdelius/ingest/sqs"
	"casdelius/store/jetstream"
)

type runCommand struct {
	Queue string       `name:"messaging-consumer-queue" env:"MESSAGING_CONSUMER_QUEUE" help:"The queue's name or URL."`
	HTTP  command.HTTP `embed:"" prefix:"http-"`

	Canary time.Duration `name:"canary-interval" env:"CANARY_INTERVAL" default:"10m" help:"Time between two canaries, messages of no case that are sent to the queue to see that the way into the inbox is open; 0: none. It needs sqs:SendMessage on the queue."`

	cas *casOptions // the program's: the service cannot do without
}

// shortestCanary leaves the log something else to do.
const shortestCanary = time.Second

// Faults names what is wrong with the options, and with the SDK's own.
func (c *runCommand) Faults() error {
	_, queue := sqs.Open(context.Background(), sqs.Config{Queue: c.Queue}) // which asks nobody
	var details error
	if !c.cas.given() {
		details = c.cas.config().Validate()
	}
	var canary error
	if c.Canary != 0 && c.Canary < shortestCanary {
		canary = fmt.Errorf("CANARY_INTERVAL is %s: want 0, or %s or more", c.Canary, shortestCanary)
	}
	return errors.Join(queue, details, canary, c.HTTP.Faults())
}

// Run runs the service until ctx ends. The stop then takes less than 10 s, whatever does
// not answer: 7 s the service itself (ingest.Config.Stop), 1 s the connection to NATS,
// 1 s the traces.
func (c *runCommand) Run(ctx context.Context, s *session) error {
	queue, err := sqs.Open(ctx, sqs.Config{Queue: c.Queue})
	if err != nil {
		return err
	}
	details, err := s.client(ctx)
	if err != nil {
		return err
	}
	defer details.Close()
	stopTracing, err := service.Tracing(ctx, "ingest")
	if err != nil {
		return err
	}
	defer stopTracing()
	endpoints, err := service.Serve("ingest", c.HTTP.At(), s.registry, s.logger, service.Limits{})
	if err != nil {
		return err
	}
	defer endpoints.Close()

	log, err := s.awaitLog(ctx, endpoints)
	if err != nil || log == nil {
		return err
	}
	defer func() { _ = log.Close() }() // everything that counts is acknowledged
	config := ingest.DefaultConfig()
	config.Canary = c.Canary
	intake := s.intake(details, log)
	consumer, err := ingest.New(config, queue, intake, s.logger)
	if err != nil {
		return err
	}
	endpoints.Started(
		service.Check{Name: "nats", Serving: true, Run: log.Ready},
		service.Check{Name: "natsSettings", Run: log.Settings},
		service.Check{Name: "queue", Serving: true, Run: queue.Reachable, Details: queue.Health},
		service.Check{Name: "publishing", Serving: true, Run: consumer.Publishing},
		service.Check{Name: "circuitBreaker", Run: consumer.Ready},
	)
	s.logger.InfoContext(ctx, "started", "queue", c.Queue, "http", endpoints.Address())
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.messages(log).Answer(running, intake) })
	group.Go(func() error { return consumer.Run(running) })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("MESSAGING_CONSUMER_QUEUE is %s: %w", c.Queue, err)
	}
	s.logger.InfoContext(ctx, "stopped")
	return nil
}

// awaitLog connects to the log, for as long as it takes NATS to be there. No log and no
// error: ctx ended first.
func (s *session) awaitLog(ctx context.Context, endpoints *service.Endpoints) (*jetstream.Log, error) {
	return command.AwaitLog(ctx, s.NATS.Config("ingest", s.Stream), &command.Await{Logger: s.logger, Endpoints: endpoints})
}
