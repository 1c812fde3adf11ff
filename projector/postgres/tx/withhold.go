package tx

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Withhold gives an error as it may be logged and traced. What PostgreSQL says of a value that
// it cannot take quotes it, and what a trigger raises may quote a whole row: of these two the
// text is left out, here and wherever it was wrapped. PostgreSQL's own log has it.
func Withhold(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Message == "" || !quotes(pg) {
		return err
	}
	return withheld{err, strings.ReplaceAll(err.Error(), pg.Message, "(see the log of PostgreSQL)")}
}

// quotes says whether the text of an error may hold somebody's values.
func quotes(err *pgconn.PgError) bool {
	return strings.HasPrefix(err.Code, "22") || err.Routine == "exec_stmt_raise"
}

type withheld struct {
	cause error
	text  string
}

// Error is the text without what was withheld.
func (w withheld) Error() string { return w.text }

// Unwrap gives the error as it came.
func (w withheld) Unwrap() error { return w.cause }
