package projector_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// These tests take the two halves of a step apart, so that something comes between.

var manager = postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}

const someone, another store.CRN = "A000001", "A000002"

// populated makes a rig with two people.
func populated(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.begin(t, nil)
	require.NoError(t, r.delius.AddPeople(ctx, []postgrestest.Person{{CRN: someone, Manager: manager}, {CRN: another, Manager: manager}}))
	return r
}

// booking is the referral with a number.
func booking(n byte) store.Referral { return store.Referral(uuid.UUID{15: n}) }

// moved is the first of a booking's arrivals, or a later one, to another street.
func moved(n byte, crn store.CRN, later int) store.Event {
	if later == 0 {
		return arrival(n, "first", store.PersonArrived, 0, crn)
	}
	return arrival(n, fmt.Sprintf("%d.", later), store.PersonArrivedUpdated, later, crn)
}

// taken is a step that has decided, and has not written yet.
type taken struct {
	projector.Step
	decisions []projector.Decision
}

func (r *rig) take(t *testing.T, referrals ...store.Referral) taken {
	t.Helper()
	step, err := r.db.Begin(ctx, projector.Selection{Referrals: referrals})
	require.NoError(t, err)
	t.Cleanup(func() { step.Rollback(ctx) })
	people := step.People()
	subjects := make([]projector.Subject, len(people))
	for i := range people {
		subjects[i] = projector.Subject{Person: people[i], Desired: delius.Fold(people[i].Events)}
	}
	references, err := step.LoadCurrent(ctx, subjects)
	require.NoError(t, err)
	decisions := make([]projector.Decision, len(people))
	for i, s := range subjects {
		decisions[i] = projector.Decision{Subject: s, Outcome: delius.Diff(s.Desired, s.Current, references)}
	}
	return taken{step, decisions}
}

func (s taken) apply(t *testing.T) projector.Applied {
	t.Helper()
	applied, err := s.Apply(ctx, s.decisions, time.Now())
	require.NoError(t, err)
	return applied
}

// live lists the contacts and addresses that are not deleted, by whose they are.
func (r *rig) live(t *testing.T) (contacts, addresses []string) {
	t.Helper()
	allContacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	for _, c := range allContacts {
		if !c.SoftDeleted {
			contacts = append(contacts, c.CRN)
		}
	}
	allAddresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	for _, a := range allAddresses {
		if !a.SoftDeleted {
			addresses = append(addresses, a.CRN)
		}
	}
	return contacts, addresses
}

// deleteAll deletes every contact and address, as a practitioner does.
func (r *rig) deleteAll(t *testing.T) {
	t.Helper()
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	for _, c := range contacts {
		require.NoError(t, r.delius.DeleteContact(ctx, c.ID))
	}
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	for _, a := range addresses {
		require.NoError(t, r.delius.DeleteAddress(ctx, a.ID))
	}
}

func TestAReferralWhosePersonChangesWhileItIsWrittenIsNotWrittenOnBoth(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0))
	rig.reconcile(t)
	rig.deleteAll(t)
	rig.put(t, moved(1, someone, 1))
	revives := rig.take(t, booking(1))
	rig.put(t, moved(1, another, 2))
	inserts := rig.take(t, booking(1))
	require.Empty(t, inserts.People(), "one of the two people is in the other step's hands")
	require.True(t, inserts.apply(t).Skipped)
	revives.apply(t)
	rig.reconcile(t)
	contacts, addresses := rig.live(t)
	require.Equal(t, []string{string(someone)}, contacts)
	require.Equal(t, []string{string(someone)}, addresses)
}

func TestAPersonIsTakenOnlyWithEveryoneWhomTheirReferralsEverNamed(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, another, 0), moved(1, someone, 1), moved(2, someone, 0), moved(3, another, 0))
	first := rig.take(t, booking(2))
	require.Len(t, first.People(), 1)
	require.Len(t, first.People()[0].Referrals, 2)
	second := rig.take(t, booking(3))
	require.Empty(t, second.People(), "the first step has locked whom its other referral named")
	first.Rollback(ctx)
	third := rig.take(t, booking(3))
	require.Len(t, third.People(), 1)
	fourth := rig.take(t, booking(2))
	require.Empty(t, fourth.People(), "they are left out whole: of some of their referrals their address cannot be told")
	require.True(t, fourth.apply(t).Skipped)
}

