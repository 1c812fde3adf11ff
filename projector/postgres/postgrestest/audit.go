package postgrestest

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Interaction is a row of delius.audited_interaction with ids resolved to codes.
type Interaction struct {
	Time       time.Time // UTC
	Code       string    // CLBI003 is a new contact, CLBI007 a changed one
	User       string
	Outcome    string // P is passed
	Parameters string // contactId='…',offenderId='…'
}

// Interactions returns the audit, ordered by time, code and parameters.
func (d Delius) Interactions(ctx context.Context) ([]Interaction, error) {
	rows, err := d.Pool.Query(ctx, `
		select a.date_time as time, b.business_interaction_code as code, u.distinguished_name as user,
		       coalesce(a.outcome::text, '') as outcome, coalesce(a.interaction_parameters, '') as parameters
		from delius.audited_interaction a
		join delius.business_interaction b using (business_interaction_id)
		join delius.user_ u using (user_id)
		order by a.date_time, b.business_interaction_code, a.interaction_parameters`)
	if err != nil {
		return nil, fmt.Errorf("list the audit: %w", err)
	}
	interactions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Interaction, error) {
		i, err := pgx.RowToStructByName[Interaction](row)
		i.Time = i.Time.UTC()
		return i, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the audit: %w", err)
	}
	return interactions, nil
}
