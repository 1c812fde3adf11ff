package delius_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"casdelius/projector/delius"
	"casdelius/store"
)

func TestAdoptedContactKeepsEveryWordAndShowsWhatIsNew(t *testing.T) {
	t.Parallel()
	b1, u2, u3 := cancels(1, "01-01", "one"), recancels(1, "01-02", "two"), recancels(1, "01-03", "three")
	for name, test := range map[string]struct {
		row    string
		events []store.Event
		want   string
	}{
		"all there":          {"one\ntwo", []store.Event{b1, u2}, "one\ntwo"},
		"all there and more": {"one\nby hand\ntwo", []store.Event{b1, u2}, "one\nby hand\ntwo"},
		"the update is new":  {"one", []store.Event{b1, u2}, "one\ntwo"},
		"the update is new beside what a person put": {"by\none\nhand", []store.Event{b1, u2}, "by\none\ntwo\nhand"},
		"one between is new":                         {"one\nthree", []store.Event{b1, u2, u3}, "one\ntwo\nthree"},
		"the base event came before the stream":      {"before", []store.Event{u2}, "before\ntwo"},
		"and so did its first update":                {"before\ntwo", []store.Event{u2, u3}, "before\ntwo\nthree"},
		"nothing of it is there":                     {"by hand", []store.Event{b1, u2}, "by hand\none\ntwo"},
		"nothing is there":                           {"", []store.Event{b1, u2}, "one\ntwo"},
		"a base event raised again replaces":         {"one\nby hand", []store.Event{b1, cancels(1, "01-02", "again")}, "again\nby hand"},
		"it replaces what had been appended too":     {"one\ntwo", []store.Event{b1, u2, cancels(1, "01-03", "again")}, "again"},
		"two that replaced one another, both new": {
			"one", []store.Event{b1, cancels(1, "01-02", "again"), cancels(1, "01-03", "and again")}, "and again",
		},
		"a line is used once": {"same", []store.Event{cancels(1, "01-01", "same"), recancels(1, "01-02", "same")}, "same\nsame"},
		"both lines are there": {
			"same\nsame", []store.Event{cancels(1, "01-01", "same"), recancels(1, "01-02", "same")}, "same\nsame",
		},
		"lines need not stand together":   {"a\nby hand\nb", []store.Event{cancels(1, "01-01", "a\n\nb")}, "a\nby hand\nb"},
		"but they stand in their order":   {"b\na", []store.Event{cancels(1, "01-01", "a\nb")}, "b\na\na\nb"},
		"whole lines only":                {"one more", []store.Event{b1}, "one more\none"},
		"white space at line ends aside":  {"one \t\r\ntwo\r\n\r\n", []store.Event{b1, u2}, "one \t\r\ntwo\r\n\r\n"},
		"an event without a text":         {"by hand", []store.Event{cancels(1, "01-01", "")}, "by hand"},
		"one without a text, one that is": {"one", []store.Event{b1, recancels(1, "01-02", " ")}, "one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			row := s.write("EACA", 1, test.row)
			s.look(test.events...)
			assert.Same(t, row, s.the("EACA"))
			assert.Equal(t, test.want, row.Notes)

			s.dropLedger()
			assert.Empty(t, s.look().Changes, "a lost ledger changes nothing")
		})
	}
}

func TestAdoptedStatusShowsTheLatest(t *testing.T) {
	t.Parallel()
	old := setup(t)
	old.look(updatesStatus("01-01", "A"))
	text := old.the("EACC").Notes
	s := setup(t)
	row := s.write("EACC", 1, text+"\nby hand")
	row.Description = "CAS2 Referral Updated - A"
	s.look(updatesStatus("01-01", "A"), updatesStatus("01-02", "B"), updatesStatus("01-03", "C"))
	assert.Contains(t, row.Notes, "updated to: C\n")
	assert.NotContains(t, row.Notes, "updated to: A")
	assert.Contains(t, row.Notes, "\nby hand")
	assert.Equal(t, "CAS2 Referral Updated - C", row.Description)
	assert.Empty(t, s.conflicts, "what stood there was what the events had said before")
}

func TestAdoptedUpdatesOfAnArrivalSayThatTheyAreUpdates(t *testing.T) {
	t.Parallel()
	first := "Arrival date: 01/01/2024\nArrival address: 1 Long Lane LS1 2AB Leeds"
	second := "Arrival date: 03/01/2024\nArrival address: 9 Mill Road BD3 4CD Bradford"
	u := rearrives(1, "01-02", "01-03", mill)
	t.Run("base event in the stream", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		row := s.write("EAAR", 1, first)
		s.look(arrives(1, "01-01", "01-01", house), u)
		assert.Equal(t, first+"\nAddress details were updated: 02/01/2024 12:00:00\n"+second, row.Notes)
	})
	t.Run("base event before the stream: the first update is plain", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		row := s.write("EAAR", 1, first)
		s.look(u)
		assert.Equal(t, first+"\n"+second, row.Notes)
		s.look(arrives(1, "01-01", "01-01", house))
		assert.Equal(t, first+"\nAddress details were updated: 02/01/2024 12:00:00\n"+second, row.Notes,
			"the same as if the base event had come first")
	})
}

