package projection_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/cmd/internal/projection"
	"casdelius/projector/postgres/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }

// Catches a pool that goes on with a session after an error that says it cannot be used any
// more, and one that gives up a sound one. After a read-only session all are opened anew: they
// lead to the same server.
func TestAPoolGivesUpSessionsThatCannotBeUsedOn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	database := postgrestest.New(t)
	pool, err := projection.Delius(database.URL).Connect(ctx, 1)
	require.NoError(t, err)
	defer pool.Close()
	for code, kept := range map[string]bool{"25006": false, "42P05": false, "XX000": false, "55P03": true, "40001": true, "P0001": true} {
		other, err := pool.Acquire(ctx)
		require.NoError(t, err)
		conn, err := pool.Acquire(ctx)
		require.NoError(t, err)
		_, err = conn.Exec(ctx, "do $$ begin raise exception 'in a test' using errcode = '"+code+"'; end $$")
		closed, before := conn.Conn().IsClosed(), other.Conn().PgConn().PID()
		conn.Release()
		other.Release()
		require.ErrorContains(t, err, code)
		require.Equal(t, kept, !closed, code)
		var after uint32
		require.NoError(t, pool.QueryRow(ctx, "select pg_backend_pid()").Scan(&after))
		if code == "25006" {
			require.NotEqual(t, before, after, "the others are opened anew")
		}
	}
}
