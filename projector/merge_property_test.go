package projector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/store"
	"casdelius/store/storetest"
)

// A version that leaves rows on a person who was merged away, that takes those of one who is
// a person again for the other's, that decides the main address before the rows are joined, or
// that follows fewer merges than there are fails it.
func TestMergesAndUnmergesAmongEventsGiveTheRowsOfTheTwin(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		people := peopleOf(histories)
		into := map[store.CRN]store.CRN{}
		for events := shuffled(r, histories); len(events) > 0; {
			n := rapid.IntRange(1, len(events)).Draw(r, "batch")
			rig.put(r, events[:n]...)
			events = events[n:]
			switch rapid.IntRange(0, 5).Draw(r, "look") {
			case 0, 1:
				rig.look(r, histories)
			case 2: // killed on the way, and begun again
				err := rig.rebuildBeside(r, projector.Rebuild{Restart: true}, rapid.IntRange(1, 12).Draw(r, "calls"), func() {})
				if err == nil {
					rig.twin.Project(time.Now())
					rig.requireTwin(r)
					break
				}
				require.ErrorIs(r, err, errKilled)
				rig.look(r, histories)
			}
			if rapid.Bool().Draw(r, "merge or unmerge") {
				rig.mergeSomething(r, people, into)
			}
			if rapid.Bool().Draw(r, "edit") {
				rig.edit(r, map[string]string{})
			}
		}
		rig.look(r, histories)
		rig.requireSettled(r, histories)
	})
}

func peopleOf(histories []storetest.History) (people []store.CRN) {
	for _, h := range histories {
		people = append(people, h.Person.CRN)
	}
	return people
}

// mergeSomething merges one of the people into another, or undoes a merge, in Delius and its
// twin. Delius may move the rows itself.
func (r *rig) mergeSomething(t *rapid.T, people []store.CRN, into map[store.CRN]store.CRN) {
	source := rapid.SampledFrom(people).Draw(t, "source")
	target, merged := into[source]
	from, to := target, source
	if merged {
		delete(into, source)
		require.NoError(t, r.delius.Unmerge(ctx, source))
	} else {
		target = rapid.SampledFrom(people).Draw(t, "target")
		if from, to = source, target; source == target {
			return
		}
		into[source] = target // chains may go round
		require.NoError(t, r.delius.Merge(ctx, source, target))
	}
	offenders, err := r.delius.Offenders(ctx)
	require.NoError(t, err)
	for _, o := range offenders {
		r.twin.AddOffender(o)
	}
	if rapid.IntRange(0, 3).Draw(t, "Delius moves the rows") == 0 {
		require.NoError(t, r.delius.MoveRows(ctx, from, to))
		r.twin.MoveRows(from, to, time.Now())
	}
}
