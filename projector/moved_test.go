package projector_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/verify"
	"casdelius/store"
	"casdelius/store/storetest"
)

const (
	right = store.CRN("X100001")
	wrong = store.CRN("X100002")
)

// misnamed is a booking whose departure at first names the wrong person.
var misnamed = store.Referral(uuid.MustParse("5d3f0a52-6f0e-4c57-9a51-0f1d2c3b4a59"))

func TestPersonCorrectedBackHasContactAndAddressAgain(t *testing.T) {
	t.Parallel()
	r := setup(t, []storetest.History{{Person: storetest.Person{CRN: right}}, {Person: storetest.Person{CRN: wrong}}})
	event := func(kind store.Type, who store.CRN, day int) store.Event {
		happened := time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC)
		body, err := json.Marshal(map[string]any{"eventDetails": map[string]any{
			"arrivedAt": happened, "departedAt": happened, "reason": "Moved on",
			"premises": map[string]string{"addressLine1": "1 Long Lane", "postcode": "LS1 2AB"},
		}})
		require.NoError(t, err)
		return store.Event{ID: string(kind), Type: kind, Referral: misnamed, CRN: who, Emitted: happened, Body: body}
	}
	contact, address := "person-changed "+misnamed.String()+" urn:hmpps:cas3:person-", "person-changed "+misnamed.String()+" address"

	r.put(t, event(store.PersonArrived, right, 1))
	r.lookAgain(t)
	require.Equal(t, []string{"X100001 EAAR", "X100001 M"}, r.standing(t))

	r.put(t, event(store.PersonDeparted, wrong, 5))
	r.lookAgain(t)
	require.Equal(t, []string{"X100001 EAAR", "X100001 M", "X100002 EADP"}, r.standing(t))
	require.Equal(t, []string{address, contact + "arrived:" + misnamed.String()}, r.parked(t))

	r.deleteAllOf(t, right)
	r.lookAgain(t)
	require.Equal(t, []string{"X100002 EAAR", "X100002 EADP", "X100002 P"}, r.standing(t))
	require.Empty(t, r.parked(t))

	r.put(t, event(store.PersonDepartedUpdated, right, 6))
	r.lookAgain(t)
	require.Equal(t, []string{"X100002 EAAR", "X100002 EADP", "X100002 P"}, r.standing(t))
	require.Equal(t, []string{address, contact + "arrived:" + misnamed.String(), contact + "departed:" + misnamed.String()}, r.parked(t))

	r.deleteAllOf(t, wrong)
	r.lookAgain(t)
	assert.Equal(t, []string{"X100001 EAAR", "X100001 EADP", "X100001 P"}, r.standing(t))
	assert.Empty(t, r.parked(t))
	verification, err := r.Verify(ctx, verify.Verification{Grace: time.Millisecond})
	require.NoError(t, err)
	assert.Zero(t, verification.Damaged)
}

// lookAgain looks at the misnamed booking, parked or not, and holds that it agrees with
// the twin and that the second diff is empty.
func (r *rig) lookAgain(t require.TestingT) {
	pick := projector.Selection{Referrals: []store.Referral{misnamed}}
	report, err := r.Reconcile(ctx, pick)
	require.NoError(t, err)
	require.Empty(t, report.Failed)
	r.twin.Project(time.Now())
	r.requireTwin(t)
	before := r.rows(t)
	report, err = r.Reconcile(ctx, pick)
	require.NoError(t, err)
	require.Zero(t, report.Changes)
	require.Equal(t, before, r.rows(t))
}

// standing lists the rows that are not deleted: whose, and a contact's type or an address's
// status.
func (r *rig) standing(t require.TestingT) []string {
	var all []string
	rows := r.rows(t)
	for _, c := range rows.contacts {
		if !c.SoftDeleted {
			all = append(all, c.CRN+" "+c.Type)
		}
	}
	for _, a := range rows.addresses {
		if !a.SoftDeleted {
			all = append(all, a.CRN+" "+a.Status)
		}
	}
	slices.Sort(all)
	return all
}

// deleteAllOf deletes every live row of a person, in the database and in the twin.
func (r *rig) deleteAllOf(t require.TestingT, crn store.CRN) {
	rows := r.rows(t)
	for _, c := range rows.contacts {
		if c.CRN == string(crn) && !c.SoftDeleted {
			require.NoError(t, r.delius.DeleteContact(ctx, c.ID))
		}
	}
	for _, a := range rows.addresses {
		if a.CRN == string(crn) && !a.SoftDeleted {
			require.NoError(t, r.delius.DeleteAddress(ctx, a.ID))
		}
	}
	for _, c := range r.twin.Contacts() {
		if c.CRN == crn && !c.Deleted {
			c.Deleted = true
			r.twin.Edited(c, time.Now())
		}
	}
	for _, a := range r.twin.Addresses() {
		if a.CRN == crn && !a.Deleted {
			a.Deleted = true
			r.twin.Edited(a, time.Now())
		}
	}
}
