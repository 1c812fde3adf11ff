package delius_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
	"casdelius/store"
)

func TestContactWaitsForItsReferencesAlone(t *testing.T) {
	t.Parallel()
	for cause, test := range map[delius.Cause]struct {
		officer    any
		take, give func(*scene)
	}{
		delius.ContactTypeNotFound: {
			ann,
			func(s *scene) { delete(s.refs.Types, "EACA") },
			func(s *scene) { s.refs.Types["EACA"] = delius.ContactType{ID: 9} },
		},
		delius.ManagerNotFound: {
			nil,
			func(s *scene) { delete(s.managers, 1) },
			func(s *scene) { s.managers[1] = delius.Posting{Provider: "N07"} },
		},
		delius.ProviderNotFound: {
			fields{"staffCode": "nobody", "probationRegionCode": "N99"},
			func(*scene) {},
			func(s *scene) {
				s.refs.Providers["N99"], s.refs.Staff["nobody"] = 99, 99
				s.refs.Teams["N99HPT"] = []delius.Team{{ID: 99, ProviderID: 99}}
			},
		},
		delius.TeamNotFound: {
			fields{"staffCode": "nobody", "probationRegionCode": "N01"},
			func(s *scene) { s.refs.Teams["N01HPT"] = []delius.Team{{ID: 98, ProviderID: s.refs.Providers["N03"]}} },
			func(s *scene) {
				s.refs.Staff["nobody"] = 99
				s.refs.Teams["N01HPT"] = append(s.refs.Teams["N01HPT"], delius.Team{ID: 99, ProviderID: s.refs.Providers["N01"]})
			},
		},
		delius.StaffNotFound: {
			fields{"staffCode": "nobody", "probationRegionCode": "N03"},
			func(*scene) {},
			func(s *scene) { s.refs.Staff["nobody"] = 99 },
		},
	} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			test.take(s)
			out := s.look(
				daily(store.BookingCancelled, 1, "01-01", fields{"notes": "text", "cancelledBy": test.officer}),
				arrives(1, "01-01", "01-01", house),
			)
			require.Len(t, out.Parked, 1)
			parked := out.Parked[0]
			assert.Equal(t, cause, parked.Cause)
			assert.Equal(t, "urn:hmpps:cas3:booking-cancelled:"+referral(1).String(), parked.URN)
			assert.Equal(t, referral(1), parked.Referral)
			assert.NotEmpty(t, parked.Problem)
			assert.True(t, cause.Retried())
			assert.Equal(t, []string{"M 2024-01-01.."}, s.homes(), "the rest of the person goes on")
			s.the("EAAR")

			test.give(s)
			assert.Empty(t, s.look().Parked)
			assert.Equal(t, "text", s.the("EACA").Notes)
		})
	}
}

func TestNoFieldOfAParkedContactIsWritten(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "one"))
	before := s.the("EACA").ContactRow
	nobody := fields{"staffCode": "nobody", "probationRegionCode": "N03"}
	out := s.look(daily(store.BookingCancelled, 1, "01-02", fields{"notes": "two", "cancelledBy": nobody}))
	assert.Equal(t, []delius.Cause{delius.StaffNotFound}, causes(out))
	assert.Empty(t, out.Changes)
	assert.Empty(t, out.AppliedContacts)
	assert.Equal(t, before, s.the("EACA").ContactRow)

	s.refs.Staff["nobody"] = 99
	s.look()
	assert.Equal(t, "two", s.the("EACA").Notes)
	assert.Equal(t, "N03/N03HPT/nobody", s.the("EACA").Posting.String())
}

func TestAnUpdateWithTheSameOfficerNeedsNoReference(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "one"), daily(store.ReferralSubmitted, 2, "01-01", fields{}))
	s.refs, s.managers = delius.References{}, nil
	s.look(recancels(1, "01-02", "two"), daily(store.ReferralSubmitted, 2, "01-02", fields{}))
	assert.Equal(t, "one\ntwo", s.the("EACA").Notes)
	assert.Equal(t, on("01-02"), s.the("EARS").Date)
}

func TestStaffMemberWhoIsNotInTheTeamIsUsedAndReported(t *testing.T) {
	t.Parallel()
	s := setup(t)
	assert.Equal(t, 1, noticed(s.look(cancels(1, "01-01", "")), delius.StaffNotInTeam))
	assert.Equal(t, "N03/N03HPT/N03A001", s.the("EACA").Posting.String())

	s = setup(t)
	s.refs.InTeam[[2]int64{s.refs.Staff["N03A001"], s.refs.Teams["N03HPT"][0].ID}] = true
	assert.Zero(t, noticed(s.look(cancels(1, "01-01", "")), delius.StaffNotInTeam))
}

