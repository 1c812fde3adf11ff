package postgrestest

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// managers lists who manages whom: CRN, NOMS number and the active manager.
func managers(t *testing.T, d Delius) []Person {
	t.Helper()
	rows, err := d.Pool.Query(t.Context(), `
		select o.crn::text, coalesce(o.noms_number::text, ''), coalesce(p.code::text, ''), coalesce(t.code::text, ''), coalesce(s.officer_code::text, '')
		from delius.offender o
		left join delius.offender_manager m on m.offender_id = o.offender_id and m.active_flag = 1 and m.soft_deleted = 0
		left join delius.probation_area p on p.probation_area_id = m.probation_area_id
		left join delius.team t on t.team_id = m.team_id
		left join delius.staff s on s.staff_id = m.allocation_staff_id
		order by o.crn`)
	require.NoError(t, err)
	people, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Person, error) {
		var p Person
		err := row.Scan(&p.CRN, &p.NOMS, &p.Manager.Provider, &p.Manager.Team, &p.Manager.Staff)
		return p, err
	})
	require.NoError(t, err)
	return people
}

var (
	north  = Officer{Provider: "N54", Team: "N54T01", Staff: "N54A001"}
	london = Officer{Provider: "N07", Team: "N07UAT", Staff: "N07U000"}
)

func TestANewManagerTakesThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	db := New(t)
	id, err := db.AddOffender(t.Context(), "A000001", "A1234BC")
	require.NoError(t, err)
	first, err := db.AddManager(t.Context(), id, north)
	require.NoError(t, err)
	second, err := db.AddManager(t.Context(), id, london)
	require.NoError(t, err)
	assert.Greater(t, second, first)
	assert.Equal(t, []Person{{CRN: "A000001", NOMS: "A1234BC", Manager: london}}, managers(t, db.Delius))

	_, err = db.AddManager(t.Context(), id, Officer{Provider: "N54", Team: "N54T01", Staff: "N54Z999"})
	require.ErrorContains(t, err, `no staff "N54Z999"`)
}

func TestStaffJoinTheirTeams(t *testing.T) {
	t.Parallel()
	db := New(t)
	id, err := db.AddStaff(t.Context(), "N54B001", "N54T01", "N54HPT")
	require.NoError(t, err)
	conn := connect(t, db.URL)
	assert.Equal(t, 2, queryInt(t, conn, fmt.Sprintf("select count(*) from delius.staff_team where staff_id = %d", id)))

	_, err = db.AddStaff(t.Context(), "N54B002", "N54Z99")
	require.ErrorContains(t, err, `no team "N54Z99"`)
	assert.Zero(t, queryInt(t, conn, "select count(*) from delius.staff where officer_code = 'N54B002'"), "all or nothing")
}

func TestPeopleAreAddedInBulk(t *testing.T) {
	t.Parallel()
	db := New(t)
	people := []Person{
		{CRN: "A000001", NOMS: "A1234BC", Manager: north},
		{CRN: "A000002", NOMS: "A1234BC", Manager: london},
		{CRN: "A000003"},
	}
	require.NoError(t, db.AddPeople(t.Context(), people))
	assert.Equal(t, people, managers(t, db.Delius))

	err := db.AddPeople(t.Context(), []Person{{CRN: "A000004"}, {CRN: "A000005", Manager: Officer{"N54", "N54T01", "N54Z999"}}})
	require.ErrorContains(t, err, "A000005: N54 N54T01 N54Z999")
	assert.Len(t, managers(t, db.Delius), len(people), "all or nothing")
}

func BenchmarkAddPeople(b *testing.B) {
	people := make([]Person, 100_000)
	for i := range people {
		people[i] = Person{CRN: store.CRN(fmt.Sprintf("A%06d", i)), Manager: north}
	}
	for b.Loop() {
		b.StopTimer()
		db := New(b)
		b.StartTimer()
		require.NoError(b, db.AddPeople(b.Context(), people))
	}
	b.ReportMetric(float64(len(people)*b.N)/b.Elapsed().Seconds(), "people/s")
}
