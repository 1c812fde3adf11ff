package jetstream_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store/jetstream"
)

// BenchmarkAppend appends events of 1 KB with 256 in flight, each of which is on disk
// when it counts.
func BenchmarkAppend(b *testing.B) {
	f := setup(b, func(c *jetstream.Config) { c.MaxBytes = 16 << 30 })
	var next atomic.Int64
	b.SetParallelism(256)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.log.Append(context.Background(), event(int(next.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkRead reads a stream of events of 1 KB from its beginning, over and over.
func BenchmarkRead(b *testing.B) {
	f := setupLazy(b, func(c *jetstream.Config) { c.MaxBytes = 16 << 30 })
	const stored = 5_000
	fill(b, f.log, 1, stored)
	b.ResetTimer()
	for left := b.N; left > 0; {
		for e, err := range f.log.Read(b.Context(), 0, uint64(min(left, stored))) {
			require.NoError(b, err)
			require.NoError(b, e.Err)
			left--
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
