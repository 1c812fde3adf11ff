package postgrestest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/store"
)

// Officer is who deals with a person or a contact, by codes: provider N54, team
// N54T01, staff N54A001.
type Officer struct {
	Provider, Team, Staff string
}

// Person is somebody to be added to Delius. A person without a manager has the zero
// Officer; NOMS may be "".
type Person struct {
	CRN     store.CRN
	NOMS    store.NOMS
	Manager Officer
}

// AddOffender adds a person without a manager and returns the offender_id. Noms may
// be "".
func (d Delius) AddOffender(ctx context.Context, crn store.CRN, noms store.NOMS) (int64, error) {
	var id int64
	err := d.Pool.QueryRow(ctx, "insert into delius.offender (crn, noms_number) values ($1, $2) returning offender_id",
		string(crn), orNull(string(noms))).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("add offender %s: %w", crn, err)
	}
	return id, nil
}

// AddManager makes the officer the person's active manager, in place of another, and
// returns the offender_manager_id.
func (d Delius) AddManager(ctx context.Context, offenderID int64, o Officer) (int64, error) {
	var id int64
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		args := pgx.NamedArgs{"offender": offenderID}
		err := resolve(ctx, tx, args, o.codes())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "update delius.offender_manager set active_flag = 0 where offender_id = @offender and active_flag = 1", args); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			insert into delius.offender_manager (offender_id, allocation_staff_id, team_id, probation_area_id, active_flag, soft_deleted)
			values (@offender, @staff, @team, @provider, 1, 0)
			returning offender_manager_id`, args).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("add manager %v of offender %d: %w", o, offenderID, err)
	}
	return id, nil
}

// codes are the officer's codes under the names that statements use.
func (o Officer) codes() map[string]code {
	return map[string]code{
		"provider": {"provider", o.Provider},
		"team":     {"team", o.Team},
		"staff":    {"staff", o.Staff},
	}
}

// AddStaff adds a member of the teams with these codes and returns the staff_id.
func (d Delius) AddStaff(ctx context.Context, officerCode string, teams ...string) (int64, error) {
	var id int64
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "insert into delius.staff (officer_code) values ($1) returning staff_id", officerCode).Scan(&id)
		if err != nil {
			return err
		}
		for _, team := range teams {
			teamID, err := lookUp(ctx, tx, "team", team)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "insert into delius.staff_team (staff_id, team_id) values ($1, $2)", id, teamID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("add staff %s: %w", officerCode, err)
	}
	return id, nil
}

// AddPeople adds people, a hundred thousand in a few seconds, and brings the planner's
// statistics up to date. It adds all of them or none.
func (d Delius) AddPeople(ctx context.Context, people []Person) error {
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		if err := copyPeople(ctx, tx, people); err != nil {
			return err
		}
		for _, statement := range []string{insertOffenders, insertManagers} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		if err := checkManagers(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "analyze delius.offender, delius.offender_manager")
		return err
	})
	if err != nil {
		return fmt.Errorf("add %d people: %w", len(people), err)
	}
	return nil
}

const createPerson = `
	create temporary table new_person (
	    crn char(7), noms char(7), provider char(3), team char(6), staff char(7)
	) on commit drop`

const insertOffenders = `
	insert into delius.offender (crn, noms_number)
	select crn, noms from new_person order by crn`

const insertManagers = `
	insert into delius.offender_manager (offender_id, allocation_staff_id, team_id, probation_area_id, active_flag, soft_deleted)
	select o.offender_id, s.staff_id, t.team_id, p.probation_area_id, 1, 0
	from new_person n
	join delius.offender o using (crn)
	join delius.staff s on s.officer_code = n.staff
	join delius.team t on t.code = n.team
	join delius.probation_area p on p.code = n.provider
	order by o.offender_id`

// copyPeople puts the people into a temporary table of this transaction.
func copyPeople(ctx context.Context, tx pgx.Tx, people []Person) error {
	if _, err := tx.Exec(ctx, createPerson); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "new_person"}, []string{"crn", "noms", "provider", "team", "staff"},
		pgx.CopyFromSlice(len(people), func(i int) ([]any, error) {
			p := people[i]
			return []any{
				string(p.CRN), orNull(string(p.NOMS)),
				orNull(p.Manager.Provider), orNull(p.Manager.Team), orNull(p.Manager.Staff),
			}, nil
		}))
	return err
}

// checkManagers returns an error that names a person who was given a manager that
// Delius does not know.
func checkManagers(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select n.crn || ': ' || concat_ws(' ', n.provider, n.team, n.staff)
		from new_person n
		join delius.offender o using (crn)
		left join delius.offender_manager m using (offender_id)
		where num_nonnulls(n.provider, n.team, n.staff) > 0 and m.offender_id is null
		order by n.crn limit 1`)
	if err != nil {
		return err
	}
	unknown, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("the stand-in Delius does not know the manager of %s", unknown[0])
	}
	return nil
}
