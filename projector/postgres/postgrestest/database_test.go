package postgrestest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := New(t), New(t)
	require.NotEqual(t, one.URL, two.URL)
	_, err := one.AddOffender(t.Context(), "A000001", "")
	require.NoError(t, err)

	conn := connect(t, two.URL)
	assert.Zero(t, queryInt(t, conn, "select count(*) from delius.offender"))
	assert.Equal(t, 42, queryInt(t, conn, "select answer from prepared"), "what Main was given to prepare")
}

func TestDatabaseGoesWithItsTestWhoeverIsConnected(t *testing.T) {
	t.Parallel()
	var name string
	admin := connect(t, New(t).URL)
	t.Run("a test", func(t *testing.T) {
		db := New(t)
		conn, err := pgx.Connect(t.Context(), db.URL) // and not closed
		require.NoError(t, err)
		require.NoError(t, conn.QueryRow(t.Context(), "select current_database()").Scan(&name))
	})
	assert.Zero(t, queryInt(t, admin, "select count(*) from pg_database where datname = '"+name+"'"))
}

func BenchmarkNew(b *testing.B) {
	New(b) // starts the cluster
	for b.Loop() {
		New(b)
	}
}
