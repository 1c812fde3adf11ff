package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/service"
	"casdelius/projector/console"
	"casdelius/projector/postgres"
	"casdelius/projector/retry"
	"casdelius/store/jetstream"
)

type consoleCommand struct {
	Address string `env:"CONSOLE_ADDRESS" default:"127.0.0.1:8081" help:"Where the pages are served, with health, info and metrics. Without a sign-in this machine's loopback only."`
	Reader  string `name:"database-url" env:"CONSOLE_DATABASE_URL" secret:"password" placeholder:"URL" help:"The database by a role that may only read; DELIUS_DATABASE_URL where this is not given."`
	Writer  string `name:"writer-database-url" env:"CONSOLE_WRITER_DATABASE_URL" secret:"password" placeholder:"URL" help:"The database by a role that may only add sessions, requests and entries of the audit. Without it nothing can be asked for."`

	URL      string        `name:"url" env:"CONSOLE_URL" placeholder:"URL" group:"Sign-in" help:"The console as browsers reach it."`
	Issuer   string        `name:"oidc-issuer" env:"CONSOLE_OIDC_ISSUER" placeholder:"URL" group:"Sign-in" help:"The OpenID provider that signs users in. Without it the console is local, and only shows."`
	ClientID string        `name:"oidc-client-id" env:"CONSOLE_OIDC_CLIENT_ID" placeholder:"ID" group:"Sign-in" help:"What the provider knows the console by."`
	Secret   string        `name:"oidc-client-secret" env:"CONSOLE_OIDC_CLIENT_SECRET" secret:"all" placeholder:"SECRET" group:"Sign-in" help:"By the environment alone."`
	File     string        `name:"oidc-client-secret-file" env:"CONSOLE_OIDC_CLIENT_SECRET_FILE" placeholder:"FILE" group:"Sign-in" help:"File that holds the client's secret, in place of CONSOLE_OIDC_CLIENT_SECRET."`
	Claim    string        `name:"oidc-roles-claim" env:"CONSOLE_OIDC_ROLES_CLAIM" default:"roles" group:"Sign-in" help:"The claim of the token that has the roles; dots lead into claims."`
	Prefix   string        `name:"role-prefix" env:"CONSOLE_ROLE_PREFIX" default:"casdelius-" group:"Sign-in" help:"What stands before view, operate, see-bodies and restricted. Case, - and _ make no difference."`
	Session  time.Duration `name:"session" env:"CONSOLE_SESSION" default:"8h" group:"Sign-in" help:"How long a sign-in holds, 24h at most."`

	Authorize  string `name:"oidc-authorize-url" env:"CONSOLE_OIDC_AUTHORIZE_URL" placeholder:"URL" group:"Sign-in" help:"With the token's and the keys', where the issuer does not tell them."`
	Token      string `name:"oidc-token-url" env:"CONSOLE_OIDC_TOKEN_URL" placeholder:"URL" group:"Sign-in" help:"Likewise."`
	Keys       string `name:"oidc-keys-url" env:"CONSOLE_OIDC_KEYS_URL" placeholder:"URL" group:"Sign-in" help:"Likewise."`
	EndSession string `name:"oidc-end-session-url" env:"CONSOLE_OIDC_END_SESSION_URL" placeholder:"URL" group:"Sign-in" help:"Where the provider ends its session, if it does not tell."`
}

// Help implements kong.HelpProvider.
func (consoleCommand) Help() string {
	return `Serves pages that answer: is Delius up to date, and why does this person's entry say that. See docs/console.md for the roles in the database and at the provider.

Examples:
  projector console
  CONSOLE_DATABASE_URL=postgres://reader:…@… projector console --address 127.0.0.1:9000`
}

