package projector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/storetest"
)

func TestPractitionersEditsBetweenReconcilesAreKept(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		written := map[string]string{} // a practitioner's line by URN
		for _, e := range shuffled(r, histories) {
			rig.put(r, e)
			if rapid.Bool().Draw(r, "reconcile") {
				rig.look(r, histories)
				rig.edit(r, written)
			}
		}
		rig.look(r, histories)
		rig.requireSettled(r, histories)
		contacts, err := rig.delius.Contacts(ctx)
		require.NoError(r, err)
		for _, c := range contacts {
			if line, edited := written[c.ExternalReference]; edited {
				require.Contains(r, c.Notes, line, "the practitioner's line is still there")
			}
		}
	})
}

// look looks at everybody, due or not: an edit is noticed when its person is looked at,
// and the twin always looks at all.
func (r *rig) look(t require.TestingT, histories []storetest.History) {
	report, err := r.Reconcile(ctx, projector.Selection{Referrals: referrals(histories)})
	require.NoError(t, err)
	require.Empty(t, report.Failed)
	r.twin.Project(time.Now())
	r.requireTwin(t)
}

// edit does what a practitioner may do to one row, in the database and in the twin.
// Rows that are alike are left alone: nobody could say which of the twin's is meant.
func (r *rig) edit(t *rapid.T, written map[string]string) {
	contacts, err := r.delius.Contacts(ctx)
	require.NoError(t, err)
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	if len(contacts) > 0 && rapid.Bool().Draw(t, "edit a contact") {
		c := rapid.SampledFrom(contacts).Draw(t, "contact")
		twin := one(r.twin.Contacts(), func(o *deliustest.Contact) bool { return o.URN == c.ExternalReference })
		if twin != nil {
			r.editContact(t, c, twin, written)
		}
	}
	if len(addresses) > 0 && rapid.Bool().Draw(t, "edit an address") {
		a := rapid.SampledFrom(addresses).Draw(t, "address")
		twin := one(r.twin.Addresses(), func(o *deliustest.Address) bool {
			return string(o.CRN) == a.CRN && o.Status == a.Status && o.Start.Equal(a.Start) && o.End.Equal(a.End) &&
				o.Street == a.StreetName && o.Postcode == a.Postcode && o.Deleted == a.SoftDeleted
		})
		if twin != nil {
			r.editAddress(t, a, twin)
		}
	}
}

func one[R any](rows []*R, is func(*R) bool) *R {
	var found *R
	for _, row := range rows {
		if is(row) {
			if found != nil {
				return nil
			}
			found = row
		}
	}
	return found
}

func (r *rig) editContact(t *rapid.T, c postgrestest.Contact, twin *deliustest.Contact, written map[string]string) {
	what := rapid.SampledFrom([]string{"notes", "time", "description", "delete"}).Draw(t, "what")
	require.NoError(t, r.delius.EditContact(ctx, c.ID, func(c *postgrestest.Contact) {
		switch what {
		case "notes":
			line := "By hand: " + rapid.StringMatching(`[a-z]{3}`).Draw(t, "line")
			if rapid.Bool().Draw(t, "below") {
				c.Notes += "\r\n" + line
			} else {
				c.Notes = line + "\n" + c.Notes
			}
			written[c.ExternalReference] = line
		case "time":
			c.StartTime = c.StartTime.Add(90 * time.Minute)
		case "description":
			c.Description = "By hand"
		case "delete":
			c.SoftDeleted = !c.SoftDeleted
		}
		twin.Notes, twin.Start, twin.Description, twin.Deleted = c.Notes, c.StartTime, c.Description, c.SoftDeleted
	}))
	r.twin.Edited(twin, time.Now())
}

func (r *rig) editAddress(t *rapid.T, a postgrestest.Address, twin *deliustest.Address) {
	what := rapid.SampledFrom([]string{"status", "end", "no end", "start", "street", "delete"}).Draw(t, "what")
	require.NoError(t, r.delius.EditAddress(ctx, a.ID, func(a *postgrestest.Address) {
		switch what {
		case "status":
			a.Status = map[string]string{"M": "P", "P": "M"}[a.Status]
		case "end":
			a.End = a.Start.AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "days"))
		case "no end":
			a.End = time.Time{}
		case "start":
			a.Start = a.Start.AddDate(0, 0, 1)
		case "street":
			a.StreetName = "By hand"
		case "delete":
			a.SoftDeleted = !a.SoftDeleted
		}
		twin.Status, twin.Start, twin.End, twin.Street, twin.Deleted = a.Status, a.Start, a.End, a.StreetName, a.SoftDeleted
	}))
	r.twin.Edited(twin, time.Now())
}
