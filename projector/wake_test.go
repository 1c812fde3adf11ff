package projector_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/verify"
	"casdelius/store"
)

// wakeUp is a person event that names people.
func wakeUp(crns []store.CRN, noms ...store.NOMS) *store.PersonEvent {
	return &store.PersonEvent{Type: store.MergeCompleted, ID: uuid.NewString(), CRNs: crns, NOMS: noms, Body: []byte("{}")}
}

// addPerson appends a person event and returns it as stored.
func (s *stream) addPerson(e *store.PersonEvent) []store.Stored {
	messages := s.add(store.Event{})
	messages[0].Person = e
	return messages
}

// patient is a projector on which nothing happens by itself for an hour: neither a sweep, nor
// a search, nor the retry of what is parked.
func patient(t *testing.T) (*rig, projector.Config) {
	t.Helper()
	r := newRig(t)
	var err error
	r.db, err = postgres.New(ctx, r.delius.Projector, postgres.Config{RetryMin: time.Hour, RetryMax: time.Hour})
	require.NoError(t, err)
	r.begin(t, nil)
	return r, projector.Config{
		Sweep: time.Hour, Search: time.Hour, Retry: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Registry: prometheus.NewRegistry(),
	}
}

// runsWith runs a projector until the test ends.
func (r *rig) runsWith(t *testing.T, log projector.Log, config projector.Config) {
	t.Helper()
	p, err := projector.New(log, r.db.Ports(), config)
	require.NoError(t, err)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// due lists the numbers of the bookings that are due.
func (r *rig) due(t require.TestingT) []int64 {
	return r.ids(t, "select distinct get_byte(uuid_send(referral), 15)::bigint from projection.due order by 1")
}

// by is an event of booking n that names a person so.
func by(n byte, crn store.CRN, noms store.NOMS) store.Event {
	e := moved(n, crn, 0)
	e.NOMS = noms
	return e
}

// It catches a look-up by the names alone, in one direction alone, of live offenders alone, or
// of whom Delius knows alone; marks that only one of the three ways into the inbox sets; and
// one that leaves no sequence behind.
func TestAPersonEventMarksEveryReferralThatNamesItsPeople(t *testing.T) {
	t.Parallel()
	const someoneNOMS, nobodys store.NOMS = "A1111AA", "A9999AA"
	for name, test := range map[string]struct {
		event *store.PersonEvent
		marks []int64
	}{
		"by a CRN, and the number that its offender has": {wakeUp([]store.CRN{someone}), []int64{1, 2}},
		"by a number, and the CRN that its offender has": {wakeUp(nil, someoneNOMS), []int64{1, 2}},
		"of two people":                       {wakeUp([]store.CRN{someone, another}), []int64{1, 2, 3}},
		"whom Delius does not know by number": {wakeUp(nil, nobodys), []int64{4}},
		"whom Delius does not know by CRN":    {wakeUp([]store.CRN{"Z999999"}), []int64{5}},
		"whom no event names":                 {wakeUp([]store.CRN{"Z000000"}, "Z0000ZZ"), []int64{}},
	} {
		for _, deleted := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, soft-deleted %d", name, deleted), func(t *testing.T) {
				t.Parallel()
				rig := populated(t)
				rig.exec(t, "update delius.offender set noms_number = case crn when $1::text then $2::text end, soft_deleted = $3", someone, someoneNOMS, deleted)
				rig.put(t, by(1, someone, ""), by(2, "", someoneNOMS), by(3, another, ""), by(4, "", nobodys), by(5, "Z999999", nobodys))
				identities := rig.ids(t, "select count(*) from projection.identity")
				for _, way := range []func(context.Context, []store.Stored) error{rig.db.Put, rig.db.Load, rig.db.Restore} {
					rig.exec(t, "delete from projection.due")
					message := rig.stream.addPerson(test.event)
					require.NoError(t, way(ctx, message))
					want := test.marks
					if name == "whom Delius does not know by number" {
						want = []int64{4, 5}
					}
					require.Equal(t, want, rig.due(t))
					sequence := []int64{int64(message[0].Sequence)}
					require.Equal(t, sequence, rig.ids(t, "select max(sequence) from projection.other_sequence where not unreadable"))
					require.NoError(t, way(ctx, message), "it comes again")
					require.Equal(t, want, rig.due(t))
				}
				woken, err := rig.db.Woken(ctx, []*store.PersonEvent{test.event})
				require.NoError(t, err)
				require.Len(t, woken, len(rig.due(t)), "the lanes are told of whom the inbox has marked")
				require.Len(t, rig.ids(t, "select sequence from projection.event"), 5)
				require.Equal(t, identities, rig.ids(t, "select count(*) from projection.identity"), "nobody is named by it")
			})
		}
	}
}

