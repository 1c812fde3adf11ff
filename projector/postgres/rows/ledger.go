package rows

import "casdelius/projector/delius"

// AppliedContacts is what was last applied to each contact.
var AppliedContacts = Table[delius.AppliedContact]{"projection.contact", []Column[delius.AppliedContact]{
	{"urn", "text", false, false, func(l *delius.AppliedContact) any { return &l.URN }},
	{"referral", "uuid", false, false, func(l *delius.AppliedContact) any { return &l.Referral }},
	{"contact_id", "bigint", true, false, func(l *delius.AppliedContact) any { return &l.ContactID }},
	{"notes", "text", false, false, func(l *delius.AppliedContact) any { return &l.Notes }},
	{"description", "text", false, false, func(l *delius.AppliedContact) any { return &l.Description }},
	{"happened_at", "timestamptz", true, false, func(l *delius.AppliedContact) any { return &l.At }},
	{"officer", "text", false, false, func(l *delius.AppliedContact) any { return (*string)(&l.Officer.Kind) }},
	{"region", "text", false, false, func(l *delius.AppliedContact) any { return &l.Officer.Region }},
	{"staff", "text", false, false, func(l *delius.AppliedContact) any { return &l.Officer.Staff }},
	{"provider", "text", false, false, func(l *delius.AppliedContact) any { return &l.Posting.Provider }},
	{"team", "text", false, false, func(l *delius.AppliedContact) any { return &l.Posting.Team }},
	{"officer_code", "text", false, false, func(l *delius.AppliedContact) any { return &l.Posting.Staff }},
	{"baseless", "boolean", false, false, func(l *delius.AppliedContact) any { return &l.Baseless }},
	{"deleted", "boolean", false, false, func(l *delius.AppliedContact) any { return &l.Deleted }},
	{"events", "bigint[]", false, false, func(l *delius.AppliedContact) any { return &l.Events }},
	{"placed_by", "text", false, false, func(l *delius.AppliedContact) any { return (*string)(&l.Placed.By) }},
	{"placed_on", "bigint", false, false, func(l *delius.AppliedContact) any { return &l.Placed.On }},
}}

// AppliedAddresses is what was last applied to the address of each stay.
var AppliedAddresses = Table[delius.AppliedAddress]{"projection.address", []Column[delius.AppliedAddress]{
	{"booking", "uuid", false, false, func(l *delius.AppliedAddress) any { return &l.Booking }},
	{"offender_address_id", "bigint", false, false, func(l *delius.AppliedAddress) any { return &l.AddressID }},
	{"building", "text", false, false, func(l *delius.AppliedAddress) any { return &l.Lines.Building }},
	{"street", "text", false, false, func(l *delius.AppliedAddress) any { return &l.Lines.Street }},
	{"district", "text", false, false, func(l *delius.AppliedAddress) any { return &l.Lines.District }},
	{"town", "text", false, false, func(l *delius.AppliedAddress) any { return &l.Lines.Town }},
	{"county", "text", false, false, func(l *delius.AppliedAddress) any { return &l.Lines.County }},
	{"postcode", "text", false, false, func(l *delius.AppliedAddress) any { return &l.Lines.Postcode }},
	{"start_date", "date", true, false, func(l *delius.AppliedAddress) any { return &l.Start }},
	{"departure", "date", true, false, func(l *delius.AppliedAddress) any { return &l.Departure }},
	{"provisional", "boolean", false, false, func(l *delius.AppliedAddress) any { return &l.Provisional }},
	{"events", "bigint[]", false, false, func(l *delius.AppliedAddress) any { return &l.Events }},
	{"placed_by", "text", false, false, func(l *delius.AppliedAddress) any { return (*string)(&l.Placed.By) }},
	{"placed_on", "bigint", false, false, func(l *delius.AppliedAddress) any { return &l.Placed.On }},
}}

// AppliedTerms is the status and end that were last written to each address row.
var AppliedTerms = Table[delius.AppliedTerm]{"projection.address_term", []Column[delius.AppliedTerm]{
	{"offender_address_id", "bigint", false, false, func(t *delius.AppliedTerm) any { return &t.AddressID }},
	{"status", "text", false, false, func(t *delius.AppliedTerm) any { return &t.Status }},
	{"end_date", "date", true, false, func(t *delius.AppliedTerm) any { return &t.End }},
	{"own_end", "boolean", false, false, func(t *delius.AppliedTerm) any { return &t.OwnEnd }},
	{"open", "boolean", false, false, func(t *delius.AppliedTerm) any { return &t.Open }},
}}
