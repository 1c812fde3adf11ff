package projector_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/store"
	"casdelius/store/storetest"
)

// history is one generated person's.
func history(t testing.TB) storetest.History {
	t.Helper()
	for h := range storetest.Generate(storetest.Options{Seed: 7, People: 1}) {
		return h
	}
	t.Fatal("nobody was generated")
	return storetest.History{}
}

// inbox reads the bodies of the inbox by sequence, and the other sequences.
func (r *rig) inbox(t require.TestingT) (bodies map[int64]string, others []int64) {
	bodies = map[int64]string{}
	rows, err := r.delius.Pool.Query(ctx, "select sequence, body from projection.event")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var n int64
		var body []byte
		require.NoError(t, rows.Scan(&n, &body))
		bodies[n] = string(body)
	}
	require.NoError(t, rows.Err())
	others2, err := r.delius.Pool.Query(ctx, "select sequence from projection.other_sequence order by 1")
	require.NoError(t, err)
	defer others2.Close()
	for others2.Next() {
		var n int64
		require.NoError(t, others2.Scan(&n))
		others = append(others, n)
	}
	require.NoError(t, others2.Err())
	return bodies, others
}

func TestTheInboxKeepsTheFirstBodyInWhateverOrderAndBatchesMessagesCome(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	h := history(t)
	rapid.Check(t, func(r *rapid.T) {
		rig.begin(r, nil)
		events := []store.Event{h.Events[0].Event, h.Events[1].Event}
		for range rapid.IntRange(1, 4).Draw(r, "duplicates") {
			again := events[rapid.IntRange(0, 1).Draw(r, "of")]
			again.Body = slices.Concat(again.Body, []byte(" "))
			events = append(events, again)
		}
		messages := slices.Clone(rig.stream.add(events...))
		messages = append(messages, store.Stored{Sequence: uint64(len(messages) + 1), Err: errors.New("no event of ours")})
		numbers := make([]int, len(messages))
		for i := range numbers {
			numbers[i] = i
		}
		order := rapid.Permutation(numbers).Draw(r, "order")
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(r, "batch")
			var batch []store.Stored
			for _, i := range order[:n] {
				batch = append(batch, messages[i])
			}
			require.NoError(r, rig.db.Put(ctx, batch))
			if rapid.Bool().Draw(r, "again") {
				require.NoError(r, rig.db.Put(ctx, batch))
			}
			order = order[n:]
		}
		bodies, others := rig.inbox(r)
		require.Equal(r, map[int64]string{1: string(events[0].Body), 2: string(events[1].Body)}, bodies)
		require.Len(r, others, len(messages)-2)
		gaps, err := rig.db.Missing(ctx, uint64(len(messages)))
		require.NoError(r, err)
		require.Empty(r, gaps, "every sequence is recorded")
	})
}

func TestGapsAreRangesOfSequencesThatTheInboxDoesNotHave(t *testing.T) {
	t.Parallel()
	rig := setup(t, nil)
	h := history(t)
	var all []store.Event
	for _, e := range h.Events[:6] {
		all = append(all, e.Event)
	}
	messages := rig.stream.add(all...)
	gaps, err := rig.db.Missing(ctx, 6)
	require.NoError(t, err)
	require.Equal(t, []projector.Range{{From: 1, To: 6}}, gaps)
	require.NoError(t, rig.db.Put(ctx, []store.Stored{messages[1], messages[4]}))
	gaps, err = rig.db.Missing(ctx, 6)
	require.NoError(t, err)
	require.Equal(t, []projector.Range{{From: 1, To: 1}, {From: 3, To: 4}, {From: 6, To: 6}}, gaps)
}

func TestAnotherStreamOrAShorterOneIsRefused(t *testing.T) {
	t.Parallel()
	rig := setup(t, nil)
	require.NoError(t, rig.db.VerifyStream(ctx, 0, projector.Stream{Created: created}))
	require.NoError(t, rig.db.VerifyStream(ctx, 0, projector.Stream{Created: created}))
	require.ErrorContains(t, rig.db.VerifyStream(ctx, 0, projector.Stream{Created: created.Add(time.Second)}), "it is another stream")
	e := history(t).Events[0].Event
	require.NoError(t, rig.db.Put(ctx, rig.stream.add(e)))
	held, err := rig.db.Last(ctx)
	require.NoError(t, err)
	require.ErrorContains(t, rig.db.VerifyStream(ctx, held, projector.Stream{Created: created}), "the stream has lost messages")
}

func TestWhatWasAppliedOfAnEventMovesToItsEarlierSequenceAlsoWhereThatIsKnown(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		rig := populated(t)
		messages := rig.stream.add(moved(1, someone, 0), moved(1, someone, 0))
		if lost {
			require.NoError(t, rig.db.Put(ctx, messages[:1]))
			rig.reconcile(t)
			rig.exec(t, "delete from projection.event")
		}
		require.NoError(t, rig.db.Put(ctx, messages[1:]))
		rig.reconcile(t)
		require.NoError(t, rig.db.Put(ctx, messages[:1]))
		require.Equal(t, []int64{1}, rig.ids(t, "select sequence from projection.applied"))
		require.Equal(t, []int64{1}, rig.ids(t, "select sequence from projection.event"))
		require.Equal(t, []int64{2}, rig.ids(t, "select sequence from projection.other_sequence"))
	}
}

// Catches a count of messages without an event that has events in it, or what comes after a gap.
func TestTheInboxSaysWhatItHasOfARangeOfTheStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.begin(t, nil)
	h := history(t)
	first, second := h.Events[0].Event, h.Events[1].Event
	r.put(t, first, first, second) // 1, 2, 3
	lost := r.stream.add(first)    // 4
	r.put(t, second, second)       // 5, 6
	require.Len(t, lost, 1)
	for _, c := range []struct {
		after, to uint64
		want      freshness.Recorded
	}{
		{0, 3, freshness.Recorded{Others: 1, Last: 6}},
		{0, 6, freshness.Recorded{Gap: 4, Others: 1, Last: 6}},
		{4, 6, freshness.Recorded{Others: 2, Last: 6}},
		{4, 9, freshness.Recorded{Gap: 7, Others: 2, Last: 6}},
		{2, 2, freshness.Recorded{Last: 6}},
	} {
		is, err := r.db.Lacks(ctx, c.after, c.to)
		require.NoError(t, err)
		require.Equal(t, c.want, is, "after %d up to %d", c.after, c.to)
	}
}