func TestPersonWhoIsNotFound(t *testing.T) {
	t.Parallel()
	for _, cause := range []delius.Cause{delius.PersonNotFound, delius.PersonAmbiguous} {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			events := []*delius.Event{
				stored(arrives(1, "01-01", "01-01", house)), stored(cancels(1, "01-02", "")),
				stored(event(store.PersonDeparted, 1, "bad", "2024-01-03T12:00:00Z", fields{})),
			}
			out := delius.Diff(delius.Fold(events), delius.Current{Ownership: delius.Ownership{Cause: cause, Reason: "nobody"}}, delius.References{})
			assert.Empty(t, out.Changes)
			assert.Equal(t, []delius.Cause{delius.BadDetail, cause, cause}, causes(out))
			assert.True(t, cause.Retried())
		})
	}
}

func stored(e store.Event) *delius.Event { return delius.Read(&e, 1) }

func TestIdentityIsOfTheLatestEventThatNamesSomebody(t *testing.T) {
	t.Parallel()
	named := func(kind store.Type, emitted string, crn store.CRN, noms store.NOMS) *delius.Event {
		e := daily(kind, 1, emitted, nil) // no usable detail: it counts all the same
		e.CRN, e.NOMS = crn, noms
		return stored(e)
	}
	const base, updated = store.BookingCancelled, store.BookingCancelledUpdated
	for name, test := range map[string]struct {
		events []*delius.Event
		crn    store.CRN
		noms   store.NOMS
	}{
		"nobody":                      {nil, "", ""},
		"no event names anyone":       {[]*delius.Event{named(base, "01-01", "", "")}, "", ""},
		"the latest CRN":              {[]*delius.Event{named(base, "01-02", "X000002", ""), named(base, "01-01", "X000001", "")}, "X000002", ""},
		"the latest that has one":     {[]*delius.Event{named(base, "01-02", "", ""), named(base, "01-01", "X000001", "")}, "X000001", ""},
		"a CRN before a later number": {[]*delius.Event{named(base, "01-01", "X000001", ""), named(base, "01-02", "", "A1234AB")}, "X000001", ""},
		"the latest number":           {[]*delius.Event{named(base, "01-01", "", "A1234AA"), named(base, "01-02", "", "A1234AB")}, "", "A1234AB"},
		"an update after its base":    {[]*delius.Event{named(updated, "01-01", "X000002", ""), named(base, "01-01", "X000001", "")}, "X000002", ""},
		"an unknown type does not count": {
			[]*delius.Event{named(base, "01-01", "X000001", ""), named("accommodation.cas3.assessment.updated", "01-02", "X000002", "")}, "X000001", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				crn, noms := delius.Identity(test.events)
				assert.Equal(t, test.crn, crn)
				assert.Equal(t, test.noms, noms)
				slices.Reverse(test.events)
			}
		})
	}
}

func TestContactOnAnotherPersonWaitsUntilItIsDeletedThere(t *testing.T) {
	t.Parallel()
	for name, ledger := range map[string]bool{"in the ledger": true, "not in the ledger": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			var wrong *contact
			if ledger {
				s.look(cancels(1, "01-01", "text"))
				wrong = s.the("EACA")
			} else {
				wrong = s.write("EACA", 1, "text")
				s.Store(cancels(1, "01-01", "text"))
			}
			wrong.OffenderID = 2
			before := *wrong
			out := s.look(arrives(1, "01-01", "01-01", house))
			assert.Equal(t, []delius.Cause{delius.PersonChanged}, causes(out))
			assert.True(t, delius.PersonChanged.Retried())
			assert.Equal(t, before, *wrong)
			s.the("EAAR")

			wrong.Deleted = true
			assert.Equal(t, []string{"insert EACA: notes, start, officer"}, told(s.look()))
			assert.Len(t, s.contacts, 3)
		})
	}
}

func TestContactOnBothPeopleWaitsToo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.look(cancels(1, "01-01", "text"))
	wrong := s.write("EACA", 1, "text")
	wrong.OffenderID = 2
	assert.Equal(t, []delius.Cause{delius.PersonChanged}, causes(s.look(recancels(1, "01-02", "more"))))
	delete(s.contacts, wrong.ID)
	s.look()
	assert.Equal(t, "text\nmore", s.the("EACA").Notes)
}

func TestAddressOnAnotherPersonWaitsUntilItIsDeletedThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	first, second := arrives(1, "01-01", "01-01", house), arrives(2, "02-01", "02-01", mill)
	s.look(first, second)
	row := *s.address(1) // of the second booking
	require.Equal(t, atMill, row.Lines)
	row.OffenderID = 2
	desired := delius.Fold([]*delius.Event{stored(first), stored(second)})
	have := s.current(1, desired)
	have.Addresses = []delius.AddressRow{have.Addresses[0], row}

	out := delius.Diff(desired, have, s.refs)
	require.Equal(t, []delius.Cause{delius.PersonChanged}, causes(out))
	assert.True(t, out.Parked[0].Address)
	assert.Equal(t, referral(2), out.Parked[0].Referral)
	assert.Equal(t, []string{"update address P 2024-01-01..2024-02-01 -> M 2024-01-01..: status"}, told(out),
		"it claims nothing where it does not stand")

	have.Addresses[1].Deleted = true
	out = delius.Diff(desired, have, s.refs)
	assert.Empty(t, out.Parked)
	assert.Equal(t, []string{"insert address M 2024-02-01..: lines, start, status"}, told(out))
}

