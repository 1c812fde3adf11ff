package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/ingest"
	"casdelius/ingest/casapi"
	"casdelius/store"
	"casdelius/store/jetstream"
)

// cli is what the program can be told, by flags or by the environment.
type cli struct {
	Log    command.Log    `embed:"" prefix:"log-"`
	NATS   command.NATS   `embed:"" prefix:"nats-" group:"The log"`
	Stream command.Stream `embed:"" prefix:"stream-" group:"The log"`
	CAS    casOptions     `embed:"" group:"The CAS API"`

	Run      runCommand     `cmd:"" default:"withargs" help:"Run the service (the default)."`
	Import   importCommand  `cmd:"" help:"Store events from files of JSON lines."`
	Streams  streamsCommand `cmd:"" help:"Make the streams where they are missing, and check them and the servers."`
	Rejected struct {
		List    listCommand    `cmd:"" help:"List the rejected messages."`
		Show    showCommand    `cmd:"" help:"Show one rejected message."`
		Replay  replayCommand  `cmd:"" help:"Try rejected messages again."`
		Dismiss dismissCommand `cmd:"" help:"Say of rejected messages that they are of no use to anybody: lists hide them."`
	} `cmd:"" help:"Look after the messages that could not become events."`
	Healthcheck command.Healthcheck `cmd:"" help:"Ask the service in this container whether it is ready."`
	Completion  command.Completion  `cmd:"" help:"Print what makes a shell complete commands and options."`
}

type casOptions struct {
	DetailURLs   []string `name:"messaging-consumer-detail-urls" env:"MESSAGING_CONSUMER_DETAIL_URLS" secret:"user" placeholder:"URL,…" help:"Base URLs that details may be fetched from."`
	TokenURI     string   `name:"oauth2-token-uri" env:"OAUTH2_TOKEN_URI" secret:"user" help:"Token endpoint; without one no token is sent."`
	ClientID     string   `name:"oauth2-client-id" env:"OAUTH2_CLIENT_ID" help:"Client of the CAS API."`
	SecretFile   string   `name:"oauth2-client-secret-file" env:"OAUTH2_CLIENT_SECRET_FILE" placeholder:"FILE" help:"File that holds the client's secret, in place of OAUTH2_CLIENT_SECRET."`
	ClientSecret string   `name:"oauth2-client-secret" env:"OAUTH2_CLIENT_SECRET" secret:"all" help:"Its secret. By the environment alone."`
}

const description = `Moves CAS domain events from SQS into the log.

Examples:
  MESSAGING_CONSUMER_QUEUE=cas-events MESSAGING_CONSUMER_DETAIL_URLS=https://cas.example.com ingest
  ingest import before-cutover.jsonl
  ingest rejected list --reason no-person
  ingest rejected replay --reason detail-not-found
  ingest rejected dismiss 17 --why "a test message"

The AWS SDK reads its own variables: AWS_REGION, AWS_ENDPOINT_URL_SQS, credentials.
Exit codes: 0 done, 1 an error or wrong usage, 130 interrupted.`

// Faults names what is wrong with the options that all commands have.
func (c *cli) Faults() error {
	return errors.Join(c.Log.Faults(), c.NATS.Faults(c.Stream), c.CAS.Faults())
}

// given says whether details may be fetched at all.
func (o *casOptions) given() bool { return len(o.DetailURLs) > 0 }

// Faults names what is wrong with the options, if they are given.
func (o *casOptions) Faults() error {
	if err := command.SecretFile("OAUTH2_CLIENT_SECRET_FILE", o.SecretFile, &o.ClientSecret); err != nil || !o.given() {
		return err
	}
	return o.config().Validate()
}

func (o *casOptions) config() casapi.Config {
	return casapi.Config{BaseURLs: o.DetailURLs, TokenURL: o.TokenURI, ClientID: o.ClientID, ClientSecret: o.ClientSecret}
}

// session is what the commands work with.
type session struct {
	*cli
	stdout, stderr *command.Output
	logger         *slog.Logger
	registry       *prometheus.Registry
}

// run parses the arguments, runs the command and gives the exit code. It stops early
// when ctx ends, or at a signal.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	var c cli
	c.Run.cas = &c.CAS
	return command.Main(ctx, "ingest", description, &c, args, stdout, stderr, func(_ context.Context, k *kong.Context, stdout, stderr *command.Output) error {
		logs, options := stderr, c.Log.Quiet(stderr) // the standard output is for what a tool has to say
		if k.Command() == "run" {
			logs, options = stdout, c.Log
		}
		logger, err := options.Logger(logs)
		if err != nil {
			return err
		}
		return k.Run(&session{&c, stdout, stderr, logger, service.Registry()})
	})
}

// openLog connects to the log.
func (s *session) openLog(ctx context.Context) (*jetstream.Log, error) {
	return jetstream.Connect(ctx, s.NATS.Config("ingest", s.Stream), s.logger)
}

// withLog connects to the log and runs f with it.
func (s *session) withLog(ctx context.Context, f func(*jetstream.Log) error) error {
	log, err := s.openLog(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(log), log.Close())
}

// withStreams is withLog for what writes: it makes the streams that are missing.
func (s *session) withStreams(ctx context.Context, f func(*jetstream.Log) error) error {
	return s.withLog(ctx, func(log *jetstream.Log) error {
		if err := log.Ensure(ctx); err != nil {
			return err
		}
		return f(log)
	})
}

// withIntake runs f with an intake for the log.
func (s *session) withIntake(ctx context.Context, log *jetstream.Log, f func(*ingest.Intake) error) error {
	details, closing, err := s.details(ctx)
	if err != nil {
		return err
	}
	defer closing()
	return f(s.intake(details, log))
}

func (s *session) intake(details ingest.Details, log *jetstream.Log) *ingest.Intake {
	return ingest.NewIntake(details, log, s.logger, ingest.NewMetrics(s.registry))
}

// details are those of the CAS API. Without a base URL, details that come along are all
// that there is.
func (s *session) details(ctx context.Context) (details ingest.Details, closing func(), err error) {
	if !s.CAS.given() {
		return noDetails{}, func() {}, nil
	}
	client, err := s.client(ctx)
	if err != nil {
		return nil, nil, err
	}
	return client, client.Close, nil
}

// client makes the client of the CAS API.
func (s *session) client(ctx context.Context) (*casapi.Client, error) {
	if s.CAS.TokenURI == "" {
		s.logger.WarnContext(ctx, "details are fetched without a token: OAUTH2_TOKEN_URI is not set")
	}
	return casapi.New(s.CAS.config())
}

// noDetails fetches nothing.
type noDetails struct{}

func (noDetails) Fetch(_ context.Context, url string) ([]byte, error) {
	return nil, &ingest.DetailError{Fault: ingest.URLForbidden, Err: fmt.Errorf(
		"the detail at %s cannot be fetched: set MESSAGING_CONSUMER_DETAIL_URLS to the base URLs that are allowed", store.ShownURL(url))}
}

// toolPauses are those of the commands that a person waits for.
func toolPauses() ingest.Pauses { return ingest.Pauses{First: time.Second, Most: 10 * time.Second} }
