package store

import "time"

// Stored is an event, a person event or a canary, as the log holds it.
type Stored struct {
	Event
	Person   *PersonEvent        // set where the message is a person event; Event is then empty
	Canary   *Canary             // set where the message is a canary; Event is then empty
	Sequence uint64              // its place in the stream, from 1
	Stored   time.Time           // when the log took it
	Header   map[string][]string // every header of the message, trace context among them
	Err      error               // set where the message is none of these; Event is then empty
}

// IsEvent says whether the message is an event: what it says is folded.
func (s *Stored) IsEvent() bool { return s.Err == nil && s.Person == nil && s.Canary == nil }
