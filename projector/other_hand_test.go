package projector_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// The core person record writes addresses into Delius beside CAS and practitioners: main ones
// mostly, of which it knows little more than the lines.

// recorder is the user by whom the core person record writes.
const recorder = "CorePersonRecord"

// record inserts an address as the core person record does, in the database and in the twin.
// What it does not know is null, and it is the only one that knows the property's number.
func (r *rig) record(t require.TestingT, a postgrestest.Address) {
	_, err := r.delius.Pool.Exec(ctx, "insert into delius.user_ (distinguished_name) values ($1) on conflict do nothing", recorder)
	require.NoError(t, err)
	a.CreatedBy = recorder
	if a.Created.IsZero() {
		a.Created = time.Now().UTC().Truncate(time.Microsecond)
	}
	id, err := r.delius.InsertAddress(ctx, a)
	require.NoError(t, err)
	_, err = r.delius.Pool.Exec(ctx, "update delius.offender_address set uprn = 100023336956, type_verified = null, no_fixed_abode = null where offender_address_id = $1", id)
	require.NoError(t, err)
	r.twin.InsertAddress(deliustest.Address{
		CRN: store.CRN(a.CRN), Type: a.Type, Status: a.Status, Building: a.BuildingName, Street: a.StreetName, District: a.District,
		Town: a.TownCity, County: a.County, Postcode: a.Postcode, Start: a.Start, End: a.End, Deleted: a.SoftDeleted, CreatedBy: recorder,
	}, a.Created)
}

// unknown counts the rows of the core person record that still lack what it does not know.
func (r *rig) unknown(t require.TestingT) (n int) {
	require.NoError(t, r.delius.Pool.QueryRow(ctx, `
		select count(*) from delius.offender_address join delius.user_ on user_id = created_by_user_id
		where distinguished_name = $1 and uprn = 100023336956 and type_verified is null and no_fixed_abode is null`, recorder).Scan(&n))
	return n
}

func march(day int) time.Time { return time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC) }

// seen is what is compared of an address, with its dates as days of March, 0 for none.
type seen struct {
	street, status string
	start, end     int
	by             string // who has changed it last
	deleted        bool
}

// seen lists every address.
func (r *rig) seen(t require.TestingT) (all []seen) {
	addresses, err := r.delius.Addresses(ctx)
	require.NoError(t, err)
	day := func(at time.Time) int {
		if at.IsZero() {
			return 0
		}
		return int(at.Sub(march(0)).Hours()) / 24
	}
	for _, a := range addresses {
		all = append(all, seen{a.StreetName, a.Status, day(a.Start), day(a.End), a.UpdatedBy, a.SoftDeleted})
	}
	return all
}

// everybody looks at someone, due or not, and has the twin look.
func (r *rig) everybody(t require.TestingT) projector.Report {
	report, err := r.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{booking(1)}})
	require.NoError(t, err)
	require.Empty(t, report.Failed)
	r.twin.Project(time.Now())
	r.requireTwin(t)
	return report
}

