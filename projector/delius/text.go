package delius

import (
	"strings"
	"time"
	"unicode"

	"casdelius/store"
)

// plain is a text with \n for every line end, and without the NULs, which PostgreSQL
// refuses in text.
func plain(s string) string {
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return s
}

// trim takes the white space off both ends of a part of a text.
func trim(s string) string { return strings.TrimSpace(plain(s)) }

// lines joins the parts that are not blank.
func lines(parts ...string) string {
	kept := parts[:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "\n")
}

func labelled(label, value string) string {
	if value == "" {
		return label
	}
	return label + " " + value
}

// dated is a label and the date of t in London as people write it.
func dated(label string, t time.Time) string {
	text := append(make([]byte, 0, 64), label...)
	return string(t.In(store.London()).AppendFormat(text, " 02/01/2006"))
}

// second is the time of t in London as people write it.
func second(t time.Time) string { return t.In(store.London()).Format("02/01/2006 15:04:05") }

// Normalise is the form in which texts are compared: line ends are \n, no white
// space ends a line, no empty line ends the text.
func Normalise(s string) string { return trimLines(plain(s)) }

// trimLines normalises a plain text.
func trimLines(s string) string {
	if isNormal(s) {
		return s
	}
	split := strings.Split(s, "\n")
	for i, line := range split {
		split[i] = trimRight(line)
	}
	return strings.TrimRight(strings.Join(split, "\n"), "\n")
}

// isNormal says of most texts that are normal already that they are. It looks at the
// last byte of every line only.
func isNormal(s string) bool {
	for s != "" {
		end := strings.IndexByte(s, '\n')
		last := end < 0
		if last {
			end = len(s)
		}
		if end > 0 && (s[end-1] <= ' ' || s[end-1] > '~') || end == len(s)-1 {
			return false
		}
		if last {
			return true
		}
		s = s[end+1:]
	}
	return true
}

func trimRight(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }

// merge applies the three-way rule to notes: what people added or changed stays, and
// what the events now say is there. All three texts are normalised.
//
// Where the row still holds what was applied as whole lines, these are replaced;
// else, where the events only added to what was applied, the addition is appended;
// else all of desired is.
func merge(row, applied, desired string) string {
	if applied != "" {
		if at := wholeLines(row, applied); at >= 0 {
			rest := row[at+len(applied):]
			if desired == "" {
				rest = strings.TrimPrefix(rest, "\n")
			}
			return Normalise(row[:at] + desired + rest)
		}
	}
	if rest, ok := strings.CutPrefix(desired, applied+"\n"); ok && applied != "" {
		desired = rest
	}
	return Normalise(lines(row, desired))
}

// wholeLines is where the lines of part first stand in text, one after another, as
// whole lines; -1 if they do not.
func wholeLines(text, part string) int {
	for from := 0; from+len(part) <= len(text); {
		at := strings.Index(text[from:], part)
		if at < 0 {
			return -1
		}
		at += from
		end := at + len(part)
		if (at == 0 || text[at-1] == '\n') && (end == len(text) || text[end] == '\n') {
			return at
		}
		from = at + 1
	}
	return -1
}

// lineMatcher marks off, in a row's lines, the texts of events that stand there.
type lineMatcher struct {
	lines []string
	used  []bool
}

func newLineMatcher(row string) *lineMatcher {
	split := strings.Split(Normalise(row), "\n")
	return &lineMatcher{lines: split, used: make([]bool, len(split))}
}

// match says whether every line of the text stands among the lines not yet used, in
// their order, and if so uses them up.
func (s *lineMatcher) match(text string) bool {
	var found []int
	next := 0
	for _, want := range strings.Split(Normalise(text), "\n") {
		if want == "" {
			continue
		}
		for next < len(s.lines) && (s.used[next] || s.lines[next] != want) {
			next++
		}
		if next == len(s.lines) {
			return false
		}
		found = append(found, next)
		next++
	}
	for _, i := range found {
		s.used[i] = true
	}
	return true
}
