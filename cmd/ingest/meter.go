package main

import (
	"io"
	"sync"

	"casdelius/cmd/internal/command"
	"casdelius/ingest"
)

// meter shows how far an import is.
type meter struct {
	*command.Meter

	mu    sync.Mutex // the file is read while lines are reported
	read  int        // bytes
	bytes int        // that there are; -1 if it is not known how many
	total *tally
}

func newMeter(to *command.Output, bytes int64, total *tally) *meter {
	return &meter{Meter: command.NewMeter(to), bytes: int(bytes), total: total}
}

// reader is a file of which the meter sees how much is read.
func (m *meter) reader(file io.Reader) io.Reader { return io.TeeReader(file, seen{m}) }

// seen counts what is read, also of a file that grows meanwhile.
type seen struct{ *meter }

func (s seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read += len(p)
	return len(p), nil
}

// failed names a line that could not be stored.
func (m *meter) failed(file string, line ingest.Imported) {
	m.Note("%s:%d: %v", file, line.Line, line.Err)
}

// progressed shows what became of the lines so far.
func (m *meter) progressed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Report(command.Progress{Doing: "importing", Unit: command.Bytes(), Done: m.read, Total: m.bytes, Aside: m.total.String()})
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