// The stay is of 1 March at "first Street", AB1 2CD. Catches a row that is adopted although
// it has no type, one that is not although it is of CAS3, a null start that stops a person or
// counts as later than any other, and a column that is written although it is none of ours.
func TestARowOfTheCorePersonRecordIsTreatedAsAPractitioners(t *testing.T) {
	t.Parallel()
	const there, elsewhere, here = "first Street", "2 Elsewhere", "AB1 2CD"
	const main, cas3 = delius.MainStatus, deliustest.CAS3User
	for name, test := range map[string]struct {
		theirs postgrestest.Address
		first  []seen // where theirs came before the stay
		later  []seen // where the stay had its row already; nil if that is the same
	}{
		"a later move of the person ends the stay": {
			theirs: postgrestest.Address{Status: main, StreetName: elsewhere, Postcode: "ZZ9 9ZZ", Start: march(9)},
			first:  []seen{{there, "P", 1, 9, cas3, false}, {elsewhere, "M", 9, 0, recorder, false}},
		},
		"an earlier home ends with the arrival": {
			theirs: postgrestest.Address{Status: main, StreetName: elsewhere, Postcode: "ZZ9 9ZZ", Start: march(-5)},
			first:  []seen{{elsewhere, "P", -5, 1, cas3, false}, {there, "M", 1, 0, cas3, false}},
		},
		"a home without a start was before any other": {
			theirs: postgrestest.Address{Status: main, StreetName: elsewhere},
			first:  []seen{{elsewhere, "P", 0, 1, cas3, false}, {there, "M", 1, 0, cas3, false}},
		},
		"without a type it is not adopted at the same place": {
			theirs: postgrestest.Address{Status: main, StreetName: there, Postcode: here, Start: march(1)},
			first:  []seen{{there, "P", 1, 1, cas3, false}, {there, "M", 1, 0, recorder, false}},
		},
		"nor without a type and a start": {
			theirs: postgrestest.Address{Status: main, StreetName: there, Postcode: "ab12cd"},
			first:  []seen{{there, "P", 0, 1, cas3, false}, {there, "M", 1, 0, cas3, false}},
		},
		"of CAS3's type at the same place and start it is the stay's": {
			theirs: postgrestest.Address{Type: "A17", Status: main, StreetName: "1st Street", Postcode: "ab12cd", Start: march(1)},
			first:  []seen{{"1st Street", "M", 1, 0, recorder, false}},
			later:  []seen{{there, "P", 1, 1, cas3, false}, {"1st Street", "M", 1, 0, recorder, false}},
		},
		"of CAS3's type without a start it is not": {
			theirs: postgrestest.Address{Type: "A17", Status: main, StreetName: there, Postcode: here},
			first:  []seen{{there, "P", 0, 1, cas3, false}, {there, "M", 1, 0, cas3, false}},
		},
		"of CAS3's type and deleted, the stay counts as deleted": {
			theirs: postgrestest.Address{Type: "A17", Status: main, StreetName: there, Postcode: here, Start: march(1), SoftDeleted: true},
			first:  []seen{{there, "M", 1, 0, recorder, true}},
			later:  []seen{{there, "M", 1, 0, cas3, false}, {there, "M", 1, 0, recorder, true}},
		},
		"deleted it claims nothing": {
			theirs: postgrestest.Address{Status: main, StreetName: elsewhere, Start: march(9), SoftDeleted: true},
			first:  []seen{{there, "M", 1, 0, cas3, false}, {elsewhere, "M", 9, 0, recorder, true}},
		},
		"an end of its own is kept": {
			theirs: postgrestest.Address{Status: "P", StreetName: elsewhere, Start: march(2), End: march(5)},
			first:  []seen{{there, "P", 1, 2, cas3, false}, {elsewhere, "P", 2, 5, recorder, false}},
		},
	} {
		test.theirs.CRN = string(someone)
		arrives := arrival(1, "first", store.PersonArrived, 0, someone)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.begin(t, []storetest.History{{Person: storetest.Person{CRN: someone}}})
			r.record(t, test.theirs)
			r.put(t, arrives)
			r.requireSeen(t, test.first)
		})
		t.Run(name+", after the stay", func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.begin(t, []storetest.History{{Person: storetest.Person{CRN: someone}}})
			r.put(t, arrives)
			r.everybody(t)
			r.record(t, test.theirs)
			want := test.later
			if want == nil {
				want = test.first
			}
			r.requireSeen(t, want)
		})
	}
}

// requireSeen looks at everybody and holds that this is what stands, that a second look
// changes nothing and no damage is seen, and that what was null is null.
func (r *rig) requireSeen(t *testing.T, want []seen) {
	t.Helper()
	r.everybody(t)
	require.ElementsMatch(t, want, r.seen(t))
	require.Zero(t, r.everybody(t).Changes)
	_, damaged, _ := r.verify(t, false)
	require.Empty(t, damaged)
	require.Equal(t, 1, r.unknown(t))
}

