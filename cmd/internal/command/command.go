// Package command is what the programs share as commands: options that have the same
// names everywhere, how arguments are parsed, and what the exit codes mean.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"casdelius/cmd/internal/service"
	"casdelius/store/jetstream"
)

// Log are the options of the log lines.
type Log struct {
	Level  string `env:"LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	Format string `env:"LOG_FORMAT" default:"json" help:"json or text."`
}

// Faults names what is wrong with the options.
func (l Log) Faults() error {
	_, err := l.Logger(io.Discard)
	return err
}

// Logger makes the logger that the options describe. Each of the functions may change what a
// line says.
func (l Log) Logger(w io.Writer, replace ...func([]string, slog.Attr) slog.Attr) (*slog.Logger, error) {
	return service.Logger(w, l.Level, l.Format, replace...)
}

// Quiet are the options for a command that somebody at a terminal waits for: what it says itself is
// enough. Whoever asks for more than usual gets it.
func (l Log) Quiet(to *Output) Log {
	if to.Terminal() != nil && strings.EqualFold(l.Level, "info") {
		l.Level = "warn"
	}
	return l
}

// NATS are the options of the connection to the log.
type NATS struct {
	URL        string `name:"url" env:"NATS_URL" secret:"user" default:"nats://127.0.0.1:4222" help:"Servers, comma-separated."`
	Creds      string `env:"NATS_CREDS" help:"Credentials file."`
	CA         string `name:"ca" env:"NATS_CA" help:"Certificate authorities to trust, a PEM file."`
	Inbox      string `name:"inbox-prefix" env:"NATS_INBOX_PREFIX" default:"_INBOX" help:"Beginning of the subjects that answers come to: _INBOX_ and the role, where the roles of deploy/nats are used."`
	MonitorURL string `name:"monitor-url" env:"NATS_MONITOR_URL" secret:"user" help:"Monitoring ports, comma-separated: with them it is checked that the servers wait for the disk (sync_interval: always) before they acknowledge."`
}

// Stream are the options of streams that are made.
type Stream struct {
	Replicas int   `env:"STREAM_REPLICAS" default:"3" help:"Replicas of a stream that is made: 1, 3 or 5."`
	MaxBytes int64 `env:"STREAM_MAX_BYTES" default:"1073741824" help:"Size at which the stream of events takes no more, in bytes."`
}

// Config is the configuration of the log for a program of this name.
func (n NATS) Config(name string, stream Stream) jetstream.Config {
	return jetstream.Config{
		URL: n.URL, Creds: n.Creds, CA: n.CA, Inbox: n.Inbox, MonitorURL: n.MonitorURL, Name: name,
		Replicas: stream.Replicas, MaxBytes: stream.MaxBytes,
	}
}

// Faults names what is wrong with the options of the log. What is 0 is wrong here: to the
// log it would be the default.
func (n NATS) Faults(stream Stream) error {
	var zero []error
	if stream.Replicas == 0 {
		zero = append(zero, errors.New("STREAM_REPLICAS is 0: want 1, 3 or 5"))
	}
	if stream.MaxBytes == 0 {
		zero = append(zero, errors.New("STREAM_MAX_BYTES is 0: want at least 1"))
	}
	return errors.Join(append(zero, n.Config("", stream).Validate())...)
}

// HTTP are the options of what a service serves over HTTP.
type HTTP struct {
	Address string `env:"HTTP_ADDRESS" default:":8080" help:"Where health, info and metrics are served."`
}

// At is the address, by the name of its variable.
func (h HTTP) At() service.Address {
	return service.Address{Variable: "HTTP_ADDRESS", Value: h.Address}
}

// Faults names what is wrong with the options.
func (h HTTP) Faults() error {
	_, port, err := net.SplitHostPort(h.Address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("HTTP_ADDRESS is %q: want an address with a port, such as :8080", h.Address)
	}
	return nil
}

// Outcome is an error that says what the program exits with, and is no failure: there
// are changes to make, damage was found.
type Outcome int

// Error implements error.
func (o Outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

// usageError is an error of whoever typed the command, found while it ran.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Misused says that an option or argument cannot be meant as it is. The command's help is
// pointed to.
func Misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exit is what kong panics with instead of ending the process.
type exit int

// Run is a command that was parsed. What it writes is looked at when it ends.
type Run func(ctx context.Context, command *kong.Context, stdout, stderr *Output) error

// Main parses the arguments into cli, a pointer to a struct of kong, and hands the
// command that they name to run. It gives the exit code: 0 for no error, that of an
// [Outcome], 130 if ctx or a signal ended it, 1 for any other error, for wrong usage, and
// where the standard output could not be written. A second signal exits at once.
func Main(ctx context.Context, name, description string, cli any, args []string, stdout, stderr io.Writer, run Run) int {
	ctx, stop := service.Signals(ctx)
	defer stop()
	out, errs := NewOutput(stdout), NewOutput(stderr)
	defer errs.Close() //nolint:errcheck // there is nowhere left to say it
	code := execute(ctx, name, description, cli, args, out, errs, run)
	if err := out.Close(); err != nil {
		fmt.Fprintf(errs, "%s: not all of the output was written: %v\n", name, err)
		return service.ExitError
	}
	return code
}

// Faulty is a part of the options that can be wrong although each was understood. Faults
// names all that is wrong, each with its variable or flag and its value.
type Faulty interface{ Faults() error }

// faults are those of the program's options and of the command's.
func faults(command *kong.Context) error {
	var all []error
	for _, step := range command.Path {
		node := step.Node()
		if node == nil || !node.Target.CanAddr() {
			continue
		}
		if options, ok := node.Target.Addr().Interface().(Faulty); ok {
			all = append(all, options.Faults())
		}
	}
	return errors.Join(all...)
}

// execute runs the command and says on stderr why it failed.
func execute(ctx context.Context, name, description string, cli any, args []string, stdout, stderr *Output, run Run) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			code = int(r)
		default:
			panic(r)
		}
	}()
	var version struct {
		Version kong.VersionFlag `help:"Show the version and what it was built from."`
	}
	parser, err := kong.New(cli, kong.Name(name), kong.Description(description), kong.UsageOnError(), refuseBlank(),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: stdout.Width()}),
		kong.Embed(&version), kong.Vars{"version": service.ReadBuild(name).String()},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		panic(err) // unreachable: the struct is wrong
	}
	ignoreBlankVariables(parser.Model.Node)
	if len(args) > 0 && args[0] == completing {
		for _, candidate := range candidates(parser.Model.Node, args[1:]) {
			fmt.Fprintln(stdout, candidate)
		}
		return service.ExitOK
	}
	command, err := parser.Parse(args)
	if err != nil {
		var where *kong.ParseError
		if errors.As(err, &where) {
			command = where.Context
		}
		stderr.Sayf("%s: %v\nTry %s --help.", name, err, typed(name, command, args))
		return service.ExitError
	}
	if err := errors.Join(exposed(command), faults(command)); err != nil {
		stderr.Sayf("%s: %s\nTry %s --help.", name, strings.ReplaceAll(err.Error(), "\n", "\n"+name+": "), typed(name, command, args))
		return service.ExitError
	}
	var outcome Outcome
	var usage usageError
	switch err := run(ctx, command, stdout, stderr); {
	case err == nil:
		return service.ExitOK
	case errors.As(err, &outcome):
		return int(outcome)
	case errors.As(err, &usage):
		stderr.Sayf("%s: %v\nTry %s --help.", name, err, typed(name, command, args))
		return service.ExitError
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		stderr.Sayf("%s: interrupted; nothing is left half done, and the same command can be run again", name)
		return service.ExitInterrupted
	default:
		stderr.Sayf("%s: %v", name, err)
		return service.ExitError
	}
}

// typed is the program with the commands that were typed, without those that are meant where
// none is: whose help to look at.
func typed(name string, command *kong.Context, args []string) string {
	words := []string{name}
	if command == nil {
		return name
	}
	for _, step := range command.Path {
		if step.Command != nil && slices.Contains(args, step.Command.Name) {
			words = append(words, step.Command.Name)
		}
	}
	return strings.Join(words, " ")
}
