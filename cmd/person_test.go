package cmd_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
	"casdelius/store/jetstream/natstest"
)

// identified is the JSON of a person event that gives someone's number.
func identified(t *testing.T) string {
	return string(asJSON(t, says{
		"eventType": string(store.PrisonIdentifierAdded), "version": 1, "occurredAt": "2026-07-09T11:02:03.000004+01:00",
		"description":           "A prison identifier has been added",
		"additionalInformation": says{"bookingNumber": "12345"},
		"personReference": says{"identifiers": []says{
			{"type": "CRN", "value": string(someone.CRN)}, {"type": "NOMS", "value": string(someone.NOMS)},
		}},
	}))
}

// parkedAlone starts both services where nothing happens by itself for an hour: neither sweep
// nor search, nor the retry of what is parked. Then it raises an arrival that names somebody
// by a number that Delius does not have yet.
func (s *system) parkedAlone(t *testing.T) (projector *instance, booking store.Referral) {
	t.Helper()
	numberless := someone
	numberless.NOMS = ""
	s.admit(t, numberless)
	s.pauses = postgres.Config{RetryMin: time.Hour, RetryMax: time.Hour}
	s.ingest(t)
	p := s.project(t, restful)
	booking = newReferral()
	arrived := s.event(t, store.PersonArrived, booking, "2024-06-10T12:00:00Z", says{
		"arrivedAt": "2024-06-10T12:00:00Z", "premises": hopeStreet, "notes": "", "recordedBy": recordedBy(known),
		"personReference": says{"noms": string(someone.NOMS)},
	})
	arrived.Notification = asJSON(t, says{"eventType": string(store.PersonArrived), "version": 1, "detailUrl": arrived.Source})
	s.deliver(t, arrived)
	eventually(t, "it is parked", func() bool { return s.parkedAs(t) == "person-not-found" })
	return p, booking
}

func restful(c *projector.Config) { c.Sweep, c.Search = time.Hour, time.Hour }

// parkedAs is the cause of what is parked, "" if nothing is.
func (s *system) parkedAs(t *testing.T) (cause string) {
	t.Helper()
	require.NoError(t, s.delius.Pool.QueryRow(ctx, "select coalesce(max(cause), '') from projection.parked").Scan(&cause))
	return cause
}

// personEvents counts what the projector has had of them.
func (i *instance) personEvents(t *testing.T) int {
	return i.counted(t, "projector_messages_total", "person-event")
}

// It catches every place on the way that drops a person event or takes it for something else:
// the decoder, the log, the follower, the inbox and the lanes. Nothing but the wake-up can
// heal what is parked within the hour.
func TestAPrisonIdentifierHealsWhatIsParkedAtOnceByEitherDelivery(t *testing.T) {
	t.Parallel()
	for name, delivered := range map[string]func(string) string{
		"in an envelope": func(event string) string {
			return sqstest.EnvelopeSNS(event, string(store.PrisonIdentifierAdded), uuid.NewString(), time.Now())
		},
		"raw": func(event string) string { return event },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			projector, booking := s.parkedAlone(t)
			_, err := s.delius.Pool.Exec(ctx, "update delius.offender set noms_number = $1 where crn = $2", someone.NOMS, someone.CRN)
			require.NoError(t, err)
			require.Equal(t, "person-not-found", s.parkedAs(t), "nobody has told the projector")

			body := delivered(identified(t))
			_, err = s.sqs.Send(queueName, body, nil)
			require.NoError(t, err)
			eventually(t, "it is healed", func() bool { return s.parkedAs(t) == "" })
			s.settle(t)
			s.contact(t, arrivalURN(booking))
			require.Equal(t, "M", s.address(t, "2024-06-10").Status)

			before := s.rows(t)
			had := projector.personEvents(t)
			_, err = s.sqs.Send(queueName, body, nil) // as SQS may at any time
			require.NoError(t, err)
			s.storePersonAgain(t)
			eventually(t, "it has come again", func() bool { return projector.personEvents(t) > had })
			s.settle(t)
			require.Equal(t, before, s.rows(t), "a wake-up that comes again finds nothing to do")
			require.Equal(t, 1, s.said.count("PersonArrived"))
			require.Zero(t, projector.counted(t, "projector_unreadable_total", ""))
		})
	}
}

// storePersonAgain puts the person event of the stream into it once more, as a redelivery
// after the stream has forgotten the first would.
func (s *system) storePersonAgain(t *testing.T) {
	t.Helper()
	conn := dial(t, s.nats, natstest.Operator)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	for m, err := range s.log.Read(ctx, 0, 0) {
		require.NoError(t, err)
		if m.Person != nil {
			_, err = js.PublishMsg(ctx, &nats.Msg{Subject: m.Person.Key().Subject(), Header: m.Person.Header(), Data: m.Person.Body})
			require.NoError(t, err)
		}
	}
}

// It catches a wake-up that only the process that has it knows of: the person is locked when
// it comes, the projector acknowledges it and ends, and the next one has nothing but the mark.
func TestAWakeUpOutlivesTheProjectorThatHadIt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	first, booking := s.parkedAlone(t)
	_, err := s.delius.Pool.Exec(ctx, "update delius.offender set noms_number = $1 where crn = $2", someone.NOMS, someone.CRN)
	require.NoError(t, err)
	practitioner, err := s.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = practitioner.Rollback(ctx) })
	_, err = practitioner.Exec(ctx, "select from delius.offender for update")
	require.NoError(t, err)
	_, err = s.sqs.Send(queueName, identified(t), nil)
	require.NoError(t, err)
	eventually(t, "the projector has it", func() bool { return first.personEvents(t) == 1 })
	first.stop()
	require.Equal(t, "person-not-found", s.parkedAs(t))
	require.NoError(t, practitioner.Rollback(ctx))

	s.project(t)
	eventually(t, "it is healed", func() bool { return s.parkedAs(t) == "" })
	s.settle(t)
	s.contact(t, arrivalURN(booking))
}
