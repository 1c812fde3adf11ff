package deliustest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector/delius/deliustest"
	"casdelius/store"
)

const emitted = "2024-07-01T22:30:00Z" // 23:30 in London

var submitted = fields{
	"applicationId": "x", "applicationUrl": "https://cas/1", "submittedAt": "2024-06-30T23:30:00Z",
	"applicationOrigin": "courtBail", "cohort": fields{"code": "hdc", "longDisplayName": "Long HDC"},
}

var status = fields{
	"applicationUrl": "https://cas/1", "updatedAt": "2024-01-31T23:30:00Z",
	"newStatus": fields{
		"name": "moreInfo", "label": "More information requested", "description": "Please answer",
		"statusDetails": []any{fields{"name": "a", "label": "Personal"}, fields{"label": " "}, nil, fields{"label": "Health "}},
	},
}

func TestEveryTypeGivesItsContact(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind    store.Type
		details fields
		want    deliustest.Contact
	}{
		"CAS2 submitted": {
			store.ApplicationSubmitted, submitted,
			deliustest.Contact{
				URN: "urn:hmpps:cas2:application-submitted:", Type: "EACB", Description: "CAS2 Referral Submitted: Long HDC",
				Notes: "Details of the application can be found here: https://cas/1",
				Date:  at("2024-07-01T00:00:00Z"), Start: at("2024-06-30T23:30:00Z"),
			},
		},
		"CAS2 submitted, cohort from the origin": {
			store.ApplicationSubmitted, submitted.with(fields{"cohort": fields{"longDisplayName": " "}}),
			deliustest.Contact{
				URN: "urn:hmpps:cas2:application-submitted:", Type: "EACB", Description: "CAS2 Referral Submitted: Court Bail",
				Notes: "Details of the application can be found here: https://cas/1",
				Date:  at("2024-07-01T00:00:00Z"), Start: at("2024-06-30T23:30:00Z"),
			},
		},
		"CAS2 submitted, no cohort, blank URL": {
			store.ApplicationSubmitted, submitted.with(fields{"cohort": nil, "applicationOrigin": "other", "applicationUrl": ""}),
			deliustest.Contact{
				URN: "urn:hmpps:cas2:application-submitted:", Type: "EACB",
				Notes: "Details of the application can be found here:",
				Date:  at("2024-07-01T00:00:00Z"), Start: at("2024-06-30T23:30:00Z"),
			},
		},
		"CAS2 status": {
			store.ApplicationStatusUpdated, status,
			deliustest.Contact{
				URN: "urn:hmpps:cas2:application-status-updated:", Type: "EACC",
				Description: "CAS2 Referral Updated - More information requested",
				Notes: "Application status was updated to: More information requested\n\nDetails: Please answer\n" +
					"* Personal\n* Health\n\nDetails of the application can be found here: https://cas/1",
				Date: at("2024-01-31T00:00:00Z"), Start: at("2024-01-31T23:30:00Z"),
			},
		},
		"CAS2 status with a cohort and without details": {
			store.ApplicationStatusUpdated,
			status.with(fields{"applicationOrigin": "prisonBail", "newStatus": fields{"label": "Awaiting"}}),
			deliustest.Contact{
				URN: "urn:hmpps:cas2:application-status-updated:", Type: "EACC",
				Description: "CAS2 Prison Bail Referral Updated - Awaiting",
				Notes: "Application status was updated to: Awaiting\n\nDetails:\n\n" +
					"Details of the application can be found here: https://cas/1",
				Date: at("2024-01-31T00:00:00Z"), Start: at("2024-01-31T23:30:00Z"),
			},
		},
		"CAS3 referral": {
			store.ReferralSubmitted,
			fields{},
			deliustest.Contact{URN: "urn:hmpps:cas3:application-submitted:", Type: "EARS"},
		},
		"provisional booking": {
			store.BookingProvisionallyMade,
			fields{"expectedArrivedAt": "2024-07-09T23:30:00Z", "notes": " a\r\nb \n", "bookedBy": officer},
			deliustest.Contact{
				URN: "urn:hmpps:cas3:booking-provisionally-made:", Type: "EABP", Provider: "N03",
				Notes: "Expected arrival date: 10/07/2024\na\nb",
			},
		},
		"confirmed booking without a date, recorded by nobody": {
			store.BookingConfirmed,
			fields{"notes": "", "confirmedBy": fields{"staffCode": " ", "probationRegionCode": "N03"}},
			deliustest.Contact{URN: "urn:hmpps:cas3:booking-confirmed:", Type: "EACO"},
		},
		"cancellation": {
			store.BookingCancelled,
			fields{"cancellationReason": "Recall", "cancellationContext": " ", "notes": "Note", "cancelledAt": 3, "cancelledBy": officer},
			deliustest.Contact{
				URN: "urn:hmpps:cas3:booking-cancelled:", Type: "EACA", Provider: "N03", Notes: "Recall\nNote", Sensitive: true,
			},
		},
		"arrival": {
			store.PersonArrived,
			fields{"arrivedAt": "2024-03-30T10:00:00+01:00", "notes": "Late", "recordedBy": officer, "premises": fields{
				"addressLine1": " 1 Long Lane ", "addressLine2": "", "postcode": "AB1 2CD", "town": nil, "region": "Yorks",
			}},
			deliustest.Contact{
				URN: "urn:hmpps:cas3:person-arrived:", Type: "EAAR", Provider: "N03",
				Notes: "Arrival date: 30/03/2024\nArrival address: 1 Long Lane AB1 2CD Yorks\nLate",
				Date:  at("2024-03-30T00:00:00Z"), Start: at("2024-03-30T09:00:00Z"),
			},
		},
		"arrival without premises": {
			store.PersonArrived,
			fields{"arrivedAt": "2024-03-30T10:00:00Z", "recordedBy": officer},
			deliustest.Contact{
				URN: "urn:hmpps:cas3:person-arrived:", Type: "EAAR", Provider: "N03", Notes: "Arrival date: 30/03/2024",
				Date: at("2024-03-30T00:00:00Z"), Start: at("2024-03-30T10:00:00Z"),
			},
		},
		"departure": {
			store.PersonDeparted,
			fields{"departedAt": "2024-10-27T00:30:00Z", "reason": "Breach", "reasonDetail": "Curfew", "notes": "N", "recordedBy": officer},
			deliustest.Contact{
				URN: "urn:hmpps:cas3:person-departed:", Type: "EADP", Provider: "N03",
				Notes: "Departure date: 27/10/2024\nBreach\nCurfew\nN",
				Date:  at("2024-10-27T00:00:00Z"), Start: at("2024-10-27T00:30:00Z"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).store(event(test.kind, 7, "e", emitted, test.details)).settled()
			test.want.ID, test.want.CRN = 1, crn
			test.want.URN += referral(7).String()
			if test.want.Start.IsZero() {
				test.want.Start, test.want.Date = at(emitted), at("2024-07-01T00:00:00Z")
			}
			test.want.CreatedBy = deliustest.CAS3User
			if test.kind.Service() == store.CAS2 {
				test.want.CreatedBy = deliustest.CAS2User
			}
			test.want.UpdatedBy = test.want.CreatedBy
			if test.want.Provider == "N03" {
				test.want.Team, test.want.Staff = "N03HPT", "N03A001"
			} else {
				test.want.Provider, test.want.Team, test.want.Staff = "N07", "N07T01", "N07M001"
			}
			assert.Equal(t, test.want, *b.Contacts()[0])
			assert.NotContains(t, b.causes(), deliustest.BadDetail)
		})
	}
}

