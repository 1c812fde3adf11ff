package cmd_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

// The tests in this file are named after what went wrong in the services that this one
// replaces.

// D1: a redelivered arrival ended the main address and inserted a second one.
func TestD1ARedeliveredArrivalChangesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	_, projector := s.run(t)
	booking := newReferral()
	arrived := s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early"))
	s.raise(t, arrived)
	s.requireTwin(t)
	require.Equal(t, "M", s.address(t, "2024-06-10").Status)
	before := s.rows(t)

	s.deliver(t, arrived)
	s.settle(t)
	s.storeAgain(t, arrived)
	s.settle(t)
	require.Equal(t, before, s.rows(t))
	require.Len(t, s.addresses(t), 1)
	require.GreaterOrEqual(t, projector.counted(t, "projector_messages_total", "event"), 2, "the projector has had both messages")
	require.Equal(t, 1, s.said.count("PersonArrived"))
	s.requireTwin(t)
}

// storeAgain puts a second message with an event into the stream, as a redelivery after
// the stream has forgotten the first would.
func (s *system) storeAgain(t *testing.T, e storetest.Raised) {
	t.Helper()
	conn := dial(t, s.nats, natstest.Operator)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.PublishMsg(ctx, &nats.Msg{Subject: e.Key().Subject(), Header: e.Header(), Data: e.Body})
	require.NoError(t, err)
}

// D2: whether an update was newer was judged by when the row had been written, so that
// after a backlog the newer ones were dropped.
func TestD2UpdatesAfterABacklogAreNewerThanTheirBaseEvent(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking, application := newReferral(), newReferral()
	label := func(text string) says {
		return says{"newStatus": says{"label": text, "description": ""}, "updatedAt": "2024-06-02T09:00:00Z"}
	}
	s.raise(t,
		s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early")),
		s.event(t, store.ApplicationStatusUpdated, application, "2024-06-02T09:00:00Z", label("More information needed")),
	)
	s.settle(t) // the rows are written now, long after what follows was emitted

	s.raise(t,
		s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T12:00:00Z", arrival("2024-06-09T12:00:00Z", canalRoad, "Came late")),
		s.event(t, store.ApplicationStatusUpdated, application, "2024-06-03T09:00:00Z", label("Offer accepted")),
	)
	s.requireTwin(t)
	c := s.contact(t, arrivalURN(booking))
	require.Contains(t, c.Notes, "Came early\n")
	require.Contains(t, c.Notes, "\nCame late")
	require.Equal(t, day(t, "2024-06-09"), c.Date)
	require.Equal(t, "2 Canal Road", s.address(t, "2024-06-09").StreetName)
	status := s.contact(t, "urn:hmpps:cas2:application-status-updated:"+application.String())
	require.Contains(t, status.Notes, "Application status was updated to: Offer accepted")
}

// D3: an update that arrived before its base event lost the base event's note.
func TestD3AnUpdateBeforeItsBaseEventLosesNoNote(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking := newReferral()
	base := s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early"))
	update := s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T08:30:00Z", arrival("2024-06-09T12:00:00Z", hopeStreet, "Has a key"))
	s.raise(t, update)
	s.settle(t)
	require.Equal(t, "Arrival date: 09/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nHas a key",
		s.contact(t, arrivalURN(booking)).Notes)

	s.raise(t, base)
	s.requireTwin(t)
	require.Equal(t, "Arrival date: 10/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nCame early\n"+
		"Address details were updated: 11/06/2024 09:30:00\n"+
		"Arrival date: 09/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nHas a key",
		s.contact(t, arrivalURN(booking)).Notes)
}

// D4: departed.updated never reached the address's end date.
func TestD4AnUpdatedDepartureMovesTheEndOfTheAddress(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking := newReferral()
	s.raise(t,
		s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "")),
		s.event(t, store.PersonDeparted, booking, "2024-07-01T12:00:00Z", departure("2024-07-01T12:00:00Z", "")),
	)
	s.settle(t)
	require.Equal(t, day(t, "2024-07-01"), s.address(t, "2024-06-10").End)

	s.raise(t, s.event(t, store.PersonDepartedUpdated, booking, "2024-07-02T12:00:00Z", departure("2024-06-28T12:00:00Z", "")))
	s.requireTwin(t)
	a := s.address(t, "2024-06-10")
	require.Equal(t, "P", a.Status)
	require.Equal(t, day(t, "2024-06-28"), a.End)
}

