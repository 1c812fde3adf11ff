package postgrestest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// counts is how many rows each table of Delius has.
func counts(t *testing.T, d Delius) map[string]int {
	t.Helper()
	rows, err := d.Pool.Query(t.Context(), "select table_name from information_schema.tables where table_schema = 'delius'")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	found := make(map[string]int)
	for _, table := range tables {
		var n int
		require.NoError(t, d.Pool.QueryRow(t.Context(), "select count(*) from "+pgx.Identifier{"delius", table}.Sanitize()).Scan(&n))
		found[table] = n
	}
	return found
}

func TestDeliusCanBeCreatedAgainAndByManyAtOnce(t *testing.T) {
	t.Parallel()
	db := New(t)
	before := counts(t, db.Delius)
	require.Len(t, before, 15)

	many := func() error {
		g, ctx := errgroup.WithContext(t.Context())
		for range 4 {
			g.Go(func() error { return CreateDelius(ctx, db.Pool) })
		}
		return g.Wait()
	}
	require.NoError(t, many())
	assert.Equal(t, before, counts(t, db.Delius))

	_, err := db.Pool.Exec(t.Context(), "drop schema delius cascade")
	require.NoError(t, err)
	require.NoError(t, many())
	assert.Equal(t, before, counts(t, db.Delius))
}

func TestDeliusIsCreatedWithinTheCallersTransaction(t *testing.T) {
	t.Parallel()
	db := New(t)
	_, err := db.Pool.Exec(t.Context(), "drop schema delius cascade")
	require.NoError(t, err)
	err = pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		require.NoError(t, CreateDelius(t.Context(), tx))
		return tx.Rollback(t.Context())
	})
	require.ErrorIs(t, err, pgx.ErrTxClosed)
	assert.Empty(t, counts(t, db.Delius))
}

func TestReferenceDataHasWhatContactsNeed(t *testing.T) {
	t.Parallel()
	db := New(t)
	list := func(query string) []string {
		t.Helper()
		rows, err := db.Pool.Query(t.Context(), query)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	assert.Equal(t, []string{"EAAR", "EABP", "EACA", "EACB", "EACC", "EACO", "EADP", "EARS"},
		list(`select code from delius.r_contact_type where code like 'E%' and sensitive_contact = 'N' order by code`))
	assert.Equal(t, []string{"CVIC"}, list(`select code from delius.r_contact_type where sensitive_contact = 'Y'`))

	providers := []string{"N03", "N07", "N50", "N51", "N52", "N53", "N54", "N55", "N56", "N57", "N58", "N59"}
	assert.Equal(t, providers, list(`select code::text from delius.probation_area order by code`))
	var teams, officers []string
	for _, provider := range providers {
		switch provider {
		case "N58":
			teams = append(teams, "N58XXX")
		case "N59":
			teams = append(teams, "N59N59")
		default:
			teams = append(teams, provider+"HPT")
		}
		officers = append(officers, provider+"A001")
	}
	const homelessnessTeams = `
		from delius.team t
		join delius.probation_area p using (probation_area_id)
		where t.description = 'Homelessness Prevention Team' and left(t.code, 3) = p.code::text
		order by t.code`
	assert.Equal(t, teams, list(`select t.code::text`+homelessnessTeams))
	assert.Equal(t, officers, list(`
		select s.officer_code::text
		from delius.staff s
		join delius.staff_team using (staff_id)
		where team_id in (select team_id`+homelessnessTeams+`)
		order by 1`))
	assert.Equal(t, []string{"N54A001", "N54A002"}, list(`
		select s.officer_code::text
		from delius.staff s
		join delius.staff_team using (staff_id)
		join delius.team t using (team_id)
		where t.code = 'N54T01'
		order by 1`))
	assert.Equal(t, []string{"Cas2AndDelius", "Cas3AndDelius", Practitioner}, list(`select distinguished_name from delius.user_ order by 1`))
}

// Whoever fills the tables from outside gives only the columns that other systems
// know of.
func TestRowsNeedOnlyTheColumnsThatMatter(t *testing.T) {
	t.Parallel()
	db := New(t)
	const anyUser = `(select min(user_id) from delius.user_)`
	for _, statement := range []string{
		`insert into delius.offender (offender_id, crn, noms_number, soft_deleted) values (1, 'X000001', null, 0)`,
		`insert into delius.probation_area (probation_area_id, code) values (1, 'X01')`,
		`insert into delius.team (team_id, code, probation_area_id) values (1, 'X01T01', 1)`,
		`insert into delius.staff (staff_id, officer_code) values (1, 'X01A001')`,
		`insert into delius.staff_team (staff_id, team_id) values (1, 1)`,
		`insert into delius.user_ (user_id, distinguished_name) values (1, 'Somebody')`,
		`insert into delius.r_contact_type (contact_type_id, code, description, sensitive_contact) values (1, 'XXXX', 'New', 'Y')`,
		`insert into delius.r_reference_data_master (reference_data_master_id, code_set_name) values (1, 'NEW')`,
		`insert into delius.r_standard_reference_list (standard_reference_list_id, code_value, code_description, reference_data_master_id)
		 values (1, 'A', 'New', 1)`,
		`insert into delius.business_interaction (business_interaction_id, business_interaction_code) values (1, 'XXBI001')`,
		`insert into delius.offender_manager (offender_manager_id, offender_id, allocation_staff_id, team_id, probation_area_id, active_flag, soft_deleted)
		 values (1, 1, 1, 1, 1, 1, 0)`,
		`insert into delius.contact (contact_id, row_version, offender_id, contact_type_id, description, contact_date, contact_start_time,
		     staff_id, team_id, probation_area_id, notes, external_reference, sensitive, created_datetime, last_updated_datetime,
		     created_by_user_id, last_updated_user_id, soft_deleted, partition_area_id, trust_provider_team_id, trust_provider_flag)
		 values (nextval('delius.contact_id_seq'), 0, 1, 1, null, current_date, null, 1, 1, 1, null, 'urn:twice', 'N', now(), now(), 1, 1, 0, 0, 1, 0),
		        (nextval('delius.contact_id_seq'), 0, 1, 1, null, current_date, null, 1, 1, 1, null, 'urn:twice', 'N', now(), now(), 1, 1, 0, 0, 1, 0)`,
		`insert into delius.offender_address (offender_address_id, offender_id, address_type_id, address_status_id, building_name, address_number,
		     street_name, district, town_city, county, postcode, telephone_number, no_fixed_abode, type_verified, start_date, end_date, soft_deleted,
		     created_datetime, created_by_user_id, last_updated_datetime, last_updated_user_id, partition_area_id)
		 values (nextval('delius.offender_address_id_seq'), 1, 1, 1, null, null, null, null, null, null, null, null, 'N', 'N', null, null, 0,
		     now(), 1, now(), 1, 0)`,
		`insert into delius.audited_interaction (date_time, business_interaction_id, user_id, outcome, interaction_parameters)
		 select timestamptz '2024-01-01 00:00Z', 1, ` + anyUser + `, 'P', 'contactId=''1''' from generate_series(1, 2)`,
	} {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	interactions, err := db.Interactions(t.Context())
	require.NoError(t, err)
	require.Len(t, interactions, 2)
	assert.Equal(t, "XXBI001", interactions[0].Code)
	assert.Equal(t, "contactId='1'", interactions[0].Parameters)
}
