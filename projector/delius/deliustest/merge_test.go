package deliustest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

// cancelled is a base event, recancelled an .updated, with these notes; the id is the
// day on which it was raised.
func cancelled(day, notes string) store.Event {
	return event(store.BookingCancelled, 1, day, "2024-01-"+day+"T12:00:00Z", fields{"notes": notes, "cancelledBy": officer})
}

func recancelled(day, notes string) store.Event {
	return event(store.BookingCancelledUpdated, 1, day, "2024-01-"+day+"T12:00:00Z", fields{"notes": notes, "cancelledBy": officer})
}

func TestNotesAreMergedWithWhatAPractitionerMadeOfThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first       store.Event
		edit        string
		next        store.Event
		want        string
		wantVersion int // 1 is the practitioner's own; a later event moves the time in any case
	}{
		"left alone when no event changes them":            {cancelled("02", "a"), "mine", cancelled("01", "older"), "mine", 1},
		"only the ledger moves when they are right":        {cancelled("02", "a"), "b \r\n", cancelled("03", "b"), "b \r\n", 2},
		"trailing space is no edit":                        {cancelled("02", "a"), "a \r\n\r\n", cancelled("03", "b"), "b", 2},
		"applied lines are replaced where they stand":      {cancelled("02", "a\nb"), "top \na\nb\r\na\nb", cancelled("03", "c"), "top\nc\na\nb", 2},
		"applied lines go when nothing is desired":         {cancelled("02", "a"), "top\na\nend", cancelled("03", ""), "top\nend", 2},
		"parts of lines are not replaced":                  {cancelled("02", "a"), "aa", cancelled("03", "b"), "aa\nb", 2},
		"only the rest is appended where the text is gone": {cancelled("02", "a"), "mine", recancelled("03", "b"), "mine\nb", 2},
		"all is appended to an empty text":                 {cancelled("02", "a"), "", cancelled("03", "b"), "b", 2},
		"all is appended where nothing was applied":        {cancelled("02", ""), "mine", cancelled("03", "b"), "mine\nb", 2},
		"nothing is appended where nothing is desired":     {cancelled("02", "a"), "mine", cancelled("03", ""), "mine", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).store(test.first)
			b.contact().Notes = test.edit
			b.edited(b.contact())
			b.store(test.next).settled()
			assert.Equal(t, test.want, b.contact().Notes)
			assert.Equal(t, test.wantVersion, b.contact().Version)
			assert.Empty(t, b.Conflicts())
		})
	}
}

func TestTimesAndDescriptionsAreReplacedWithAConflict(t *testing.T) {
	t.Parallel()
	described := func(id, emitted, label string) store.Event {
		return event(store.ApplicationStatusUpdated, 1, id, emitted, status.with(fields{
			"newStatus": fields{"label": label}, "updatedAt": emitted,
		}))
	}
	b := setup(t).store(described("a", "2024-01-02T12:00:00Z", "One"))
	row := b.contact()
	row.Description, row.Start = "Mine", row.Start.Add(time.Hour)
	b.edited(row)
	b.store(described("b", "2024-01-01T12:00:00Z", "Older")).settled()
	assert.Equal(t, "Mine", row.Description)
	assert.Empty(t, b.Conflicts())

	b.store(described("c", "2024-01-03T12:00:00.000001Z", "Three")).settled()
	assert.Equal(t, "CAS2 Referral Updated - Three", row.Description)
	assert.Equal(t, on("01-03"), row.Date)
	assert.Equal(t, []deliustest.Conflict{
		{Subject: row.URN, Field: "description", Replaced: "Mine"},
		{Subject: row.URN, Field: "at", Replaced: "2024-01-02 2024-01-02T13:00:00Z"},
	}, b.Conflicts())

	row.Start = row.Start.Add(time.Nanosecond)
	b.edited(row)
	b.store(described("d", "2024-01-04T12:00:00Z", "Four"))
	assert.Len(t, b.Conflicts(), 2, "less than a microsecond is no edit")
}

