package postgrestest

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Contact is a row of delius.contact with ids resolved to codes. Null is "" or the
// zero time, as in Oracle an empty string is null. Times are UTC, dates midnight UTC.
type Contact struct {
	ID      int64
	CRN     string
	Type    string // code
	Officer        // provider, team and staff

	TrustProviderTeam string // code
	TrustProviderFlag int
	ExternalReference string
	Description       string
	Notes             string
	Date              time.Time
	StartTime         time.Time
	Sensitive         bool
	SoftDeleted       bool
	PartitionArea     int64

	RowVersion           int64
	CreatedBy, UpdatedBy string // the users' names
	Created, Updated     time.Time
}

// Portable is the contact without what differs between two databases that were filled
// with the same content in different steps: ids, row version and times of writing.
func (c Contact) Portable() Contact {
	c.ID, c.RowVersion, c.Created, c.Updated = 0, 0, time.Time{}, time.Time{}
	return c
}

const selectContacts = `
	select c.contact_id as id, o.crn::text, y.code as type,
	       p.code::text as provider, t.code::text as team, s.officer_code::text as staff,
	       coalesce(tt.code::text, '') as trust_provider_team, c.trust_provider_flag,
	       coalesce(c.external_reference, '') as external_reference,
	       coalesce(c.description, '') as description, coalesce(c.notes, '') as notes,
	       c.contact_date as date, coalesce(c.contact_start_time, '0001-01-01 00:00Z') as start_time,
	       coalesce(c.sensitive = 'Y', false) as sensitive, c.soft_deleted = 1 as soft_deleted,
	       c.partition_area_id as partition_area, c.row_version,
	       cu.distinguished_name as created_by, uu.distinguished_name as updated_by,
	       c.created_datetime as created, c.last_updated_datetime as updated
	from delius.contact c
	join delius.offender o using (offender_id)
	join delius.r_contact_type y using (contact_type_id)
	join delius.probation_area p on p.probation_area_id = c.probation_area_id
	join delius.team t on t.team_id = c.team_id
	join delius.staff s using (staff_id)
	left join delius.team tt on tt.team_id = c.trust_provider_team_id
	join delius.user_ cu on cu.user_id = c.created_by_user_id
	join delius.user_ uu on uu.user_id = c.last_updated_user_id`

// Contacts returns every contact, soft-deleted ones too, ordered by what it says about
// whom and not by ids, so that two databases can be compared.
func (d Delius) Contacts(ctx context.Context) ([]Contact, error) {
	rows, err := d.Pool.Query(ctx, selectContacts+`
		order by o.crn, c.external_reference, c.contact_date, c.contact_start_time, y.code, c.notes collate "C", c.soft_deleted, c.contact_id`)
	if err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	contacts, err := pgx.CollectRows(rows, scanContact)
	if err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	return contacts, nil
}

func scanContact(row pgx.CollectableRow) (Contact, error) {
	c, err := pgx.RowToStructByName[Contact](row)
	c.Date, c.StartTime, c.Created, c.Updated = c.Date.UTC(), c.StartTime.UTC(), c.Created.UTC(), c.Updated.UTC()
	return c, err
}

