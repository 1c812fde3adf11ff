package tx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"casdelius/projector"
)

// Translate marks the errors after which a step can be run again.
func Translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, projector.ErrRetry) || errors.Is(err, projector.ErrDenied) {
		return err
	}
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &pg):
		switch {
		case isDenied(pg):
			return fmt.Errorf("%w: %w", projector.ErrDenied, err)
		case !isTransient(pg):
			return err
		}
	case errors.As(err, &connect), errors.As(err, &network), pgconn.Timeout(err), pgconn.SafeToRetry(err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
	default:
		return err
	}
	return fmt.Errorf("%w: %w", projector.ErrRetry, err)
}

// isTransient says whether the same may succeed when it is run again.
func isTransient(pg *pgconn.PgError) bool {
	switch pg.Code {
	case "40001", // serialization failure
		"40P01", // deadlock
		"55P03", // lock not available in time
		"57014", // statement cancelled, too slow
		"25P03", // idle in transaction for too long
		"57P01", // administrator's shutdown
		"57P02", // crash shutdown
		"57P03": // starting up
		return true
	case "23505": // another projector was faster with the same entry; any other conflict would be there again
		return pg.SchemaName == "projection" &&
			slices.Contains([]string{"contact_pkey", "address_pkey", "event_pkey", "event_sequence_key"}, pg.ConstraintName)
	}
	return pg.Code[:2] == "08" || pg.Code[:2] == "53" // connection; resources
}

// isDenied says whether the server's answer is one that everybody's step meets.
func isDenied(pg *pgconn.PgError) bool {
	switch pg.Code {
	case "42501", // insufficient privilege
		"25006",                            // the session, or the server, is read-only
		"3F000", "42P01", "42703", "42883": // schema, table, column or function that is not there
		return true
	}
	return false
}