func TestUnusableDetailIsParked(t *testing.T) {
	t.Parallel()
	noStatus := status.with(fields{"newStatus": fields{}})
	for name, e := range map[string]store.Event{
		"no JSON":                     {Type: store.ReferralSubmitted, ID: "e", Referral: referral(1), CRN: crn, Body: []byte(`{"eventDetails":{}`)},
		"more than JSON":              {Type: store.ReferralSubmitted, ID: "e", Referral: referral(1), CRN: crn, Body: []byte(`{"eventDetails":{}}{}`)},
		"not UTF-8":                   {Type: store.ReferralSubmitted, ID: "e", Referral: referral(1), CRN: crn, Body: []byte("{\"eventDetails\":{\"a\":\"\xff\"}}")},
		"null":                        {Type: store.ReferralSubmitted, ID: "e", Referral: referral(1), CRN: crn, Body: []byte(`null`)},
		"details are null":            event(store.ReferralSubmitted, 1, "e", emitted, nil),
		"submittedAt missing":         event(store.ApplicationSubmitted, 1, "e", emitted, submitted.with(fields{"submittedAt": nil})),
		"submittedAt no time":         event(store.ApplicationSubmitted, 1, "e", emitted, submitted.with(fields{"submittedAt": ""})),
		"applicationUrl missing":      event(store.ApplicationSubmitted, 1, "e", emitted, submitted.with(fields{"applicationUrl": nil})),
		"cohort a text":               event(store.ApplicationSubmitted, 1, "e", emitted, submitted.with(fields{"cohort": "x"})),
		"origin a number":             event(store.ApplicationSubmitted, 1, "e", emitted, submitted.with(fields{"applicationOrigin": 1})),
		"label missing":               event(store.ApplicationStatusUpdated, 1, "e", emitted, noStatus),
		"status details an object":    event(store.ApplicationStatusUpdated, 1, "e", emitted, status.with(fields{"newStatus": fields{"label": "x", "statusDetails": fields{}}})),
		"status detail a text":        event(store.ApplicationStatusUpdated, 1, "e", emitted, status.with(fields{"newStatus": fields{"label": "x", "statusDetails": []any{"x"}}})),
		"expected arrival no time":    event(store.BookingConfirmed, 1, "e", emitted, fields{"expectedArrivedAt": "soon"}),
		"recorder a text":             event(store.BookingConfirmed, 1, "e", emitted, fields{"confirmedBy": "N03A001"}),
		"reason a number":             event(store.BookingCancelled, 1, "e", emitted, fields{"cancellationReason": 1}),
		"arrivedAt missing":           event(store.PersonArrived, 1, "e", emitted, fields{"premises": house}),
		"premises a list":             event(store.PersonArrived, 1, "e", emitted, arrival("01-01", nil).with(fields{"premises": []any{}})),
		"departedAt missing":          event(store.PersonDeparted, 1, "e", emitted, fields{"reason": "x"}),
		"departure's postcode number": event(store.PersonDeparted, 1, "e", emitted, departure("01-01").with(fields{"premises": fields{"postcode": 1}})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).store(e)
			assert.Empty(t, b.Contacts())
			assert.Equal(t, []deliustest.Parked{
				{Cause: deliustest.BadDetail, CRN: crn, Referral: referral(1), Subject: "e", Type: e.Type},
			}, b.Parked())
		})
	}
}

