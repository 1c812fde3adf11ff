package delius_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/store"
)

func TestNotesAreMergedWithWhatAPersonMadeOfThem(t *testing.T) {
	t.Parallel()
	appends, replaces := recancels(1, "01-02", "more"), cancels(1, "01-02", "other")
	empties := cancels(1, "01-02", "")
	for name, test := range map[string]struct {
		first string // the notes that were applied
		row   string // what a person made of them
		next  store.Event
		want  string
	}{
		"untouched, an update appends":               {"text", "text", appends, "text\nmore"},
		"untouched, a base event replaces":           {"text", "text", replaces, "other"},
		"untouched but for white space":              {"text", "text \t\r\n\r\n", appends, "text\nmore"},
		"the person wrote the same":                  {"text", "text\r\nmore ", appends, "text\r\nmore "},
		"added after":                                {"text", "text\nby hand", appends, "text\nmore\nby hand"},
		"added before":                               {"text", "by hand\ntext", appends, "by hand\ntext\nmore"},
		"added around":                               {"text", "by\ntext\nhand", replaces, "by\nother\nhand"},
		"there twice: the first is replaced":         {"text", "text\ntext", replaces, "other\ntext"},
		"there only as a part of a line: appended":   {"text", "a text", replaces, "a text\nother"},
		"part of a line, then whole":                 {"text", "texts\ntext", replaces, "texts\nother"},
		"several lines, all there":                   {"one\ntwo", "0\none\ntwo\n3", replaces, "0\nother\n3"},
		"several lines, torn apart":                  {"one\ntwo", "one\nby hand\ntwo", appends, "one\nby hand\ntwo\nmore"},
		"several lines, torn apart and replaced":     {"one\ntwo", "one\nby hand\ntwo", replaces, "one\nby hand\ntwo\nother"},
		"rewritten: what an update adds is appended": {"text", "by hand", appends, "by hand\nmore"},
		"rewritten: a base event is appended whole":  {"text", "by hand", replaces, "by hand\nother"},
		"emptied: what an update adds":               {"text", "", appends, "more"},
		"emptied: a base event":                      {"text", "", replaces, "other"},
		"nothing is desired any more":                {"text", "text", empties, ""},
		"nothing is desired beside what was added":   {"text", "by\ntext\nhand", empties, "by\nhand"},
		"nothing is desired and it was rewritten":    {"text", "by hand", empties, "by hand"},
		"nothing was applied, nothing there":         {"", "", appends, "more"},
		"nothing was applied":                        {"", "by hand", appends, "by hand\nmore"},
		"the result has no white space at line ends": {"text", "by hand  \r\ntext\t", appends, "by hand\ntext\nmore"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(cancels(1, "01-01", test.first))
			s.the("EACA").Notes = test.row
			s.look(test.next)
			assert.Equal(t, test.want, s.the("EACA").Notes)
			assert.Empty(t, s.conflicts, "notes are never replaced, only merged")
		})
	}
}

// updatesStatus is an event that gives its contact a description.
func updatesStatus(emitted, label string) store.Event {
	return daily(store.ApplicationStatusUpdated, 1, emitted, fields{
		"applicationUrl": "u", "updatedAt": "2024-" + emitted + "T12:00:00Z", "newStatus": fields{"label": label},
	})
}

func TestDescriptionIsMerged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row, next, want string
		replaced        []string
	}{
		"untouched":                        {"CAS2 Referral Updated - A", "B", "CAS2 Referral Updated - B", nil},
		"untouched but for white space":    {"CAS2 Referral Updated - A ", "B", "CAS2 Referral Updated - B", nil},
		"changed by hand, the events do":   {"by hand", "B", "CAS2 Referral Updated - B", []string{"description: by hand"}},
		"changed by hand, the events not":  {"by hand", "A", "by hand", nil},
		"the person wrote the same":        {"CAS2 Referral Updated - B", "B", "CAS2 Referral Updated - B", nil},
		"emptied by hand, the events do":   {"", "B", "CAS2 Referral Updated - B", []string{"description: "}},
		"emptied by hand, the events not":  {"", "A", "", nil},
		"the label goes, its line remains": {"CAS2 Referral Updated - A", "", "CAS2 Referral Updated -", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(updatesStatus("01-01", "A"))
			s.the("EACC").Description = test.row
			s.look(updatesStatus("01-02", test.next))
			assert.Equal(t, test.want, s.the("EACC").Description)
			assert.Equal(t, test.replaced, s.replaced())
		})
	}
}

