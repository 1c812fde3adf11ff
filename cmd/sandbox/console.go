package main

import (
	"context"
	"fmt"
	"net"

	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/service"
	"casdelius/projector/console"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// serveConsole serves the console as a team would have it: through roles of its own, but without
// a sign-in, for this machine alone.
func (s *system) serveConsole(ctx context.Context, p parts) error {
	if host, _, err := net.SplitHostPort(p.console); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("--console-address is %q: want one of this machine's own, such as 127.0.0.1:8081: the sandbox's console has no sign-in", p.console)
	}
	reads, err := postgrestest.AddRole(ctx, s.database, "console", postgres.ConsoleGrants("console"))
	if err != nil {
		return err
	}
	writes, err := postgrestest.AddRole(ctx, s.database, "console_writer", postgres.ConsoleWriterGrants("console_writer"))
	if err != nil {
		return err
	}
	reader, err := projection.Delius(reads).Connect(ctx, 4)
	if err != nil {
		return err
	}
	s.onClose(func() error { reader.Close(); return nil })
	writer, err := projection.Delius(writes).Connect(ctx, 1)
	if err != nil {
		return err
	}
	s.onClose(func() error { writer.Close(); return nil })
	db, err := postgres.New(ctx, reader, postgres.Config{})
	if err != nil {
		return err
	}
	ports := db.ConsolePorts(writer, postgres.Config{})
	rejections := &projection.Rejections{Connect: func(ctx context.Context) (*jetstream.Log, error) {
		return s.connectLog(ctx, natstest.Console, "console")
	}}
	s.onClose(rejections.Close)
	ports.Rejections = rejections
	if s.console, err = service.Serve("console", service.Address{Variable: "--console-address", Value: p.console}, service.Registry(), s.logger, service.Limits{}); err != nil {
		return err
	}
	s.onClose(func() error { s.console.Close(); return nil })
	s.console.Handle("/", console.New(ports, console.Config{Logger: s.logger.With("service", "console")}))
	s.console.Started(service.Check{Name: "database", Serving: true, Run: db.Ready})
	return nil
}
