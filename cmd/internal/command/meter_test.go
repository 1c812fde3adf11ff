package command_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/terminaltest"
)

func people() command.Unit {
	return command.Unit{Number: strconv.Itoa, Count: func(n int) string { return fmt.Sprint(n, " people") }}
}

func reconciling(done int) command.Progress {
	return command.Progress{Doing: "reconciling people", Unit: people(), Done: done, Total: 98000, Aside: "3 changed"}
}

// Catches a rate that comes only with the end, one that counts what an earlier run had done, and
// silence while one step takes long.
func TestElsewhereThanOnATerminalProgressHasRateAndTimeLeftFromTheFirstSecondOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := command.NewMeter(command.NewOutput(&out))
		m.Report(reconciling(8000))
		<-time.After(900 * time.Millisecond)
		m.Report(reconciling(8450))
		<-time.After(5 * time.Second)
		synctest.Wait()
		m.Report(reconciling(10000))
		<-time.After(time.Second)
		synctest.Wait()
		m.Note("somebody's\nline")
		m.Report(command.Progress{Doing: "repairing", Unit: people(), Total: 5})
		<-time.After(6 * time.Second)
		m.Close()
		require.Equal(t, "reconciling people: 8450 of 98000 people, 450 a second, 3m19s left, 3 changed\n"+
			"reconciling people: 10000 of 98000 people, 333 a second, 4m24s left, 3 changed\n"+
			"somebody's\\nline\n"+
			"repairing: 0 of 5 people\nrepairing: 0 of 5 people, for 5s\n", out.String())
	})
}

// Catches a line that is longer than the terminal is by now, which leaves its begin standing each
// time that it is drawn, and one that leaves the cursor behind it, from where a terminal that has
// become narrower cannot clear it.
func TestProgressFitsTheTerminalAlsoWhenItShrinks(t *testing.T) {
	t.Parallel()
	terminal := terminaltest.New(t, 160, 24)
	m := command.NewMeter(command.NewOutput(terminal.File))
	var widths []int
	draw := func(columns uint16, done int) {
		terminal.Resize(columns, 24)
		p := reconciling(done)
		p.Doing += " at " + strconv.Itoa(int(columns)) // so that it is drawn at once
		m.Report(p)
		widths = append(widths, int(columns))
	}
	for i, columns := range []uint16{160, 80, 60, 40, 20, 8, 120} {
		draw(columns, 9800*(i+1))
	}
	m.Close()
	screen := terminal.Close()
	require.NotContains(t, screen, "\x1b[A")
	frames := strings.Split(screen, "\x1b[J")
	require.Empty(t, frames[0], "each is cleared from where the cursor was left")
	for _, frame := range frames[1:] {
		require.Regexp(t, `^[^\r]*\r(\r?\n)?$`, frame, "the cursor is left at its begin")
	}
	for i, columns := range widths {
		var fits bool
		for _, frame := range frames {
			text, _, _ := strings.Cut(frame, "\r")
			fits = fits || len(text) < columns && (strings.Contains(text, fmt.Sprint(9800*(i+1))) || strings.Contains(text, fmt.Sprintf("%d %%", 10*(i+1))))
		}
		require.True(t, fits, "%d columns: %q", columns, frames)
	}
	require.Contains(t, screen, "[=====", "a bar where there is room")
}

func TestSizesAreShort(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]int{"0 B": 0, "999 B": 999, "1.5 kB": 1500, "12.3 MB": 12_345_678, "1.235 GB": 1_234_567_890} {
		require.Equal(t, want, command.Bytes().Count(n))
	}
}
