package delius_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"casdelius/projector/delius"
	"casdelius/store"
)

func TestOwnerIsWhomTheLatestEventsNameAndDeliusKnows(t *testing.T) {
	t.Parallel()
	people := []delius.Offender{
		{ID: 1, CRN: "X000001", NOMS: "A0001AA"},
		{ID: 2, CRN: "X000002", NOMS: "A0002AA"},
		{ID: 3, CRN: "X000003", NOMS: "A0003AA"},
		{ID: 4, CRN: "X000004", NOMS: "A0003AA"},
		{ID: 5, CRN: "X000005", NOMS: "A0005AA", Deleted: true},
		{ID: 6, CRN: "X000006", NOMS: "A0005AA"},
		{ID: 7, CRN: "X000007"},
	}
	type names struct {
		crn  store.CRN
		noms store.NOMS
	}
	for name, test := range map[string]struct {
		events []names // in the order of emission
		owner  int64
		crn    store.CRN
		cause  delius.Cause
		reason string
	}{
		"by CRN":                               {[]names{{"X000001", ""}}, 1, "X000001", "", "the referral's latest CRN X000001"},
		"by the latest CRN":                    {[]names{{"X000001", ""}, {"X000002", ""}}, 2, "X000002", "", "the referral's latest CRN X000002"},
		"an event without one aside":           {[]names{{"X000001", ""}, {"", "A0002AA"}}, 1, "X000001", "", "the referral's latest CRN X000001"},
		"by NOMS number where there is no CRN": {[]names{{"", "A0001AA"}, {"", "A0002AA"}}, 2, "X000002", "", "the referral's latest NOMS number A0002AA"},
		"a CRN that nobody has is not made up for by a number": {
			[]names{{"X999999", "A0001AA"}}, 0, "X999999", delius.PersonNotFound, "nobody in offender has CRN X999999, which the referral's events name",
		},
		"a number that nobody has": {[]names{{"", "A9999AA"}}, 0, "", delius.PersonNotFound, "nobody in offender has NOMS number A9999AA, which the referral's events name"},
		"a number that several have": {
			[]names{{"", "A0003AA"}}, 0, "", delius.PersonAmbiguous, "2 people in offender have NOMS number A0003AA, which the referral's events name",
		},
		"whoever is soft-deleted is nobody":         {[]names{{"X000005", ""}}, 0, "X000005", delius.PersonNotFound, "nobody in offender has CRN X000005, which the referral's events name"},
		"and leaves their number to the other":      {[]names{{"", "A0005AA"}}, 6, "X000006", "", "the referral's latest NOMS number A0005AA"},
		"a person without a number is not everyone": {[]names{{"", ""}}, 0, "", delius.PersonNotFound, "no event of the referral names anybody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var known delius.Offenders
			for _, p := range append(people, people...) {
				known.Add(p)
			}
			var events []*delius.Event
			for i, n := range test.events {
				e := arrives(1, "01-0"+string(rune('1'+i)), "01-01", house)
				e.CRN, e.NOMS = n.crn, n.noms
				events = append([]*delius.Event{stored(e)}, events...) // the order in which they are given is of no account
			}
			unknown := event("accommodation.cas3.assessment.updated", 1, "u", "2025-01-01T12:00:00Z", nil)
			unknown.CRN = "X000007"
			is := delius.Owner(append(events, stored(unknown)), &known)
			assert.Equal(t, test.owner, is.OffenderID)
			assert.Equal(t, test.crn, is.CRN)
			assert.Equal(t, test.cause, is.Cause)
			assert.Equal(t, test.reason, is.Reason)
		})
	}
}
