package deliustest

import "slices"

// adopted works out what was applied to a row that stands there without a ledger
// entry: the fold of those events that the row knows.
func adopted(row *Contact, events []*event) shown {
	known := slices.Clone(events)
	for {
		fresh := newTo(row, drawnOn(known))
		if len(fresh) == 0 {
			break
		}
		known = slices.DeleteFunc(known, func(e *event) bool { return fresh[e] })
	}
	applied := fold(known)
	if !based(known) {
		applied.officer = officer{kind: standing}
	}
	return applied
}

// newTo are the events whose text does not stand in the row's notes. Each line of the
// row is used once.
func newTo(row *Contact, events []*event) map[*event]bool {
	fresh, text := map[*event]bool{}, lines(row.Notes)
	used := make([]bool, len(text))
	for _, e := range events {
		places, found := find(text, used, lines(e.text))
		if !found {
			fresh[e] = true
			continue
		}
		for _, place := range places {
			used[place] = true
		}
	}
	return fresh
}

// find looks for the lines of part that are not blank among the unused lines of text,
// in order but not necessarily next to one another.
func find(text []string, used []bool, part []string) (places []int, found bool) {
	from := 0
	for _, line := range part {
		if blank(line) {
			continue
		}
		for from < len(text) && (used[from] || text[from] != line) {
			from++
		}
		if from == len(text) {
			return nil, false
		}
		places = append(places, from)
		from++
	}
	return places, true
}