func TestDetailThatCannotBeUsedIsListedUntilALaterEventSupersedesIt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	bad := event(store.BookingCancelledUpdated, 1, "bad", "2024-01-02T12:00:00Z", fields{"notes": 7})
	out := s.look(bad)
	assert.Equal(t, []delius.Cause{delius.BadDetail}, causes(out))
	assert.Equal(t, []store.Key{bad.Key()}, out.Parked[0].Events)
	assert.False(t, delius.BadDetail.Retried())
	assert.Empty(t, s.contacts)

	assert.Equal(t, []delius.Cause{delius.BadDetail}, causes(s.look(cancels(1, "01-01", "one"))), "an earlier event is none")
	assert.Equal(t, []delius.Cause{delius.BadDetail}, causes(s.look(arrives(1, "01-03", "01-03", house))), "nor one of another contact")
	assert.Empty(t, causes(s.look(recancels(1, "01-03", "three"))))
	assert.Equal(t, "one\nthree", s.the("EACA").Notes)
}

func TestArrivalWithoutAnAddressIsListedUntilALaterOneHasOne(t *testing.T) {
	t.Parallel()
	s := setup(t)
	nowhere := rearrives(1, "01-02", "01-05", nil)
	out := s.look(arrives(1, "01-01", "01-01", house), nowhere)
	assert.Equal(t, []delius.Cause{delius.BadAddress}, causes(out))
	assert.Equal(t, []store.Key{nowhere.Key()}, out.Parked[0].Events)
	assert.False(t, delius.BadAddress.Retried())
	assert.Equal(t, on("01-05"), s.the("EAAR").Date)
	assert.Equal(t, []string{"M 2024-01-01.."}, s.homes())

	assert.Empty(t, causes(s.look(rearrives(1, "01-03", "01-03", house))))
	assert.Equal(t, []string{"M 2024-01-03.."}, s.homes())
}

func TestNothingIsWrittenFromAHistoryThatLacksEvents(t *testing.T) {
	t.Parallel()
	urn := func(code string, n int) string {
		return delius.Kinds()[slices.IndexFunc(delius.Kinds(), func(k *delius.Kind) bool { return k.Code == code })].URN(referral(n))
	}
	base, update := cancels(1, "01-01", "one"), recancels(1, "01-02", "two")
	arrival, departure := arrives(1, "01-01", "01-01", house), departs(1, "01-05", "01-05")
	stay := "stay of booking " + referral(1).String()
	for name, test := range map[string]struct {
		missing []store.Event
		lost    []string
	}{
		"an update":             {[]store.Event{update}, []string{urn("EACA", 1)}},
		"a base event":          {[]store.Event{base}, []string{urn("EACA", 1)}},
		"a whole contact":       {[]store.Event{base, update}, []string{urn("EACA", 1)}},
		"a departure":           {[]store.Event{departure}, []string{stay, urn("EADP", 1)}},
		"a whole stay":          {[]store.Event{arrival, departure}, []string{stay, urn("EAAR", 1), urn("EADP", 1)}},
		"all but one of a case": {[]store.Event{base, arrival, departure}, []string{stay, urn("EACA", 1), urn("EAAR", 1), urn("EADP", 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.look(base, update, arrival, departure)
			for _, e := range test.missing {
				delete(s.events, e.Key())
			}
			// What would be written if nothing were missing is not written either.
			s.Store(arrives(2, "02-01", "02-01", mill))
			assert.Equal(t, delius.Outcome{Lost: test.lost}, s.diff())
			for _, e := range test.missing {
				s.Store(e)
			}
			s.look()
			assert.Equal(t, []string{"P 2024-01-01..2024-01-05", "M 2024-02-01.."}, s.homes())
		})
	}
}

func TestBookingOfWhichNoEventIsLeftIsLost(t *testing.T) {
	t.Parallel()
	s := setup(t)
	e := arrives(1, "01-01", "01-01", house)
	desired := delius.Fold([]*delius.Event{stored(e)})
	have := s.current(1, desired)
	have.Lost = []string{"stay of booking " + referral(2).String()}
	assert.Equal(t, delius.Outcome{Lost: have.Lost}, delius.Diff(desired, have, s.refs))
}

func TestAnEventThatCannotBeUsedAnyMoreIsNotLost(t *testing.T) {
	t.Parallel()
	s := setup(t)
	base, arrival := cancels(1, "01-01", "one"), arrives(1, "01-01", "01-01", house)
	s.look(base, arrival)
	for _, e := range []store.Event{base, arrival} {
		e.Body = []byte("{}") // an earlier copy of it, found later
		s.events[e.Key()] = delius.Read(&e, 1)
	}
	out := s.look()
	assert.Equal(t, []delius.Cause{delius.BadDetail, delius.BadDetail}, causes(out))
	assert.Empty(t, out.Changes, "what stands, stands")
	assert.Equal(t, "one", s.the("EACA").Notes)
	assert.Equal(t, []string{"M 2024-01-01.."}, s.homes())
}
