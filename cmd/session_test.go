package cmd_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// Settings of roles and databases that exist, each of which changes what is stored, read or
// compared where a connection takes it on trust.
var oddSettings = map[string]string{
	"client_encoding": "LATIN1", "timezone": "America/New_York", "datestyle": "SQL, DMY", "intervalstyle": "sql_standard",
	"extra_float_digits": "-15", "bytea_output": "escape", "standard_conforming_strings": "off", "backslash_quote": "on",
	"array_nulls": "off", "transform_null_equals": "on", "search_path": "odd", "row_security": "on",
	"default_transaction_isolation": "serializable", "default_transaction_read_only": "on", "default_transaction_deferrable": "on",
	"synchronous_commit": "off", "statement_timeout": "7min", "lock_timeout": "7min", "idle_in_transaction_session_timeout": "7min",
}

// It catches a setting that is left to the role, and, behind a pooler, one that is left to the
// session: the one refuses what a session asks for, the other forgets it.
func TestNoSettingOfARoleOrADatabaseChangesWhatIsStored(t *testing.T) {
	t.Parallel()
	for name, through := range map[string]func(testing.TB, string) string{
		"connected to the server":                nil,
		"behind a pooler that refuses settings":  func(t testing.TB, url string) string { return postgrestest.Pooler(t, url, false) },
		"behind a pooler that forgives settings": func(t testing.TB, url string) string { return postgrestest.Pooler(t, url, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireNoOddSetting(t, through)
		})
	}
}

func requireNoOddSetting(t *testing.T, through func(testing.TB, string) string) {
	t.Helper()
	database := postgrestest.New(t)
	address, err := url.Parse(database.Owner)
	require.NoError(t, err)
	name := address.Path[1:]
	role := "odd_" + name
	conn, err := pgx.Connect(ctx, database.Owner)
	require.NoError(t, err)
	exec := func(query string) {
		t.Helper()
		_, err := conn.Exec(ctx, query)
		require.NoError(t, err, query)
	}
	exec("create role " + role + " superuser login password 'odd'")
	t.Cleanup(func() {
		exec("drop role " + role)
		require.NoError(t, conn.Close(ctx))
	})
	for setting, value := range oddSettings {
		exec(fmt.Sprintf("alter role %s set %s = '%s'", role, setting, value))
		exec(fmt.Sprintf("alter database %s set %s = '%s'", name, setting, value))
	}
	address.User = url.UserPassword(role, "odd")

	// The control: a plain connection of that role takes them on.
	plain, err := pgx.Connect(ctx, address.String())
	require.NoError(t, err)
	for setting, value := range oddSettings {
		rows, err := plain.PgConn().Exec(ctx, "show "+setting).ReadAll()
		require.NoError(t, err)
		require.Equal(t, value, string(rows[0].Rows[0][0]), setting)
	}
	require.NoError(t, plain.Close(ctx))

	url := address.String()
	if through != nil {
		url = through(t, url)
	}
	pool, err := projection.Delius(url).Connect(ctx, 1)
	require.NoError(t, err)
	defer pool.Close()
	require.Equal(t, through != nil, postgres.Pooled(pool))
	db, err := postgres.New(ctx, pool, postgres.Config{})
	require.NoError(t, err)
	requireSettled(t, pool, db)

	office, err := projection.Delius(database.Owner).Connect(ctx, 1)
	require.NoError(t, err)
	defer office.Close()
	delius := postgrestest.Delius{Pool: office}
	require.NoError(t, delius.AddPeople(ctx, []postgrestest.Person{{CRN: "X000001", Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}}}))
	p, err := projector.New(nil, db.Ports(), projector.Config{})
	require.NoError(t, err)
	referral, err := store.ParseReferral("00000000-0000-4000-8000-000000000001")
	require.NoError(t, err)
	arrived := time.Date(2026, 7, 1, 23, 30, 0, 0, time.UTC)
	require.NoError(t, db.Put(ctx, []store.Stored{{Sequence: 1, Stored: arrived, Event: store.Event{
		ID: "1", Type: store.PersonArrived, Referral: referral, CRN: "X000001", Emitted: arrived, Source: "https://cas.example",
		Body: []byte(`{"eventDetails":{"premises":{"addressLine1":"1 Łódź \\ 'Street","postcode":"AB1 2CD"},"arrivedAt":"2026-07-01T23:30:00Z","notes":"Zoë’s “key” – 5 €"}}`),
	}}}))
	report, err := p.Reconcile(ctx, projector.Selection{Referrals: []store.Referral{referral}})
	require.NoError(t, err)
	require.Empty(t, report.Failed)

	contacts, err := delius.Contacts(ctx)
	require.NoError(t, err)
	require.Len(t, contacts, 1)
	require.Equal(t, "Arrival date: 02/07/2026\nArrival address: 1 Łódź \\ 'Street AB1 2CD\nZoë’s “key” – 5 €", contacts[0].Notes)
	require.True(t, contacts[0].StartTime.Equal(arrived))
	require.Equal(t, "2026-07-02", contacts[0].Date.Format("2006-01-02"))
	addresses, err := delius.Addresses(ctx)
	require.NoError(t, err)
	require.Len(t, addresses, 1)
	require.Equal(t, "1 Łódź \\ 'Street", addresses[0].StreetName)
}

// requireSettled requires that no odd setting holds in a transaction, nor on a session that is
// the projector's own.
func requireSettled(t *testing.T, pool *pgxpool.Pool, db *postgres.Database) {
	t.Helper()
	step, err := db.Open(ctx, projector.Selection{})
	require.NoError(t, err)
	defer step.Rollback(ctx)
	for setting, value := range oddSettings {
		var is string
		if !strings.HasPrefix(setting, "default_") { // which concern the beginning of a transaction
			require.NoError(t, step.Tx().QueryRow(ctx, "select current_setting($1)", setting).Scan(&is))
			require.NotEqual(t, value, is, setting)
		}
		if !postgres.Pooled(pool) {
			require.NoError(t, pool.QueryRow(ctx, "select current_setting($1)", setting).Scan(&is))
			require.NotEqual(t, value, is, setting)
		}
	}
	for setting, want := range map[string]string{"transaction_read_only": "off", "transaction_isolation": "read committed", "transaction_deferrable": "off"} {
		var is string
		require.NoError(t, step.Tx().QueryRow(ctx, "select current_setting($1)", setting).Scan(&is))
		require.Equal(t, want, is, setting)
	}
}
