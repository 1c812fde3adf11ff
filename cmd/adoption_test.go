package cmd_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/projector"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// cutOver is when the services that this one replaces wrote for the last time.
var cutOver = time.Date(2024, 6, 10, 12, 30, 0, 0, time.UTC)

// writtenBefore is a contact that a former service wrote, in Delius and in the twin.
func (s *system) writtenBefore(t *testing.T, c postgrestest.Contact) int64 {
	t.Helper()
	c.CRN, c.Officer = string(someone.CRN), postgrestest.Officer{Provider: "N54", Team: "N54HPT", Staff: known}
	c.Created = cutOver
	id, err := s.delius.InsertContact(ctx, c)
	require.NoError(t, err)
	s.twin.InsertContact(deliustest.Contact{
		CRN: someone.CRN, URN: c.ExternalReference, Type: c.Type, Description: c.Description, Notes: c.Notes, Date: c.Date, Start: c.StartTime,
		Provider: c.Provider, Team: c.Team, Staff: c.Staff, CreatedBy: c.CreatedBy,
	})
	return id
}

// livedBefore is an address that stood before, in Delius and in the twin.
func (s *system) livedBefore(t *testing.T, a postgrestest.Address) int64 {
	t.Helper()
	a.CRN, a.Created = string(someone.CRN), cutOver
	id, err := s.delius.InsertAddress(ctx, a)
	require.NoError(t, err)
	s.twin.InsertAddress(deliustest.Address{
		CRN: someone.CRN, Type: a.Type, Status: a.Status, Street: a.StreetName, Town: a.TownCity, County: a.County, Postcode: a.Postcode,
		Start: a.Start, End: a.End, CreatedBy: a.CreatedBy, Created: a.Created,
	}, cutOver)
	return id
}

// oldArrival is the contact of an arrival as a former service wrote it, with what a
// practitioner added since.
func (s *system) oldArrival(t *testing.T, booking store.Referral) int64 {
	t.Helper()
	return s.writtenBefore(t, postgrestest.Contact{
		Type: "EAAR", ExternalReference: arrivalURN(booking), CreatedBy: deliustest.CAS3User,
		Notes: oldArrivalNotes + "\nThe practitioner called.", Date: day(t, "2024-06-10"), StartTime: cutOver,
	})
}

const oldArrivalNotes = "Arrival date: 10/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nCame early"

// oldStay is the address of that arrival.
func (s *system) oldStay(t *testing.T) int64 {
	t.Helper()
	return s.livedBefore(t, postgrestest.Address{
		Type: "A17", Status: "M", StreetName: "1 Hope Street", TownCity: "Leeds", County: "West Yorkshire", Postcode: "LS1 4AP",
		Start: day(t, "2024-06-10"), CreatedBy: deliustest.CAS3User,
	})
}

func TestNewEventsAppearInRowsOfFormerServicesAndNoWordOfThemIsLost(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.admit(t, someone)
	booking, application := newReferral(), newReferral()
	contact, address := s.oldArrival(t, booking), s.oldStay(t)
	status := s.writtenBefore(t, postgrestest.Contact{
		Type: "EACC", ExternalReference: "urn:hmpps:cas2:application-status-updated:" + newReferral().String(), CreatedBy: deliustest.CAS2User,
		Notes: "Application status was updated to: On the waiting list", Date: day(t, "2024-06-10"), StartTime: cutOver,
	})
	before := s.rows(t)
	s.run(t)

	s.raise(t,
		s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T12:00:00Z", arrival("2024-06-10T12:30:00Z", hopeStreet, "Has a key")),
		s.event(t, store.ApplicationStatusUpdated, application, "2024-06-11T12:00:00Z", says{"newStatus": says{"label": "Offer accepted"}, "updatedAt": "2024-06-11T12:00:00Z"}),
	)
	s.requireTwin(t)
	c := s.contact(t, arrivalURN(booking))
	require.Equal(t, contact, c.ID)
	require.Equal(t, oldArrivalNotes+"\nThe practitioner called.\nArrival date: 10/06/2024\nArrival address: 1 Hope Street LS1 4AP Leeds West Yorkshire\nHas a key", c.Notes)
	require.Equal(t, known, c.Staff, "who recorded it stands: the base event is not known")
	require.Equal(t, before.addresses, s.addresses(t), "the address says it all already")
	require.Equal(t, address, s.address(t, "2024-06-10").ID)
	s.contact(t, "urn:hmpps:cas2:application-status-updated:"+application.String())
	require.Contains(t, s.rows(t).contacts, before.contacts[slices.IndexFunc(before.contacts, func(c postgrestest.Contact) bool { return c.ID == status })],
		"a status that stands under its event's id is left as it is")
	s.requireStill(t)
}

