package delius

import "strings"

// LineEdit is one line on the way from one text to another: ' ' if it stays, '-' if it
// goes, '+' if it comes.
type LineEdit struct {
	Op   rune
	Text string
}

// EditLines is the shortest way from one text to another, line by line; lines that go
// stand before those that come in their place. An empty text has no lines.
func EditLines(from, to string) []LineEdit {
	a, b := split(from), split(to)
	common := commonLines(a, b)
	out := make([]LineEdit, 0, len(a)+len(b))
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, LineEdit{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, LineEdit{'-', a[i]})
			i++
		default:
			out = append(out, LineEdit{'+', b[j]})
			j++
		}
	}
	return out
}

// commonLines holds at [i][j] the length of the longest common subsequence of a[i:]
// and b[j:].
func commonLines(a, b []string) [][]int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				table[i][j] = table[i+1][j+1] + 1
			} else {
				table[i][j] = max(table[i+1][j], table[i][j+1])
			}
		}
	}
	return table
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
