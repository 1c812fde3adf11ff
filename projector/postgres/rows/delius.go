package rows

import "casdelius/projector/delius"

// Contacts is Delius's table of contacts.
var Contacts = Table[delius.ContactRow]{"delius.contact", []Column[delius.ContactRow]{
	{"contact_id", "bigint", false, false, func(r *delius.ContactRow) any { return &r.ID }},
	{"row_version", "bigint", false, true, func(r *delius.ContactRow) any { return &r.Version }},
	{"offender_id", "bigint", true, true, func(r *delius.ContactRow) any { return &r.OffenderID }},
	{"contact_type_id", "bigint", true, false, func(r *delius.ContactRow) any { return &r.TypeID }},
	{"description", "text", true, true, func(r *delius.ContactRow) any { return &r.Description }},
	{"contact_date", "date", true, true, func(r *delius.ContactRow) any { return &r.Date }},
	{"contact_start_time", "timestamptz", true, true, func(r *delius.ContactRow) any { return &r.Start }},
	{"staff_id", "bigint", true, true, func(r *delius.ContactRow) any { return &r.Posting.StaffID }},
	{"team_id", "bigint", true, true, func(r *delius.ContactRow) any { return &r.Posting.TeamID }},
	{"probation_area_id", "bigint", true, true, func(r *delius.ContactRow) any { return &r.Posting.ProviderID }},
	{"notes", "text", true, true, func(r *delius.ContactRow) any { return &r.Notes }},
	{"external_reference", "text", true, false, func(r *delius.ContactRow) any { return &r.URN }},
	{"sensitive", "text", true, false, func(r *delius.ContactRow) any { return &r.Sensitive }},
	{"created_datetime", "timestamptz", true, false, func(r *delius.ContactRow) any { return &r.Created }},
	{"last_updated_datetime", "timestamptz", true, true, func(r *delius.ContactRow) any { return &r.Updated }},
	{"created_by_user_id", "bigint", true, false, func(r *delius.ContactRow) any { return &r.CreatedBy }},
	{"last_updated_user_id", "bigint", true, true, func(r *delius.ContactRow) any { return &r.UpdatedBy }},
	{"soft_deleted", "smallint", false, true, func(r *delius.ContactRow) any { return &r.Deleted }},
	{"partition_area_id", "bigint", true, false, func(r *delius.ContactRow) any { return &r.PartitionArea }},
	{"trust_provider_team_id", "bigint", true, true, func(r *delius.ContactRow) any { return &r.TrustTeamID }},
	{"trust_provider_flag", "smallint", true, false, func(r *delius.ContactRow) any { return &r.TrustFlag }},
}}

// Addresses is Delius's table of addresses.
var Addresses = Table[delius.AddressRow]{"delius.offender_address", []Column[delius.AddressRow]{
	{"offender_address_id", "bigint", false, false, func(r *delius.AddressRow) any { return &r.ID }},
	{"offender_id", "bigint", true, true, func(r *delius.AddressRow) any { return &r.OffenderID }},
	{"address_type_id", "bigint", true, false, func(r *delius.AddressRow) any { return &r.TypeID }},
	{"address_status_id", "bigint", true, true, func(r *delius.AddressRow) any { return &r.StatusID }},
	{"building_name", "text", true, true, func(r *delius.AddressRow) any { return &r.Lines.Building }},
	{"address_number", "text", true, false, func(r *delius.AddressRow) any { return &r.Number }},
	{"street_name", "text", true, true, func(r *delius.AddressRow) any { return &r.Lines.Street }},
	{"district", "text", true, true, func(r *delius.AddressRow) any { return &r.Lines.District }},
	{"town_city", "text", true, true, func(r *delius.AddressRow) any { return &r.Lines.Town }},
	{"county", "text", true, true, func(r *delius.AddressRow) any { return &r.Lines.County }},
	{"postcode", "text", true, true, func(r *delius.AddressRow) any { return &r.Lines.Postcode }},
	{"telephone_number", "text", true, false, func(r *delius.AddressRow) any { return &r.Telephone }},
	{"no_fixed_abode", "text", true, false, func(r *delius.AddressRow) any { return &r.NoFixed }},
	{"type_verified", "text", true, false, func(r *delius.AddressRow) any { return &r.Verified }},
	{"start_date", "date", true, true, func(r *delius.AddressRow) any { return &r.Start }},
	{"end_date", "date", true, true, func(r *delius.AddressRow) any { return &r.End }},
	{"soft_deleted", "smallint", false, true, func(r *delius.AddressRow) any { return &r.Deleted }},
	{"created_datetime", "timestamptz", true, false, func(r *delius.AddressRow) any { return &r.Created }},
	{"created_by_user_id", "bigint", true, false, func(r *delius.AddressRow) any { return &r.CreatedBy }},
	{"last_updated_datetime", "timestamptz", true, true, func(r *delius.AddressRow) any { return &r.Updated }},
	{"last_updated_user_id", "bigint", true, true, func(r *delius.AddressRow) any { return &r.UpdatedBy }},
	{"partition_area_id", "bigint", true, false, func(r *delius.AddressRow) any { return &r.PartitionArea }},
}}
