package main

import (
	"context"

	"casdelius/store/jetstream"
)

type streamsCommand struct{}

// Help implements kong.HelpProvider.
func (streamsCommand) Help() string {
	return `The service makes them too, where its user of NATS may. With the roles of deploy/nats only the administrator may: run this once, as the administrator, before the services are started.

Examples:
  NATS_URL=nats://administrator:password@host:4222 NATS_INBOX_PREFIX=_INBOX_administrator ingest streams`
}

// Run makes the streams.
func (streamsCommand) Run(ctx context.Context, s *session) error {
	return s.withStreams(ctx, func(*jetstream.Log) error {
		s.stdout.Sayf("streams %s and %s are there, and keep what they are given", jetstream.EventsStream, jetstream.RejectedStream)
		return nil
	})
}
