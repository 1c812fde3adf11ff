package projector

import "errors"

// ErrRetry marks an error after which the same can simply be run again: a lock timeout, a
// deadlock, a serialization failure, an entry that somebody else was faster with, and whatever
// nobody has thought of. Nothing was written and nobody is parked. [ErrUnavailable] and
// [ErrTooSlow] are such errors as well.
var ErrRetry = errors.New("try again")

const (
	// ErrUnavailable marks an error that has nothing to do with anybody's data and passes when
	// the stream or the database is there again: a lost connection, a server that is starting or
	// read-only, a password that is being changed.
	ErrUnavailable = transient("unavailable")
	// ErrTooSlow marks a time limit that was met: fewer people at once may be within it.
	ErrTooSlow = transient("too slow")
)

type transient string

// Error implements error.
func (t transient) Error() string { return string(t) }

// Is makes it an ErrRetry.
func (transient) Is(target error) bool { return target == ErrRetry }

// ErrDenied marks an error of the role or the schema, which every step meets alike: a right
// that is missing, a table that is not there.
var ErrDenied = errors.New("denied")

// ErrOlder marks that a program with a newer fold has written. This one would undo that, so it
// writes nothing: it stands back.
var ErrOlder = errors.New("a newer fold has written")

// ErrRefused marks what no retry heals, but only somebody who changes the configuration:
// nothing else ends a service. [Refuse] makes one.
var ErrRefused = errors.New("refused")

// Refuse marks an error as ErrRefused. Its text stays as it is: it says what to do.
func Refuse(err error) error { return refusal{err} }

type refusal struct{ error }

// Unwrap gives what was refused.
func (r refusal) Unwrap() error { return r.error }

// Is makes it an ErrRefused.
func (refusal) Is(target error) bool { return target == ErrRefused }

func isTransient(err error) bool { return errors.Is(err, ErrRetry) }

// isNotRefused says whether a service that runs goes on after an error.
func isNotRefused(err error) bool { return !errors.Is(err, ErrRefused) && !errors.Is(err, ErrOlder) }
