package command

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/rivo/uniseg"
)

const (
	narrowest = 24  // columns that a text is given before its lead is let go
	prose     = 100 // columns of a paragraph, at most
	deeper    = 4   // columns that the rest of a line is indented by, where its lead is let go
)

// Page is what a command shows to people, line by line: on a terminal each is wrapped to its
// width and may be coloured. What it holds was perhaps written by others, so nothing of it
// steers the terminal.
type Page struct {
	out      *Output
	width    int // 0 is as long as it is
	coloured bool
	lines    strings.Builder
}

// NewPage begins a page on an output.
func NewPage(out *Output) *Page { return &Page{out: out, width: out.Width(), coloured: out.colours()} }

// Sayf writes a line, or several, each as on a page. That it could not be written is noticed when
// the output is closed.
func (o *Output) Sayf(format string, args ...any) {
	page := NewPage(o)
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		page.Printf(Plain, "%s", line)
	}
	_ = page.Flush()
}

// Page begins a page of that layout.
func (l Layout) Page(out *Output) *Page {
	page := NewPage(out)
	if l.Wide {
		page.width = 0
	}
	return page
}

// Line adds a line: a lead, and content whose further lines stand below its begin.
func (p *Page) Line(style Style, lead, content string) {
	lead, line := Line(lead), Line(content)
	if p.width > 0 && uniseg.StringWidth(lead) >= p.width {
		lead, line = "", strings.TrimLeft(lead+line, " ")
	}
	for i, line := range p.wrapped(lead, line) {
		if i > 0 && lead != "" {
			lead = strings.Repeat(" ", p.hang(lead))
		}
		p.add(style, strings.TrimRight(lead+line, " "))
	}
}

// Printf adds a line that is indented as the format is.
func (p *Page) Printf(style Style, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	text := strings.TrimLeft(line, " ")
	p.Line(style, line[:len(line)-len(text)], text)
}

// Prose adds a paragraph, which is wrapped elsewhere than on a terminal too.
func (p *Page) Prose(paragraph string) {
	width := prose
	if p.width > 0 {
		width = min(width, p.width)
	}
	for line := range strings.SplitSeq(wrap(Line(paragraph), width), "\n") {
		p.add(Plain, line)
	}
}

// Blank adds a line with nothing.
func (p *Page) Blank() { p.add(Plain, "") }

// Flush writes what was added.
func (p *Page) Flush() error {
	err := p.out.steer(p.lines.String())
	p.lines.Reset()
	return err
}

func (p *Page) add(style Style, line string) {
	if p.coloured {
		line = style.paint(line)
	}
	p.lines.WriteString(line + "\n")
}

// hang is how far the further lines of a text are indented.
func (p *Page) hang(lead string) int {
	width := uniseg.StringWidth(lead)
	if p.width-width < narrowest {
		return min(deeper+len(lead)-len(strings.TrimLeft(lead, " ")), max(0, p.width-narrowest))
	}
	return width
}

// wrapped are the lines of a text after a lead.
func (p *Page) wrapped(lead, line string) []string {
	width := uniseg.StringWidth(lead)
	if p.width == 0 || width+uniseg.StringWidth(line) <= p.width {
		return []string{line}
	}
	if p.width-width < narrowest && lead != "" { // the lead stands alone, and the text below it
		return append([]string{""}, strings.Split(wrap(line, max(1, p.width-p.hang(lead))), "\n")...)
	}
	return strings.Split(wrap(line, p.width-width), "\n")
}

// pieces are what is not broken if it can stay whole: words, each with the spaces before it, and
// the UUID at the end of a URN, which people copy.
var pieces = regexp.MustCompile(` *(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}[^ ]*|[^ ]*?urn:(?:[a-z0-9-]+:){1,3}|[^ ]+)`)

// wrap breaks a line between its pieces, or within one that is longer than a line. Spaces within
// a line stay as they are.
func wrap(line string, width int) string {
	var out strings.Builder
	at := 0
	for _, piece := range pieces.FindAllString(line, -1) {
		length := uniseg.StringWidth(piece)
		if at > 0 && at+length > width {
			out.WriteByte('\n')
			piece, at = strings.TrimLeft(piece, " "), 0
			length = uniseg.StringWidth(piece)
		}
		for length > width {
			head, rest := head(piece, width)
			out.WriteString(head + "\n")
			piece, length = rest, uniseg.StringWidth(rest)
		}
		out.WriteString(piece)
		at += length
	}
	return out.String()
}

// Clip is a line that is cut so that it does not wrap.
func Clip(line string, columns int) string {
	if uniseg.StringWidth(line) <= columns {
		return line
	}
	line, _ = head(line, columns)
	return line
}

// head is as much of a text as fits, at least one character, and the rest.
func head(text string, width int) (head, rest string) {
	first, rest, at, state := uniseg.FirstGraphemeClusterInString(text, -1)
	for end := len(first); ; {
		var next string
		var more int
		var left string
		next, left, more, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if next == "" || at+more > width {
			return text[:end], rest
		}
		rest, at, end = left, at+more, end+len(next)
	}
}