func TestWhatAnAdoptedContactSaysOtherwiseStands(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.write("EACA", 1, "one")
	row.Start = at("2024-01-01T15:00:00Z")
	row.Description = "by hand"
	out := s.look(cancels(1, "01-01", "one"))
	assert.Empty(t, out.Changes)
	assert.Equal(t, 1, noticed(out, delius.AdoptedDiffers))
	assert.Equal(t, []string{"description: by hand -> ", "start: 2024-01-01 15:00:00 -> 2024-01-01 12:00:00"}, differing(out))
	assert.Zero(t, noticed(s.look(), delius.AdoptedDiffers), "it is told once")

	s.look(recancels(1, "01-02", "two"))
	assert.Equal(t, at("2024-01-02T12:00:00Z"), row.Start)
	assert.Equal(t, "by hand", row.Description)
	assert.Equal(t, []string{"start: 2024-01-01 15:00:00"}, s.replaced())
}

func TestAdoptedContactOfNewEventsAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.write("EACA", 1, "by hand")
	out := s.look(cancels(1, "01-05", "one"))
	assert.Equal(t, []string{"update EACA: officer, notes, start"}, told(out))
	assert.Equal(t, "N03/N03HPT/N03A001", row.Posting.String(), "who stood there was applied by nobody")
	assert.Equal(t, []string{"start: 2024-01-01 12:00:00"}, s.replaced())
}

func TestAdoptedContactIsNotLookedUpWhileItsOfficerStands(t *testing.T) {
	t.Parallel()
	nobody := fields{"staffCode": "N03X999", "probationRegionCode": "N99"}
	s := setup(t)
	s.refs, s.managers = delius.References{}, nil
	row := s.write("EACA", 1, "one")
	stood := row.Posting
	s.look(daily(store.BookingCancelled, 1, "01-01", fields{"notes": "one", "cancelledBy": nobody}))
	s.look(recancels(1, "01-02", "two"))
	assert.Equal(t, "one\ntwo", row.Notes)
	assert.Equal(t, stood, row.Posting)
}

func TestOfficerOfABaselessAdoptedContactStands(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.write("EACA", 1, "before")
	stood := row.Posting
	s.look(recancels(1, "01-02", "two"))
	s.look(recancels(1, "01-01", "one"))
	assert.Equal(t, stood, row.Posting)

	s.look(cancels(1, "01-01", "base"))
	assert.Equal(t, "N03/N03HPT/N03A001", row.Posting.String(), "the base event names the officer")
	assert.Equal(t, []string{"start: 2024-01-01 12:00:00"}, s.replaced(), "no officer is replaced")
	assert.Contains(t, row.Notes, "before")
}

func TestBaselessContactThatIsInsertedHasTheOfficerOfItsEarliestUpdate(t *testing.T) {
	t.Parallel()
	s := setup(t)
	by := func(emitted string, who any) store.Event {
		return daily(store.BookingCancelledUpdated, 1, emitted, fields{"notes": emitted, "cancelledBy": who})
	}
	s.look(by("01-03", nil))
	assert.Equal(t, "N07/N07T01/N07M001", s.the("EACA").Posting.String())
	s.look(by("01-02", ann))
	assert.Equal(t, "N03/N03HPT/N03A001", s.the("EACA").Posting.String())
	s.look(cancels(1, "01-01", "01-01"))
	assert.Equal(t, "01-01\n01-02\n01-03", s.the("EACA").Notes)
	assert.Empty(t, s.conflicts)
}

func TestDeletedContactIsAdoptedAsDeleted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	row := s.write("EACA", 1, "one")
	row.Deleted = true
	assert.Empty(t, s.look(cancels(1, "01-01", "one")).Changes)
	assert.True(t, row.Deleted)
	s.look(recancels(1, "01-02", "two"))
	assert.False(t, row.Deleted)
	assert.Equal(t, "one\ntwo", row.Notes)

	s = setup(t)
	row = s.write("EACA", 1, "one")
	row.Deleted = true
	s.look(cancels(1, "01-01", "one"), recancels(1, "01-02", "two"))
	assert.False(t, row.Deleted, "an event that is new to it brings it back at once")
}

func TestLostLedgerChangesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(
		arrives(1, "01-01", "01-01", house), rearrives(1, "01-02", "01-02", house), departs(1, "01-09", "01-09"), cancels(1, "01-10", ""),
		arrives(2, "02-01", "02-01", mill), updatesStatus("01-01", "A"), updatesStatus("01-02", "B"),
		daily(store.ReferralSubmitted, 3, "01-01", fields{}),
	)
	before := s.shown()
	s.dropLedger()
	out := s.look()
	assert.Empty(t, out.Changes)
	assert.Zero(t, noticed(out, delius.AdoptedDiffers))
	assert.Equal(t, before, s.shown())

	s.look(departs(2, "03-01", "03-01"))
	assert.Equal(t, []string{"P 2024-01-02..2024-01-09", "P 2024-02-01..2024-03-01"}, s.homes())
}
