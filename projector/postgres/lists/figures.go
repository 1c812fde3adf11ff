package lists

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/inspect"
	"casdelius/projector/postgres/tx"
)

const (
	figuresEvery = 8 * time.Second // at the least between two samples, of whichever projectors
	figuresKept  = time.Hour
)

// KeepFigures keeps a sample of the figures, unless somebody has kept one a moment ago, and drops
// those that are older than an hour.
func (l *Lists) KeepFigures(ctx context.Context, f inspect.Figures) error {
	text, err := json.Marshal(&f)
	if err != nil {
		return fmt.Errorf("keeping the figures: %w", err)
	}
	_, err = l.DB.Exec(ctx, `
		with old as (
			delete from projection.figure where at < $1::timestamptz - $4::interval
		)
		insert into projection.figure (at, figures) select $1, jsonb_set($2::jsonb, '{schemaVersion}', to_jsonb((select version from projection.schema_version)))
		where not exists (select from projection.figure where at > $1::timestamptz - $3::interval)
		on conflict do nothing`, f.At, string(text), figuresEvery, figuresKept)
	if err != nil {
		return fmt.Errorf("keeping the figures: %w", err)
	}
	return nil
}

// Figures are the newest sample; nil if none was kept.
func (l *Lists) Figures(ctx context.Context) (*inspect.Figures, error) {
	var text []byte
	err := l.DB.Pool.QueryRow(ctx, "select figures from projection.figure order by at desc limit 1").Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil // there is none
	}
	var f inspect.Figures
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the figures: %w", tx.Translate(err))
	}
	return &f, nil
}

// Behind is how old the oldest event that was not applied was, at each sample since a time.
func (l *Lists) Behind(ctx context.Context, since time.Time) ([]inspect.Sample, error) {
	rows, err := l.DB.Pool.Query(ctx, "select at, (figures ->> 'oldestUnappliedSeconds')::float8 from projection.figure where at >= $1 order by at", since)
	if err == nil {
		var list []inspect.Sample
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[inspect.Sample]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("reading the figures: %w", tx.Translate(err))
}
