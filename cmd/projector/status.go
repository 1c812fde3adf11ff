package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
)

type statusCommand struct {
	JSON bool `name:"json" help:"One JSON object."`
}

// Help implements kong.HelpProvider.
func (statusCommand) Help() string {
	return `Says whether Delius is up to date, what waits, and how sure that is: the same as the console's first page. It only reads what a running projector tells every few seconds.

Exit codes: 0 up to date; 2 behind, on hold, or not known, because no projector has told
of it for a minute; 1 an error.

Examples:
  projector status
  projector status --json`
}

// Run says how far everything is.
func (c *statusCommand) Run(ctx context.Context, s *session) error {
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		status, err := statusOf(ctx, db)
		if err != nil {
			return err
		}
		if c.JSON {
			err = writeLines(s.stdout, 1, func(int) any { return status })
		} else {
			err = writeStatus(s.stdout, &status)
		}
		if err == nil && !status.UpToDate {
			return command.Outcome(service.ExitChanges)
		}
		return err
	})
}

func statusOf(ctx context.Context, db *postgres.Database) (inspect.Status, error) {
	figures, err := db.Figures(ctx)
	if err != nil {
		return inspect.Status{}, err
	}
	runs, err := db.Verified.Runs(ctx, 1)
	if err != nil {
		return inspect.Status{}, err
	}
	rebuild, err := db.Rebuilding(ctx)
	if err != nil {
		return inspect.Status{}, err
	}
	var verified *inspect.Verified
	if len(runs) > 0 {
		verified = &runs[0]
	}
	return inspect.StatusOf(figures, verified, rebuild, time.Now()), nil
}

func writeStatus(out *command.Output, s *inspect.Status) error {
	page := command.NewPage(out)
	style := command.Red
	if s.UpToDate {
		style = command.Green
	}
	page.Line(style, "", s.Answer)
	line := func(name, text string) { page.Line(command.Plain, fmt.Sprintf("  %-26s", name), text) }
	if f := s.Figures; f != nil {
		page.Line(command.Faint, "", "As a projector told on "+command.LondonSeconds(f.At)+".")
		page.Blank()
		oldest := "none"
		if f.Sequence != 0 {
			oldest = fmt.Sprintf("%d, stored %s", f.Sequence, command.LondonSeconds(f.Since))
		}
		line("oldest event not applied", oldest)
		line("last of the stream", fmt.Sprint(f.Last))
		line("due", fmt.Sprint(f.Due))
		line("failing", fmt.Sprint(f.Failing.Count))
		line("parked", parkedOf(f))
		line("conflicts to review", fmt.Sprint(f.Open))
		line("notices waiting", fmt.Sprint(f.Notices.Count))
		if f.Damaged.Count > 0 {
			line("damaged messages", fmt.Sprint(f.Damaged.Count))
		}
		canary := "none has come yet"
		if f.Canary != nil {
			canary = "the latest that came all the way was sent " + command.LondonSeconds(f.Canary.Sent)
		}
		line("canary", canary)
		line("projector", fmt.Sprintf("%s, fold %d, schema %d", f.Program, f.Fold, f.Schema))
	}
	line("last verify", verifiedOf(s))
	line("rebuild", rebuildOf(s.Rebuild))
	return page.Flush()
}

// parkedOf is how much is parked, by cause.
func parkedOf(f *inspect.Figures) string {
	all, causes := 0, []string{}
	for _, cause := range inspect.Causes() {
		if n := f.Parked[cause].Count; n > 0 {
			all, causes = all+n, append(causes, fmt.Sprintf("%s %d", cause, n))
		}
	}
	if all == 0 {
		return "0"
	}
	return fmt.Sprintf("%d: %s", all, strings.Join(causes, ", "))
}

func verifiedOf(s *inspect.Status) string {
	v := s.Verified
	switch {
	case v == nil:
		return "there was none"
	case v.Lost:
		return "interrupted: its process ended before it did"
	case v.Ended.IsZero():
		return fmt.Sprintf("under way: %d of %d", v.Done, v.Total)
	case v.Error != "":
		return command.London(v.Ended) + ": failed: " + v.Error
	}
	text := command.London(v.Ended) + ": nothing is damaged"
	if v.Left > 0 {
		text = fmt.Sprintf("%s: %s damaged", command.London(v.Ended), inspect.Count(v.Left, "thing"))
	}
	if v.Edited > 0 {
		text += ", " + inspect.Count(v.Edited, "row") + " edited by people"
	}
	if s.Since > 0 {
		text += "; " + inspect.Count(s.Since, "message") + " came since"
	}
	return text
}

func rebuildOf(r *inspect.Rebuilding) string {
	switch {
	case r == nil:
		return "none is under way"
	case r.PausedBy != "":
		return fmt.Sprintf("paused by %s: %d of %d", r.PausedBy, r.Done, r.Total)
	case r.Running:
		return fmt.Sprintf("under way: %d of %d", r.Done, r.Total)
	}
	return fmt.Sprintf("interrupted: %d of %d", r.Done, r.Total)
}
