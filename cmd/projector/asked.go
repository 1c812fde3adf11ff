package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/projector/requests"
	"casdelius/projector/verify"
	"casdelius/store/jetstream"
)

// shortestVerify leaves the stream and the database something else to do.
const shortestVerify = time.Minute

// sampled keeps the figures for whoever looks.
func sampled(db *postgres.Database) func(context.Context, inspect.Figures) error {
	program := service.ReadBuild("projector").String()
	return func(ctx context.Context, f inspect.Figures) error {
		f.Program, f.Fold = program, delius.FoldVersion
		return db.KeepFigures(ctx, f)
	}
}

// schedule is the verification of everyone on a schedule.
func (c *runCommand) schedule(db *postgres.Database, log *jetstream.Log, p *projector.Projector, registry prometheus.Registerer, logger *slog.Logger) *verify.Schedule {
	s := &verify.Schedule{
		Runs: db.Verified, Interval: c.Verify, Rate: c.Rate, Who: processName(), Problem: postgres.Problem, Logger: logger,
		Verify: func(ctx context.Context, v verify.Verification) (verify.Verdict, error) {
			return db.Verifier(projection.NewLog(log), p, v).Run(ctx)
		},
	}
	s.Register(registry)
	return s
}

// executor carries out requests. Two of one process are told apart by what they are born with.
func (c *runCommand) executor(db *postgres.Database, log *jetstream.Log, p *projector.Projector, registry prometheus.Registerer, logger *slog.Logger) *requests.Executor {
	return db.Executor(p, projection.Rejected{Log: log}, requests.Config{Holder: processName() + ", " + uuid.NewString(), Logger: logger, Registry: registry})
}
