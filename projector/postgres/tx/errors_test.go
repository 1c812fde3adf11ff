package tx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres/tx"
)

const (
	retry  = tx.Retry
	refuse = tx.Refuse
	park   = tx.Park
)

// classes are all classes of the appendix of PostgreSQL's manual, each with what becomes of an
// error of it, and the codes in them that are something else.
var classes = []struct {
	code string
	fate tx.Fate
	is   error // what the projector is told; nil: it is somebody's own
}{
	{"03000", retry, projector.ErrRetry},
	{"08000", retry, projector.ErrUnavailable},
	{"08003", retry, projector.ErrUnavailable},
	{"08006", retry, projector.ErrUnavailable},
	{"08P01", retry, projector.ErrUnavailable},
	{"09000", park, nil},
	{"0A000", retry, projector.ErrRetry}, // a plan that is out of date, too
	{"0B000", retry, projector.ErrRetry},
	{"0F001", retry, projector.ErrRetry},
	{"0L000", refuse, projector.ErrDenied},
	{"0P000", refuse, projector.ErrDenied},
	{"0Z002", retry, projector.ErrRetry},
	{"10608", retry, projector.ErrRetry},
	{"20000", park, nil},
	{"21000", park, nil},
	{"22001", park, nil},
	{"22021", park, nil},
	{"23502", park, nil},
	{"23503", park, nil},
	{"23505", park, nil},
	{"23514", park, nil},
	{"24000", retry, projector.ErrRetry},
	{"25000", retry, projector.ErrRetry},
	{"25006", retry, projector.ErrUnavailable},
	{"25P01", retry, projector.ErrRetry},
	{"25P02", retry, projector.ErrRetry},
	{"25P03", retry, projector.ErrTooSlow},
	{"25P04", retry, projector.ErrTooSlow},
	{"26000", retry, projector.ErrRetry},
	{"27000", park, nil},
	{"28000", refuse, projector.ErrUnavailable},
	{"28P01", refuse, projector.ErrUnavailable},
	{"2BP01", retry, projector.ErrRetry},
	{"2D000", retry, projector.ErrRetry},
	{"2F000", park, nil},
	{"34000", retry, projector.ErrRetry},
	{"38000", park, nil},
	{"39000", park, nil},
	{"3B001", retry, projector.ErrRetry},
	{"3D000", refuse, projector.ErrUnavailable},
	{"3F000", refuse, projector.ErrDenied},
	{"40001", retry, projector.ErrRetry},
	{"40003", retry, projector.ErrRetry},
	{"40P01", retry, projector.ErrRetry},
	{"42501", refuse, projector.ErrDenied},
	{"42601", refuse, projector.ErrDenied},
	{"42703", refuse, projector.ErrDenied},
	{"42883", refuse, projector.ErrDenied},
	{"42P01", refuse, projector.ErrDenied},
	{"42P03", retry, projector.ErrRetry},
	{"42P05", retry, projector.ErrRetry},
	{"44000", park, nil},
	{"53000", retry, projector.ErrUnavailable},
	{"53100", retry, projector.ErrUnavailable},
	{"53200", retry, projector.ErrRetry},
	{"53300", retry, projector.ErrUnavailable},
	{"54000", park, nil},
	{"55000", retry, projector.ErrRetry},
	{"55P03", retry, projector.ErrRetry},
	{"57000", retry, projector.ErrUnavailable},
	{"57014", retry, projector.ErrTooSlow},
	{"57P01", retry, projector.ErrUnavailable},
	{"57P02", retry, projector.ErrUnavailable},
	{"57P03", retry, projector.ErrUnavailable},
	{"57P04", retry, projector.ErrUnavailable},
	{"57P05", retry, projector.ErrUnavailable},
	{"58000", retry, projector.ErrRetry},
	{"58030", retry, projector.ErrRetry},
	{"72000", retry, projector.ErrRetry},
	{"F0000", retry, projector.ErrRetry},
	{"HV000", retry, projector.ErrRetry},
	{"P0001", park, nil},
	{"XX000", retry, projector.ErrRetry},
	{"XX001", retry, projector.ErrRetry},
	{"ZZ999", retry, projector.ErrRetry}, // nobody knows it
	{"", retry, projector.ErrRetry},
}

// Catches a code that has no fate, or that of its class where it should have its own; and an
// unknown one that is taken to be final.
func TestEveryErrorOfPostgreSQLHasOneOfThreeFates(t *testing.T) {
	t.Parallel()
	for _, c := range classes {
		err := fmt.Errorf("doing something: %w", &pgconn.PgError{Code: c.code, Severity: "ERROR"})
		fate, do := tx.FateOf(err)
		require.Equal(t, c.fate, fate, c.code)
		require.Equal(t, c.fate == refuse, do != "", "%s: what to do", c.code)
		translated := tx.Translate(err)
		require.ErrorIs(t, translated, err)
		require.Equal(t, c.is != nil && !errors.Is(c.is, projector.ErrDenied), errors.Is(translated, projector.ErrRetry), c.code)
		require.Equal(t, errors.Is(c.is, projector.ErrDenied), errors.Is(translated, projector.ErrDenied), c.code)
		if c.is != nil {
			require.ErrorIs(t, translated, c.is, c.code)
		}
		require.Equal(t, translated, tx.Translate(translated), "it is marked once")
	}
}

// Catches a session that is read-only, or whose prepared statements are another's, and is used
// on for ever; and one that is given up for a mere lock timeout.
func TestOnlyASoundConnectionIsUsedOn(t *testing.T) {
	t.Parallel()
	for code, sound := range map[string]bool{
		"25006": false, "42P05": false, "26000": false, "25P02": false, "0A000": false, "XX000": false, "53300": false, "58030": false,
		"40001": true, "40P01": true, "55P03": true, "57014": true, "42501": true, "23505": true, "22001": true, "P0001": true,
	} {
		require.Equal(t, sound, tx.Sound(&pgconn.PgError{Code: code}), code)
	}
}

func TestAnEntryThatAnotherProjectorWasFasterWithIsRetried(t *testing.T) {
	t.Parallel()
	err := &pgconn.PgError{Code: "23505", SchemaName: "projection", ConstraintName: "contact_pkey"}
	require.ErrorIs(t, tx.Translate(err), projector.ErrRetry)
	err.SchemaName = "delius"
	require.NotErrorIs(t, tx.Translate(err), projector.ErrRetry)
}

// Catches a lost connection, a server that refuses or does not answer, and a wrong password
// while a service runs, that end it.
func TestWhoeverCannotBeReachedIsUnavailable(t *testing.T) {
	t.Parallel()
	_, refused := pgconn.Connect(t.Context(), "postgres://user:password@127.0.0.1:1/database?sslmode=disable")
	require.Error(t, refused)
	for _, err := range []error{
		refused,
		fmt.Errorf("reading: %w", io.ErrUnexpectedEOF),
		&net.OpError{Op: "read", Err: errors.New("connection reset by peer")},
	} {
		require.ErrorIs(t, tx.Translate(err), projector.ErrUnavailable, "%v", err)
		fate, _ := tx.FateOf(err)
		require.Equal(t, tx.Retry, fate)
	}
	require.ErrorIs(t, tx.Translate(context.DeadlineExceeded), projector.ErrTooSlow)
	require.Equal(t, context.Canceled, tx.Translate(context.Canceled))
}