// signIn is the sign-in that the options describe; nil if there is none.
func (c *consoleCommand) signIn() *console.SignIn {
	if c.Issuer == "" && c.URL == "" && c.ClientID == "" {
		return nil
	}
	return &console.SignIn{
		URL: c.URL, Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: c.Secret, RolesClaim: c.Claim, RolePrefix: c.Prefix, Lifetime: c.Session,
		Authorize: c.Authorize, Token: c.Token, Keys: c.Keys, EndSession: c.EndSession,
	}
}

// Faults names what is wrong with the options.
func (c *consoleCommand) Faults() error {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("CONSOLE_ADDRESS is %q: want an address with a port, such as 127.0.0.1:8081", c.Address)
	}
	secret := command.SecretFile("CONSOLE_OIDC_CLIENT_SECRET_FILE", c.File, &c.Secret)
	signIn := c.signIn()
	if signIn == nil {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("CONSOLE_ADDRESS is %q: without a sign-in (CONSOLE_OIDC_ISSUER) the console serves this machine alone, such as 127.0.0.1:8081", c.Address)
		}
		return secret
	}
	all := errors.Join(secret, signIn.Validate())
	if c.Writer == "" {
		all = errors.Join(all, errors.New("CONSOLE_WRITER_DATABASE_URL is not set: a sign-in needs it for its sessions"))
	}
	if c.Session <= 0 || c.Session > 24*time.Hour {
		all = errors.Join(all, fmt.Errorf("CONSOLE_SESSION is %s: want more than 0 and at most 24h", c.Session))
	}
	return all
}

// Run serves the pages until ctx ends.
func (c *consoleCommand) Run(ctx context.Context, s *session) error {
	source := s.source()
	if c.Reader != "" {
		source = projection.Source{Variable: "CONSOLE_DATABASE_URL", URL: c.Reader}
	}
	reader, err := source.Connect(ctx, consoleConnections)
	if err != nil {
		return err
	}
	defer reader.Close()
	db, err := source.Open(ctx, reader, postgres.Config{})
	if err != nil {
		return err
	}
	var writer *pgxpool.Pool
	if c.Writer != "" {
		to := projection.Source{Variable: "CONSOLE_WRITER_DATABASE_URL", URL: c.Writer}
		if writer, err = to.Connect(ctx, 1); err != nil {
			return err
		}
		defer writer.Close()
	}
	rejections := &projection.Rejections{Connect: func(ctx context.Context) (*jetstream.Log, error) {
		return jetstream.Connect(ctx, s.NATS.Config("console", s.Stream), s.logger)
	}}
	defer rejections.Close() //nolint:errcheck // it only reads
	ports := db.ConsolePorts(writer, postgres.Config{})
	ports.Rejections = rejections
	endpoints, err := service.Serve("console", service.Address{Variable: "CONSOLE_ADDRESS", Value: c.Address}, service.Registry(), s.logger, service.Limits{})
	if err != nil {
		return err
	}
	defer endpoints.Close()
	endpoints.Handle("/", console.New(ports, console.Config{SignIn: c.signIn(), Logger: s.logger}))
	endpoints.Started(service.Check{Name: "database", Serving: true, Run: func(ctx context.Context) error { return source.CheckSchemas(ctx, reader) }})
	s.logger.InfoContext(ctx, "started", "pages", "http://"+endpoints.Address(), "local", c.signIn() == nil)
	<-ctx.Done()
	s.logger.InfoContext(ctx, "stopped")
	return nil
}

// consoleConnections are those that pages are read through.
const consoleConnections = 8

// forgetSessions forgets the console's sessions that have ended, for as long as a projector runs:
// the console's own role may delete nothing.
func forgetSessions(ctx context.Context, db *postgres.Database, logger *slog.Logger) error {
	for {
		if err := db.Pages.ForgetSessions(ctx, time.Now()); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "the console's sessions that have ended could not be forgotten", "error", err)
		}
		if retry.Pause(ctx, time.Hour) != nil {
			return nil //nolint:nilerr // it was stopped
		}
	}
}