// D5: a departure ended whichever CAS3 address was current, another booking's too.
func TestD5ADepartureEndsTheAddressOfItsOwnBookingOnly(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	first, second := newReferral(), newReferral()
	s.raise(t,
		s.event(t, store.PersonArrived, first, "2024-06-01T12:00:00Z", arrival("2024-06-01T12:00:00Z", hopeStreet, "")),
		s.event(t, store.PersonArrived, second, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", canalRoad, "")),
	)
	s.settle(t)
	current := s.address(t, "2024-06-10")
	require.Equal(t, "M", current.Status)

	s.raise(t, s.event(t, store.PersonDeparted, first, "2024-06-11T12:00:00Z", departure("2024-06-05T12:00:00Z", "")))
	s.requireTwin(t)
	require.Equal(t, current, s.address(t, "2024-06-10"), "the other booking's address")
	require.Equal(t, day(t, "2024-06-05"), s.address(t, "2024-06-01").End)
}

// D5: a departure before its arrival left the address open for ever.
func TestD5ADepartureThatComesBeforeItsArrivalEndsTheAddress(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking := newReferral()
	s.raise(t, s.event(t, store.PersonDeparted, booking, "2024-07-01T12:00:00Z", departure("2024-07-01T12:00:00Z", "")))
	s.requireTwin(t)
	require.Empty(t, s.addresses(t), "a booking without arrival owns no address")
	s.contact(t, departureURN(booking))

	s.raise(t, s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "")))
	s.requireTwin(t)
	a := s.address(t, "2024-06-10")
	require.Equal(t, "P", a.Status)
	require.Equal(t, day(t, "2024-07-01"), a.End)
}

// D6: a departure before the address's start was announced as an update although
// nothing changed.
func TestD6ADepartureBeforeTheArrivalMovesNoAddressAndAnnouncesNoUpdate(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	_, projector := s.run(t)
	booking := newReferral()
	s.raise(t, s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "")))
	s.settle(t)
	before := s.rows(t)
	changes := projector.counted(t, "projector_changes_total", "update-address")

	s.raise(t, s.event(t, store.PersonDeparted, booking, "2024-06-12T12:00:00Z", departure("2024-06-08T12:00:00Z", "")))
	s.requireTwin(t)
	require.Equal(t, before.addresses, s.addresses(t))
	after := s.rows(t)
	require.Len(t, after.contacts, len(before.contacts)+1, "the departure has its contact")
	require.Subset(t, after.contacts, before.contacts, "no other row moves")
	require.Equal(t, changes, projector.counted(t, "projector_changes_total", "update-address"))
	require.Zero(t, projector.counted(t, "projector_changes_total", "update-contact"))
	require.NotContains(t, s.said.text(), "Updated")

	s.raise(t, s.event(t, store.PersonDepartedUpdated, booking, "2024-06-13T12:00:00Z", departure("2024-06-12T12:00:00Z", "")))
	s.requireTwin(t)
	require.Equal(t, day(t, "2024-06-12"), s.address(t, "2024-06-10").End, "it was mistyped")
}

// D7: one unknown staff code failed the whole message, and an outage of a minute
// filled the dead-letter queue. Catches a contact that is parked and takes what else would be
// written of the person with it.
func TestD7AnUnknownStaffCodeParksOneContactUntilItIsKnown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking := newReferral()
	arrived := arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early")
	arrived["recordedBy"] = recordedBy(unknown)
	s.raise(t,
		s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrived),
		s.event(t, store.BookingConfirmed, booking, "2024-06-01T12:00:00Z", says{"expectedArrivedAt": "2024-06-10T12:00:00Z", "confirmedBy": recordedBy(known)}),
	)
	s.requireTwin(t)
	require.Equal(t, map[string]int{"staff-not-found": 1}, s.parked(t))
	require.Empty(t, s.contacts(t, arrivalURN(booking)))
	require.Len(t, s.contacts(t, "urn:hmpps:cas3:booking-confirmed:"+booking.String()), 1)
	require.Equal(t, "M", s.address(t, "2024-06-10").Status, "the address waits for nobody")
	require.Zero(t, s.said.count("PersonArrived"), "it is not applied yet")

	_, err := s.delius.AddStaff(ctx, unknown, "N54HPT")
	require.NoError(t, err)
	eventually(t, "the contact heals by itself", func() bool {
		return len(s.contacts(t, arrivalURN(booking))) == 1 && len(s.parked(t)) == 0
	})
	require.Equal(t, unknown, s.contact(t, arrivalURN(booking)).Staff)
	eventually(t, "it is announced", func() bool { return s.said.count("PersonArrived") == 1 })
	s.requireNothingLost(t)
	s.requireStill(t)
}

