package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"
)

// Output is what a program writes for people and for other programs: its standard output
// and its standard error.
//
// It remembers the first write that failed, so that no command has to look at each of
// them. A reader that went away is no failure: the command does what it was asked to do,
// and nothing is written any more.
//
// Much of what is shown was written by others: notes, addresses, details, messages. So
// nothing that could steer a terminal leaves: control characters other than tab and line
// feed, and those that change the direction of text, are shown as Go writes them, such as
// \x1b and \u202e. JSON stays what it is: it holds such characters only within strings,
// where \u202e means the same.
type Output struct {
	mu      sync.Mutex
	to      io.Writer
	rest    []byte // the begin of a character that was cut off by the end of a write
	err     error  // of the first write that failed
	written []byte // buffer
}

// NewOutput makes an output that ends up in a writer.
func NewOutput(to io.Writer) *Output { return &Output{to: to} }

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := append(o.rest, p...)
	end := whole(text)
	o.rest = append([]byte(nil), text[end:]...)
	if err := o.write(text[:end]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// write writes whole characters.
func (o *Output) write(text []byte) error {
	if o.err == nil && len(text) > 0 {
		o.written = appendVisible(o.written[:0], text)
		_, o.err = o.to.Write(o.written)
	}
	return o.failure()
}

// failure is the first error of a write, unless it is that nobody reads any more.
func (o *Output) failure() error {
	if errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return o.err
}

// Close writes what is left and gives the first error of any write. The writer below
// stays open.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest := o.rest
	o.rest = nil
	return o.write(rest)
}

// steer writes what may steer a terminal: every text in it is visible already.
func (o *Output) steer(text string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && text != "" {
		_, o.err = io.WriteString(o.to, text)
	}
	return o.failure()
}

// Line is a text on one line, for where a line feed or a tab would be taken for the next
// line or column: these are shown too.
func Line(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(string(appendVisible(nil, []byte(text))))
}

// appendVisible appends text with what would steer a terminal shown.
func appendVisible(to, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			to = fmt.Appendf(to, `\x%02x`, text[0])
		case r == '\r':
			to = append(to, `\r`...)
		case r < ' ' && r != '\n' && r != '\t':
			to = fmt.Appendf(to, `\x%02x`, r)
		case steers(r):
			to = fmt.Appendf(to, `\u%04x`, r)
		default:
			to = append(to, text[:size]...)
		}
		text = text[size:]
	}
	return to
}

// steers says whether a character beyond the C0 set is a control character, separates
// lines, or changes the direction of text.
func steers(r rune) bool {
	switch {
	case r >= 0x7f && r <= 0x9f: // delete and C1
	case r == 0x061c, r == 0x200e, r == 0x200f: // marks of direction
	case r == 0x2028, r == 0x2029: // separators of lines and paragraphs
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // embeddings, overrides, isolates
	default:
		return false
	}
	return true
}

// whole is the length of text without a character at its end that is not complete.
func whole(text []byte) int {
	for at := len(text) - 1; at >= max(0, len(text)-utf8.UTFMax+1); at-- {
		if utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return at
			}
			break
		}
	}
	return len(text)
}