// It catches an inbox in which a person event takes the place of an event, or has no place.
func TestEverySequenceIsRecordedInWhateverOrderAndBatchesPersonEventsCome(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		rig.begin(r, nil)
		first := map[store.Key]int64{} // of each event, its lowest sequence
		for i := range rapid.IntRange(1, 12).Draw(r, "messages") {
			switch rapid.SampledFrom([]string{"event", "person event", "unreadable"}).Draw(r, "what") {
			case "event":
				message := rig.stream.add(moved(byte(rapid.IntRange(1, 3).Draw(r, "booking")), someone, 0))[0]
				if _, there := first[message.Key()]; !there {
					first[message.Key()] = int64(i + 1)
				}
			case "person event":
				rig.stream.addPerson(wakeUp([]store.CRN{someone}))
			default:
				rig.stream.add(store.Event{})[0].Err = errors.New("no event of ours")
			}
		}
		order := rapid.Permutation(rig.stream.messages).Draw(r, "order")
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(r, "batch")
			way := rapid.SampledFrom([]func(context.Context, []store.Stored) error{rig.db.Put, rig.db.Load}).Draw(r, "way")
			for range rapid.IntRange(1, 2).Draw(r, "times") {
				require.NoError(r, way(ctx, order[:n]))
			}
			order = order[n:]
		}
		require.ElementsMatch(r, slices.Collect(maps.Values(first)), rig.ids(r, "select sequence from projection.event"))
		gaps, err := rig.db.Missing(ctx, uint64(len(rig.stream.messages)))
		require.NoError(r, err)
		require.Empty(r, gaps)
		rig.reconcile(r)
		_, damaged, _ := rig.verify(r, false)
		require.Empty(r, damaged)
	})
}

// It catches a wake-up that only marks, and waits for the sweep; and a projector that counts
// it as an event.
func TestAPersonEventHealsWhatIsParkedAtOnce(t *testing.T) {
	t.Parallel()
	rig, config := patient(t)
	rig.put(t, by(1, "", "A1111AA"))
	rig.reconcile(t)
	require.Len(t, rig.parked(t), 1)
	require.NoError(t, rig.delius.AddPeople(ctx, []postgrestest.Person{{CRN: someone, NOMS: "A1111AA", Manager: manager}}))

	message := rig.stream.addPerson(wakeUp([]store.CRN{someone}))
	log := &quiet{stream: rig.stream, replay: slices.Concat(message, message), acked: make(chan struct{}, 1)}
	// The inbox has the sequence, as after a crash before the acknowledgement: it was redelivered.
	require.NoError(t, rig.db.Put(ctx, message))
	rig.exec(t, "delete from projection.due")
	rig.runsWith(t, log, config)
	<-log.acked
	require.Empty(t, rig.parked(t))
	contacts, addresses := rig.live(t)
	require.Len(t, contacts, 1)
	require.Len(t, addresses, 1)
	require.Empty(t, rig.due(t))
	require.Equal(t, map[string]float64{"canary": 0, "damaged": 0, "event": 0, "person-event": 2, "unreadable": 0}, counts(t, config.Registry.(*prometheus.Registry), "projector_messages_total"))
	require.Equal(t, map[string]float64{"": 1}, counts(t, config.Registry.(*prometheus.Registry), "projector_woken_referrals_total"))
	require.Equal(t, map[string]float64{"": 0}, counts(t, config.Registry.(*prometheus.Registry), "projector_unreadable_total"))
}

// counts reads a counter, by its label.
func counts(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			if len(m.GetLabel()) > 0 {
				label = m.GetLabel()[0].GetValue()
			}
			out[label] = m.GetCounter().GetValue()
		}
	}
	return out
}

