package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"casdelius/projector/console"
	"casdelius/projector/postgres/orders"
	"casdelius/projector/postgres/pages"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/requests"
)

// What a console shows is read by one role, which may not write, and what its users ask for is
// written by another, which may not do more than that: add requests, audit entries, and, where
// somebody signs in, sessions. Neither can write to Delius.

// consoleTables are Delius's tables that pages are made of.
var consoleTables = []string{
	"user_", "business_interaction", "r_contact_type", "r_reference_data_master", "r_standard_reference_list", "probation_area", "team", "staff", "staff_team",
	"offender", "offender_manager", "additional_identifier", "contact", "offender_address",
}

// consoleProjection are the projector's own tables that pages are made of. Of a session's secret
// the hash alone stands there.
var consoleProjection = []string{
	"stream", "event", "other_sequence", "applied", "identity", "due", "contact", "address", "address_term", "contact_fingerprint", "address_fingerprint",
	"conflict", "parked", "rebuild", "outbox", "notices", "fold", "failing", "damage", "figure", "verified", "verified_finding", "request", "audit", "session", "session_end", "schema_version",
}

// consoleRights are what the role needs that pages are read through.
func consoleRights() []right {
	all := []right{{"USAGE", "schema delius", ""}, {"USAGE", "schema projection", ""}}
	for _, table := range consoleTables {
		all = append(all, right{"SELECT", "delius." + table, ""})
	}
	for _, table := range consoleProjection {
		all = append(all, right{"SELECT", "projection." + table, ""})
	}
	return all
}

// consoleWriterRights are what the role needs that requests and audit entries are added by. Of
// a request it says what is asked for, and nothing of what became of it; of an entry all but
// when it was made.
func consoleWriterRights() []right {
	all := []right{{"USAGE", "schema projection", ""}}
	for _, column := range []string{"id", "kind", "target", "plan_hash", "who", "why"} {
		all = append(all, right{"INSERT", "projection.request", column})
	}
	for _, column := range []string{"who", "what", "crn", "referral", "why", "detail", "request"} {
		all = append(all, right{"INSERT", "projection.audit", column})
	}
	for _, table := range []string{"session", "session_end"} {
		all = append(all, right{"INSERT", "projection." + table, ""})
	}
	return all
}

// ConsoleGrants are the statements that let a role read what a console shows, and nothing else.
// The name is quoted by whoever gives it.
func ConsoleGrants(role string) []string { return statements(consoleRights(), role) }

// ConsoleWriterGrants are the statements that let a role write what a console's users ask for,
// and nothing else.
func ConsoleWriterGrants(role string) []string { return statements(consoleWriterRights(), role) }

func statements(rights []right, role string) []string {
	all := make([]string, len(rights))
	for i, r := range rights {
		all[i] = r.statement(role) + ";"
	}
	return all
}

// ConsolePorts are what a console asks, through the role of this database and that of a writer;
// nil is none. What is rejected the stream tells.
func (db *Database) ConsolePorts(writer *pgxpool.Pool, config Config) console.Ports {
	ports := console.Ports{
		Histories: db.Lists, People: db.Pages, Waiting: db.Lists, Conflicts: db.Lists, Progress: db.Lists, Verifications: db.Verified,
		Requests: askedFor{db.Orders, db},
	}
	if writer == nil {
		return ports
	}
	config.setDefaults()
	writes := &tx.DB{Pool: writer, Limits: config.limits()}
	if Pooled(writer) {
		writes.Session = local()
	}
	ports.Writer, ports.Sessions = &orders.Orders{DB: writes}, &pages.Sessions{Read: db.Pages.DB, Write: writes}
	return ports
}

// askedFor implements console.Requests.
type askedFor struct {
	*orders.Orders
	db *Database
}

// Look implements console.Requests.
func (a askedFor) Look(ctx context.Context, r *requests.Request) (requests.Preview, error) {
	return a.db.Look(ctx, r)
}