func TestUnusableDetailIsListedUntilAUsableEventOfItsContact(t *testing.T) {
	t.Parallel()
	bad := event(store.PersonArrivedUpdated, 1, "b", "2024-01-02T12:00:00Z", nil)
	b := setup(t).store(arrived(1, "01-01", "01-01", house), departed(1, "01-03", "01-03"), bad)
	assert.Equal(t, []string{deliustest.BadDetail}, b.causes())
	b.store(rearrived(1, "01-04", "01-01", house))
	assert.Empty(t, b.causes())
}

func TestTextIsCleaned(t *testing.T) {
	t.Parallel()
	b := setup(t).store(event(store.BookingCancelled, 1, "e", emitted, fields{"notes": "\u00a0a\x00 \rb\r\n\r\nc\t\n"}))
	assert.Equal(t, "a\nb\n\nc", b.contact().Notes)
}

func TestUpdatesAreAppendedInTheOrderInWhichTheyWereRaised(t *testing.T) {
	t.Parallel()
	b := setup(t).store(rearrived(1, "07-03", "01-03", flat))
	assert.Equal(t, "Arrival date: 03/01/2024\nArrival address: Flat 9 9 Mill Road LS9 9LS Yorkshire", b.contact().Notes)

	b.store(rearrived(1, "01-02", "01-02", house))
	first := "Arrival date: 02/01/2024\nArrival address: 1 Long Lane AB1 2CD Leeds Yorkshire"
	second := "Address details were updated: 03/07/2024 13:00:00\n" +
		"Arrival date: 03/01/2024\nArrival address: Flat 9 9 Mill Road LS9 9LS Yorkshire"
	assert.Equal(t, first+"\n"+second, b.contact().Notes)
	assert.Equal(t, at("2024-01-03T12:00:00Z"), b.contact().Start)

	b.store(arrived(1, "01-04", "01-01", house)) // raised twice: what is older adds nothing
	b.store(arrived(1, "01-01", "01-01", flat))
	assert.Equal(t, "Arrival date: 01/01/2024\nArrival address: 1 Long Lane AB1 2CD Leeds Yorkshire\n"+second, b.contact().Notes)
	b.settled()
}

func TestBlankUpdateAppendsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t).store(
		event(store.BookingCancelled, 1, "a", "2024-01-01T12:00:00Z", fields{"cancellationReason": "Recall"}),
		event(store.BookingCancelledUpdated, 1, "b", "2024-01-02T12:00:00Z", fields{}),
		event(store.BookingCancelledUpdated, 1, "c", "2024-01-03T12:00:00Z", fields{"notes": "x"}),
	)
	assert.Equal(t, "Recall\nx", b.contact().Notes)
}

func TestBaseEventComesBeforeUpdatesOfTheSameInstant(t *testing.T) {
	t.Parallel()
	b := setup(t).store(
		event(store.BookingCancelledUpdated, 1, "a", emitted, fields{"notes": "updated"}),
		event(store.BookingCancelled, 1, "b", emitted, fields{"notes": "base"}),
	)
	assert.Equal(t, "base\nupdated", b.contact().Notes)
}

func TestLatestStatusIsShown(t *testing.T) {
	t.Parallel()
	b := setup(t).store(event(store.ApplicationStatusUpdated, 1, "b", "2024-01-02T12:00:00Z", status))
	b.store(event(store.ApplicationStatusUpdated, 1, "a", "2024-01-01T12:00:00Z", status.with(fields{"newStatus": fields{"label": "Old"}})))
	assert.Contains(t, b.contact().Notes, "More information requested")
	assert.Zero(t, b.contact().Version)
	b.store(event(store.ApplicationStatusUpdated, 1, "c", "2024-01-02T12:00:00Z", status.with(fields{"newStatus": fields{"label": "New"}})))
	assert.Equal(t, "CAS2 Referral Updated - New", b.contact().Description)
	assert.Equal(t, 1, b.contact().Version)
	assert.NotContains(t, b.contact().Notes, "More information requested")
}

func TestFirstBodyOfAnEventCounts(t *testing.T) {
	t.Parallel()
	b := setup(t).store(arrived(1, "01-01", "01-01", house))
	b.store(arrived(1, "01-01", "01-05", flat))
	assert.Contains(t, b.contact().Notes, "01/01/2024")
	assert.Zero(t, b.contact().Version)
}

func TestUnknownTypesHaveNoEffect(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := event("accommodation.cas3.assessment.updated", 1, "x", "2025-01-01T00:00:00Z", fields{})
	e.CRN = "A000002"
	b.store(arrived(1, "01-01", "01-01", house), e)
	assert.Equal(t, crn, b.contact().CRN)
	assert.Empty(t, b.Parked())
}

