package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// sqlGrants is what comes before the single grants. What the role had in Delius before is taken
// away, so that it ends up with exactly this. Whatever is in the projector's schema becomes the
// role's; a sequence that belongs to a column goes with its table.
const sqlGrants = `begin;

do $$
begin
	if exists (select from pg_roles where rolname = %[2]s and rolsuper) then
		raise exception 'role %% is a superuser: make a role for the projector alone', quote_ident(%[2]s);
	end if;
	if exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'delius' and pg_get_userbyid(c.relowner) = %[2]s)
		or exists (select from pg_namespace n where n.nspname = 'delius' and pg_get_userbyid(n.nspowner) = %[2]s) then
		raise exception 'role %% owns tables of Delius: make a role for the projector alone', quote_ident(%[2]s);
	end if;
end $$;

create schema if not exists projection;
alter schema projection owner to %[1]s;
do $$
declare
	one record;
begin
	for one in
		select c.oid::regclass as name, case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as kind
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'projection' and pg_get_userbyid(c.relowner) <> %[2]s and c.relkind in ('r', 'p', 'v', 'm', 'S')
			and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i'))
		order by 1
	loop
		execute format('alter %%s %%s owner to %%I', one.kind, one.name, %[2]s);
	end loop;
end $$;

revoke all on schema delius from %[1]s;
revoke all on all tables in schema delius from %[1]s;
revoke all on all sequences in schema delius from %[1]s;
`

// Grants are the statements, in one transaction, that give a role exactly what a projector
// needs: its own schema, and of Delius what it reads and writes. They may be run again.
func Grants(role string) (string, error) {
	switch {
	case strings.TrimSpace(role) == "":
		return "", errors.New("no role is named")
	case strings.ContainsRune(role, 0), strings.EqualFold(role, "public"), strings.EqualFold(role, "none"):
		return "", fmt.Errorf("%q is no role that rights can be granted to alone: name the one that the projector connects as", role)
	}
	quoted := pgx.Identifier{role}.Sanitize()
	literal := "'" + strings.ReplaceAll(role, "'", "''") + "'"
	if strings.ContainsRune(role, '\\') { // whatever standard_conforming_strings is
		literal = " E" + strings.ReplaceAll(literal, `\`, `\\`)
	}
	if strings.Contains(role, "$$") { // would end the blocks
		return "", fmt.Errorf("%q has $$ in it, which these statements cannot name: give the projector another role", role)
	}
	var b strings.Builder
	fmt.Fprintf(&b, sqlGrants, quoted, literal)
	var last right
	for _, r := range rights() { // columns of one table follow each other
		switch {
		case r.columns != "" && r.on == last.on && r.privilege == last.privilege:
			b.WriteString(", " + r.columns)
		default:
			end(&b, last, quoted)
			b.WriteString("grant " + strings.ToLower(r.privilege))
			if r.columns != "" {
				b.WriteString(" (" + r.columns)
			}
		}
		last = r
	}
	end(&b, last, quoted)
	b.WriteString("\ncommit;\n")
	return b.String(), nil
}

// end ends the statement of a right, if there was one.
func end(b *strings.Builder, of right, role string) {
	if of.columns != "" {
		b.WriteString(")")
	}
	if of.on != "" {
		b.WriteString(" on " + of.on + " to " + role + ";\n")
	}
}
