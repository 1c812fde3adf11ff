package command_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/terminaltest"
)

// shown is what a page shows on a terminal of so many columns.
func shown(t *testing.T, columns int, write func(*command.Page)) string {
	t.Helper()
	terminal := terminaltest.New(t, uint16(columns), 24)
	page := command.NewPage(command.NewOutput(terminal.File))
	write(page)
	require.NoError(t, page.Flush())
	return terminaltest.Plain(terminal.Close())
}

// Catches a line that is cut, spaces that are lost although a difference may be in them, and an id
// that is broken where it could stay whole.
func TestALineIsWrappedBelowItsBegin(t *testing.T) {
	t.Parallel()
	const urn = "urn:hmpps:cas3:person-arrived:bd41ee15-1ae7-4159-825a-0b2c995fb75e"
	require.Equal(t, strings.Join([]string{
		"  notes  + one  two three four five",
		"           six",
		"  notes  + zwölf 日本語日本語日本語",
		"           日本語",
		"",
	}, "\n"), shown(t, 36, func(p *command.Page) {
		p.Line(command.Plain, "  notes  + ", "one  two three four five six")
		p.Line(command.Plain, "  notes  + ", "zwölf 日本語日本語日本語 日本語")
	}))
	require.Equal(t, "contact urn:hmpps:cas3:person-arrived:\nbd41ee15-1ae7-4159-825a-0b2c995fb75e is\nthere\n", shown(t, 40, func(p *command.Page) {
		p.Line(command.Plain, "", "contact "+urn+" is there")
	}))
	require.Equal(t, "a lead that leaves no room:\n    text below\n", shown(t, 30, func(p *command.Page) {
		p.Line(command.Plain, "a lead that leaves no room: ", "text below")
	}))
	require.Equal(t, "xxxxxxxxxxxxxxxxxxxx\nxxxxx\n", shown(t, 20, func(p *command.Page) { p.Line(command.Plain, "", strings.Repeat("x", 25)) }))

	var piped bytes.Buffer
	page := command.NewPage(command.NewOutput(&piped))
	page.Line(command.Red, "  notes  + ", strings.Repeat("word ", 60)+"end")
	require.NoError(t, page.Flush())
	require.Equal(t, "  notes  + "+strings.Repeat("word ", 60)+"end\n", piped.String())
}

// Catches a character, a lead or a width at which something is lost or does not fit.
func TestWhatIsWrappedFitsAndIsWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		columns := rapid.IntRange(8, 120).Draw(r, "columns")
		lead := strings.Repeat(" ", rapid.IntRange(0, 6).Draw(r, "indent")) + rapid.SampledFrom([]string{"", "notes  ", "+ "}).Draw(r, "lead")
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab:- é日\x1b\u202e\U0001f600"))).Draw(r, "text")
		got := shown(t, columns, func(p *command.Page) { p.Line(command.Red, lead, text) })
		terminaltest.RequireFits(t, got, columns)
		whole := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
		require.Equal(t, whole(lead+command.Line(text)), whole(got))
	})
}

// Catches a table that hands out more columns than there are, and a cell that loses something.
func TestATableFitsOrBecomesRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		width := rapid.IntRange(30, 160).Draw(r, "width")
		columns := make([]command.Column, rapid.IntRange(1, 7).Draw(r, "columns"))
		for i := range columns {
			columns[i] = command.Column{Name: strings.Repeat("N", i+1), Wraps: rapid.Bool().Draw(r, "wraps")}
		}
		terminal := terminaltest.New(t, uint16(width), 24)
		table := command.NewTable(command.NewOutput(terminal.File), command.Layout{}, columns...)
		var all []string
		for range rapid.IntRange(1, 3).Draw(r, "rows") {
			cells := make([]any, len(columns))
			for i := range cells {
				cells[i] = rapid.StringOfN(rapid.SampledFrom([]rune("abcd efgh\n日")), 0, 60, -1).Draw(r, "cell")
				all = append(all, command.Line(cells[i].(string)))
			}
			table.Row(cells...)
		}
		require.NoError(t, table.Flush())
		got := terminaltest.Plain(terminal.Close())
		terminaltest.RequireFits(t, got, width)
		for _, letter := range "abcdefgh日" {
			require.Equal(t, strings.Count(strings.Join(all, ""), string(letter)), strings.Count(got, string(letter)), string(letter))
		}
	})
}
