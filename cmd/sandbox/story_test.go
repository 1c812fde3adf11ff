package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	t.Parallel()
	one, two := plan(3, 40, "http://127.0.0.1:1"), plan(3, 40, "http://127.0.0.1:1")
	require.Equal(t, one.messages, two.messages)
	require.Equal(t, one.visits, two.visits)
	require.Equal(t, one.population, two.population)
	require.Equal(t, one.withheld, two.withheld)
	require.NotEqual(t, one.messages, plan(4, 40, "http://127.0.0.1:1").messages)
}

func TestAStoryHasAllThatCanGoWrong(t *testing.T) {
	t.Parallel()
	s := plan(1, 300, "http://127.0.0.1:1")
	seen, again, missed := map[store.Key]bool{}, 0, 0
	for _, m := range s.messages {
		require.Equal(t, m.resent, seen[m.Key()], "the first delivery of %s comes first", m.Key())
		seen[m.Key()] = true
		if m.resent {
			again++
		}
		if m.misses > 0 {
			missed++
		}
	}
	require.Equal(t, s.events, len(seen)+len(s.visits), "every event is delivered, or waits for a practitioner")
	require.InDelta(t, twice, float64(again)/float64(len(seen)), 0.03)
	require.InDelta(t, late, float64(s.late)/float64(len(seen)), 0.03)
	require.InDelta(t, missing, float64(missed)/float64(len(seen)), 0.01)
	for _, typ := range store.Types() {
		require.Contains(t, typesOf(s), typ)
	}
	raised := map[store.PersonType]int{}
	for _, m := range s.messages {
		if m.then != nil {
			raised[m.then.kind]++
		}
	}
	require.Len(t, raised, len(store.PersonTypes()))
	require.InDelta(t, woken, float64(s.wakeUps)/float64(len(s.messages)), 0.01)
}

func typesOf(s *story) map[store.Type]bool {
	types := map[store.Type]bool{}
	for _, m := range s.messages {
		types[m.Type] = true
	}
	return types
}

func TestSomebodyIsWithheldWhoRecordedSomethingAndVisitsDoNotMeetThem(t *testing.T) {
	t.Parallel()
	s := plan(2, 100, "http://127.0.0.1:1")
	require.NotEmpty(t, s.withheld.Staff)
	recorded := 0
	of := map[store.CRN]bool{}
	for _, v := range s.visits {
		of[v.crn] = true
	}
	for _, m := range s.messages {
		if bytes.Contains(m.Body, []byte(s.withheld.Staff)) {
			recorded++
			require.False(t, of[m.CRN], "a practitioner would wait for a contact that is parked")
		}
	}
	require.Greater(t, recorded, 3)
}

func TestPractitionersDoEverythingThatTheyDo(t *testing.T) {
	t.Parallel()
	s := plan(1, 300, "http://127.0.0.1:1")
	done := map[hand]int{}
	for _, v := range s.visits {
		if v.row != (row{}) {
			done[v.hand]++
		}
		require.NotContains(t, v.after, v.then.Key())
	}
	for h := range hands {
		require.Positive(t, done[h], h)
	}
}
