package store

import "time"

// Stored is an event as the log holds it.
type Stored struct {
	Event
	Sequence uint64              // its place in the stream, from 1
	Stored   time.Time           // when the log took it
	Header   map[string][]string // every header of the message, trace context among them
	Err      error               // set where the message is no event of ours; Event is then empty
}
