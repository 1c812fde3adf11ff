package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"casdelius/cmd/internal/command"
	"casdelius/projector/inspect"
)

// printPerson prints one person's part of a plan for people to read: nothing if there
// is nothing to say.
func printPerson(out io.Writer, rows []inspect.PlanRow) error {
	if len(rows) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintln(&b, cmp.Or(rows[0].CRN, "referral "+rows[0].Referral))
	subject := ""
	for i := range rows {
		if next := subjectOf(&rows[i]); next != subject {
			subject = next
			fmt.Fprintf(&b, "  %s\n", subject)
		}
		printRow(&b, &rows[i])
	}
	fmt.Fprintln(&b)
	_, err := io.WriteString(out, b.String())
	return err
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
	return command.Line(strings.Join(words, " "))
}

func printRow(b *strings.Builder, r *inspect.PlanRow) {
	if r.Field == "" {
		fmt.Fprintf(b, "    %s\n", command.Line(r.Why))
	} else {
		label := r.Field
		if r.Conflict {
			label += " (conflict)"
		}
		fmt.Fprintf(b, "    %s: %s\n", label, command.Line(r.Why))
		for _, line := range difference(r.From, r.To) {
			fmt.Fprintf(b, "      %s\n", line)
		}
	}
	for _, e := range r.Events {
		fmt.Fprintf(b, "      by %s %s\n", e.Type, command.Line(e.ID))
	}
}

// difference shows how one text turns into another, line by line: "-" goes, "+" comes.
// What both begin or end with stays, with one line of it shown on either side.
func difference(from, to string) []string {
	before, after := lines(from), lines(to)
	head := 0
	for head < min(len(before), len(after)) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	var out []string
	if head > 0 {
		out = append(out, "  "+before[head-1])
	}
	for _, line := range before[head : len(before)-tail] {
		out = append(out, "- "+line)
	}
	for _, line := range after[head : len(after)-tail] {
		out = append(out, "+ "+line)
	}
	if tail > 0 {
		out = append(out, "  "+after[len(after)-tail])
	}
	return out
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
}
