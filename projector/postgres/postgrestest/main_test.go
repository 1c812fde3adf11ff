package postgrestest

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanVariable) != "" {
		os.Exit(runOrphan())
	}
	goleak.VerifyTestMain(Main(m, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table prepared as select 42 as answer")
		return err
	}))
}
