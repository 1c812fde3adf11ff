package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/rivo/uniseg"
)

// gap stands between two columns.
const gap = "  "

// narrowestColumn is what a column that is wrapped gets at least.
const narrowestColumn = 20

// Layout is an option of commands that print a table.
type Layout struct {
	Wide bool `help:"One line for each, with every column, however wide the terminal is. It is so wherever the output is no terminal."`
}

// Column is one column of a table.
type Column struct {
	Name  string
	Wraps bool // a text of any length, which may take several lines
	Extra bool // only in the wide form
}

// Table is lines of columns. On a terminal it fits the width: what is long is wrapped within its
// column, and where not even that fits each row becomes a few lines, one for each column. Cells
// hold one line, whatever their value holds.
type Table struct {
	out      *Output
	width    int // 0 is wide
	coloured bool
	columns  []Column
	rows     [][]string
	styles   []Style
}

// NewTable begins a table.
func NewTable(out *Output, layout Layout, columns ...Column) *Table {
	t := &Table{out: out, width: out.Width(), coloured: out.colours(), columns: columns}
	if layout.Wide {
		t.width = 0
	}
	return t
}

// Row adds a row, of as many cells as there are columns.
func (t *Table) Row(cells ...any) { t.StyledRow(Plain, cells...) }

// StyledRow adds a row whose first cell has a style.
func (t *Table) StyledRow(style Style, cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = Line(fmt.Sprint(cell))
	}
	t.rows, t.styles = append(t.rows, row), append(t.styles, style)
}

// Flush writes the table; there may be none.
func (t *Table) Flush() error {
	if t == nil {
		return nil
	}
	shown := t.shown()
	widths, fits := t.fit(shown)
	if !fits {
		return t.records(shown)
	}
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options, style.Format.Header = table.OptionsNoBordersAndSeparators, text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", gap
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	configs := make([]table.ColumnConfig, len(shown))
	header := make(table.Row, len(shown))
	for i, column := range shown {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: widths[i], WidthMaxEnforcer: wrapPainted}
		header[i] = t.paint(Bold, t.columns[column].Name)
	}
	w.SetColumnConfigs(configs)
	w.AppendHeader(header)
	for i, row := range t.rows {
		cells := make(table.Row, len(shown))
		for at, column := range shown {
			cells[at] = row[column]
		}
		cells[0] = t.paint(t.styles[i], row[shown[0]])
		w.AppendRow(cells)
	}
	return t.out.steer(w.Render() + "\n")
}

// shown are the columns that there is room for, without those that say nothing.
func (t *Table) shown() (shown []int) {
	for i, column := range t.columns {
		says := slices.ContainsFunc(t.rows, func(row []string) bool { return !blank(row[i]) })
		if t.width == 0 || i == 0 || !column.Extra && says {
			shown = append(shown, i)
		}
	}
	return shown
}

// blank says of a cell that there is nothing to say.
func blank(cell string) bool { return cell == "" || cell == "-" }

// fit gives each column its width. Those that wrap share what the others leave, the narrower ones
// first; it says whether that is enough for all of them.
func (t *Table) fit(shown []int) (widths []int, fits bool) {
	widths = make([]int, len(shown))
	var wrapping []int
	left := t.width - len(gap)*(len(shown)-1)
	for at, column := range shown {
		widths[at] = uniseg.StringWidth(t.columns[column].Name)
		for _, row := range t.rows {
			widths[at] = max(widths[at], uniseg.StringWidth(row[column]))
		}
		if t.columns[column].Wraps {
			wrapping = append(wrapping, at)
		} else {
			left -= widths[at]
		}
	}
	if t.width == 0 {
		return widths, true
	}
	slices.SortStableFunc(wrapping, func(a, b int) int { return widths[a] - widths[b] })
	for n, at := range wrapping {
		share := max(0, left) / (len(wrapping) - n)
		if widths[at] > share && share < narrowestColumn {
			return widths, false
		}
		widths[at] = min(widths[at], share)
		left -= widths[at]
	}
	return widths, left >= 0
}

// records writes each row as a few lines, one for each column.
func (t *Table) records(shown []int) error {
	page := &Page{out: t.out, width: t.width, coloured: t.coloured}
	label := 0
	for _, column := range shown {
		label = max(label, len(t.columns[column].Name))
	}
	for i, row := range t.rows {
		if i > 0 {
			page.Blank()
		}
		for at, column := range shown {
			if blank(row[column]) {
				continue
			}
			style := Plain
			if at == 0 {
				style = Bold
			}
			page.Line(style, fmt.Sprintf("%-*s"+gap, label, t.columns[column].Name), row[column])
		}
	}
	return page.Flush()
}

func (t *Table) paint(style Style, cell string) string {
	if !t.coloured {
		return cell
	}
	return style.paint(strings.TrimSpace(cell))
}

// wrapPainted is wrap for a cell that has a style, or none: each line gets it.
func wrapPainted(cell string, width int) string {
	begin, rest, painted := strings.Cut(cell, "m")
	if !painted || !strings.HasPrefix(begin, "\x1b[") {
		return wrap(cell, width)
	}
	style := Style(strings.TrimPrefix(begin, "\x1b["))
	lines := strings.Split(wrap(strings.TrimSuffix(rest, unpainted), width), "\n")
	for i := range lines {
		lines[i] = style.paint(lines[i])
	}
	return strings.Join(lines, "\n")
}
