package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"casdelius/cmd/internal/command"
	"casdelius/projector"
	"casdelius/projector/verify"
)

// meter shows how far a rebuild is: as a bar on a terminal, as a line every few
// seconds elsewhere.
type meter struct {
	mu    sync.Mutex
	to    io.Writer
	bar   *progressbar.ProgressBar // of the phase; nil if to is no terminal
	fancy bool

	is      projector.Progress
	began   time.Time // the phase
	from    int       // how much was done by then
	printed time.Time
}

const meterPause = 3 * time.Second

func newMeter(to *command.Output) *meter {
	if terminal := to.Terminal(); terminal != nil {
		return &meter{to: terminal, fancy: true}
	}
	return &meter{to: to}
}

var phaseNames = map[projector.Phase]string{
	projector.FillingInbox: "filling the inbox",
	projector.Reconciling:  "reconciling people",

	verify.VerifyingStream:    "comparing the inbox with the stream",
	verify.VerifyingContacts:  "comparing contacts with Delius",
	verify.VerifyingAddresses: "comparing addresses with Delius",
	verify.Repairing:          "repairing",
	verify.Appending:          "appending to the stream",
}

// report shows how far it is now.
func (m *meter) report(p projector.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if p.Phase != m.is.Phase {
		m.finish()
		m.began, m.from, m.printed = now, p.Done, now
		if p.Phase == projector.FillingInbox && p.Done > 0 {
			fmt.Fprintf(m.to, "the inbox has %d of %d messages: the others are read now\n", p.Done, p.Total)
		}
		if m.fancy {
			m.bar = progressbar.NewOptions(p.Total, progressbar.OptionSetWriter(m.to), progressbar.OptionSetDescription(phaseNames[p.Phase]),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth())
			_ = m.bar.Set(p.Done) // it only fails if the terminal is gone
		}
	}
	m.is = p
	if m.bar != nil {
		if p.Phase == projector.Reconciling {
			m.bar.Describe(fmt.Sprintf("%s, %d changed", phaseNames[p.Phase], p.Changed))
		}
		_ = m.bar.Set(p.Done)
		return
	}
	if now.Sub(m.printed) >= meterPause {
		m.printed = now
		fmt.Fprintln(m.to, m.line(now))
	}
}

// line is how far it is, in words.
func (m *meter) line(now time.Time) string {
	done, took := m.is.Done-m.from, now.Sub(m.began).Seconds()
	line := fmt.Sprintf("%s: %d of %d", phaseNames[m.is.Phase], m.is.Done, m.is.Total)
	if done > 0 && took > 0 {
		rate := float64(done) / took
		left := time.Duration(float64(m.is.Total-m.is.Done) / rate * float64(time.Second))
		line += fmt.Sprintf(", %.0f a second, %s left", rate, left.Round(time.Second))
	}
	if m.is.Phase == projector.Reconciling {
		line += fmt.Sprintf(", %d changed", m.is.Changed)
	}
	return line
}

// reached is how far it came, for a person.
func (m *meter) reached() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.is.Phase {
	case projector.FillingInbox:
		return fmt.Sprintf("%d of %d messages were read into the inbox", m.is.Done, m.is.Total)
	case projector.Reconciling:
		return fmt.Sprintf("%d of %d people are done", m.is.Done, m.is.Total)
	}
	return "nothing was done yet"
}

// close ends the bar.
func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finish()
}

func (m *meter) finish() {
	if m.bar != nil {
		_ = m.bar.Exit()
		fmt.Fprintln(m.to)
		m.bar = nil
	}
}
