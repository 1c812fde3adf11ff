package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/projection"
)

// cli is what the program can be told, by flags or by the environment.
type cli struct {
	Log      command.Log    `embed:"" prefix:"log-"`
	NATS     command.NATS   `embed:"" prefix:"nats-" group:"NATS"`
	Stream   command.Stream `embed:"" prefix:"stream-" group:"NATS"`
	Database string         `name:"delius-database-url" env:"DELIUS_DATABASE_URL" secret:"password" placeholder:"URL" group:"Delius" help:"Delius's database: postgres://user:password@host:5432/database. With a password by the environment alone, or with passfile=FILE in place of it."`

	Run         runCommand          `cmd:"" default:"withargs" help:"Run the service (the default)."`
	Status      statusCommand       `cmd:"" help:"Say whether Delius is up to date, and what waits."`
	Rebuild     rebuildCommand      `cmd:"" help:"Make Delius what the events of the stream say: for everyone, or for some people."`
	Plan        planCommand         `cmd:"" help:"Show every change that a rebuild would make."`
	Verify      verifyCommand       `cmd:"" help:"Compare the stream with the inbox, and the inbox with Delius; repair what is damaged."`
	Migrate     migrateCommand      `cmd:"" help:"Make or update the projector's own tables, in schema projection; turn notices on or off; give the stream's consumer its settings."`
	Grants      grantsCommand       `cmd:"" help:"Print the SQL that gives a role exactly what the projector needs of the database."`
	AdoptStream adoptCommand        `cmd:"" help:"Make a stream that was restored from a backup the inbox's."`
	History     historyCommand      `cmd:"" help:"Tell the timeline of a person or a referral."`
	Parked      parkedCommands      `cmd:"" help:"List or retry what is parked."`
	Conflicts   conflictsCommands   `cmd:"" help:"List values that people had set and events have replaced; restore one, or mark it as reviewed."`
	Notices     noticesCommand      `cmd:"" help:"List which address rows others are still to be told of, and what they were told of a person."`
	Console     consoleCommand      `cmd:"" help:"Serve the operator's console: pages about all of this."`
	Audit       auditCommand        `cmd:"" help:"List who did what, and who looked at whom in the console."`
	Healthcheck command.Healthcheck `cmd:"" help:"Ask the service in this container whether it is ready."`
	Completion  command.Completion  `cmd:"" help:"Print what makes a shell complete commands and options."`

	command string // which was given
}

const description = `Makes Delius what the CAS events of the stream say.

Examples:
  DELIUS_DATABASE_URL=postgres://… projector migrate
  DELIUS_DATABASE_URL=postgres://… NATS_URL=nats://… projector run
  projector grants --role projector
  projector run --hold
  projector status
  projector plan --crn X123456
  projector rebuild --rate 2000
  projector verify --repair
  projector adopt-stream
  projector history X123456
  projector parked retry --cause staff-not-found
  projector conflicts --since 24h
  projector conflicts restore 17 --why "the start was corrected by hand"
  projector notices --crn X123456
  projector audit --crn X123456

Exit codes: 0 done, 2 changes to make (plan, dry run), damage found
(verify) or not up to date (status), 1 an error or wrong usage, 130
interrupted.`

// AfterApply notes which command it is, as not all of them need the same.
func (c *cli) AfterApply(k *kong.Context) error {
	c.command = k.Command()
	return nil
}

// Faults names what is wrong with the options that all commands have.
func (c *cli) Faults() error {
	var database error
	switch {
	case c.command == "healthcheck", strings.HasPrefix(c.command, "completion"): // which ask the service alone, or nobody
		return nil
	case c.Database != "", c.command == "grants", c.command == "console" && c.Console.Reader != "": // which need none
	default:
		database = errors.New("no database is given: set DELIUS_DATABASE_URL, such as postgres://user:password@host:5432/database")
	}
	return errors.Join(database, c.Log.Faults(), c.NATS.Faults(c.Stream))
}

// session is what the commands work with.
type session struct {
	*cli
	stdout, stderr *command.Output
	logger         *slog.Logger
}

// run parses the arguments, runs the command and gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	return command.Main(ctx, "projector", description, &c, args, stdout, stderr, func(_ context.Context, k *kong.Context, stdout, stderr *command.Output) error {
		logs, options := stderr, c.Log.Quiet(stderr)
		if k.Command() == "run" || k.Command() == "console" {
			logs, options = stdout, c.Log
		}
		logger, err := options.Logger(logs, projection.Withhold)
		if err != nil {
			return err
		}
		return k.Run(&session{&c, stdout, stderr, logger})
	})
}
