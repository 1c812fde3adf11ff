package pages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/console"
	"casdelius/projector/postgres/tx"
)

// Sessions keeps who has signed in. What writes may do nothing but insert.
type Sessions struct{ Read, Write *tx.DB }

// Begin implements console.Sessions.
func (s *Sessions) Begin(ctx context.Context, hash []byte, session console.Session) error {
	roles := make([]string, len(session.Roles))
	for i, role := range session.Roles {
		roles[i] = string(role)
	}
	_, err := s.Write.Exec(ctx, "insert into projection.session (hash, who, roles, began, ends) values ($1, $2, $3, $4, $5)",
		hash, session.Name, roles, session.Began, session.Ends)
	if err != nil {
		return fmt.Errorf("beginning a session: %w", err)
	}
	return nil
}

// Find implements console.Sessions.
func (s *Sessions) Find(ctx context.Context, hash []byte, now time.Time) (found console.Session, ok bool, err error) {
	t, err := s.Read.Look(ctx, 1)
	if err != nil {
		return found, false, err
	}
	defer tx.Rollback(ctx, t)
	var roles []string
	err = t.QueryRow(ctx, `
		select who, roles, began, ends from projection.session s
		where hash = $1 and ends > $2 and not exists (select from projection.session_end e where e.hash = s.hash)`, hash, now).
		Scan(&found.Name, &roles, &found.Began, &found.Ends)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	if err != nil {
		return found, false, fmt.Errorf("looking a session up: %w", tx.Translate(err))
	}
	for _, role := range roles {
		found.Roles = append(found.Roles, console.Role(role))
	}
	return found, true, nil
}

// End implements console.Sessions.
func (s *Sessions) End(ctx context.Context, hash []byte, now time.Time) error {
	if _, err := s.Write.Exec(ctx, "insert into projection.session_end (hash, at) values ($1, $2)", hash, now); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// ForgetSessions deletes what has ended a day ago.
func (p *Pages) ForgetSessions(ctx context.Context, now time.Time) error {
	_, err := p.DB.Exec(ctx, `
		with old as (delete from projection.session where ends < $1 returning hash)
		delete from projection.session_end where hash in (select hash from old) or at < $2`, now.Add(-24*time.Hour), now.Add(-31*24*time.Hour))
	if err != nil {
		return fmt.Errorf("forgetting sessions that have ended: %w", err)
	}
	return nil
}
