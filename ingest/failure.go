package ingest

import (
	"fmt"

	"casdelius/store"
)

// RejectionError says that a message can never become an event, however often it is
// tried.
type RejectionError struct {
	Reason  store.Reason
	Problem string // for a person: what is wrong, with which value
}

// Error gives reason and problem.
func (e *RejectionError) Error() string { return string(e.Reason) + ": " + e.Problem }

// maxProblem bounds what a rejection says to a person, in bytes.
const maxProblem = 500

// reject makes a RejectionError; its problem is bounded, whatever a message holds.
func reject(reason store.Reason, format string, args ...any) error {
	return &RejectionError{Reason: reason, Problem: clip(fmt.Sprintf(format, args...), maxProblem)}
}

// DetailFault is the way in which a detail could not be had.
type DetailFault int

// The ways, from the point of view of what to do next.
const (
	DetailNotFound    DetailFault = iota + 1 // 404: perhaps not committed yet, perhaps never
	DetailRefused                            // any other answer than 200, 404, 429 and 5xx
	DetailTooLarge                           // more than the limit
	URLForbidden                             // not under an allowed base URL: nothing was sent
	DetailUnavailable                        // 429, 5xx, time-out, connection refused or lost
	DetailGarbled                            // 200 with something that is no detail: a maintenance page, an empty or cut-off body
	TokenUnavailable                         // no token could be had, whatever the cause
)

// DetailError is the failure of [Details.Fetch]. Its message says what, which URL
// and, where there is something to do, what to do.
type DetailError struct {
	Fault  DetailFault
	Err    error
	Answer []byte // the beginning of what came, where it is no detail or too large for one
}

// Error is the message of the cause, which is complete.
func (e *DetailError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *DetailError) Unwrap() error { return e.Err }

// Is makes the faults that pass by themselves match [ErrUnavailable].
func (e *DetailError) Is(target error) bool {
	return target == ErrUnavailable &&
		(e.Fault == DetailUnavailable || e.Fault == DetailGarbled || e.Fault == TokenUnavailable)
}

// clip shortens a text for a message to at most n bytes, at a character's edge.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := 0
	for i := range s {
		if i > n {
			break
		}
		cut = i
	}
	return s[:cut] + "…"
}
