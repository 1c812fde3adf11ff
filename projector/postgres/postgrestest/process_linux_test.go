package postgrestest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestClusterDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	orphan, home, url := startOrphan(t)
	connect(t, url)

	require.NoError(t, orphan.Process.Kill())
	require.Error(t, orphan.Wait())
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err != nil
	}, time.Minute, 10*time.Millisecond)
	awaitRemoved(t, home)
}
