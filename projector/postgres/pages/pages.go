// Package pages reads what the console's pages ask of Delius besides the lists: who somebody is,
// whose case is restricted, and who a user is. It locks nothing and writes nothing.
package pages

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// Pages reads what pages ask.
type Pages struct{ DB *tx.DB }

// Having implements console.People.
func (p *Pages) Having(ctx context.Context, noms store.NOMS) ([]store.CRN, error) {
	return tx.Collect[store.CRN](ctx, p.look, "looking a NOMS number up",
		"select crn from delius.offender where noms_number = $1 and soft_deleted = 0 order by crn limit 10", string(noms))
}

// Restricted implements console.People.
func (p *Pages) Restricted(ctx context.Context, crns []store.CRN) (map[store.CRN]bool, error) {
	marked, err := tx.Collect[store.CRN](ctx, p.look, "asking whose case is restricted",
		"select crn from delius.offender where crn = any ($1::bpchar[]) and (current_restriction = 1 or current_exclusion = 1)", crns)
	all := map[store.CRN]bool{}
	for _, crn := range marked {
		all[crn] = true
	}
	return all, err
}

// Users implements console.People.
func (p *Pages) Users(ctx context.Context, ids []int64) (map[int64]string, error) {
	const doing = "looking users up"
	t, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx, t)
	rows, err := t.Query(ctx, "select user_id, distinguished_name from delius.user_ where user_id = any ($1)", ids) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, tx.Translate(err))
	}
	names := map[int64]string{}
	var id int64
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		names[id] = name
		return nil
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, tx.Translate(err))
	}
	return names, nil
}

func (p *Pages) look(ctx context.Context) (pgx.Tx, error) { return p.DB.Look(ctx, tx.Few) }
