package cmd_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"casdelius/projector"
)

// journal keeps what the services log. A test that fails shows it.
type journal struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func newJournal(t *testing.T) *journal {
	j := &journal{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tail(j.text(), 60))
		}
	})
	return j
}

// logger makes a logger for one of the services.
func (j *journal) logger(service string) *slog.Logger {
	return slog.New(slog.NewTextHandler(j, nil)).With("service", service)
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(p)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

// count is how often something was said.
func (j *journal) count(message string) int {
	return strings.Count(j.text(), fmt.Sprintf("msg=%s ", message))
}

// tail is the end of a text, in lines, and all warnings before it.
func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	var kept []string
	for i, line := range lines {
		if i >= len(lines)-n || strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-3*n):], "\n")
}

// progress counts what the projectors commit, for those who wait for them to go on.
type progress struct {
	mu      sync.Mutex
	steps   int
	changed chan struct{} // closed at the next step
}

func newProgress() *progress { return &progress{changed: make(chan struct{})} }

func (p *progress) committed(projector.Applied, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *progress) now() (steps int, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps, p.changed
}

// await waits for a number of further steps, or until nothing is to come any more.
func (p *progress) await(further int, over <-chan struct{}) {
	began, _ := p.now()
	for {
		steps, changed := p.now()
		if steps >= began+further {
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		}
	}
}
