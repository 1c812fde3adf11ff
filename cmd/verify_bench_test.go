package cmd_test

import (
	"testing"
	"time"
)

// BenchmarkVerify measures `projector verify`, the program as it is shipped, where
// nothing is damaged, against its limit: reading the stream with no work. It also gives
// the most memory that it took, and how long a repair takes where one body of a hundred in
// the inbox was altered.
func BenchmarkVerify(b *testing.B) {
	bySize(b, func(b *testing.B, program string, events int) {
		l := newLarge(b, program, events)
		l.rebuild(b)
		l.exec(b, "vacuum analyze")
		for b.Loop() {
			limit := l.drain(b)
			r := l.verify(b)
			b.ReportMetric(float64(events)/r.took.Seconds(), "events/s")
			b.ReportMetric(r.took.Seconds()/limit.Seconds(), "times-limit")
			b.ReportMetric(float64(r.memory)/(1<<20), "peak-MiB")
			l.exec(b, "update projection.event set body = body || ' ' where sequence % 100 = 0")
			repair := run(b, l.command(ctx, "verify", "--repair"))
			b.ReportMetric(repair.took.Seconds()/r.took.Seconds(), "repair-times-verify")
		}
	})
}

// verify verifies everyone; damage would fail it.
func (l *large) verify(b *testing.B) ran {
	b.Helper()
	r := run(b, l.command(ctx, "verify"))
	b.Logf("%d events in %s: %s", l.events, r.took.Round(time.Millisecond), r.out)
	return r
}