func TestDateAndStartTimeAreOneFieldThatIsMerged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit     func(*contact)
		day      string // of arrival, by the next event
		want     time.Time
		replaced []string
	}{
		"untouched": {func(*contact) {}, "01-03", at("2024-01-03T12:00:00Z"), nil},
		"time changed by hand, the events say the same": {
			func(c *contact) { c.Start = at("2024-01-01T15:00:00Z") }, "01-01", at("2024-01-01T15:00:00Z"), nil,
		},
		"time changed by hand, the events say otherwise": {
			func(c *contact) { c.Start = at("2024-01-01T15:00:00Z") },
			"01-03", at("2024-01-03T12:00:00Z"),
			[]string{"start: 2024-01-01 15:00:00"},
		},
		"date changed by hand": {
			func(c *contact) { c.Date = on("01-02") },
			"01-03", at("2024-01-03T12:00:00Z"),
			[]string{"start: 2024-01-02, 2024-01-01 12:00:00"},
		},
		"time emptied by hand": {
			func(c *contact) { c.Start = time.Time{} }, "01-03", at("2024-01-03T12:00:00Z"), []string{"start: 2024-01-01"},
		},
		"the person set what the events now say": {
			func(c *contact) { c.Date, c.Start = on("01-03"), at("2024-01-03T12:00:00Z") }, "01-03", at("2024-01-03T12:00:00Z"), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(arrives(1, "01-01", "01-01", house))
			test.edit(s.the("EAAR"))
			s.look(rearrives(1, "01-02", test.day, house))
			assert.Equal(t, test.want, s.the("EAAR").Start)
			assert.Equal(t, store.Date(test.want), s.the("EAAR").Date)
			assert.Equal(t, test.replaced, s.replaced())
		})
	}
}

func TestOfficerIsMerged(t *testing.T) {
	t.Parallel()
	byHand := delius.Posting{Provider: "N03", Team: "N03T01", Staff: "N03A005"}
	other := fields{"staffCode": "N07A001", "probationRegionCode": "N07"}
	again := func(who any) store.Event {
		return daily(store.BookingCancelled, 1, "01-02", fields{"cancelledBy": who})
	}
	for name, test := range map[string]struct {
		first    any
		edit     func(*delius.Posting)
		next     store.Event
		want     string
		replaced []string
	}{
		"untouched":                         {ann, func(*delius.Posting) {}, again(other), "N07/N07HPT/N07A001", nil},
		"changed by hand, the events do":    {ann, func(p *delius.Posting) { *p = byHand }, again(other), "N07/N07HPT/N07A001", []string{"officer: N03/N03T01/N03A005"}},
		"changed by hand, the events not":   {ann, func(p *delius.Posting) { *p = byHand }, again(ann), "N03/N03T01/N03A005", nil},
		"an update has no say":              {ann, func(*delius.Posting) {}, daily(store.BookingCancelledUpdated, 1, "01-02", fields{"cancelledBy": other}), "N03/N03HPT/N03A001", nil},
		"only the team changed by hand":     {ann, func(p *delius.Posting) { p.Team = "N03T01" }, again(other), "N07/N07HPT/N07A001", []string{"officer: N03/N03T01/N03A001"}},
		"the person set what events say":    {ann, func(p *delius.Posting) { *p = delius.Posting{Provider: "N07", Team: "N07HPT", Staff: "N07A001"} }, again(other), "N07/N07HPT/N07A001", nil},
		"from a recorder to the manager":    {ann, func(*delius.Posting) {}, again(nil), "N07/N07T01/N07M001", nil},
		"from the manager to a recorder":    {nil, func(*delius.Posting) {}, again(ann), "N03/N03HPT/N03A001", nil},
		"the manager changed by hand":       {nil, func(p *delius.Posting) { *p = byHand }, again(nil), "N03/N03T01/N03A005", nil},
		"the manager by hand, then another": {nil, func(p *delius.Posting) { *p = byHand }, again(ann), "N03/N03HPT/N03A001", []string{"officer: N03/N03T01/N03A005"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(daily(store.BookingCancelled, 1, "01-01", fields{"cancelledBy": test.first}))
			test.edit(&s.the("EACA").Posting)
			s.look(test.next)
			assert.Equal(t, test.want, s.the("EACA").Posting.String())
			assert.Equal(t, test.replaced, s.replaced())
		})
	}
}

