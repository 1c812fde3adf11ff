package cmd_test

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var verifySizes = flag.String("verify.events", "10000,100000", "sizes of BenchmarkVerify, in events; up to 1000000")

// BenchmarkVerify measures `projector verify`, the program as it is shipped, where
// nothing is damaged, against its limit: reading the stream with no work. It also gives
// the most memory that it took.
func BenchmarkVerify(b *testing.B) {
	sizes := strings.Split(*verifySizes, ",")
	if testing.Short() {
		sizes = []string{"10000"}
	}
	program := buildProjector(b)
	for _, size := range sizes {
		events, err := strconv.Atoi(size)
		require.NoError(b, err)
		b.Run("events="+size, func(b *testing.B) {
			l := newLarge(b, program, events)
			l.rebuild(b)
			l.exec(b, "vacuum analyze")
			for b.Loop() {
				limit := l.drain(b)
				r := l.verify(b)
				b.ReportMetric(float64(events)/r.took.Seconds(), "events/s")
				b.ReportMetric(r.took.Seconds()/limit.Seconds(), "times-limit")
				b.ReportMetric(float64(r.memory)/(1<<20), "peak-MiB")
			}
		})
	}
}

// verify verifies everyone; damage would fail it.
func (l *large) verify(b *testing.B) ran {
	b.Helper()
	cmd := exec.Command(l.program, "verify")
	cmd.Env = append(os.Environ(), "DELIUS_DATABASE_URL="+l.url, "NATS_URL="+l.nats.URL(), "LOG_LEVEL=warn")
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start)
	require.NoError(b, err, "%s", out)
	b.Logf("%d events in %s: %s", l.events, took.Round(time.Millisecond), out)
	return ran{took, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * 1024}
}
