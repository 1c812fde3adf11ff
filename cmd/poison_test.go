package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres"
	"casdelius/store"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

// The kinds of poison: what of an event cannot be applied.
const (
	unknownStaff = iota
	invalidDetail
	missingPerson
	failingPerson // whose contact the database refuses
	lockedPerson  // whom a practitioner has locked
	unknownType
	poisons
)

// poisonOf is an event that is poison of a kind, of a person of its own, by their number.
func poisonOf(kind, n int) (storetest.Person, store.Event) {
	const emitted = "2024-06-10T12:00:00Z"
	at, _ := store.ParseTime(emitted) // it is one
	person := storetest.Person{CRN: store.CRN(fmt.Sprintf("P%06d", n))}
	typ, staff, arrived := store.PersonArrived, known, `"arrivedAt":"`+emitted+`",`
	switch kind {
	case unknownStaff:
		staff = unknown
	case invalidDetail:
		arrived = ""
	case unknownType:
		typ = "accommodation.cas3.booking.changed"
	}
	e := store.Event{ID: fmt.Sprint("poison ", n), Type: typ, Referral: store.Referral(uuid.New()), CRN: person.CRN, Emitted: at}
	e.Body = fmt.Appendf(nil, `{"id":%q,"timestamp":%q,"eventType":%q,"eventDetails":{"bookingId":%q,%s"premises":{"addressLine1":"1 Hope Street","postcode":"LS1 4AP"},
		"recordedBy":{"staffCode":%q,"probationRegionCode":"N54"}}}`, e.ID, emitted, typ, e.Referral, arrived, staff)
	return person, e
}

// poison is events that are poison, some of each kind.
type poison struct {
	people [poisons][]storetest.Person
	events []store.Event
}

func newPoison(each int) (p poison) {
	for n := range each * poisons {
		person, e := poisonOf(n%poisons, n)
		p.people[n%poisons] = append(p.people[n%poisons], person)
		p.events = append(p.events, e)
	}
	return p
}

// inDelius are the people whom Delius knows.
func (p *poison) inDelius() (people []storetest.Person) {
	for kind, some := range p.people {
		if kind != missingPerson {
			people = append(people, some...)
		}
	}
	return people
}

func (p *poison) crns(kind int) (crns []string) {
	for _, person := range p.people[kind] {
		crns = append(crns, string(person.CRN))
	}
	return crns
}

// stand makes the poison be poison, where that is not for what it says, until it is cured.
func (p *poison) stand(t testing.TB, pool *pgxpool.Pool) (cure func()) {
	t.Helper()
	var failing string
	require.NoError(t, pool.QueryRow(ctx, "select string_agg(offender_id::text, ',') from delius.offender where crn = any ($1)", p.crns(failingPerson)).Scan(&failing))
	for _, statement := range []string{
		"create function delius.refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$",
		"create trigger refuse before insert on delius.contact for each row when (new.offender_id in (" + failing + ")) execute function delius.refuse()",
	} {
		_, err := pool.Exec(ctx, statement)
		require.NoError(t, err)
	}
	practitioner, err := pool.Begin(ctx)
	require.NoError(t, err)
	_, err = practitioner.Exec(ctx, "select from delius.offender where crn = any ($1) for update", p.crns(lockedPerson))
	require.NoError(t, err)
	return func() {
		require.NoError(t, practitioner.Rollback(ctx))
		_, err := pool.Exec(ctx, "set lock_timeout = '30s'; drop trigger refuse on delius.contact")
		require.NoError(t, err)
	}
}

// besidePoison is a system in whose stream the events of some people and poison are mixed, and
// stays so that only what is not poison can be applied.
type besidePoison struct {
	*system
	poison
	all    int // events
	others []string
}

func startBesidePoison(t *testing.T) *besidePoison {
	t.Helper()
	b := &besidePoison{system: setup(t), poison: newPoison(2)}
	chance, seed := chance(t)
	events := b.events
	people := b.inDelius()
	for h := range storetest.Generate(storetest.Options{Seed: seed, People: 40}) {
		people = append(people, h.Person)
		for _, e := range h.Events {
			events = append(events, e.Event)
			b.others = append(b.others, e.Referral.String())
		}
	}
	b.admit(t, people...)
	chance.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for i := range events {
		_, err := b.log.Append(ctx, &events[i])
		require.NoError(t, err)
		b.twin.Store(events[i])
	}
	b.all = len(events)
	return b
}

// requireOthersApplied waits until all that is not poison is applied.
func (b *besidePoison) requireOthersApplied(t testing.TB, within time.Duration) {
	t.Helper()
	left := -1
	require.Eventually(t, func() bool {
		stored := 0
		err := b.delius.Pool.QueryRow(ctx, `select (select count(*) from projection.event), (select count(*) from projection.event e
			where referral = any ($1::uuid[]) and not exists (select from projection.applied a where a.sequence = e.sequence))`, b.others).Scan(&stored, &left)
		return err == nil && stored == b.all && left == 0
	}, within, glance, "events wait for poison that is not theirs")
}

// Catches, as the control shows, an error of one person that is taken for everybody's.
func TestPoisonIsInNobodysWayAndIsListedWithItsCause(t *testing.T) {
	t.Parallel()
	b := startBesidePoison(t)
	cure := b.stand(t, b.delius.Pool)
	running := b.project(t)
	b.requireOthersApplied(t, patience)
	eventually(t, "the poison is listed", func() bool {
		failing, locked := 0, 0
		require.NoError(t, b.delius.Pool.QueryRow(ctx, `select (select count(*) from projection.failing),
			(select count(distinct referral) from projection.due where referral in (select referral from projection.identity where crn = any ($1)))`,
			b.crns(lockedPerson)).Scan(&failing, &locked))
		parked := b.parked(t)
		return failing == 2 && locked == 2 && parked[string(delius.StaffNotFound)] == 2 && parked[string(delius.BadDetail)] == 2 && parked[string(delius.PersonNotFound)] == 2
	})
	require.Positive(t, running.counted(t, "projector_failures_total", ""))
	cure()
	b.requireTwin(t)
	b.requireStill(t)
}

func TestTheControlOfPoisonIsCaught(t *testing.T) {
	t.Parallel()
	b := startBesidePoison(t)
	cure := b.stand(t, b.delius.Pool)
	b.ports = func(db *postgres.Database) projector.Ports {
		ports := db.Ports()
		ports.Steps = stubborn{ports.Steps}
		return ports
	}
	b.project(t, func(c *projector.Config) { c.Grace = time.Second })
	torturetest.RequireCaught(t, "wait for poison", func(tb testing.TB) { b.requireOthersApplied(tb, 10*time.Second) })
	cure()
}

// stubborn are steps that take every error for one that passes for everybody.
type stubborn struct{ projector.Steps }

func (s stubborn) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	step, err := s.Steps.Begin(ctx, selection)
	if err != nil {
		return nil, err
	}
	return stubbornStep{step}, nil
}

type stubbornStep struct{ projector.Step }

func (s stubbornStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	applied, err := s.Step.Apply(ctx, decisions, now)
	if err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		err = fmt.Errorf("%w: %w", projector.ErrUnavailable, err)
	}
	return applied, err
}
