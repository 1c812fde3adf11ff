package deliustest

import (
	"slices"
	"strings"
	"unicode"
)

// clean makes every line end \n and takes out NUL, which the database refuses.
func clean(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.ReplaceAll(s, "\r", "\n")
}

// normalise is how texts are compared and written: no line ends in white space, the
// text does not end in newlines.
func normalise(s string) string {
	all := strings.Split(clean(s), "\n")
	for i := range all {
		all[i] = strings.TrimRightFunc(all[i], unicode.IsSpace)
	}
	return strings.TrimRight(strings.Join(all, "\n"), "\n")
}

// lines are those of a normalised text; an empty text has none.
func lines(s string) []string {
	if s = normalise(s); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// paragraph joins what is not blank with newlines.
func paragraph(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, blank), "\n")
}

// labelled is "label: value", or nothing where there is no value.
func labelled(label, value string) string {
	if blank(value) {
		return ""
	}
	return label + ": " + value
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// mergeNotes works what is desired now into notes that a person has edited since
// something else was applied.
func mergeNotes(row, applied, desired string) string {
	text, was := lines(row), lines(applied)
	if at := indexLines(text, was); at >= 0 && len(was) > 0 {
		return normalise(strings.Join(slices.Replace(text, at, at+len(was), lines(desired)...), "\n"))
	}
	added := normalise(desired)
	if rest, ok := strings.CutPrefix(added, normalise(applied)+"\n"); ok && len(was) > 0 {
		added = rest
	}
	return normalise(paragraph(normalise(row), added))
}

// indexLines is where part first stands in text as consecutive lines, or -1.
func indexLines(text, part []string) int {
	for at := 0; at+len(part) <= len(text); at++ {
		if slices.Equal(text[at:at+len(part)], part) {
			return at
		}
	}
	return -1
}
