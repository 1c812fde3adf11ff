package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

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
	if err := s.quieten(); err != nil {
		return err
	}
	var total tally
	shown := newMeter(s.stderr, sizeOf(c.Files), &total)
	err := s.withStreams(ctx, func(log *jetstream.Log) error {
		return s.withIntake(ctx, log, func(intake *ingest.Intake) error {
			im := &ingest.Importer{Intake: intake, InFlight: importedInFlight, Fetches: ingest.DefaultConfig().Fetches, Tries: 5, Pauses: toolPauses()}
			for _, name := range c.Files {
				if err := importFile(ctx, im, name, &total, shown); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
	})
	shown.Close()
	s.stdout.Sayf("%s", &total)
	if err == nil && total.failed > 0 {
		err = fmt.Errorf("%d lines were not stored, see above; the others are", total.failed)
	}
	return err
}

// importFile imports one file and shows how far it is.
func importFile(ctx context.Context, im *ingest.Importer, name string, total *tally, shown *meter) error {
	in := io.NopCloser(os.Stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return errors.Unwrap(err) // the name is known
		}
		in = file
	}
	defer in.Close()
	shown.progressed()
	return im.Import(ctx, shown.reader(in), func(line ingest.Imported) {
		switch {
		case line.Err != nil && ctx.Err() != nil:
			return // interrupted, not at fault
		case line.Err != nil:
			total.failed++
			shown.failed(name, line)
		case line.Ack.Duplicate:
			total.duplicates++
		default:
			total.stored++
		}
		shown.progressed()
	})
}

// sizeOf is how many bytes there are to read, -1 if that is not known.
func sizeOf(files []string) int64 {
	size := int64(0)
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		size += info.Size()
	}
	return size
}

// tally counts lines by what became of them.
type tally struct{ stored, duplicates, failed int }

func (t *tally) String() string {
	return fmt.Sprintf("%d stored, %d stored before, %d failed", t.stored, t.duplicates, t.failed)
}
