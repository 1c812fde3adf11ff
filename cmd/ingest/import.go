package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"casdelius/ingest"
	"casdelius/store/jetstream"
)

type importCommand struct {
	Files []string `arg:"" name:"file" help:"Files of JSON lines; - reads the standard input. A line is a notification, or {\"notification\":…,\"detail\":…}."`
}

// importedInFlight is how many lines are worked on at once: the log takes many
// together.
const importedInFlight = 256

// Run imports every file. Lines that cannot be stored are named on stderr and make the
// command fail in the end; importing a file again is harmless.
func (c *importCommand) Run(ctx context.Context, s *session) error {
	var total tally
	err := s.withStreams(ctx, func(log *jetstream.Log) error {
		return s.withIntake(log, func(intake *ingest.Intake) error {
			im := &ingest.Importer{Intake: intake, InFlight: importedInFlight, Fetches: ingest.DefaultConfig().Fetches, Tries: 5, Pauses: toolPauses()}
			for _, name := range c.Files {
				if err := s.importFile(ctx, im, name, &total); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
	})
	fmt.Fprintln(s.stdout, &total)
	if err == nil && total.failed > 0 {
		err = fmt.Errorf("%d lines were not stored, see above; the others are", total.failed)
	}
	return err
}

// importFile imports one file and reports progress every few seconds.
func (s *session) importFile(ctx context.Context, im *ingest.Importer, name string, total *tally) error {
	in := io.NopCloser(os.Stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return errors.Unwrap(err) // the name is known
		}
		in = file
	}
	defer in.Close()
	said := time.Now()
	return im.Import(ctx, in, func(line ingest.Imported) {
		switch {
		case line.Err != nil && ctx.Err() != nil:
			return // interrupted, not at fault
		case line.Err != nil:
			total.failed++
			fmt.Fprintf(s.stderr, "%s:%d: %v\n", name, line.Line, line.Err)
		case line.Ack.Duplicate:
			total.duplicates++
		default:
			total.stored++
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Fprintf(s.stderr, "%s: line %d, %s\n", name, line.Line, total)
		}
	})
}

// tally counts lines by what became of them.
type tally struct{ stored, duplicates, failed int }

func (t *tally) String() string {
	return fmt.Sprintf("%d stored, %d stored before, %d failed", t.stored, t.duplicates, t.failed)
}
