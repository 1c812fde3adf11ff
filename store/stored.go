package store

import (
	"errors"
	"time"
)

// ErrCorrupt marks a message whose body is not what its checksum says, ErrGone a sequence under
// which the stream has no message any more. Both are damage: what was said there is not known.
var (
	ErrCorrupt = errors.New("the body is not what its checksum says")
	ErrGone    = errors.New("the stream has no message there")
)

// Stored is an event, a person event or a canary, as the log holds it.
type Stored struct {
	Event
	Person   *PersonEvent        // set where the message is a person event; Event is then empty
	Canary   *Canary             // set where the message is a canary; Event is then empty
	Sequence uint64              // its place in the stream, from 1
	Stored   time.Time           // when the log took it
	Header   map[string][]string // every header of the message, trace context among them
	Err      error               // set where the message is none of these; Event is then empty, but for what the headers of one that is corrupt say
}

// Damaged says whether the message is corrupt or gone.
func (s *Stored) Damaged() bool { return errors.Is(s.Err, ErrCorrupt) || errors.Is(s.Err, ErrGone) }

// IsEvent says whether the message is an event: what it says is folded.
func (s *Stored) IsEvent() bool { return s.Err == nil && s.Person == nil && s.Canary == nil }
