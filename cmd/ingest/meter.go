package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"casdelius/cmd/internal/command"
	"casdelius/ingest"
)

// meter shows how far an import is: as a bar on a terminal, as a line every few seconds
// elsewhere.
type meter struct {
	mu    sync.Mutex // the file is read while lines are reported
	to    io.Writer
	bar   *progressbar.ProgressBar // nil if to is no terminal
	total *tally
	said  time.Time
}

const meterPause = 5 * time.Second

// newMeter makes a meter for so many bytes, -1 if it is not known how many.
func newMeter(to *command.Output, bytes int64, total *tally) *meter {
	m := &meter{to: to, total: total, said: time.Now()}
	if terminal := to.Terminal(); terminal != nil {
		m.to, m.bar = terminal, newBar(terminal, bytes)
	}
	return m
}

func newBar(to io.Writer, bytes int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(bytes, progressbar.OptionSetWriter(to), progressbar.OptionShowBytes(true),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth())
}

// reader is a file of which the meter sees how much is read.
func (m *meter) reader(file io.Reader) io.Reader {
	if m.bar == nil {
		return file
	}
	return io.TeeReader(file, seen{m})
}

// seen counts what is read, also of a file that grows meanwhile.
type seen struct{ *meter }

func (s seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.bar.Add(len(p)) // it only fails at more than was expected
	return len(p), nil
}

// failed names a line that could not be stored.
func (m *meter) failed(file string, line ingest.Imported) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bar != nil {
		_ = m.bar.Clear() // it only fails if the terminal is gone
	}
	fmt.Fprintf(m.to, "%s:%d: %v\n", file, line.Line, line.Err)
}

// progressed shows what became of the lines so far.
func (m *meter) progressed(file string, line ingest.Imported) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bar != nil {
		m.bar.Describe(m.total.String())
		return
	}
	if time.Since(m.said) > meterPause {
		m.said = time.Now()
		fmt.Fprintf(m.to, "%s: line %d, %s\n", file, line.Line, m.total)
	}
}

// close ends the bar.
func (m *meter) close() {
	if m.bar != nil {
		_ = m.bar.Exit()
		fmt.Fprintln(m.to)
	}
}

// quieten leaves only warnings of the log where it would go to a terminal: there the
// meter says what happens, and a line for each event would bury it.
func (s *session) quieten() error {
	if s.stderr.Terminal() == nil {
		return nil
	}
	return s.warnOnly()
}

func (s *session) warnOnly() (err error) {
	if s.Log.Level != "error" {
		s.Log.Level = "warn"
	}
	s.logger, err = s.Log.Logger(s.stderr)
	return err
}