func TestOfficerIsThatOfTheLatestBaseEvent(t *testing.T) {
	t.Parallel()
	in := func(region, staff string) fields { return fields{"probationRegionCode": region, "staffCode": staff} }
	cancelled := func(kind store.Type, id string, who any) store.Event {
		return event(kind, 1, id, "2024-01-0"+id+"T12:00:00Z", fields{"cancelledBy": who})
	}
	b := setup(t).store(cancelled(store.BookingCancelledUpdated, "5", in("N59", "N07A001")))
	assert.Equal(t, "N59N59", b.contact().Team)
	b.store(cancelled(store.BookingCancelledUpdated, "4", in("N58", "N07A001")))
	assert.Equal(t, "N58XXX", b.contact().Team, "the earliest .updated")
	b.store(cancelled(store.BookingCancelled, "1", in(" N07 ", " N07A001 ")))
	assert.Equal(t, "N07HPT", b.contact().Team)
	b.store(cancelled(store.BookingCancelled, "2", nil))
	assert.Equal(t, "N07M001", b.contact().Staff, "from a recorder to the manager")

	b.SetManager(deliustest.Manager{ID: 9, OffenderID: 1, Provider: "N03", Team: "N03HPT", Staff: "N03A001", Active: true})
	b.settled()
	assert.Equal(t, "N07M001", b.contact().Staff, "a later change of manager is none here")
}

func TestMissingReferencesParkTheirContactOnly(t *testing.T) {
	t.Parallel()
	by := func(region, staff any) fields {
		return fields{"cancelledBy": fields{"probationRegionCode": region, "staffCode": staff}}
	}
	for cause, details := range map[string]fields{
		deliustest.ProviderNotFound: by(nil, "nobody"),
		deliustest.TeamNotFound:     by("N01", "nobody"),
		deliustest.StaffNotFound:    by("N03", "n03a001"),
		deliustest.ManagerNotFound:  {},
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.AddProvider("N01")
			b.AddOffender(deliustest.Offender{ID: 3, CRN: "A000003"})
			cancelled := event(store.BookingCancelled, 1, "a", emitted, details)
			arrival := arrived(1, "01-01", "01-01", house)
			cancelled.CRN, arrival.CRN = "A000003", "A000003"
			b.store(cancelled, arrival)
			assert.Equal(t, "EAAR", b.contact().Type)
			require.Len(t, b.Parked(), 1)
			assert.Equal(t, cause, b.Parked()[0].Cause)
			assert.True(t, strings.HasPrefix(b.Parked()[0].Subject, "urn:hmpps:cas3:booking-cancelled:"))

			b.AddTeam(deliustest.Team{Code: "N01HPT", Provider: "N01"})
			b.AddTeam(deliustest.Team{Code: "HPT", Provider: ""})
			b.AddProvider("")
			b.AddStaff(deliustest.Staff{Code: "nobody"})
			b.AddStaff(deliustest.Staff{Code: "n03a001"})
			b.SetManager(deliustest.Manager{ID: 3, OffenderID: 3, Provider: "N03", Team: "N03HPT", Staff: "N03A001", Active: true})
			b.project()
			assert.Len(t, b.Contacts(), 2)
			assert.Empty(t, b.Parked())
		})
	}
}

func TestContactTypeIsLookedUpFirst(t *testing.T) {
	t.Parallel()
	w := world()
	w.ContactTypes = nil
	b := &bench{t: t, Twin: deliustest.New(w), clock: on("01-01")}
	b.store(event(store.BookingCancelled, 1, "a", emitted, fields{"cancelledBy": fields{"staffCode": "nobody"}}))
	assert.Equal(t, []string{deliustest.ContactTypeNotFound}, b.causes())
}