// InsertContact adds a contact and returns its contact_id. Unless c names others it is
// a practitioner who adds it, now, and the trust provider's team is the team. ID and
// RowVersion are of no account.
func (d Delius) InsertContact(ctx context.Context, c Contact) (int64, error) {
	c.CreatedBy = cmp.Or(c.CreatedBy, Practitioner)
	c.UpdatedBy = cmp.Or(c.UpdatedBy, c.CreatedBy)
	c.TrustProviderTeam = cmp.Or(c.TrustProviderTeam, c.Team)
	var id int64
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		args, err := c.args(ctx, tx)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			insert into delius.contact (
			    contact_id, row_version, offender_id, contact_type_id, description, contact_date, contact_start_time,
			    staff_id, team_id, probation_area_id, notes, external_reference, sensitive,
			    created_datetime, last_updated_datetime, created_by_user_id, last_updated_user_id,
			    soft_deleted, partition_area_id, trust_provider_team_id, trust_provider_flag)
			values (
			    nextval('delius.contact_id_seq'), 0, @offender, @type, @description, @date, @start_time,
			    @staff, @team, @provider, @notes, @external_reference, @sensitive,
			    coalesce(@created, now()), coalesce(@updated, @created, now()), @created_by, @updated_by,
			    @soft_deleted, @partition_area, @trust_provider_team, @trust_provider_flag)
			returning contact_id`, args).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("insert contact %s of %s: %w", c.Type, c.CRN, err)
	}
	return id, nil
}

// EditContact changes a contact as a practitioner does at the screen: it locks the
// row, lets edit change what it says, writes all of it back, counts up the row version
// and leaves the practitioner's name and the time. The row is locked for as long as
// edit runs. Whose contact it is and who created it when cannot be edited.
func (d Delius) EditContact(ctx context.Context, id int64, edit func(*Contact)) error {
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		// Locked before it is read: in one statement a row whose officer changes meanwhile
		// would be joined to those of before, and not be found.
		if _, err := tx.Exec(ctx, "select from delius.contact where contact_id = $1 for update", id); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectContacts+" where c.contact_id = $1", id)
		if err != nil {
			return err
		}
		c, err := pgx.CollectExactlyOneRow(rows, scanContact)
		if err != nil {
			return err
		}
		edit(&c)
		c.UpdatedBy = Practitioner
		args, err := c.args(ctx, tx)
		if err != nil {
			return err
		}
		args["id"] = id
		_, err = tx.Exec(ctx, `
			update delius.contact
			set contact_type_id = @type, description = @description, contact_date = @date, contact_start_time = @start_time,
			    staff_id = @staff, team_id = @team, probation_area_id = @provider,
			    notes = @notes, external_reference = @external_reference, sensitive = @sensitive,
			    soft_deleted = @soft_deleted, partition_area_id = @partition_area,
			    trust_provider_team_id = @trust_provider_team, trust_provider_flag = @trust_provider_flag,
			    row_version = row_version + 1, last_updated_datetime = now(), last_updated_user_id = @updated_by
			where contact_id = @id`, args)
		return err
	})
	if err != nil {
		return fmt.Errorf("edit contact %d: %w", id, err)
	}
	return nil
}

// DeleteContact marks a contact as deleted, as a practitioner does.
func (d Delius) DeleteContact(ctx context.Context, id int64) error {
	return d.EditContact(ctx, id, func(c *Contact) { c.SoftDeleted = true })
}

// args are the contact's columns under the names that statements use.
func (c Contact) args(ctx context.Context, tx pgx.Tx) (pgx.NamedArgs, error) {
	args := pgx.NamedArgs{
		"description":         orNull(c.Description),
		"date":                timeOrNull(c.Date),
		"start_time":          timeOrNull(c.StartTime),
		"notes":               orNull(c.Notes),
		"external_reference":  orNull(c.ExternalReference),
		"sensitive":           yesNo(c.Sensitive),
		"soft_deleted":        oneZero(c.SoftDeleted),
		"partition_area":      c.PartitionArea,
		"trust_provider_flag": c.TrustProviderFlag,
		"created":             timeOrNull(c.Created),
		"updated":             timeOrNull(c.Updated),
	}
	codes := c.Officer.codes()
	codes["offender"] = code{"offender", c.CRN}
	codes["type"] = code{"contact type", c.Type}
	codes["trust_provider_team"] = code{"team", c.TrustProviderTeam}
	codes["created_by"] = code{"user", c.CreatedBy}
	codes["updated_by"] = code{"user", c.UpdatedBy}
	return args, resolve(ctx, tx, args, codes)
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}

func oneZero(b bool) int {
	if b {
		return 1
	}
	return 0
}
