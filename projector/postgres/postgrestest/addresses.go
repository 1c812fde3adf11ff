package postgrestest

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Address is a row of delius.offender_address with ids resolved to codes. Null is ""
// or the zero time. Times are UTC, dates midnight UTC.
type Address struct {
	ID     int64
	CRN    string
	Type   string // code of ADDRESS TYPE, A17 for CAS3; "" is none
	Status string // code of ADDRESS STATUS: M is main, P is previous

	BuildingName    string
	AddressNumber   string
	StreetName      string
	District        string
	TownCity        string
	County          string
	Postcode        string
	TelephoneNumber string
	NoFixedAbode    bool
	TypeVerified    bool
	Start, End      time.Time
	SoftDeleted     bool
	PartitionArea   int64

	CreatedBy, UpdatedBy string // the users' names
	Created, Updated     time.Time
}

// Portable is the address without what differs between two databases that were filled
// with the same content in different steps: ids and times of writing.
func (a Address) Portable() Address {
	a.ID, a.Created, a.Updated = 0, time.Time{}, time.Time{}
	return a
}

const selectAddresses = `
	select a.offender_address_id as id, o.crn::text, coalesce(y.code_value, '') as type, st.code_value as status,
	       coalesce(a.building_name, '') as building_name, coalesce(a.address_number, '') as address_number,
	       coalesce(a.street_name, '') as street_name, coalesce(a.district, '') as district,
	       coalesce(a.town_city, '') as town_city, coalesce(a.county, '') as county,
	       coalesce(a.postcode, '') as postcode, coalesce(a.telephone_number, '') as telephone_number,
	       coalesce(a.no_fixed_abode = 'Y', false) as no_fixed_abode, coalesce(a.type_verified = 'Y', false) as type_verified,
	       coalesce(a.start_date, '0001-01-01') as start, coalesce(a.end_date, '0001-01-01') as "end",
	       a.soft_deleted = 1 as soft_deleted, a.partition_area_id as partition_area,
	       cu.distinguished_name as created_by, uu.distinguished_name as updated_by,
	       a.created_datetime as created, a.last_updated_datetime as updated
	from delius.offender_address a
	join delius.offender o using (offender_id)
	left join delius.r_standard_reference_list y on y.standard_reference_list_id = a.address_type_id
	join delius.r_standard_reference_list st on st.standard_reference_list_id = a.address_status_id
	join delius.user_ cu on cu.user_id = a.created_by_user_id
	join delius.user_ uu on uu.user_id = a.last_updated_user_id`

// Addresses returns every address, soft-deleted ones too, ordered by what it says
// about whom and not by ids, so that two databases can be compared.
func (d Delius) Addresses(ctx context.Context) ([]Address, error) {
	rows, err := d.Pool.Query(ctx, selectAddresses+`
		order by o.crn, a.start_date nulls first, a.end_date, a.postcode, a.building_name, a.street_name, a.district,
		         y.code_value, st.code_value, a.soft_deleted, a.offender_address_id`)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	addresses, err := pgx.CollectRows(rows, scanAddress)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addresses, nil
}

func scanAddress(row pgx.CollectableRow) (Address, error) {
	a, err := pgx.RowToStructByName[Address](row)
	a.Start, a.End, a.Created, a.Updated = a.Start.UTC(), a.End.UTC(), a.Created.UTC(), a.Updated.UTC()
	return a, err
}

