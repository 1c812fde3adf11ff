package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/terminaltest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector/freshness"
)

func midway() snapshot {
	return snapshot{
		elapsed: 12300 * time.Millisecond, planned: 500, sent: 120, visits: 6, visited: 2,
		queue: sqstest.Depth{Visible: 3, InFlight: 4}, stream: 110, people: 40, contacts: 90, addresses: 12, notices: 7, unsent: 1,
		Backlog: freshness.Backlog{Due: 5, Parked: map[string]freshness.ParkedCount{
			"staff-not-found": {Count: 2}, "bad-detail": {Count: 1},
		}},
		p50: 12340 * time.Microsecond, p99: 1234 * time.Millisecond, withheld: "N50A004",
	}
}

func TestElsewhereThanOnATerminalThereIsALineEveryFewSeconds(t *testing.T) {
	t.Parallel()
	var out, errs output
	v := newView(terminal{command.NewOutput(&out), command.NewOutput(&errs)})
	n := midway()
	for _, at := range []time.Duration{1, 5, 6, 9, 10} {
		n.elapsed = at * time.Second
		v.show(n)
	}
	slog.New(v.logs()).Warn("not a line of its own")
	slog.New(v.logs()).Error("broken")
	v.close()
	require.Equal(t, ""+
		"    5s  sent 120/500  queue 3+4  stream 110  rejected 0  due 5  contacts 90  addresses 12  notices 7+1  parked bad-detail 1, staff-not-found 2  freshness p50 12.3ms p99 1.2s\n"+
		"   10s  sent 120/500  queue 3+4  stream 110  rejected 0  due 5  contacts 90  addresses 12  notices 7+1  parked bad-detail 1, staff-not-found 2  freshness p50 12.3ms p99 1.2s\n",
		out.String())
	require.Contains(t, errs.String(), "broken")
	require.NotContains(t, errs.String(), "not a line")
}

// Catches a picture whose rows wrap, one that leaves the cursor below it, from where it cannot be
// cleared once the window is smaller, and one whose addresses go first where there is no room.
func TestThePictureIsDrawnOverItselfAndFitsItsTerminalAlsoWhenItShrinks(t *testing.T) {
	t.Parallel()
	screen := terminaltest.New(t, 80, 24)
	v := newView(terminal{command.NewOutput(screen.File), command.NewOutput(screen.File)})
	addresses := []string{"  console     http://127.0.0.1:40001", "  log         /tmp/casdelius-sandbox-1234567890/sandbox.log"}
	v.stay(addresses)
	for range 5 {
		slog.New(v.logs()).Warn("look", "error", errors.New(strings.Repeat("a long story ", 20)))
	}
	for _, size := range [][2]uint16{{80, 24}, {60, 24}, {80, 8}, {40, 3}} {
		before := len(screen.Said())
		screen.Resize(size[0], size[1])
		v.show(midway())
		require.Eventually(t, func() bool { return len(screen.Said()) > before && strings.HasSuffix(screen.Said(), "A\r") }, time.Minute, time.Millisecond)
		frame := strings.ReplaceAll(screen.Said()[before:], "\r\r\n", "\r\n") // the terminal itself adds one
		rows := strings.Split(frame, "\r\n")
		require.LessOrEqual(t, len(rows), int(size[1]), "%q", frame)
		for _, row := range rows[:len(rows)-1] {
			require.True(t, strings.HasSuffix(row, toLineEnd), "%q", row)
			terminaltest.RequireFits(t, strings.NewReplacer(hideCursor, "", toLineEnd, "").Replace(row), int(size[0])-1)
		}
		require.Equal(t, fmt.Sprintf("%s\x1b[%dA\r", toEnd, len(rows)-1), rows[len(rows)-1], "the cursor is back where the picture begins")
		require.Contains(t, rows[0], addresses[0])
	}
	v.close()
	v.close()
	drawn := screen.Close()
	require.Equal(t, 1, strings.Count(drawn, showCursor))
	require.True(t, strings.HasSuffix(drawn, toEnd+showCursor), "what was shown last stays")
}

func TestNothingIsDrawnAfterTheEnd(t *testing.T) {
	t.Parallel()
	var out output
	p := &picture{out: &out, size: func() (int, int) { return 60, 24 }}
	p.show(midway())
	p.close()
	drawn := out.String()
	p.show(midway())
	p.close()
	require.Equal(t, drawn, out.String(), "what was shown last stays")
}

func TestThePictureTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	before := midway()
	before.stream, before.elapsed = 10, before.elapsed-2*time.Second
	require.Equal(t, []string{
		"  elapsed     12s",
		"  CAS         120 of 500 messages sent",
		"  queue       3 waiting, 4 in flight, 0 dead",
		"  stream      110 events, 50/s; 0 rejected",
		"  projector   5 referrals due; 0 values of people's replaced",
		"  Delius      40 people, 90 contacts, 12 addresses; deleted ones not counted",
		"  notices     7 of address rows sent, 1 waiting",
		"  by hand     2 of 6 changes by practitioners",
		"  parked      bad-detail 1, staff-not-found 2   (Delius does not know N50A004 yet)",
		"  freshness   p50 12.3ms, p99 1.2s from stream to commit",
		"  ! look",
	}, drawing(midway(), perSecond(midway(), before), []string{"look"}))
}

func TestThePictureKeepsTheLatestWarnings(t *testing.T) {
	t.Parallel()
	p := &picture{}
	logger := slog.New(p.logs()).With("service", "ingest").WithGroup("g")
	logger.Info("all is well")
	for _, name := range []string{"one", "two", "three", "four"} {
		logger.Warn(name, "error", errors.New("of\nsome kind"))
	}
	require.Len(t, p.warnings, warningsShown)
	require.Contains(t, p.warnings[0], " two: of some kind")
	require.Contains(t, p.warnings[2], " four: of some kind")
}
