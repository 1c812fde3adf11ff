package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is lines of columns. Every cell is on one line, whatever its value holds.
type Table struct{ to *tabwriter.Writer }

// NewTable begins a table with the names of its columns.
func NewTable(to io.Writer, columns ...any) *Table {
	t := &Table{tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)}
	t.Row(columns...)
	return t
}

// Row adds a line.
func (t *Table) Row(cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = Line(fmt.Sprint(cell))
	}
	fmt.Fprintln(t.to, strings.Join(texts, "\t"))
}

// Flush writes the table; there may be none.
func (t *Table) Flush() error {
	if t == nil {
		return nil
	}
	return t.to.Flush()
}