// InsertAddress adds an address and returns its offender_address_id. Unless a names
// others it is a practitioner who adds it, now. ID is of no account.
func (d Delius) InsertAddress(ctx context.Context, a Address) (int64, error) {
	a.CreatedBy = cmp.Or(a.CreatedBy, Practitioner)
	a.UpdatedBy = cmp.Or(a.UpdatedBy, a.CreatedBy)
	var id int64
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		args, err := a.args(ctx, tx)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			insert into delius.offender_address (
			    offender_address_id, offender_id, address_type_id, address_status_id,
			    building_name, address_number, street_name, district, town_city, county, postcode, telephone_number,
			    no_fixed_abode, type_verified, start_date, end_date, soft_deleted, partition_area_id,
			    created_datetime, created_by_user_id, last_updated_datetime, last_updated_user_id)
			values (
			    nextval('delius.offender_address_id_seq'), @offender, @type, @status,
			    @building_name, @address_number, @street_name, @district, @town_city, @county, @postcode, @telephone_number,
			    @no_fixed_abode, @type_verified, @start, @end, @soft_deleted, @partition_area,
			    coalesce(@created, now()), @created_by, coalesce(@updated, @created, now()), @updated_by)
			returning offender_address_id`, args).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("insert address of %s: %w", a.CRN, err)
	}
	return id, nil
}

// EditAddress changes an address as a practitioner does at the screen: it locks the
// row, lets edit change what it says, writes all of it back and leaves the
// practitioner's name and the time. The row is locked for as long as edit runs. Whose
// address it is and who created it when cannot be edited.
func (d Delius) EditAddress(ctx context.Context, id int64, edit func(*Address)) error {
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		// Locked before it is read: in one statement a row whose status changes meanwhile
		// would be joined to that of before, and not be found.
		if _, err := tx.Exec(ctx, "select from delius.offender_address where offender_address_id = $1 for update", id); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectAddresses+" where a.offender_address_id = $1", id)
		if err != nil {
			return err
		}
		a, err := pgx.CollectExactlyOneRow(rows, scanAddress)
		if err != nil {
			return err
		}
		edit(&a)
		a.UpdatedBy = Practitioner
		args, err := a.args(ctx, tx)
		if err != nil {
			return err
		}
		args["id"] = id
		_, err = tx.Exec(ctx, `
			update delius.offender_address
			set address_type_id = @type, address_status_id = @status,
			    building_name = @building_name, address_number = @address_number, street_name = @street_name,
			    district = @district, town_city = @town_city, county = @county, postcode = @postcode,
			    telephone_number = @telephone_number, no_fixed_abode = @no_fixed_abode, type_verified = @type_verified,
			    start_date = @start, end_date = @end, soft_deleted = @soft_deleted, partition_area_id = @partition_area,
			    last_updated_datetime = now(), last_updated_user_id = @updated_by
			where offender_address_id = @id`, args)
		return err
	})
	if err != nil {
		return fmt.Errorf("edit address %d: %w", id, err)
	}
	return nil
}

// DeleteAddress marks an address as deleted, as a practitioner does.
func (d Delius) DeleteAddress(ctx context.Context, id int64) error {
	return d.EditAddress(ctx, id, func(a *Address) { a.SoftDeleted = true })
}

// args are the address's columns under the names that statements use.
func (a Address) args(ctx context.Context, tx pgx.Tx) (pgx.NamedArgs, error) {
	args := pgx.NamedArgs{
		"building_name":    orNull(a.BuildingName),
		"address_number":   orNull(a.AddressNumber),
		"street_name":      orNull(a.StreetName),
		"district":         orNull(a.District),
		"town_city":        orNull(a.TownCity),
		"county":           orNull(a.County),
		"postcode":         orNull(a.Postcode),
		"telephone_number": orNull(a.TelephoneNumber),
		"no_fixed_abode":   yesNo(a.NoFixedAbode),
		"type_verified":    yesNo(a.TypeVerified),
		"start":            timeOrNull(a.Start),
		"end":              timeOrNull(a.End),
		"soft_deleted":     oneZero(a.SoftDeleted),
		"partition_area":   a.PartitionArea,
		"created":          timeOrNull(a.Created),
		"updated":          timeOrNull(a.Updated),
	}
	return args, resolve(ctx, tx, args, map[string]code{
		"offender":   {"offender", a.CRN},
		"type":       {"address type", a.Type},
		"status":     {"address status", a.Status},
		"created_by": {"user", a.CreatedBy},
		"updated_by": {"user", a.UpdatedBy},
	})
}
