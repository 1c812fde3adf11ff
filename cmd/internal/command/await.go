package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"casdelius/cmd/internal/service"
)

const (
	firstPause  = time.Second
	longestWait = 30 * time.Second
)

// Await waits at a service's start for what it needs.
type Await struct {
	Logger    *slog.Logger
	Endpoints *service.Endpoints // whose readiness says what is waited for; may be nil
}

// For tries until it succeeds, with growing pauses, for as long as the errors pass by
// themselves; the log and the service's readiness say meanwhile what it waits for. Any other
// error is final. None is given where ctx ended first, which the caller has to look at.
func (a *Await) For(ctx context.Context, what string, passes func(error) bool, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		err := try()
		switch {
		case err == nil:
			a.say("start", errors.New("the service is starting"))
			return nil
		case ctx.Err() != nil:
			return nil
		case !passes(err):
			return err
		}
		a.Logger.WarnContext(ctx, what+" cannot be used yet", "retry", pause, "error", err)
		a.say(strings.ToLower(strings.TrimPrefix(what, "the ")), fmt.Errorf("the service is starting: %w", err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// say has readiness say why the service is not ready.
func (a *Await) say(part string, why error) {
	if a.Endpoints != nil {
		a.Endpoints.Started(service.Check{Name: part, Serving: true, Run: func(context.Context) error { return why }})
	}
}
