package projection

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/projector/requests"
	"casdelius/projector/verify"
	"casdelius/store/jetstream"
)

// Sampled keeps a monitor's figures for whoever looks.
func Sampled(db *postgres.Database) func(context.Context, inspect.Figures) error {
	program := service.ReadBuild("projector").String()
	return func(ctx context.Context, f inspect.Figures) error {
		f.Program, f.Fold = program, delius.FoldVersion
		return db.KeepFigures(ctx, f)
	}
}

// ProcessName names this process for others.
func ProcessName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

// Beside is what a projector does beside projecting.
type Beside struct {
	DB        *postgres.Database
	Log       *jetstream.Log
	Projector *projector.Projector
	Hold      bool // no request is carried out

	VerifyInterval time.Duration // between verifications of everyone; 0 is never
	VerifyRate     int           // messages and rows a second; 0 is no limit

	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Go begins to verify on a schedule, and to carry out requests.
func (b Beside) Go(ctx context.Context, group *errgroup.Group) {
	schedule := &verify.Schedule{
		Runs: b.DB.Verified, Interval: b.VerifyInterval, Rate: b.VerifyRate, Who: ProcessName(), Problem: postgres.Problem, Logger: b.Logger,
		Verify: func(ctx context.Context, v verify.Verification) (verify.Verdict, error) {
			return b.DB.Verifier(NewLog(b.Log), b.Projector, v).Run(ctx)
		},
	}
	schedule.Register(b.Registry)
	group.Go(func() error { return schedule.Run(ctx) })
	// Two projectors of one process are told apart by what they are born with.
	holder := ProcessName() + ", " + uuid.NewString()
	executor := b.DB.Executor(b.Projector, Rejected{b.Log}, requests.Config{Holder: holder, Logger: b.Logger, Registry: b.Registry})
	if !b.Hold {
		group.Go(func() error { return executor.Run(ctx) })
	}
}