func TestSomeoneHousedOnCutOverDayDeparts(t *testing.T) {
	t.Parallel()
	for name, premises := range map[string]any{"from the premises that the event names": hopeStreet, "from the only place there is": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.admit(t, someone)
			booking := newReferral()
			s.oldArrival(t, booking)
			address := s.oldStay(t)
			former := s.livedBefore(t, postgrestest.Address{
				Type: "A07", Status: "P", StreetName: "9 Station Road", Postcode: "YO1 7HH", Start: day(t, "2020-01-01"), End: day(t, "2024-06-10"),
			})
			s.run(t)
			left := departure("2024-06-20T12:00:00Z", "Moved on")
			left["premises"] = premises
			s.raise(t, s.event(t, store.PersonDeparted, booking, "2024-06-20T12:00:00Z", left))
			s.requireTwin(t)
			a := s.address(t, "2024-06-10")
			require.Equal(t, address, a.ID)
			require.Equal(t, "P", a.Status)
			require.Equal(t, day(t, "2024-06-20"), a.End)
			require.Equal(t, former, s.address(t, "2020-01-01").ID)
			require.Len(t, s.addresses(t), 2)
			s.contact(t, departureURN(booking))
			s.requireStill(t)
		})
	}
}

func TestABaseEventThatIsImportedFindsItsRows(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"before the first new event": true, "after the first new event": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.admit(t, someone)
			booking := newReferral()
			contact, address := s.oldArrival(t, booking), s.oldStay(t)
			s.run(t)
			base := s.event(t, store.PersonArrived, booking, "2024-06-10T12:30:00Z", arrival("2024-06-10T12:30:00Z", hopeStreet, "Came early"))
			update := s.event(t, store.PersonArrivedUpdated, booking, "2024-06-11T12:00:00Z", arrival("2024-06-09T12:00:00Z", hopeStreet, "Has a key"))
			if early {
				s.importFile(t, base)
				s.requireTwin(t)
				s.raise(t, update)
			} else {
				s.raise(t, update)
				s.requireTwin(t)
				s.importFile(t, base)
			}
			s.requireTwin(t)
			c := s.contact(t, arrivalURN(booking))
			require.Equal(t, contact, c.ID)
			for _, part := range []string{oldArrivalNotes, "\nThe practitioner called.", "\nArrival date: 09/06/2024", "\nHas a key"} {
				require.Equal(t, 1, strings.Count(c.Notes, part), "%q in %q", part, c.Notes)
			}
			require.Len(t, s.addresses(t), 1)
			require.Equal(t, address, s.addresses(t)[0].ID)
			s.importFile(t, base)
			s.requireStill(t)
		})
	}
}

// importFile brings an event in as a line of a file, its detail with it.
func (s *system) importFile(t *testing.T, e storetest.Raised) {
	t.Helper()
	s.twin.Store(e.Event)
	details := s.details(t)
	defer details.Close()
	intake := ingest.NewIntake(details, s.log, s.said.logger("import"), ingest.NewMetrics(prometheus.NewRegistry()))
	importer := ingest.Importer{Intake: intake, InFlight: 2, Tries: 2, Pauses: ingest.Pauses{First: time.Millisecond, Most: time.Millisecond}}
	line := slices.Concat([]byte(`{"notification":`), e.Notification, []byte(`,"detail":`), e.Body, []byte("}\n"))
	require.NoError(t, importer.Import(ctx, bytes.NewReader(line), func(line ingest.Imported) { require.NoError(t, line.Err) }))
	s.settle(t)
}

func TestALedgerThatWasDroppedLeavesEveryRowAsItWas(t *testing.T) {
	t.Parallel()
	s := setup(t)
	histories := s.generate(t, storetest.Options{Seed: 11, People: 40, Unknown: 0.02, BadDetail: 0.02, BadAddress: 0.02})
	_, running := s.run(t)
	s.raiseAll(t, histories)
	s.requireTwin(t)
	edited := s.rows(t).contacts[0]
	require.NoError(t, s.delius.EditContact(ctx, edited.ID, func(c *postgrestest.Contact) {
		c.Notes += "\nThe practitioner called."
		c.StartTime = c.StartTime.Add(time.Hour)
	}))
	running.stop()

	before := s.rows(t)
	for _, table := range []string{"contact", "address", "address_term", "conflict", "parked", "applied"} {
		_, err := s.delius.Pool.Exec(ctx, "delete from projection."+table)
		require.NoError(t, err)
	}
	_, err := s.delius.Pool.Exec(ctx, "insert into projection.due (referral) select distinct referral from projection.event order by 1")
	require.NoError(t, err)
	s.project(t)
	s.settle(t)
	require.Equal(t, before, s.rows(t))
}

func TestOnHoldEverythingIsPlannedAndNothingWritten(t *testing.T) {
	t.Parallel()
	s := setup(t)
	histories := s.generate(t, storetest.Options{Seed: 12, People: 5})
	s.ingest(t)
	holding := s.project(t, func(c *projector.Config) { c.Hold = true })
	s.raiseAll(t, histories)
	eventually(t, "everyone is planned", func() bool { return holding.counted(t, "projector_hold_planned_changes_total", "") > 0 })
	eventually(t, "the inbox is full", func() bool { return s.inboxComplete(t) })
	holding.stop()
	require.Empty(t, s.rows(t).contacts)
	require.Empty(t, s.rows(t).addresses)
	s.project(t)
	s.requireTwin(t)
}