func TestAnAddressEnteredBetweenLookingAndWritingPutsItsPersonOff(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"nothing stands yet": 0, "a row is updated": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := populated(t)
			for i := range before {
				rig.put(t, moved(byte(10+i), someone, 0))
				rig.reconcile(t)
			}
			rig.put(t, moved(1, someone, 0), moved(2, another, 0))
			step := rig.take(t, booking(1), booking(2))
			_, err := rig.delius.InsertAddress(ctx, postgrestest.Address{
				CRN: string(someone), Type: "A02", Status: delius.MainStatus, StreetName: "Elsewhere", Start: store.Date(created),
			})
			require.NoError(t, err)
			applied := step.apply(t)
			require.Equal(t, 1, applied.Deferred)
			require.Len(t, applied.People, 1)
			require.Equal(t, another, applied.People[0].Person.CRN)
			rig.reconcile(t)
			require.Len(t, rig.ids(t, `select offender_id from delius.offender_address a
				join delius.r_standard_reference_list s on s.standard_reference_list_id = a.address_status_id
				where s.code_value = 'M' group by 1 having count(*) = 1`), 2, "each has one main address")
		})
	}
}

func TestAContactWhoseURNWasChangedIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0))
	rig.reconcile(t)
	rig.exec(t, "update delius.contact set external_reference = $1", delius.KindOf(store.PersonArrived).URN(booking(2)))
	changed, err := rig.delius.Contacts(ctx)
	require.NoError(t, err)
	rig.put(t, moved(2, someone, 0))
	rig.reconcile(t)
	contacts, err := rig.delius.Contacts(ctx)
	require.NoError(t, err)
	require.Len(t, contacts, 3, "one for either booking, and the one that was changed")
	require.Subset(t, contacts, changed)
	report, err := rig.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(1)}})
	require.NoError(t, err)
	require.Zero(t, report.Changes)
}

// A writer that numbered the rows of the plan itself would change what it was given.
func TestNumbersOfNewRowsComeBackAndThePlanStaysAsItWas(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0), moved(2, another, 0))
	step := rig.take(t, booking(1), booking(2))
	planned := fmt.Sprintf("%#v", dereferenced(step.decisions))
	applied := step.apply(t)
	require.Equal(t, planned, fmt.Sprintf("%#v", dereferenced(step.decisions)))
	contacts, err := rig.delius.Contacts(ctx)
	require.NoError(t, err)
	var rows []projector.Inserted
	for _, c := range contacts {
		rows = append(rows, projector.Inserted{URN: c.ExternalReference, ID: c.ID})
	}
	require.Len(t, rows, 2)
	for _, b := range []store.Referral{booking(1), booking(2)} {
		row := rig.ids(t, fmt.Sprintf("select offender_address_id from projection.address where booking = '%s'", b))[0]
		rows = append(rows, projector.Inserted{Booking: b, ID: row})
	}
	require.Equal(t, rows, applied.Inserted)
	require.Empty(t, rig.take(t, booking(1)).apply(t).Inserted)
}

// dereferenced lists the changes of decisions as values.
func dereferenced(decisions []projector.Decision) (changes []any) {
	for _, d := range decisions {
		for _, c := range d.Outcome.Changes {
			changes = append(changes, reflect.ValueOf(c).Elem().Interface())
		}
	}
	return changes
}

func TestARowThatTheLedgerCannotTakeFailsItsReferralAlone(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	rig.put(t, moved(1, someone, 0))
	rig.reconcile(t)
	// The row's entry is of a referral that nobody can connect with it.
	rig.exec(t, "update projection.contact set referral = $1, urn = 'urn:of:none'", booking(9))
	rig.put(t, moved(1, someone, 1), moved(2, another, 0))
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	report, err := rig.Reconcile(bounded, projector.Selection{Referrals: []store.Referral{booking(1), booking(2)}})
	require.NoError(t, err)
	require.Len(t, report.Failed, 1)
	require.Equal(t, booking(1), report.Failed[0].Referral)
	require.Len(t, report.People, 1)
	require.Equal(t, another, report.People[0].Person.CRN)
}

// Catches a lock timeout above the server's deadlock_timeout of a second: then the server ends
// one of the two, whichever has waited for longer.
func TestWhoeverHoldsAMemberOfStaffAndWaitsForUsIsNotKilled(t *testing.T) {
	t.Parallel()
	rig := populated(t)
	practitioner, err := rig.delius.Pool.Begin(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = practitioner.Rollback(ctx) })
	_, err = practitioner.Exec(ctx, "select from delius.staff where officer_code = $1 for update", manager.Staff)
	require.NoError(t, err)
	rig.put(t, moved(1, someone, 0))
	step := rig.take(t, booking(1))
	waited := make(chan error, 1)
	go func() {
		_, err := practitioner.Exec(ctx, "select from delius.offender where crn = $1 for update", someone)
		waited <- err
	}()
	require.Eventually(t, func() bool {
		return len(rig.ids(t, "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")) == 1
	}, time.Minute, time.Millisecond)
	_, err = step.Apply(ctx, step.decisions, time.Now())
	require.ErrorIs(t, err, projector.ErrRetry)
	step.Rollback(ctx)
	require.NoError(t, <-waited)
}
