package projection

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/freshness"
	"casdelius/projector/postgres"
)

// watchConnections are those that a monitor uses: of these, one may be closing.
const watchConnections = 2

// Watch makes a monitor of what a projector projects from a log, with connections of its own to
// the database of a pool: those of the pool may all be waiting. The function that comes with it
// closes them.
func Watch(ctx context.Context, pool *pgxpool.Pool, log Log, p *projector.Projector, config freshness.Config) (*freshness.Monitor, func(), error) {
	own := pool.Config()
	own.MaxConns, own.MinConns, own.MinIdleConns = watchConnections, 0, 0
	own.ConnConfig.Tracer = nil // what is asked every few seconds is nobody's step
	watching, err := pgxpool.NewWithConfig(ctx, own)
	if err != nil {
		return nil, nil, fmt.Errorf("connections that watch the database: %w", err)
	}
	return freshness.New(log, postgres.Watching(watching, config.Limit), p, config), watching.Close, nil
}

// Checks are the parts of health that a monitor knows.
func Checks(m *freshness.Monitor) []service.Check {
	return []service.Check{
		{Name: "freshness", Serving: true, Run: m.Readable},
		{Name: "intake", Serving: true, Run: m.Intake},
		{Name: "steps", Serving: true, Run: m.Steps},
	}
}
