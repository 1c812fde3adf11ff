package postgres

import (
	"context"
	"fmt"
	"strings"

	"casdelius/projector/postgres/rows"
	"casdelius/projector/postgres/tx"
)

// right is something that the role has to be allowed, as it is granted.
type right struct {
	privilege string // SELECT, INSERT, UPDATE or USAGE
	on        string // a schema, table or sequence
	columns   string // of a table; "" is all of it, "any" one of them, for row locks
}

// rights are all that a projector needs of Delius. Its own schema it owns.
func rights() []right {
	all := []right{
		{"USAGE", "schema delius", ""},
		{"USAGE", "sequence delius.contact_id_seq", ""},
		{"USAGE", "sequence delius.offender_address_id_seq", ""},
		{"INSERT", "delius.contact", ""},
		{"INSERT", "delius.offender_address", ""},
		{"INSERT", "delius.audited_interaction", ""},
		{"UPDATE", "delius.offender", "any"},
		{"USAGE", "schema projection", ""},
	}
	for _, table := range []string{
		"user_", "business_interaction", "r_contact_type", "r_reference_data_master", "r_standard_reference_list",
		"probation_area", "team", "staff", "staff_team", "offender", "offender_manager", "additional_identifier", "contact", "offender_address",
	} {
		all = append(all, right{"SELECT", "delius." + table, ""})
	}
	for _, column := range rows.Contacts.Columns[1:] {
		all = append(all, right{"UPDATE", "delius.contact", column.Name})
	}
	for _, column := range rows.Addresses.Columns[1:] {
		all = append(all, right{"UPDATE", "delius.offender_address", column.Name})
	}
	for _, table := range []string{"event", "other_sequence", "applied", "identity", "due", "contact", "address", "address_term", "contact_fingerprint", "address_fingerprint", "conflict", "parked", "rebuild", "stream", "outbox", "notices", "fold", "failing", "damage"} {
		for _, privilege := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
			all = append(all, right{privilege, "projection." + table, ""})
		}
	}
	return all
}

// predicate asks for a right. What is not there at all counts as not granted.
func (r right) predicate() string {
	kind, name, found := strings.Cut(r.on, " ")
	switch {
	case found && kind == "schema":
		return fmt.Sprintf("coalesce((select has_schema_privilege(oid, '%s') from pg_namespace where nspname = '%s'), false)", r.privilege, name)
	case found:
		return fmt.Sprintf("coalesce(has_sequence_privilege(to_regclass('%s'), '%s'), false)", name, r.privilege)
	case r.columns == "any":
		return fmt.Sprintf("coalesce(has_any_column_privilege(to_regclass('%s'), '%s'), false)", r.on, r.privilege)
	case r.columns != "":
		return fmt.Sprintf("coalesce(has_column_privilege(to_regclass('%s'), '%s', '%s'), false)", r.on, r.columns, r.privilege)
	}
	return fmt.Sprintf("coalesce(has_table_privilege(to_regclass('%s'), '%s'), false)", r.on, r.privilege)
}

// statement is what grants it.
func (r right) statement(role string) string {
	what := r.privilege
	switch r.columns {
	case "":
	case "any":
		what += " (soft_deleted)"
	default:
		what += " (" + r.columns + ")"
	}
	return fmt.Sprintf("GRANT %s ON %s TO %s", what, r.on, role)
}

// MissingRights are the statements that grant what the role of the connection lacks, in one
// list; none if it may do all that a projector does.
func (db *Database) MissingRights(ctx context.Context) ([]string, error) {
	all := rights()
	predicates := make([]string, len(all))
	for i, r := range all {
		predicates[i] = r.predicate()
	}
	var role string
	var has []bool
	err := db.pool.QueryRow(ctx, "select quote_ident(current_user), array["+strings.Join(predicates, ",\n")+"]").Scan(&role, &has)
	if err != nil {
		return nil, fmt.Errorf("asking for the role's rights: %w", tx.Translate(err))
	}
	var missing []string
	for i, r := range all {
		if !has[i] {
			missing = append(missing, r.statement(role))
		}
	}
	return missing, nil
}

// Weaknesses are settings of the server with which events or words could be lost, each with
// what to do; none if it is as it has to be.
func (db *Database) Weaknesses(ctx context.Context) ([]string, error) {
	var encoding, fsync, pages string
	err := db.pool.QueryRow(ctx, "select current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes')").
		Scan(&encoding, &fsync, &pages)
	if err != nil {
		return nil, fmt.Errorf("asking for the server's settings: %w", tx.Translate(err))
	}
	var all []string
	if encoding != "UTF8" {
		all = append(all, "the database's encoding is "+encoding+": notes with other characters than it has cannot be written; use a database in UTF8")
	}
	if fsync != "on" {
		all = append(all, "fsync is "+fsync+": what was acknowledged to the stream is lost in a power cut; set it to on")
	}
	if pages != "on" {
		all = append(all, "full_page_writes is "+pages+": a power cut can damage pages; set it to on")
	}
	return all, nil
}
