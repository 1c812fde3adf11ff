package postgres

import (
	"context"
	"fmt"
	"strings"

	"casdelius/projector/postgres/rows"
	"casdelius/projector/postgres/tx"
)

// right is something that the role has to be allowed in Delius, as it is granted.
type right struct {
	privilege string // SELECT, INSERT, UPDATE or USAGE
	on        string // a schema, table or sequence
	columns   string // of a table; "" is all of it
}

// lockColumn is the one column of an offender that may be updated. None is: PostgreSQL lets
// nobody lock a row who may update no column of it. This one the server itself keeps from being
// changed, as whatever is known of a person refers to it.
const lockColumn = "offender_id"

// rights are all that a projector needs of Delius. Its own schema it owns.
func rights() []right {
	all := []right{
		{"USAGE", "schema delius", ""},
		{"USAGE", "sequence delius.contact_id_seq", ""},
		{"USAGE", "sequence delius.offender_address_id_seq", ""},
		{"INSERT", "delius.contact", ""},
		{"INSERT", "delius.offender_address", ""},
		{"INSERT", "delius.audited_interaction", ""},
		{"UPDATE", "delius.offender", lockColumn},
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
	case r.on == "delius.offender" && r.columns != "": // any other one serves as well
		return fmt.Sprintf("coalesce(has_any_column_privilege(to_regclass('%s'), '%s'), false)", r.on, r.privilege)
	case r.columns != "":
		return fmt.Sprintf("coalesce(has_column_privilege(to_regclass('%s'), '%s', '%s'), false)", r.on, r.columns, r.privilege)
	}
	return fmt.Sprintf("coalesce(has_table_privilege(to_regclass('%s'), '%s'), false)", r.on, r.privilege)
}

// statement is what grants it to a role, quoted.
func (r right) statement(role string) string {
	what := r.privilege
	if r.columns != "" {
		what += " (" + r.columns + ")"
	}
	return fmt.Sprintf("GRANT %s ON %s TO %s", what, r.on, role)
}

// sqlMissingOwn are the rights on the projector's own schema and on whatever is in it that the
// role of the connection lacks. Who owns it has them all.
const sqlMissingOwn = `
	with own as (select c.oid, c.oid::regclass::text as name, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'projection')
	select 'USAGE ON schema projection' where not coalesce((select has_schema_privilege(oid, 'USAGE') from pg_namespace where nspname = 'projection'), false)
	union all
	select * from (
		select privilege || ' ON ' || name from own, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) privilege
		where case when relkind in ('r', 'p') then not has_table_privilege(oid, privilege) end
		union all
		select 'USAGE ON sequence ' || name from own where case when relkind = 'S' then not has_sequence_privilege(oid, 'USAGE') end
			and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = own.oid and d.deptype = 'i')
		order by 1) of`

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
	var own []string
	err := db.pool.QueryRow(ctx, "select quote_ident(current_user), array["+strings.Join(predicates, ",\n")+"], array("+sqlMissingOwn+")").Scan(&role, &has, &own)
	if err != nil {
		return nil, fmt.Errorf("asking for the role's rights: %w", tx.Translate(err))
	}
	var missing []string
	for i, r := range all {
		if !has[i] {
			missing = append(missing, r.statement(role))
		}
	}
	for _, what := range own {
		missing = append(missing, "GRANT "+what+" TO "+role)
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