// It catches a search for gaps that takes a person event for nothing, and one that fills the
// gap without waking anybody: the wake-up would be lost.
func TestALostPersonEventIsFoundBySearchAndWakesThen(t *testing.T) {
	t.Parallel()
	rig, config := patient(t)
	rig.put(t, by(1, "", "A1111AA"))
	rig.reconcile(t)
	require.Len(t, rig.parked(t), 1)
	rig.stream.addPerson(wakeUp([]store.CRN{someone}))
	require.NoError(t, rig.delius.AddPeople(ctx, []postgrestest.Person{{CRN: someone, NOMS: "A1111AA", Manager: manager}}))
	config.Sweep = time.Millisecond // which takes who is due; what is parked waits for an hour
	rig.runsWith(t, &quiet{stream: rig.stream}, config)
	require.Eventually(t, func() bool { return len(rig.parked(t)) == 0 && rig.whole(t) }, time.Minute, time.Millisecond)
	require.Equal(t, []int64{2}, rig.ids(t, "select sequence from projection.other_sequence"))
}

// It catches a verification that does not miss the note of a person event, that takes its note
// for that of a duplicate whose event is lost, that lets an event stand in its place, and one
// that repairs it without waking anybody.
func TestVerifyFindsAndRestoresALostPersonEvent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage  string
		problem verify.Problem
	}{
		"lost":                  {"delete from projection.other_sequence", verify.Missing},
		"replaced by an event":  {"with o as (delete from projection.other_sequence) update projection.event set sequence = 2 where sequence = 3", verify.Altered},
		"noted as unreadable":   {"update projection.other_sequence set unreadable = true", ""}, // by an older version
		"noted as it has to be": {"select 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := populated(t)
			rig.put(t, moved(1, someone, 0))
			event := wakeUp([]store.CRN{"Z999999", someone})
			require.NoError(t, rig.db.Put(ctx, rig.stream.addPerson(event)))
			rig.put(t, moved(2, another, 0))
			rig.reconcile(t)
			before := rig.rows(t)
			rig.exec(t, test.damage)
			_, damaged, _ := rig.verify(t, true)
			at := slices.IndexFunc(damaged, func(f verify.Finding) bool { return f.Sequence == 2 })
			if test.problem == "" {
				require.Empty(t, damaged)
				return
			}
			require.GreaterOrEqual(t, at, 0)
			require.Equal(t, test.problem, damaged[at].Problem)
			require.Equal(t, event.Key(), damaged[at].Person)
			if test.problem == verify.Altered {
				stood := store.Key{Type: store.PersonArrived, Referral: booking(2), ID: "first"}
				require.Equal(t, []verify.Difference{{Field: "event", Was: event.Key().String(), Is: stood.String()}}, damaged[at].Differences)
			}
			_, damaged, _ = rig.verify(t, false)
			require.Empty(t, damaged)
			require.Equal(t, []int64{2}, rig.ids(t, "select sequence from projection.other_sequence"))
			require.Contains(t, rig.due(t), int64(1), "it wakes once it is restored")
			rig.reconcile(t)
			require.Equal(t, before, rig.rows(t))
		})
	}
}

// It catches a verification of one person that passes over what names them second.
func TestVerifyOfAPersonFindsALostPersonEventThatNamesThem(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0), moved(2, another, 0))
	rig.reconcile(t)
	rig.stream.addPerson(wakeUp([]store.CRN{"Z999999", someone}))
	for crn, lost := range map[store.CRN]int{someone: 1, another: 0} {
		verdict, err := rig.Verify(ctx, verify.Verification{Selection: projector.Selection{CRNs: []store.CRN{crn}}, Grace: time.Nanosecond})
		require.NoError(t, err)
		require.Equal(t, lost, verdict.Damaged, crn)
	}
}

// It catches a rebuild that stumbles over person events, counts them as lacking for ever, or
// leaves whom they woke due.
func TestARebuildTakesPersonEventsIn(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	for n := byte(1); n <= 5; n++ {
		rig.stream.addPerson(wakeUp([]store.CRN{someone, another}))
		rig.stream.add(moved(n, someone, 0))
		rig.twin.Store(moved(n, someone, 0))
		rig.stream.addPerson(wakeUp([]store.CRN{someone}))
	}
	tally, err := rig.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Equal(t, 15, tally.Messages)
	require.Empty(t, rig.due(t))
	contacts, _ := rig.live(t)
	require.Len(t, contacts, 5)
	again, err := rig.Rebuild(ctx, projector.Rebuild{})
	require.NoError(t, err)
	require.Zero(t, again.Messages)
	require.Zero(t, again.Rows)
	_, damaged, _ := rig.verify(t, false)
	require.Empty(t, damaged)
}
