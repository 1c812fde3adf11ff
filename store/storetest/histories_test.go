package storetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/store"
	"casdelius/store/storetest"
)

func TestDrawnHistoriesAreWhatIngestWouldMake(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen, owner := map[store.Key]bool{}, map[store.Referral]storetest.Person{}
		for _, history := range storetest.Histories().Draw(t, "people") {
			for _, r := range history.Events {
				requireSame(t, r)
				require.False(t, seen[r.Key()], "%s comes twice", r.Key())
				seen[r.Key()] = true
				if of, ok := owner[r.Referral]; ok {
					require.Equal(t, of, history.Person)
				}
				owner[r.Referral] = history.Person
			}
		}
	})
}

func TestDrawnHistoriesAreAdversarial(t *testing.T) {
	t.Parallel()
	types, found := map[store.Type]int{}, map[string]int{}
	for seed := range 300 {
		for _, history := range storetest.Histories().Example(seed) {
			found["person"]++
			if history.Person.NOMS == "" {
				found["person without NOMS number"]++
			}
			for i, r := range history.Events {
				d := readDetail(t, r)
				types[r.Type]++
				found["event"]++
				for name, occurs := range map[string]func(storetest.Raised, notification, detail) bool{
					"NOMS number first": oddities["NOMS number before CRN"], "nine digits": oddities["nine fraction digits"],
					"summer midnight": oddities["arrival at midnight UTC in summer"], "origin other": oddities["origin that names no cohort"],
				} {
					if occurs(r, readNotification(t, r), d) {
						found[name]++
					}
				}
				switch {
				case !r.Type.Known():
					found["unknown"]++
				case !d.good(r.Type):
					found["bad detail"]++
				case (r.Type == store.PersonArrived || r.Type == store.PersonArrivedUpdated) && !d.addressed():
					found["bad address"]++
				}
				for _, o := range history.Events[:i] {
					if o.Referral == r.Referral && o.Emitted.Equal(r.Emitted) {
						found["tie"]++
					}
					if d.text("arrivedAt") != "" && d.text("arrivedAt") == readDetail(t, o).text("arrivedAt") {
						found["same arrival"]++
					}
				}
			}
		}
	}
	for _, typ := range store.Types() {
		require.Greater(t, types[typ], 20, typ)
	}
	for _, what := range []string{"person without NOMS number", "unknown", "bad detail", "bad address", "tie", "same arrival", "NOMS number first", "nine digits", "summer midnight"} {
		require.Greater(t, found[what], 50, what)
	}
	require.Greater(t, found["origin other"], 20)
	require.Greater(t, found["event"], 3*found["person"])
}

func BenchmarkHistories(b *testing.B) {
	histories := storetest.Histories()
	for seed := 0; b.Loop(); seed++ {
		histories.Example(seed)
	}
}
