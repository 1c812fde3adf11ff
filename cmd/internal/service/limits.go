package service

import (
	"cmp"
	"time"
)

// Limits bound what is served, so that whoever asks, or only connects, can neither use up the
// process nor keep others from its health. A zero value is its default.
type Limits struct {
	Connections int           // at once; further ones wait until one is closed. 100
	HeaderBytes int           // of a request. 16 KiB
	ReadHeader  time.Duration // of a request, from its connection on. 5 s
	Read        time.Duration // a whole request. 10 s
	Write       time.Duration // a response. 30 s
	Idle        time.Duration // a connection between two requests. 10 s
	Check       time.Duration // a part of the health, each by itself. 3 s
}

func (l *Limits) setDefaults() {
	l.Connections = cmp.Or(l.Connections, 100)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, 16<<10)
	l.ReadHeader = cmp.Or(l.ReadHeader, 5*time.Second)
	l.Read = cmp.Or(l.Read, 10*time.Second)
	l.Write = cmp.Or(l.Write, 30*time.Second)
	l.Idle = cmp.Or(l.Idle, 10*time.Second)
	l.Check = cmp.Or(l.Check, 3*time.Second)
}
