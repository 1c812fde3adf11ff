package tx_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/postgres/tx"
)

// Catches a value that PostgreSQL, or a trigger, quotes in an error and that is logged; and an
// error that is emptied although it says what is wrong with a right or a table.
func TestErrorsAreToldWithoutTheValuesThatTheyQuote(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), postgrestest.New(t).Owner)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	const value = "Quillfeather"
	for query, code := range map[string]string{
		"select '" + value + "'::date":                                      "22007",
		"select '" + value + "'::int":                                       "22P02",
		"do $$ begin raise exception 'of " + value + "'; end $$":            "P0001",
		"do $$ begin raise '" + value + "' using errcode = '23514'; end $$": "23514",
	} {
		_, err := conn.Exec(t.Context(), query)
		require.ErrorContains(t, err, value, "PostgreSQL quotes it")
		told := tx.Withhold(fmt.Errorf("writing: %w", errors.Join(err, errors.New("and more"))))
		require.NotContains(t, told.Error(), value)
		for _, kept := range []string{"writing: ", code, "and more"} {
			require.ErrorContains(t, told, kept)
		}
		var pg *pgconn.PgError
		require.ErrorAs(t, told, &pg)
	}
	for _, query := range []string{"select * from nowhere", "select 1 /"} {
		_, err := conn.Exec(t.Context(), query)
		require.Equal(t, err, tx.Withhold(err))
	}
	require.NoError(t, tx.Withhold(nil))
}
