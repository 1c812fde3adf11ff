package postgres

// What a console shows is read by one role, which may not write, and what its users ask for is
// written by another, which may not do more than that: add requests, audit entries, and, where
// somebody signs in, sessions. Neither can write to Delius.

// consoleTables are Delius's tables that pages are made of.
var consoleTables = []string{
	"user_", "business_interaction", "r_contact_type", "r_reference_data_master", "r_standard_reference_list", "probation_area", "team", "staff", "staff_team",
	"offender", "offender_manager", "additional_identifier", "contact", "offender_address",
}

// consoleProjection are the projector's own tables that pages are made of: all but what a
// session's secret stands in.
var consoleProjection = []string{
	"stream", "event", "other_sequence", "applied", "identity", "due", "contact", "address", "address_term", "contact_fingerprint", "address_fingerprint",
	"conflict", "parked", "rebuild", "outbox", "notices", "fold", "failing", "damage", "figure", "verified", "verified_finding", "request", "audit", "schema_version",
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
