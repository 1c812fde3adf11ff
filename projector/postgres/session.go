package postgres

import (
	"maps"

	"github.com/jackc/pgx/v5"
)

// session are the settings that decide what is read or written. Whatever the role, the
// database or the server have for them, a connection of ours has these.
var session = map[string]string{
	"client_encoding":             "UTF8",
	"timezone":                    "UTC",
	"datestyle":                   "ISO, YMD",
	"intervalstyle":               "postgres",
	"extra_float_digits":          "1",
	"bytea_output":                "hex",
	"standard_conforming_strings": "on",
	"backslash_quote":             "safe_encoding",
	"array_nulls":                 "on",
	"transform_null_equals":       "off",
	// Every statement names its schema. Triggers of Delius's may not.
	"search_path": "delius",
	// A policy that hides rows is an error, not an answer with fewer rows.
	"row_security":                   "off",
	"default_transaction_isolation":  "read committed",
	"default_transaction_read_only":  "off",
	"default_transaction_deferrable": "off",
	// What is acknowledged to the stream has to survive a power cut.
	"synchronous_commit": "on",
	// Each transaction sets its own limits.
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
}

// Settle makes connections of a configuration set for themselves whatever decides what they
// read and write, instead of trusting role, database and server. It wins over options of the
// URL.
func Settle(config *pgx.ConnConfig) {
	maps.Copy(config.RuntimeParams, session)
}
