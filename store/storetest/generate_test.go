package storetest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/storetest"
)

func TestTheSameOptionsGiveTheSameHistories(t *testing.T) {
	t.Parallel()
	options := storetest.Options{Seed: 7, People: 30, Unknown: 0.1, BadDetail: 0.1, BadAddress: 0.1}
	all := collect(t, options)
	require.Equal(t, all, collect(t, options))

	fewer := options
	fewer.People = 10
	require.Equal(t, all[:10], collect(t, fewer), "a person does not depend on how many follow")

	other := options
	other.Seed = 8
	require.NotEqual(t, all, collect(t, other))
}

func TestIngestWouldMakeTheSameEvents(t *testing.T) {
	t.Parallel()
	options := storetest.Options{Seed: 1, People: 60, BaseURL: "http://127.0.0.1:1/base", Unknown: 0.1, BadDetail: 0.2, BadAddress: 0.2}
	forEach(options, func(_ storetest.History, r storetest.Raised) { requireSame(t, r) })
}

func TestAHistoryIsOfOnePersonInOrderAndWithoutTwins(t *testing.T) {
	t.Parallel()
	start := time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC)
	owner, people, seen := map[store.Referral]storetest.Person{}, map[storetest.Person]bool{}, map[store.Key]bool{}
	for _, history := range collect(t, storetest.Options{Seed: 2, People: 300, Start: start, Unknown: 0.1}) {
		require.False(t, people[history.Person], "%v comes twice", history.Person)
		require.Equal(t, history.Person.CRN, store.ParseCRN(string(history.Person.CRN)))
		people[history.Person] = true
		require.True(t, slices.IsSortedFunc(history.Events, func(a, b storetest.Raised) int { return a.Emitted.Compare(b.Emitted) }))
		for _, r := range history.Events {
			require.False(t, seen[r.Key()], "%s comes twice", r.Key())
			seen[r.Key()] = true
			require.Contains(t, []store.CRN{"", history.Person.CRN}, r.CRN)
			require.Contains(t, []store.NOMS{"", history.Person.NOMS}, r.NOMS)
			require.False(t, r.Emitted.Before(start))
			if of, ok := owner[r.Referral]; ok {
				require.Equal(t, of, history.Person)
			}
			owner[r.Referral] = history.Person
		}
	}
	require.Len(t, people, 300)
}

func TestRecordersAreStaffOfTheirRegion(t *testing.T) {
	t.Parallel()
	count := 0
	forEach(storetest.Options{Seed: 3, People: 50, Regions: []string{"N52", "N59"}}, func(_ storetest.History, r storetest.Raised) {
		for _, by := range []string{"bookedBy", "confirmedBy", "cancelledBy", "recordedBy"} {
			recorder := readDetail(t, r).object(by)
			if code := recorder.text("staffCode"); len(code) == 7 {
				count++
				require.Contains(t, []string{"N52", "N59"}, recorder.text("probationRegionCode"))
				require.Contains(t, storetest.Staff(recorder.text("probationRegionCode")), code)
			}
		}
	})
	require.Positive(t, count)
}

func TestDetailsAreBadOnlyInTheShareAskedFor(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]bool{0: true, 1: false} {
		forEach(storetest.Options{Seed: 4, People: 50, BadDetail: share}, func(_ storetest.History, r storetest.Raised) {
			require.Equal(t, want, readDetail(t, r).good(r.Type), "%s %s", r.Type, r.Body)
		})
	}
}

func TestArrivalsHaveNoAddressOnlyInTheShareAskedFor(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]bool{0: true, 1: false} {
		forEach(storetest.Options{Seed: 5, People: 50, BadAddress: share}, func(_ storetest.History, r storetest.Raised) {
			if r.Type == store.PersonArrived || r.Type == store.PersonArrivedUpdated {
				require.Equal(t, want, readDetail(t, r).addressed(), "%s", r.Body)
			}
		})
	}
}

func TestNothingUnknownIsRaisedUnlessAskedFor(t *testing.T) {
	t.Parallel()
	count := 0
	forEach(storetest.Options{Seed: 6, People: 100}, func(_ storetest.History, r storetest.Raised) {
		require.True(t, r.Type.Known(), r.Type)
		count++
	})
	require.Greater(t, count, 500, "a person has at least five events on average")
}

func BenchmarkGenerate(b *testing.B) {
	events, bytes := 0, 0
	for b.Loop() {
		forEach(storetest.Options{Seed: 1, People: 100}, func(_ storetest.History, r storetest.Raised) {
			events++
			bytes += len(r.Body)
		})
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/float64(events), "B/body")
}
