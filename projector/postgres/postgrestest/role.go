package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Role is the role that projectors of tests and of the sandbox work as. It has the password of
// the cluster, and nothing but what was granted to it.
const Role = "projector"

// AsRole is the URL of a database as the role, given its URL as somebody else.
func AsRole(database string) string {
	address, err := url.Parse(database)
	if err != nil {
		panic(err) // unreachable: it is a cluster's own URL
	}
	password, _ := address.User.Password()
	address.User = url.UserPassword(Role, password)
	return address.String()
}

// WithFile is the URL of a database of a cluster with a file in place of the password, as a
// command line may have it.
func (c *Cluster) WithFile(database string) (string, error) {
	address, err := url.Parse(database)
	if err != nil {
		return "", err
	}
	file, err := c.passfile()
	if err != nil {
		return "", err
	}
	address.User = url.User(address.User.Username())
	query := address.Query()
	query.Set("passfile", file)
	address.RawQuery = query.Encode()
	return address.String(), nil
}

func (c *Cluster) writePassfile() (string, error) {
	file := filepath.Join(c.home.path, "passfile")
	return file, os.WriteFile(file, []byte("*:*:*:*:"+c.password+"\n"), 0o600)
}

// passwordOf is the password of a URL of a database, or of the file that it names.
func passwordOf(database *url.URL) (string, error) {
	if password, given := database.User.Password(); given {
		return password, nil
	}
	line, err := os.ReadFile(database.Query().Get("passfile"))
	return strings.TrimSpace(strings.TrimPrefix(string(line), "*:*:*:*:")), err
}

// Granted makes the role where it is not there yet, gives it what the statements grant that are
// made for it, and then makes the projector's own tables as it.
func Granted(grants func(role string) (string, error), migrate func(context.Context, *pgxpool.Pool) error) Prepare {
	return func(ctx context.Context, conn *pgx.Conn) error {
		statements, err := grants(Role)
		if err != nil {
			return err
		}
		var known bool
		err = conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", Role).Scan(&known)
		if err == nil && !known {
			_, err = conn.Exec(ctx, "create role "+Role+" login password '"+conn.Config().Password+"'")
		}
		if err != nil {
			return fmt.Errorf("make the role %s: %w", Role, err)
		}
		if _, err := conn.Exec(ctx, statements); err != nil {
			return fmt.Errorf("grant the role %s what it needs: %w", Role, err)
		}
		pool, err := pgxpool.New(ctx, AsRole(conn.Config().ConnString()))
		if err != nil {
			return errors.Join(fmt.Errorf("connect as the role %s", Role), err)
		}
		defer pool.Close()
		return migrate(ctx, pool)
	}
}
