package command

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rivo/uniseg"
)

const (
	redrawn = 100 * time.Millisecond // shortest time between two pictures on a terminal
	tick    = time.Second            // longest time between two, while nothing is reported
	spoken  = 5                      // ticks between two lines elsewhere; the first comes after one
	widest  = 30                     // columns of the bar
)

// Progress is how far something is.
type Progress struct {
	Doing string // such as "reconciling people"
	Unit  Unit   // of what is counted
	Done  int
	Total int    // 0 is not known
	Aside string // what else there is to know, such as "3 changed"
}

// Unit says how many of something there are.
type Unit struct {
	Number func(n int) string // "12,300"
	Count  func(n int) string // "12,300 people"
}

// Bytes are the unit of what is read.
func Bytes() Unit { return Unit{size, size} }

// Meter shows how far something is: as a line that is drawn over itself on a terminal, whatever its
// width is at that moment, and as a line every few seconds elsewhere. Rate and time left are there
// from the first second on.
type Meter struct {
	to    io.Writer
	width func() int // 0 where it is no terminal

	mu    sync.Mutex
	is    Progress
	began time.Time // of what is done now
	from  int       // how much was done by then
	drawn time.Time // zero if nothing is
	ticks int
	stop  chan struct{} // nil until something is reported
	ended sync.WaitGroup
}

// NewMeter makes a meter on an output.
func NewMeter(out *Output) *Meter {
	if terminal := out.Terminal(); terminal != nil {
		return &Meter{to: terminal, width: out.Width}
	}
	return &Meter{to: out, width: func() int { return 0 }}
}

// Report shows how far it is now. What is done for the first time begins anew.
func (m *Meter) Report(p Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.stop == nil {
		stop := make(chan struct{})
		m.stop = stop
		m.ended.Go(func() { m.tick(stop) })
	}
	if p.Doing != m.is.Doing || m.began.IsZero() {
		m.keep()
		m.began, m.from, m.ticks = now, p.Done, 0
	}
	m.is = p
	if m.width() > 0 && now.Sub(m.drawn) >= redrawn {
		m.draw(now)
	}
}

// Note shows a line of its own.
func (m *Meter) Note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	fmt.Fprintln(m.to, Line(fmt.Sprintf(format, args...)))
}

// Reached is what was reported last.
func (m *Meter) Reached() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.is
}

// Close leaves what was shown last.
func (m *Meter) Close() {
	m.mu.Lock()
	stop := m.stop
	m.stop = nil
	m.mu.Unlock()
	if stop != nil {
		close(stop)
		m.ended.Wait()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep()
}

// tick shows how far it is while nothing is reported.
func (m *Meter) tick(stop chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			m.mu.Lock()
			switch {
			case m.width() > 0:
				m.draw(now)
			case m.ticks%spoken == 0:
				fmt.Fprintln(m.to, m.line(now, 0))
			}
			m.ticks++
			m.mu.Unlock()
		case <-stop:
			return
		}
	}
}

// toEnd clears from the cursor to the end of the screen.
const toEnd = "\x1b[J"

// draw draws the line. The cursor is left at its begin, where it stays when the window becomes
// narrower and what was drawn takes more rows: so whatever there is of it is cleared.
func (m *Meter) draw(now time.Time) {
	m.drawn = now
	fmt.Fprint(m.to, toEnd+m.line(now, m.width()-1)+"\r")
}

func (m *Meter) clear() {
	if !m.drawn.IsZero() {
		fmt.Fprint(m.to, toEnd)
		m.drawn = time.Time{}
	}
}

// keep leaves the line as it is in the end.
func (m *Meter) keep() {
	if m.width() > 0 && !m.drawn.IsZero() {
		m.draw(time.Now())
		fmt.Fprintln(m.to)
	}
	m.drawn = time.Time{}
}

// line is how far it is, in words, with a bar where there is room: in so many columns, 0 is any
// number. What there is no room for is left out, the least needed first.
func (m *Meter) line(now time.Time, columns int) string {
	count, rate, left := m.count(), "", ""
	done, took := m.is.Done-m.from, now.Sub(m.began)
	if done > 0 && took > 0 {
		perSecond := float64(done) / took.Seconds()
		rate = ", " + m.is.Unit.Number(int(perSecond)) + " a second"
		if m.is.Total > m.is.Done {
			left = ", " + (time.Duration(float64(m.is.Total-m.is.Done)/perSecond) * time.Second).String() + " left"
		}
	} else if took >= tick {
		left = ", for " + took.Round(time.Second).String()
	}
	aside := ""
	if m.is.Aside != "" {
		aside = ", " + m.is.Aside
	}
	doing := m.is.Doing + ": "
	for _, line := range []string{doing + count + rate + left + aside, doing + count + left + aside, doing + count + left, count + left, count, m.percent()} {
		room := columns - uniseg.StringWidth(line)
		if columns == 0 || room >= 0 {
			return m.bar(room-len(" []")) + line
		}
	}
	return ""
}

// count is how much is done, in its unit.
func (m *Meter) count() string {
	if m.is.Total <= 0 {
		return m.is.Unit.Count(m.is.Done)
	}
	return m.is.Unit.Number(m.is.Done) + " of " + m.is.Unit.Count(m.is.Total)
}

func (m *Meter) percent() string {
	if m.is.Total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d %%", 100*m.is.Done/m.is.Total)
}

// bar is a picture of it in at most so many columns; nothing where these are too few.
func (m *Meter) bar(columns int) string {
	const narrowest = 10
	if columns < narrowest || m.is.Total <= 0 {
		return ""
	}
	columns = min(columns, widest)
	full := min(columns, columns*m.is.Done/m.is.Total)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", columns-full) + "] "
}

// size is so many bytes.
func size(n int) string {
	size := float64(n)
	for _, unit := range []string{"B", "kB", "MB"} {
		if size < 1000 {
			return fmt.Sprintf("%.3g %s", size, unit)
		}
		size /= 1000
	}
	return fmt.Sprintf("%.4g GB", size)
}
