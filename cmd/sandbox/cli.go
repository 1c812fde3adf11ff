package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
)

// cli is what the program can be told.
type cli struct {
	Run         runCommand          `cmd:"" default:"withargs" help:"Run everything (the default)."`
	Delius      deliusCommand       `cmd:"" help:"Make the stand-in Delius schema in a database of yours."`
	CAS         casCommand          `cmd:"" name:"cas" help:"Be CAS beside services of yours: people, their stories and the API of details."`
	Healthcheck command.Healthcheck `cmd:"" help:"Ask the service in this container whether it is ready."`
	Completion  command.Completion  `cmd:"" help:"Print what makes a shell complete commands and options."`
}

const description = `Runs the whole system on this machine, on made-up people.

Examples:
  sandbox                                watch 200 people go through their referrals
  sandbox --people 1000 --rate 0         as fast as the machine can
  sandbox --once --people 500 --seed 7   project everything, compare every row, end
  sandbox delius --database-url postgres://user:password@host/database
  sandbox cas --database-url postgres://… --topic arn:aws:sns:… --base-url http://cas:8089

Exit codes: 0 done, 1 an error or wrong usage, 2 with --once: Delius differs from the
reference, 130 with --once: interrupted.`

// errDiffers says that Delius is not what it should be. The report has told how.
const errDiffers = command.Outcome(service.ExitChanges)

// terminal is where the commands write to.
type terminal struct{ stdout, stderr *command.Output }

// run parses the arguments, runs the command and gives the exit code. It stops early
// when ctx ends, or at a signal.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	return command.Main(ctx, "sandbox", description, &c, args, stdout, stderr, func(ctx context.Context, k *kong.Context, stdout, stderr *command.Output) error {
		err := k.Run(terminal{stdout, stderr})
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			fmt.Fprintln(stderr, "sandbox: interrupted; the same seed tells the same story from its beginning")
			return command.Outcome(service.ExitInterrupted)
		}
		return err
	})
}