func TestOfficerIsReplacedWithAConflict(t *testing.T) {
	t.Parallel()
	by := func(day, staff string) store.Event {
		return event(store.BookingCancelled, 1, day, "2024-01-"+day+"T12:00:00Z", fields{
			"cancelledBy": fields{"staffCode": staff, "probationRegionCode": "N03"},
		})
	}
	b := setup(t).store(by("01", "N03A001"))
	row := b.contact()
	row.Staff = "N03X"
	b.edited(row)
	b.store(by("02", "N03A001"))
	assert.Equal(t, "N03X", row.Staff)
	b.store(by("03", "N07A001")).settled()
	assert.Equal(t, "N07A001", row.Staff)
	assert.Equal(t, []deliustest.Conflict{{Subject: row.URN, Field: "officer", Replaced: "N03/N03HPT/N03X"}}, b.Conflicts())

	row.Staff = "N03A001"
	b.edited(row)
	b.store(by("04", "N03A001")).settled()
	assert.Len(t, b.Conflicts(), 1, "it was right already")
}

func TestParkedContactIsNotWrittenAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t).store(cancelled("01", "a"))
	b.store(event(store.BookingCancelled, 1, "02", "2024-01-02T12:00:00Z", fields{
		"notes": "b", "cancelledBy": fields{"staffCode": "new", "probationRegionCode": "N03"},
	}))
	assert.Equal(t, "a", b.contact().Notes)
	assert.Equal(t, []string{deliustest.StaffNotFound}, b.causes())
	b.AddStaff(deliustest.Staff{Code: "new"})
	b.project().settled()
	assert.Equal(t, "b", b.contact().Notes)
	assert.Equal(t, "new", b.contact().Staff)
}

func TestDeletedContactReturnsOnlyWhenItsEventsSayMore(t *testing.T) {
	t.Parallel()
	b := setup(t).store(cancelled("02", "a"))
	row := b.contact()
	row.Deleted, row.Notes = true, "a\nmine"
	b.edited(row)
	b.store(cancelled("01", "older")).settled()
	assert.True(t, row.Deleted)
	assert.Equal(t, 1, row.Version)
	b.store(recancelled("03", "b")).settled()
	assert.False(t, row.Deleted)
	assert.Equal(t, "a\nb\nmine", row.Notes)
	assert.Equal(t, 2, row.Version)
}

func TestContactThatIsGoneIsInsertedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t).store(cancelled("02", "a"))
	b.Remove(b.contact())
	b.project().settled()
	assert.Equal(t, int64(2), b.contact().ID)
}

func TestContactThatWasDeletedBeforeItWasGoneReturnsOnlyWhenItsEventsSayMore(t *testing.T) {
	t.Parallel()
	b := setup(t).store(cancelled("02", "a"))
	b.contact().Deleted = true
	b.edited(b.contact())
	b.project().settled()
	b.Remove(b.contact())
	b.project().settled()
	assert.Empty(t, b.Contacts())
	b.store(cancelled("01", "older")).settled()
	assert.Empty(t, b.Contacts())
	b.store(recancelled("03", "b")).settled()
	assert.Equal(t, "a\nb", b.contact().Notes)
}

// found is a row that stood under the URN before the first event.
func (b *bench) found(notes string) *deliustest.Contact {
	return b.InsertContact(deliustest.Contact{
		CRN: crn, URN: "urn:hmpps:cas3:booking-cancelled:" + referral(1).String(), Type: "EACA", Notes: notes,
		Date: on("01-01"), Start: at("2024-01-01T12:00:00Z"), Provider: "N03", Team: "N03HPT", Staff: "N03A001",
		CreatedBy: deliustest.CAS3User,
	})
}

