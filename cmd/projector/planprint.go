package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"casdelius/cmd/internal/command"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
)

// printPerson prints one person's part of a plan for people to read: nothing if there
// is nothing to say. What would be written comes first, then what else there is to know.
func printPerson(out *command.Output, rows []inspect.PlanRow) error {
	if len(rows) == 0 {
		return nil
	}
	page := command.NewPage(out)
	page.Line(command.Bold, "", cmp.Or(rows[0].CRN, "referral "+rows[0].Referral))
	subject := ""
	for i := range rows {
		if next := subjectOf(&rows[i]); next != subject {
			subject = next
			page.Line(command.Plain, "  ", subject)
		}
		printRow(page, &rows[i])
	}
	page.Blank()
	return page.Flush()
}

// subjectOf is what the row is about.
func subjectOf(r *inspect.PlanRow) string {
	words := []string{r.What}
	switch {
	case r.Contact != 0:
		words = append(words, fmt.Sprint(r.Contact), r.URN)
	case r.Address != 0:
		words = append(words, fmt.Sprint(r.Address))
	case r.URN != "":
		words = append(words, r.URN)
	case r.Referral != "":
		words = append(words, "of booking", r.Referral)
	}
	if r.Cause != "" {
		words = append(words, "("+r.Cause+")")
	}
	return strings.Join(words, " ")
}

func printRow(page *command.Page, r *inspect.PlanRow) {
	switch {
	case r.Field == "":
		page.Line(command.Plain, "    ", r.Why)
	case r.Conflict:
		page.Line(command.Yellow, "    ", r.Field+" (conflict): "+r.Why)
	default:
		page.Line(command.Plain, "    ", r.Field+": "+r.Why)
	}
	if r.Field != "" {
		printDifference(page, "      ", r.Field, r.From, r.To)
	}
	for _, e := range r.Events {
		page.Line(command.Faint, "      ", fmt.Sprintf("by %s %s", e.Type, e.ID))
	}
}

// editStyles are those of lines that go, come or stay.
var editStyles = map[rune]command.Style{'-': command.Red, '+': command.Green, ' ': command.Plain}

// around is how many lines that stay are shown before and after those that change.
const around = 1

// printDifference shows how one text turns into another, line by line: "-" goes, "+" comes. Of
// what stays only the lines around are shown, with "…" for the others.
func printDifference(page *command.Page, indent, field, from, to string) {
	if field == "lines" { // of an address
		from, to = strings.ReplaceAll(from, "\n", ", "), strings.ReplaceAll(to, "\n", ", ")
	}
	edits := delius.EditLines(strings.ReplaceAll(from, "\r\n", "\n"), strings.ReplaceAll(to, "\r\n", "\n"))
	near := make([]bool, len(edits))
	for i, e := range edits {
		if e.Op != ' ' {
			for at := max(0, i-around); at <= min(len(edits)-1, i+around); at++ {
				near[at] = true
			}
		}
	}
	for i, e := range edits {
		switch {
		case near[i]:
			page.Line(editStyles[e.Op], indent+string(e.Op)+" ", e.Text)
		case i > 0 && near[i-1] && slices.Contains(near[i:], true):
			page.Line(command.Faint, indent+"  ", "…")
		}
	}
}