func TestANewManagerInDeliusIsNoChangeHere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(daily(store.ReferralSubmitted, 1, "01-01", fields{}))
	s.managers[1] = delius.Posting{Provider: "N03", Team: "N03T01", Staff: "N03M002"}
	assert.Empty(t, s.look().Changes)
	assert.Equal(t, []string{"update EARS: start"}, told(s.look(daily(store.ReferralSubmitted, 1, "01-02", fields{}))))
	assert.Equal(t, "N07/N07T01/N07M001", s.the("EARS").Posting.String())
}

func TestChangesNameTheEventsThatTheyComeFrom(t *testing.T) {
	t.Parallel()
	s := setup(t)
	base, update := cancels(1, "01-01", "text"), recancels(1, "01-02", "more")
	of := func(out delius.Outcome) map[string][]store.Key {
		keys := map[string][]store.Key{}
		require.Len(t, out.Changes, 1)
		for _, f := range out.Changes[0].Why() {
			keys[f.Name] = f.Events
		}
		return keys
	}
	assert.Equal(t, map[string][]store.Key{"notes": {base.Key()}, "start": {base.Key()}, "officer": {base.Key()}}, of(s.look(base)))
	assert.Equal(t, map[string][]store.Key{"notes": {base.Key(), update.Key()}, "start": {update.Key()}}, of(s.look(update)))

	s.the("EACA").Start = s.the("EACA").Start.Add(time.Hour)
	edited := *s.the("EACA")
	later := recancels(1, "01-03", "")
	assert.Equal(t, map[string][]store.Key{"start": {later.Key()}}, of(s.look(later)))
	require.Len(t, s.conflicts, 1)
	assert.Equal(t, delius.Conflict{
		URN: s.the("EACA").URN, Field: "start",
		Replaced: "2024-01-02 13:00:00", With: "2024-01-03 12:00:00", Events: []store.Key{later.Key()},
		Value:    delius.Kept{Date: &edited.Date, Start: &edited.Start},
		EditedBy: edited.ContactRow.UpdatedBy, EditedAt: edited.ContactRow.Updated,
	}, s.conflicts[0], "with what is written back where somebody restores it")
}

func TestDeletedContact(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "text"))
	row := s.the("EACA")
	row.Deleted, row.Notes = true, "text\nby hand"
	assert.Empty(t, s.look(cancels(1, "01-01", "text")).Changes, "a redelivery does not bring it back")
	assert.Empty(t, s.look(arrives(1, "01-02", "01-02", house)).AppliedContacts, "nor does another contact's event")
	assert.True(t, row.Deleted)

	assert.Equal(t, []string{"update EACA: notes, start, deleted"}, told(s.look(recancels(1, "01-03", "more"))))
	assert.False(t, row.Deleted)
	assert.Equal(t, "text\nmore\nby hand", row.Notes)
	assert.Equal(t, []string{"deleted: yes"}, s.replaced(), "the deletion was a person's")
}

func TestDeletedContactReturnsForWhateverFieldChanges(t *testing.T) {
	t.Parallel()
	status := func(emitted string, changes fields) store.Event {
		details := fields{"applicationUrl": "u", "updatedAt": "2024-01-01T12:00:00Z", "newStatus": fields{"label": "A"}}
		return daily(store.ApplicationStatusUpdated, 1, emitted, details.with(changes))
	}
	for name, test := range map[string]struct {
		next store.Event
		want []string
	}{
		"nothing":     {status("01-02", fields{}), nil},
		"notes":       {status("01-02", fields{"applicationUrl": "v"}), []string{"update EACC: notes, deleted"}},
		"description": {status("01-02", fields{"cohort": fields{"longDisplayName": "C"}}), []string{"update EACC: description, deleted"}},
		"start":       {status("01-02", fields{"updatedAt": "2024-01-02T12:00:00Z"}), []string{"update EACC: start, deleted"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(status("01-01", fields{}))
			s.the("EACC").Deleted = true
			assert.Equal(t, test.want, told(s.look(test.next)))
			assert.Equal(t, test.want == nil, s.the("EACC").Deleted)
		})
	}
	t.Run("officer", func(t *testing.T) {
		t.Parallel()
		s := setup(t)
		booked := func(id string, who any) store.Event {
			return event(store.BookingConfirmed, 1, id, "2024-01-01T12:00:00Z", fields{"confirmedBy": who})
		}
		s.look(booked("a", ann))
		s.the("EACO").Deleted = true
		assert.Equal(t, []string{"update EACO: officer, deleted"}, told(s.look(booked("b", nil))))
	})
}

func TestContactThatIsGoneIsInsertedAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "text"))
	delete(s.contacts, s.the("EACA").ID)
	assert.Equal(t, []string{"insert EACA: notes, start, officer"}, told(s.look()))

	delete(s.contacts, s.the("EACA").ID)
	another := s.write("EACA", 1, "text\nby hand")
	assert.Empty(t, s.look().Conflicts)
	assert.Equal(t, another, s.the("EACA"), "another row under the URN is adopted in its place")
	assert.Equal(t, "text\nby hand", another.Notes)
}

func TestContactThatWasDeletedAndLostReturnsAsAConflict(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "text"))
	s.the("EACA").Deleted = true
	s.look()
	delete(s.contacts, s.the("EACA").ID)
	assert.Empty(t, told(s.look()), "it stays away")
	assert.Equal(t, []string{"insert EACA: notes, start, officer"}, told(s.look(recancels(1, "01-03", "more"))))
	assert.Equal(t, []string{"deleted: yes"}, s.replaced())
}

// A version that takes any deleted row for the one that is lost looks at that one the next time,
// and finds it changed.
func TestAnotherDeletedContactIsNotTakenForTheOneThatWasLost(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "text"))
	s.the("EACA").Deleted = true
	s.look()
	lost := s.the("EACA").ID
	s.write("EACA", 1, "another").Deleted = true
	delete(s.contacts, lost)
	assert.Empty(t, told(s.look()), "it stays away, and the second look finds nothing")
	assert.Equal(t, "another", s.the("EACA").Notes)
}

func TestOfSeveralContactsUnderOneURNOneIsOurs(t *testing.T) {
	t.Parallel()
	deleted := func(c *contact) { c.Deleted = true }
	for name, test := range map[string]struct {
		first, second func(*contact)
		ours          int // which is
		reported      int
	}{
		"the lowest number":                            {nil, nil, 0, 1},
		"the live one":                                 {deleted, nil, 1, 0},
		"the lowest of the live":                       {nil, deleted, 0, 0},
		"the lowest of the deleted":                    {deleted, deleted, 0, 0},
		"the right person's, not a deleted of another": {func(c *contact) { c.OffenderID, c.Deleted = 2, true }, nil, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			rows := []*contact{s.write("EACA", 1, "text"), s.write("EACA", 1, "text")}
			for i, change := range []func(*contact){test.first, test.second} {
				if change != nil {
					change(rows[i])
				}
			}
			untouched := *rows[1-test.ours]
			out := s.look(cancels(1, "01-01", "text"))
			assert.Equal(t, test.reported, noticed(out, delius.ContactAlreadyExists))
			s.look(recancels(1, "01-02", "more"))
			assert.Equal(t, "text\nmore", rows[test.ours].Notes)
			assert.Equal(t, untouched, *rows[1-test.ours], "the other is never touched")
		})
	}
}

func TestTheHourThatComesTwiceIsToldByItsZone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	submitted := func(id, emitted, at string) store.Event {
		return event(store.ApplicationSubmitted, 1, id, emitted, fields{"applicationUrl": "u", "submittedAt": at})
	}
	s.look(submitted("a", "2024-10-28T12:00:00Z", "2024-10-27T00:30:00Z"))
	out := s.look(submitted("b", "2024-10-29T12:00:00Z", "2024-10-27T01:30:00Z"))
	f := out.Changes[0].Why()[0]
	assert.Equal(t, []string{"2024-10-27 01:30:00 BST", "2024-10-27 01:30:00 GMT"}, []string{f.From, f.To})
}
