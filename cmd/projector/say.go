package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
)

// withDatabase runs f with the database alone: what only looks needs no stream.
func (s *session) withDatabase(ctx context.Context, f func(*postgres.Database) error) error {
	pool, err := s.connect(ctx, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	db, err := s.source().Open(ctx, pool, postgres.Config{})
	if err != nil {
		return err
	}
	return f(db)
}

// page writes a page to the standard output.
func (s *session) page(write func(*command.Page)) error {
	p := command.NewPage(s.stdout)
	write(p)
	return p.Flush()
}

// writeLines writes so many values as JSON, one a line.
func writeLines(w io.Writer, n int, line func(i int) any) error {
	lines := json.NewEncoder(w)
	for i := range n {
		if err := lines.Encode(line(i)); err != nil {
			return err
		}
	}
	return nil
}

// nextTry is when something is tried again.
func nextTry(at, now time.Time) string {
	if !at.After(now) {
		return "now"
	}
	return "in " + ago(at.Sub(now))
}

// parseWho takes a CRN or a referral.
func parseWho(text string) (store.CRN, store.Referral, error) {
	if crn := store.ParseCRN(text); crn != "" {
		return crn, store.Referral{}, nil
	}
	referral, err := store.ParseReferral(text)
	if err != nil {
		return "", store.Referral{}, command.Misused("%q is neither a CRN such as X123456 nor the UUID of a referral", text)
	}
	return "", referral, nil
}

// parseCRN takes the value of --crn. One that was not given is "", and everyone; a blank
// one is wrong usage and does not come here.
func parseCRN(text string) (store.CRN, error) {
	crn := store.ParseCRN(text)
	if text != "" && crn == "" {
		return "", command.Misused("--crn: %q is no CRN: want a letter and six digits, such as X123456", text)
	}
	return crn, nil
}

// endOfDay and startOfDay say which moment of a day a date means.
const (
	startOfDay = 0
	endOfDay   = 1
)

// parseMoment takes a date-time, or a date of London.
func parseMoment(flag, text string, edge int) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, store.London()); err == nil {
		return day.AddDate(0, 0, edge).Add(-time.Duration(edge) * time.Microsecond).UTC(), nil
	}
	at, err := store.ParseTime(text)
	if err != nil {
		return time.Time{}, command.Misused("%s: %q is no time: want one such as 2026-03-01, 2026-03-01T12:00:00 or 2026-03-01T12:00:00Z", flag, text)
	}
	return at, nil
}

// oneLine is a field's value on one line: the lines of an address are shown as one,
// other texts are quoted where they have several.
func oneLine(field, text string) string {
	switch {
	case text == "":
		return "nothing"
	case field == "lines":
		return command.Line(strings.ReplaceAll(text, "\n", ", "))
	case strings.Contains(text, "\n"):
		return fmt.Sprintf("%q", text)
	}
	return command.Line(text)
}

// fromTo is how the value of a field changes.
func fromTo(field, from, to string) string {
	if from == "" {
		return oneLine(field, to)
	}
	return oneLine(field, from) + " → " + oneLine(field, to)
}

// ago is how long ago something was, roughly: 3d 4h, 4h 5m, 5m 6s or 6s.
func ago(d time.Duration) string {
	d = max(0, d)
	hours, minutes, seconds := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case hours >= 24:
		return fmt.Sprintf("%dd %dh", hours/24, hours%24)
	case hours > 0:
		return fmt.Sprintf("%dh %dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm %ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// selectCRN selects a person by the value of --crn, or everyone where it was not given.
func selectCRN(text string) (projector.Selection, error) {
	crn, err := parseCRN(text)
	if err != nil || crn == "" {
		return projector.Selection{}, err
	}
	return projector.Selection{CRNs: []store.CRN{crn}}, nil
}