// What the core person record does to a row of ours is a person's edit.
func TestTheCorePersonRecordEndsAndDeletesRowsOfOursAsAPractitionerDoes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit func(*postgrestest.Address)
		want []seen
	}{
		"ended":   {func(a *postgrestest.Address) { a.Status, a.End = "P", march(7) }, []seen{{"first Street", "P", 1, 7, postgrestest.Practitioner, false}}},
		"deleted": {func(a *postgrestest.Address) { a.SoftDeleted = true }, []seen{{"first Street", "M", 1, 0, postgrestest.Practitioner, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.begin(t, []storetest.History{{Person: storetest.Person{CRN: someone}}})
			r.put(t, arrival(1, "first", store.PersonArrived, 0, someone))
			r.everybody(t)
			twin := r.twin.Addresses()[0]
			addresses, err := r.delius.Addresses(ctx)
			require.NoError(t, err)
			require.NoError(t, r.delius.EditAddress(ctx, addresses[0].ID, func(a *postgrestest.Address) {
				test.edit(a)
				twin.Status, twin.End, twin.Deleted = a.Status, a.End, a.SoftDeleted
			}))
			r.twin.Edited(twin, time.Now())
			r.exec(t, "update delius.offender_address set uprn = 1, type_verified = null, no_fixed_abode = null, address_type_id = null")
			twin.Type, twin.Verified = "", false
			r.everybody(t)
			require.Equal(t, test.want, r.seen(t))
			require.Zero(t, r.everybody(t).Changes)
		})
	}
}

// Whatever rows another hand adds, of whichever kind, before, between and after the events:
// every row is the twin's, and what that hand left null is null.
func TestRowsOfAnotherHandComeAtAnyTime(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		recorded := 0
		for _, e := range shuffled(r, histories) {
			rig.put(r, e)
			if rapid.IntRange(0, 3).Draw(r, "another hand") == 0 {
				rig.record(r, someRecord(r, histories))
				recorded++
			}
			if rapid.Bool().Draw(r, "reconcile") {
				rig.look(r, histories)
			}
		}
		rig.look(r, histories)
		rig.requireSettled(r, histories)
		require.Equal(r, recorded, rig.unknown(r))
	})
}

// someRecord is an address of somebody, as the core person record may write it.
func someRecord(t *rapid.T, histories []storetest.History) postgrestest.Address {
	a := postgrestest.Address{
		CRN:    string(rapid.SampledFrom(histories).Draw(t, "person").Person.CRN),
		Status: rapid.SampledFrom([]string{"M", "M", "P", "PR"}).Draw(t, "status"),
		Type:   rapid.SampledFrom([]string{"", "", "A17", "A02"}).Draw(t, "type"),

		SoftDeleted: rapid.IntRange(0, 4).Draw(t, "deleted") == 4,
	}
	place := rapid.SampledFrom([]postgrestest.Address{
		{StreetName: "1 Hope Street", Postcode: "LS1 4AP"},
		{StreetName: "1 Hope Street", Postcode: "ls14ap", TownCity: "Leeds"},
		{StreetName: "2 Canal Road", Postcode: "NE1 7RU"},
		{StreetName: "9 Elsewhere"},
	}).Draw(t, "place")
	a.StreetName, a.Postcode, a.TownCity = place.StreetName, place.Postcode, place.TownCity
	if day := rapid.IntRange(8, 13).Draw(t, "start"); day > 8 {
		a.Start = time.Date(2024, 6, day, 0, 0, 0, 0, time.UTC)
	}
	if day := rapid.IntRange(4, 13).Draw(t, "end"); day > 8 {
		a.End = time.Date(2024, 6, day, 0, 0, 0, 0, time.UTC)
	}
	return a
}
