package lists

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
)

// Rebuilding tells of the rebuild of everyone that is under way or was interrupted; nil if there
// is none.
func (l *Lists) Rebuilding(ctx context.Context) (*inspect.Rebuilding, error) {
	var r inspect.Rebuilding
	var since, reached *time.Time
	var from int
	var tally []byte
	err := l.DB.Pool.QueryRow(ctx, `
		select worker, started, since, lease_end > now(), paused_by, phase, done, total, rate, phase_since, phase_from, reached, tally from projection.rebuild`).
		Scan(&r.By, &r.Started, &r.Since, &r.Running, &r.PausedBy, &r.Phase, &r.Done, &r.Total, &r.Limit, &since, &from, &reached, &tally)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil // there is none
	}
	var of projector.Tally
	if err == nil {
		err = json.Unmarshal(tally, &of)
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the rebuild: %w", tx.Translate(err))
	}
	r.Started, r.Since, r.Reached, r.Tally = r.Started.UTC(), r.Since.UTC(), orZero(reached), inspect.TotalOf(&of)
	if took := r.Reached.Sub(orZero(since)).Seconds(); since != nil && r.Done > from && took > 0 {
		r.Rate = float64(r.Done-from) / took
		r.Left = float64(r.Total-r.Done) / r.Rate
	}
	return &r, nil
}

// RebuiltBy implements requests.Effects.
func (l *Lists) RebuiltBy(ctx context.Context) (string, error) {
	is, err := l.Rebuilding(ctx)
	if err != nil || is == nil {
		return "", err
	}
	return is.By, nil
}