// D7, D10: an outage of the CAS API costs no message, however many wait.
func TestD7AnOutageOfTheCASAPIDeadLettersNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	ingest, _ := s.run(t)
	s.cas.Fail("", casapitest.Fault{Status: http.StatusServiceUnavailable})
	const waiting = 40
	for range waiting {
		s.raise(t, s.event(t, store.PersonArrived, newReferral(), "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "")))
	}
	eventually(t, "the circuit breaker opens", func() bool { return ingest.ready(ctx) != nil })
	asked := s.cas.Requests("")
	eventually(t, "it was tried again and again", func() bool { return s.cas.Requests("") > asked+20 })
	messages, err := s.sqs.Messages(queueName)
	require.NoError(t, err)
	require.Len(t, messages, waiting)
	for _, m := range messages {
		require.Less(t, m.ReceiveCount, 5, "an outage does not use up the deliveries that a queue grants")
	}
	s.cas.Fail("", casapitest.Fault{})
	s.requireTwin(t)
	require.Len(t, s.rows(t).contacts, waiting)
}

// D8: what a practitioner had edited blocked later events, or was lost to them.
func TestD8APractitionersEditSurvivesLaterEvents(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking := newReferral()
	s.raise(t, s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early")))
	s.settle(t)
	c, a := s.contact(t, arrivalURN(booking)), s.address(t, "2024-06-10")
	came := time.Date(2024, 6, 10, 16, 45, 0, 0, time.UTC)
	require.NoError(t, s.delius.EditContact(ctx, c.ID, func(c *postgrestest.Contact) {
		c.Notes = "Called the hostel.\r\n" + c.Notes + "\r\nCame with family. "
		c.StartTime = came
	}))
	require.NoError(t, s.delius.EditAddress(ctx, a.ID, func(a *postgrestest.Address) { a.BuildingName, a.TelephoneNumber = "Flat 2", "0113 496 0000" }))

	s.raise(t, s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Has a key")))
	s.settle(t)
	c = s.contact(t, arrivalURN(booking))
	require.Equal(t, "Called the hostel.\nArrival date: 10/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nCame early\n"+
		"Address details were updated: 11/06/2024 13:00:00\n"+
		"Arrival date: 10/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nHas a key\nCame with family.", c.Notes)
	require.Equal(t, came, c.StartTime, "the event says what it said before: the practitioner's time stands")
	a = s.address(t, "2024-06-10")
	require.Equal(t, "Flat 2", a.BuildingName)
	require.Equal(t, "0113 496 0000", a.TelephoneNumber)

	s.raise(t, s.event(t, store.PersonArrivedUpdated, booking, "2024-06-12T12:00:00Z", arrival("2024-06-09T12:00:00Z", canalRoad, "")))
	s.settle(t)
	c, a = s.contact(t, arrivalURN(booking)), s.address(t, "2024-06-09")
	require.Equal(t, time.Date(2024, 6, 9, 12, 0, 0, 0, time.UTC), c.StartTime, "the event changed it: it wins")
	require.Contains(t, c.Notes, "Called the hostel.\n")
	require.Contains(t, c.Notes, "\nCame with family.")
	require.Empty(t, a.BuildingName)
	require.Equal(t, "0113 496 0000", a.TelephoneNumber, "none of ours")
	require.Equal(t, map[string]string{"start": "2024-06-10 17:45:00", "lines": "Flat 2\n1 Hope Street\nLeeds\nWest Yorkshire\nLS1 4AP"}, s.conflicts(t))
	s.requireStill(t)
}

// conflicts are the values of people's that events have replaced, by field.
func (s *system) conflicts(t *testing.T) map[string]string {
	t.Helper()
	rows, err := s.delius.Pool.Query(ctx, "select field, replaced from projection.conflict")
	require.NoError(t, err)
	defer rows.Close()
	replaced := map[string]string{}
	for rows.Next() {
		var field, value string
		require.NoError(t, rows.Scan(&field, &value))
		replaced[field] = value
	}
	require.NoError(t, rows.Err())
	return replaced
}

// D9: two messages at once made the same contact twice, after which every later one
// failed.
func TestD9MessagesAtOnceMakeOneContact(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	single := func(c *projector.Config) { c.Batch = 1 }
	for range 2 {
		s.ingest(t)
		s.project(t, single)
	}
	var bookings []store.Referral
	for range 15 {
		booking := newReferral()
		bookings = append(bookings, booking)
		arrived := s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Came early"))
		s.raise(t, arrived,
			s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Has a key")),
			s.event(t, store.PersonArrivedUpdated, booking, "2024-06-12T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Lost the key")))
		s.deliver(t, arrived)
		s.storeAgain(t, arrived)
	}
	s.requireTwin(t)
	for _, booking := range bookings {
		s.contact(t, arrivalURN(booking))
		s.raise(t, s.event(t, store.PersonArrivedUpdated, booking, "2024-06-13T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, "Found it")))
	}
	s.requireTwin(t)
	for _, booking := range bookings {
		require.Contains(t, s.contact(t, arrivalURN(booking)).Notes, "\nFound it")
	}
}

// D10: a detail that answered 404 for a minute was dead-lettered.
func TestD10ADetailThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	s.run(t)
	booking := newReferral()
	late := s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", arrival("2024-06-10T12:00:00Z", hopeStreet, ""))
	s.cas.Fail(late.DetailPath, casapitest.Fault{Status: http.StatusNotFound, Times: 5})
	s.raise(t, late)
	eventually(t, "the detail was asked for in vain", func() bool { return s.cas.Requests(late.DetailPath) > 0 })
	require.Empty(t, s.contacts(t, arrivalURN(booking)))
	s.requireTwin(t)
	s.contact(t, arrivalURN(booking))
	require.Equal(t, 6, s.cas.Requests(late.DetailPath))
}
