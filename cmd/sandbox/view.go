package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"casdelius/cmd/internal/command"
)

// view is how a person follows what happens.
type view interface {
	show(snapshot)
	// stay takes what should be seen all the time.
	stay(rows []string)
	// logs takes what should be seen at once.
	logs() slog.Handler
	// close ends the view; what it showed last stays. It may be called twice.
	close()
}

// newView is a picture on a terminal, and a line every few seconds elsewhere.
func newView(t terminal) view {
	if f := t.stdout.Terminal(); f != nil {
		return &picture{out: f, size: func() (int, int) { return command.Size(f) }}
	}
	return &lines{out: t.stdout, err: t.stderr}
}

// lines are for logs and pipes.
type lines struct {
	out, err io.Writer
	said     time.Duration
}

// pause between two lines.
const pause = 5 * time.Second

func (l *lines) show(n snapshot) {
	if n.elapsed < l.said+pause {
		return
	}
	l.said = n.elapsed
	fmt.Fprintln(l.out, line(n))
}

func (l *lines) logs() slog.Handler {
	return slog.NewTextHandler(l.err, &slog.HandlerOptions{Level: slog.LevelError})
}

func (l *lines) close() {}

func (l *lines) stay([]string) {} // nothing goes away

// line is a snapshot in one line.
func line(n snapshot) string {
	return fmt.Sprintf("%6s  sent %d/%d  queue %d+%d  stream %d  rejected %d  due %d  contacts %d  addresses %d  notices %d+%d  parked %s  freshness p50 %s p99 %s",
		n.elapsed, n.sent, n.planned, n.queue.Visible, n.queue.InFlight, n.stream, n.rejected, n.Due, n.contacts, n.addresses,
		n.notices, n.unsent, n.causes(), brief(n.p50), brief(n.p99))
}

// brief is a duration to two digits or so.
func brief(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 100*time.Millisecond:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// picture is drawn over itself on a terminal.
type picture struct {
	out  io.Writer
	size func() (columns, rows int)

	mu       sync.Mutex
	fixed    []string // rows that are always there
	drawn    []string // the rows, before they were made to fit
	closed   bool
	before   snapshot
	warnings []string // the latest
}

// Sequences that terminals know.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	toLineEnd  = "\x1b[K"
	toEnd      = "\x1b[J"
)

func (p *picture) stay(rows []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fixed = rows
}

func (p *picture) show(n snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.drawn = slices.Concat(p.fixed, drawing(n, perSecond(n, p.before), p.warnings))
	p.before = n
	text, height := p.fitting()
	fmt.Fprintf(p.out, "%s%s\x1b[%dA\r", hideCursor, text, height)
}

// fitting is the picture in as many columns and rows as the terminal has at the moment. It begins
// where the cursor is, and clears what is below. The cursor is then taken back to that place, and
// stays there when the window is made smaller, however many rows the picture takes by then: so
// nothing of it is left over.
func (p *picture) fitting() (text string, height int) {
	columns, rows := p.size()
	var b strings.Builder
	shown := p.drawn[:min(len(p.drawn), max(1, rows-1))]
	for _, row := range shown {
		b.WriteString(command.Clip(command.Line(row), columns-1) + toLineEnd + "\r\n")
	}
	b.WriteString(toEnd)
	return b.String(), len(shown)
}

func (p *picture) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	text, _ := p.fitting()
	fmt.Fprint(p.out, text+showCursor)
}

// drawing is the picture, row by row.
func drawing(n snapshot, rate float64, warnings []string) []string {
	withheld := ""
	if n.withheld != "" {
		withheld = "   (Delius does not know " + n.withheld + " yet)"
	}
	rows := []string{
		fmt.Sprintf("  elapsed     %s", n.elapsed.Round(time.Second)),
		fmt.Sprintf("  CAS         %d of %d messages sent", n.sent, n.planned),
		fmt.Sprintf("  queue       %d waiting, %d in flight, %d dead", n.queue.Visible, n.queue.InFlight, n.dead.Visible+n.dead.InFlight),
		fmt.Sprintf("  stream      %d events, %.0f/s; %d rejected", n.stream, rate, n.rejected),
		fmt.Sprintf("  projector   %d referrals due; %d values of people's replaced", n.Due, n.Conflicts),
		fmt.Sprintf("  Delius      %d people, %d contacts, %d addresses; deleted ones not counted", n.people, n.contacts, n.addresses),
		fmt.Sprintf("  notices     %d of address rows sent, %d waiting", n.notices, n.unsent),
		fmt.Sprintf("  by hand     %d of %d changes by practitioners", n.visited, n.visits),
		fmt.Sprintf("  parked      %s%s", n.causes(), withheld),
		fmt.Sprintf("  freshness   p50 %s, p99 %s from stream to commit", brief(n.p50), brief(n.p99)),
	}
	for _, w := range warnings {
		rows = append(rows, "  ! "+w)
	}
	return rows
}

// perSecond is how fast the stream grew.
func perSecond(now, before snapshot) float64 {
	d := (now.elapsed - before.elapsed).Seconds()
	if d <= 0 || now.stream < before.stream {
		return 0
	}
	return float64(now.stream-before.stream) / d
}

// logs keeps the latest warnings for the picture: lines of a log would tear it.
func (p *picture) logs() slog.Handler { return latestWarnings{p} }

// latestWarnings is a handler that keeps the latest warnings.
type latestWarnings struct{ *picture }

// kept is how many.
const warningsShown = 3

// Enabled implements slog.Handler.
func (k latestWarnings) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle implements slog.Handler.
func (k latestWarnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Time.Format(time.TimeOnly) + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			text += ": " + strings.ReplaceAll(a.Value.String(), "\n", " ")
		}
		return true
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.warnings = append(k.warnings, text)
	k.warnings = slices.Delete(k.warnings, 0, max(0, len(k.warnings)-warningsShown))
	return nil
}

// WithAttrs implements slog.Handler.
func (k latestWarnings) WithAttrs([]slog.Attr) slog.Handler { return k }

// WithGroup implements slog.Handler.
func (k latestWarnings) WithGroup(string) slog.Handler { return k }