func TestContactIsAdopted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row    string
		events []store.Event
		want   string
	}{
		"as it stands":                              {"a\nmine", []store.Event{cancelled("01", "a")}, "a\nmine"},
		"with a new update":                         {"a\nmine", []store.Event{cancelled("01", "a"), recancelled("02", "b")}, "a\nb\nmine"},
		"with a new base event":                     {"a", []store.Event{cancelled("01", "a"), cancelled("02", "b")}, "b"},
		"with a new base event under a known one":   {"b", []store.Event{cancelled("01", "a"), recancelled("02", "b")}, "a\nb"},
		"with all events new":                       {"mine", []store.Event{cancelled("01", "a"), recancelled("02", "b")}, "mine\na\nb"},
		"while its base event came before cut-over": {"old base", []store.Event{recancelled("02", "b")}, "old base\nb"},
		"each line used once":                       {"a", []store.Event{cancelled("01", "a"), recancelled("02", "a")}, "a\na"},
		"lines found in order, not side by side":    {"x\na\ny\nb", []store.Event{cancelled("01", "a\n\nb")}, "x\na\ny\nb"},
		"lines in another order are not found":      {"b\na", []store.Event{cancelled("01", "a\nb")}, "b\na\na\nb"},
		"a superseded event is not looked for":      {"b", []store.Event{cancelled("01", "a"), cancelled("02", "b")}, "b"},
		"an event without text is never new":        {"mine", []store.Event{cancelled("01", "")}, "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.found(test.row)
			b.store(test.events...).settled()
			assert.Equal(t, test.want, b.contact().Notes)

			b.DropLedger()
			b.project().settled()
			assert.Equal(t, test.want, b.contact().Notes, "adopted again")
		})
	}
}

func TestAdoptedContactKeepsWhatNoNewEventChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row := b.found("a")
	row.Start, row.Description, row.Staff = row.Start.Add(time.Hour), "Mine", "N03X"
	b.store(cancelled("01", "a")).settled()
	assert.Zero(t, row.Version)
	assert.Equal(t, "N03X", row.Staff)

	b.store(recancelled("02", "b")).settled()
	assert.Equal(t, at("2024-01-02T12:00:00Z"), row.Start)
	assert.Equal(t, "Mine", row.Description)
	assert.Equal(t, "N03X", row.Staff)
	assert.Equal(t, []deliustest.Conflict{{Subject: row.URN, Field: "at", Replaced: "2024-01-01 2024-01-01T13:00:00Z"}}, b.Conflicts())
}

func TestOfficerStandsUntilTheBaseEventIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row := b.found("a")
	row.Provider, row.Team, row.Staff = "X", "Y", "Z"
	unknown := recancelled("02", "b")
	unknown.Body = []byte(strings.ReplaceAll(string(unknown.Body), "N03A001", "nobody"))
	b.store(unknown).settled()
	assert.Equal(t, "Z", row.Staff)
	assert.Equal(t, "a\nb", row.Notes)

	b.store(cancelled("01", "a")).settled()
	assert.Equal(t, "Z", row.Staff, "the base event's text stood there: what differs is a person's")
	assert.Equal(t, "a\nb", row.Notes)

	b.store(event(store.BookingCancelled, 1, "01a", "2024-01-01T13:00:00Z", fields{"notes": "a", "cancelledBy": fields{
		"staffCode": "N07A001", "probationRegionCode": "N07",
	}})).settled()
	assert.Equal(t, "N07A001", row.Staff)
	require.Len(t, b.Conflicts(), 2)
	assert.Equal(t, deliustest.Conflict{Subject: row.URN, Field: "officer", Replaced: "X/Y/Z"}, b.Conflicts()[1])
}

func TestNewBaseEventGivesAnAdoptedContactItsOfficer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row := b.found("mine")
	row.Staff = "Z"
	b.store(cancelled("01", "a")).settled()
	assert.Equal(t, "N03A001", row.Staff)
	assert.Empty(t, b.Conflicts())
}

func TestOneOfSeveralRowsUnderOneURNIsOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deleted, first, second := b.found("a"), b.found("a"), b.found("a")
	deleted.Deleted = true
	b.store(cancelled("01", "a"), recancelled("02", "b")).settled()
	assert.Equal(t, []string{"a", "a\nb", "a"}, []string{deleted.Notes, first.Notes, second.Notes})

	first.Deleted = true
	b.edited(first)
	b.store(recancelled("03", "c")).settled()
	assert.Equal(t, "a\nb\nc", first.Notes, "the ledger's row, live or deleted")

	b.Remove(first)
	b.project().settled()
	assert.Equal(t, []string{"a", "a\nb\nc"}, []string{deleted.Notes, second.Notes})
}

func TestDeletedContactIsAdoptedAsDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	row := b.found("a")
	row.Deleted = true
	b.store(cancelled("01", "a")).settled()
	assert.True(t, row.Deleted)
	assert.Zero(t, row.Version)
	b.store(recancelled("02", "b")).settled()
	assert.False(t, row.Deleted)
}
