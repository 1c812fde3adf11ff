package postgrestest

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// AddRole adds a role to a cluster that has the password of everybody there, and does what grants
// say with it. The URL that it returns is that of a database for this role.
func AddRole(ctx context.Context, database, role string, grants []string) (string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", fmt.Errorf("add role %s: %w", role, err)
	}
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return "", fmt.Errorf("add role %s: %w", role, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to be written
	password, _ := u.User.Password()
	name := pgx.Identifier{role}.Sanitize()
	statements := append([]string{"create role " + name + " login password '" + password + "'"}, grants...)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return "", fmt.Errorf("add role %s: %s: %w", role, statement, err)
		}
	}
	u.User = url.UserPassword(role, password)
	return u.String(), nil
}
