package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// commit is one of a person with these events, all of them fresh.
func commit(crn store.CRN, ids ...string) projector.Applied {
	var d projector.Decision
	d.Person.CRN = crn
	for _, id := range ids {
		e := &delius.Event{Event: store.Event{ID: id, Type: store.PersonArrived}}
		d.Person.Events = append(d.Person.Events, e)
		d.Person.Fresh = append(d.Person.Fresh, projector.Fresh{Key: e.Key(), Stored: noon})
	}
	d.Applied = d.Person.Fresh
	return projector.Applied{People: []projector.Decision{d}}
}

func TestAPractitionerComesWhenAllThatWasRaisedBeforeIsProjected(t *testing.T) {
	t.Parallel()
	v := &visit{crn: "A000001", after: []store.Key{{Type: store.PersonArrived, ID: "a"}, {Type: store.PersonArrived, ID: "b"}}}
	o := newObserver([]*visit{v})
	o.committed(commit("A000001", "a"), noon)
	o.committed(commit("A000002", "a", "b"), noon)
	waiting := commit("A000001", "a", "b")
	waiting.People[0].Outcome.Parked = []delius.Parked{{Cause: delius.StaffNotFound}}
	o.committed(waiting, noon)
	requireOpen(t, o.ready(v))
	bad := commit("A000001", "a", "b")
	bad.People[0].Outcome.Parked = []delius.Parked{{Cause: delius.BadDetail}}
	o.committed(bad, noon)
	<-o.ready(v)
	o.committed(commit("A000001", "a", "b"), noon)
}

func requireOpen(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
		require.Fail(t, "closed too early")
	default:
	}
}

func TestFreshnessLeavesOutWhatWasParked(t *testing.T) {
	t.Parallel()
	o := newObserver(nil)
	p50, p99 := o.freshness()
	require.Zero(t, p50)
	require.Zero(t, p99)
	parked := commit("A000001", "a", "b")
	parked.People[0].Applied = parked.People[0].Person.Fresh[1:]
	o.committed(parked, noon.Add(20*time.Millisecond))
	o.committed(commit("A000001", "a"), noon.Add(time.Hour))
	p50, p99 = o.freshness()
	require.Equal(t, 20*time.Millisecond, p50)
	require.Equal(t, 20*time.Millisecond, p99)
}

func TestFreshnessIsThatOfTheLatestEvents(t *testing.T) {
	t.Parallel()
	o := newObserver(nil)
	o.committed(commit("A000001", "a"), noon.Add(time.Hour))
	for range recent {
		o.committed(commit("A000001", "a"), noon.Add(time.Second))
	}
	_, p99 := o.freshness()
	require.Equal(t, time.Second, p99)
	require.Len(t, o.ages, recent)
}
