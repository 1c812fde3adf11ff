package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/ingest"
	"casdelius/ingest/sqs"
	"casdelius/store/jetstream"
)

type runCommand struct {
	Queue       string `name:"messaging-consumer-queue" env:"MESSAGING_CONSUMER_QUEUE" help:"The queue's name or URL."`
	HTTPAddress string `name:"http-address" env:"HTTP_ADDRESS" default:":8080" help:"Where health, info and metrics are served."`
}

// Run runs the service until ctx ends. The stop then takes less than 10 s, whatever does
// not answer: 7 s the service itself (ingest.Config.Stop), 1 s the connection to NATS,
// 1 s the traces.
func (c *runCommand) Run(ctx context.Context, s *session) error {
	queue, queueErr := sqs.Open(ctx, sqs.Config{Queue: c.Queue})
	details, detailsErr := s.client(ctx)
	if err := errors.Join(queueErr, detailsErr, checkAddress(c.HTTPAddress)); err != nil {
		return err
	}
	defer details.Close()
	stopTracing, err := service.Tracing(ctx, "ingest")
	if err != nil {
		return err
	}
	defer stopTracing()
	endpoints, err := service.Serve("ingest", c.HTTPAddress, s.registry, s.logger)
	if err != nil {
		return err
	}
	defer endpoints.Close()

	log, err := s.awaitLog(ctx)
	if err != nil || log == nil {
		return err
	}
	defer func() { _ = log.Close() }() // everything that counts is acknowledged
	consumer, err := ingest.New(ingest.DefaultConfig(), queue, s.intake(details, log), s.logger)
	if err != nil {
		return err
	}
	endpoints.Started(
		service.Check{Name: "nats", Serving: true, Run: log.Ready},
		service.Check{Name: "natsSettings", Run: log.Settings},
		service.Check{Name: "queue", Serving: true, Run: queue.Reachable},
		service.Check{Name: "circuitBreaker", Run: consumer.Ready},
	)
	s.logger.InfoContext(ctx, "started", "queue", c.Queue, "http", endpoints.Address())
	if err := consumer.Run(ctx); err != nil {
		return fmt.Errorf("MESSAGING_CONSUMER_QUEUE is %s: %w", c.Queue, err)
	}
	s.logger.InfoContext(ctx, "stopped")
	return nil
}

// checkAddress checks where health, info and metrics are to be served.
func checkAddress(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("HTTP_ADDRESS is %q, want an address with a port, such as :8080", address)
	}
	return nil
}

// awaitLog connects to the log, for as long as it takes NATS to be there. No log and no
// error: ctx ended first.
func (s *session) awaitLog(ctx context.Context) (*jetstream.Log, error) {
	return command.AwaitLog(ctx, s.NATS.Config("ingest", s.Stream), s.logger)
}
