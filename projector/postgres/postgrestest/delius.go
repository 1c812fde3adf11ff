package postgrestest

import (
	"context"
	_ "embed" // the schema
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector/delius"
)

//go:embed delius.sql
var deliusSQL string

// Practitioner is the user by whom people edit contacts and addresses by hand.
const Practitioner = "PractitionerNPS"

// Beginner is a pool, a connection or a transaction.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// CreateDelius makes the stand-in Delius, schema delius with its reference data, in
// one transaction. What stands there already stays as it is.
func CreateDelius(ctx context.Context, db Beginner) error {
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// "if not exists" is no help against somebody who does the same at once.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('create delius'))"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deliusSQL); err != nil {
			return err
		}
		for _, kind := range delius.Kinds() {
			_, err := tx.Exec(ctx, "insert into delius.r_contact_type (code, description) values ($1, $2) on conflict do nothing", kind.Code, kind.Name)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create the stand-in Delius: %w", err)
	}
	return nil
}

// Delius is a database with the stand-in Delius in it. Its methods do what other
// applications do there: add people, and edit contacts and addresses as practitioners.
// Each is one transaction.
type Delius struct {
	Pool *pgxpool.Pool
}

// lookups are queries from a code to the id that it names.
var lookups = map[string]string{
	"offender":       "select offender_id from delius.offender where crn = $1",
	"contact type":   "select contact_type_id from delius.r_contact_type where code = $1",
	"provider":       "select probation_area_id from delius.probation_area where code = $1",
	"team":           "select team_id from delius.team where code = $1",
	"staff":          "select staff_id from delius.staff where officer_code = $1",
	"user":           "select user_id from delius.user_ where distinguished_name = $1",
	"address type":   inCodeSet("ADDRESS TYPE"),
	"address status": inCodeSet("ADDRESS STATUS"),
}

func inCodeSet(name string) string {
	return `select l.standard_reference_list_id from delius.r_standard_reference_list l
		join delius.r_reference_data_master m using (reference_data_master_id)
		where m.code_set_name = '` + name + `' and l.code_value = $1`
}

// lookUp returns the id of a code of one of the kinds in lookups.
func lookUp(ctx context.Context, tx pgx.Tx, kind, code string) (int64, error) {
	var id int64
	err := tx.QueryRow(ctx, lookups[kind], code).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("the stand-in Delius has no %s %q", kind, code)
	}
	return id, err
}

// code is a code to be resolved to the id that it names.
type code struct{ kind, value string }

// resolve sets args[name] to the id of each code, or to null where the code is blank.
func resolve(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs, codes map[string]code) error {
	for name, c := range codes {
		args[name] = nil
		if c.value == "" {
			continue
		}
		id, err := lookUp(ctx, tx, c.kind, c.value)
		if err != nil {
			return err
		}
		args[name] = id
	}
	return nil
}

// orNull is s, or null if it is blank: in Oracle, where the data comes from, an empty
// string is null.
func orNull(s string) *string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return &s
}
