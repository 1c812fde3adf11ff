package command

import (
	"os"
	"strconv"

	"golang.org/x/term"
)

// usualWidth is that of a terminal which does not tell its own.
const usualWidth = 80

// Terminal is the terminal that the output ends up on, for pictures and progress, which have to
// steer it; nil if it is none.
func (o *Output) Terminal() *os.File {
	if file, ok := o.to.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// Width is how many columns there are: those of the terminal, or of the variable COLUMNS where
// somebody has set it. Elsewhere than on a terminal it is 0: lines are as long as they are,
// whatever COLUMNS says, so that a file or another program always gets the same.
func (o *Output) Width() int {
	terminal := o.Terminal()
	if terminal == nil {
		return 0
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	width, _ := Size(terminal)
	return width
}

// Size is how many columns and rows a terminal has.
func Size(terminal *os.File) (width, height int) {
	width, height, err := term.GetSize(int(terminal.Fd()))
	if err != nil || width < 1 || height < 1 {
		return usualWidth, 24
	}
	return width, height
}

// colours says whether there are any: on a terminal, unless NO_COLOR (https://no-color.org) says
// otherwise or the terminal knows none.
func (o *Output) colours() bool {
	return o.Terminal() != nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Style is how text looks on a terminal that has colours. It never says what the words do not.
type Style string

// The styles.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31" // damage, and what goes
	Green  Style = "32" // what is well, and what comes
	Yellow Style = "33" // what a person did, and what waits
)

// paint gives text that steers no terminal a style.
func (s Style) paint(text string) string {
	if s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + unpainted
}

// unpainted ends a style.
const unpainted = "\x1b[0m"
