package tx

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"casdelius/projector"
)

// Fate is what becomes of an error of PostgreSQL.
type Fate int

const (
	// Retry is to run it again, in growing pauses, on a new connection unless the old one is known to be
	// sound. It is the fate of whatever nobody has thought of.
	Retry Fate = iota
	// Refuse is for a configuration that is wrong. At its start a program ends and says what to do; a
	// service that runs waits, because it was right before, and is put right.
	Refuse
	// Park is for what cannot be written, whenever it is tried. Whoever it belongs to is put
	// aside, and in nobody's way.
	Park
)

// rule is what is known of a class of errors, or of one.
type rule struct {
	fate  Fate
	is    error  // what the projector is told
	sound bool   // the connection can be used on
	do    string // what to do about one that is refused
}

var (
	unavailable = rule{is: projector.ErrUnavailable}
	contended   = rule{is: projector.ErrRetry, sound: true} // another transaction was in the way
	tooSlow     = rule{is: projector.ErrTooSlow, sound: true}
	unknown     = rule{is: projector.ErrRetry}
	parked      = rule{fate: Park, sound: true}
	denied      = rule{
		fate: Refuse, is: projector.ErrDenied, sound: true,
		do: "grant the role what it lacks, and run `projector migrate` of this version if a table or column is not there",
	}
	noLogin = rule{fate: Refuse, is: projector.ErrUnavailable, do: "set user, password and database in " + theVariable + " to those that the server knows"}
)

// theVariable stands for the variable of the database's URL, which [Explain] is told.
const theVariable = "the URL"

// rules are by SQLSTATE, five characters, or by its class, two. Whatever is not here is unknown.
var rules = map[string]rule{
	"08":    unavailable, // connection
	"09":    parked,      // triggered action
	"0L":    denied,      // grantor
	"0P":    denied,      // role
	"20":    parked,      // case not found
	"21":    parked,      // cardinality
	"22":    parked,      // data: a value that cannot be
	"23":    parked,      // integrity constraint
	"25006": unavailable, // the session, or the server, is read-only: a failover
	"25P03": tooSlow,     // idle in transaction
	"25P04": tooSlow,     // transaction
	"27":    parked,      // triggered data change
	"28":    noLogin,     // authorization
	"2F":    parked,      // SQL routine
	"38":    parked,      // external routine
	"39":    parked,      // external routine
	"3D":    noLogin,     // database that does not exist
	"3F":    denied,      // schema that does not exist
	"40":    contended,   // transaction rolled back: serialization failure, deadlock
	"42":    denied,      // syntax or access: of a schema that is not the one that is expected
	"42P03": unknown,     // cursor that is there already
	"42P05": unknown,     // prepared statement that is there already: another's session
	"44":    parked,      // check option of a view
	"53":    unavailable, // resources
	"53200": unknown,     // out of memory: of what was asked for, perhaps
	"54":    parked,      // program limit
	"55P03": contended,   // lock not available in time
	"57":    unavailable, // operator intervention: shut down, crashed, starting, killed as idle
	"57014": tooSlow,     // statement cancelled
	"P0":    parked,      // PL/pgSQL: raised by a trigger
}

// ruleOf is the one place that decides what an error of PostgreSQL means.
func ruleOf(err *pgconn.PgError) rule {
	// Another projector was faster with the same entry; any other conflict would be there again.
	if err.Code == "23505" && err.SchemaName == "projection" &&
		slices.Contains([]string{"contact_pkey", "address_pkey", "event_pkey", "event_sequence_key"}, err.ConstraintName) {
		return contended
	}
	if r, known := rules[err.Code]; known {
		return r
	}
	if r, known := rules[err.Code[:min(2, len(err.Code))]]; known {
		return r
	}
	return unknown
}

// FateOf is the fate of an error, and what to do about one that is refused.
func FateOf(err error) (fate Fate, do string) {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, projector.ErrRefused): // which says it itself
		return Refuse, ""
	case errors.As(err, &pg):
		r := ruleOf(pg)
		return r.fate, r.do
	}
	return Retry, ""
}

// Sound says whether a connection can be used on after an error. A session that became
// read-only, or has lost what it had prepared, stays so.
func Sound(err *pgconn.PgError) bool { return ruleOf(err).sound }

// Translate marks an error as what it is to the projector.
func Translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, projector.ErrRetry) || errors.Is(err, projector.ErrDenied) {
		return err
	}
	if is := meaning(err); is != nil {
		return fmt.Errorf("%w: %w", is, err)
	}
	return err
}

// meaning is what an error is to the projector; nil if it is unexpected: somebody's own.
func meaning(err error) error {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect):
		// Nobody's data had to do with it. Who may not connect now may later.
		return projector.ErrUnavailable
	case errors.As(err, &pg):
		return ruleOf(pg).is
	case errors.Is(err, context.DeadlineExceeded):
		return projector.ErrTooSlow
	case errors.As(err, &network), pgconn.Timeout(err), pgconn.SafeToRetry(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return projector.ErrUnavailable
	}
	return nil
}

// Explain adds what to do to an error that is refused. The variable is that of the database's URL.
func Explain(err error, variable string) error {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name the authority that has signed the server's certificate, by sslrootcert=FILE in %s", err, variable)
	case errors.As(err, &other):
		return fmt.Errorf("%w: name the server in %s as its certificate does", err, variable)
	}
	fate, do := FateOf(err)
	if fate == Retry || do == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.ReplaceAll(do, theVariable, variable))
}
