package delius_test

import (
	"slices"
	"testing"

	"casdelius/projector/delius"
	"casdelius/store"
	"casdelius/store/storetest"
)

// people are the histories that benchmarks fold, one slice of events a person.
func people(n int) (bodies [][]store.Event, count int) {
	for h := range storetest.Generate(storetest.Options{Seed: 1, People: n}) {
		var events []store.Event
		for _, r := range h.Events {
			events = append(events, r.Event)
		}
		bodies = append(bodies, events)
		count += len(events)
	}
	return bodies, count
}

// BenchmarkFold folds people whose events are decoded already.
func BenchmarkFold(b *testing.B) {
	bodies, count := people(1000)
	read := make([][]*delius.Event, len(bodies))
	for i, events := range bodies {
		for j := range events {
			read[i] = append(read[i], delius.Read(&events[j], uint64(j+1)))
		}
	}
	scratch := make([]*delius.Event, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		for _, events := range read {
			scratch = append(scratch[:0], events...)
			slices.Reverse(scratch)
			delius.Fold(scratch)
		}
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReadAndFold decodes the bodies as well.
func BenchmarkReadAndFold(b *testing.B) {
	bodies, count := people(1000)
	scratch := make([]*delius.Event, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		for _, events := range bodies {
			scratch = scratch[:0]
			for j := range events {
				scratch = append(scratch, delius.Read(&events[j], uint64(j+1)))
			}
			delius.Fold(scratch)
		}
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
