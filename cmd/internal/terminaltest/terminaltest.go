// Package terminaltest is a pseudo terminal for tests: what a program shows at a width, and whether
// it fits.
package terminaltest

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"
)

// Terminal is one. Programs write to its file.
type Terminal struct {
	File *os.File

	tb     testing.TB
	master *os.File
	read   chan struct{} // closed when all is read

	mu   sync.Mutex
	said bytes.Buffer
}

// New makes a terminal of so many columns and rows.
func New(tb testing.TB, columns, rows uint16) *Terminal {
	tb.Helper()
	master, file, err := pty.Open()
	if err != nil {
		tb.Fatal(err)
	}
	x := &Terminal{File: file, tb: tb, master: master, read: make(chan struct{})}
	x.Resize(columns, rows)
	go func() {
		defer close(x.read)
		_, _ = io.Copy(x, master) // it ends with an error when the program's end is closed
	}()
	tb.Cleanup(func() { x.Close() })
	return x
}

// Resize changes its size, as somebody does who drags a window's corner.
func (x *Terminal) Resize(columns, rows uint16) {
	x.tb.Helper()
	if err := pty.Setsize(x.File, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		x.tb.Fatal(err)
	}
}

// Write implements io.Writer, for what the program has written.
func (x *Terminal) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.said.Write(p)
}

// Said is all that was written so far, as the terminal gets it.
func (x *Terminal) Said() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.said.String()
}

// Close ends the program's end, and gives all that was written, with plain line feeds.
func (x *Terminal) Close() string {
	_ = x.File.Close() // perhaps once more
	<-x.read
	_ = x.master.Close()
	return strings.ReplaceAll(x.Said(), "\r\n", "\n")
}

var styled = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Plain is a text without its styles.
func Plain(text string) string { return styled.ReplaceAllString(text, "") }

// drawn is what stands between two pictures on one line.
var drawn = strings.NewReplacer("\r", "\n", "\x1b[J", "\n")

// RequireFits demands that no line is wider than so many columns, nor one that is drawn over
// another.
func RequireFits(tb testing.TB, text string, columns int) {
	tb.Helper()
	for line := range strings.SplitSeq(drawn.Replace(Plain(text)), "\n") {
		if width := uniseg.StringWidth(line); width > columns {
			tb.Fatalf("%d columns, of %d: %s", width, columns, line)
		}
	}
}
