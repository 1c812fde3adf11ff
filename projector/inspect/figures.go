package inspect

import (
	"time"

	"casdelius/projector"
	"casdelius/projector/delius"
)

// Figures say how far everything was at one moment, as a running projector sampled it.
type Figures struct {
	At time.Time `json:"at"`

	Behind   float64   `json:"oldestUnappliedSeconds"` // age of the oldest event that is not applied; 0 if all are
	Sequence uint64    `json:"oldestUnappliedSequence,omitzero"`
	Since    time.Time `json:"oldestUnappliedStored,omitzero"`
	Last     uint64    `json:"streamLastSequence"`
	Bytes    uint64    `json:"streamBytes"`
	MaxBytes int64     `json:"streamMaxBytes,omitzero"` // 0 is no limit

	Due       int                      `json:"due"` // referrals
	OldestDue time.Time                `json:"oldestDue,omitzero"`
	Failing   Counted                  `json:"failing"` // referrals
	Parked    map[delius.Cause]Counted `json:"parked"`
	Conflicts int                      `json:"conflicts"`     // ever recorded
	Open      int                      `json:"openConflicts"` // neither reviewed nor restored
	Notices   Counted                  `json:"notices"`       // that wait to be sent
	Damaged   Counted                  `json:"damagedMessages"`
	Unknown   int                      `json:"unknownTypeEvents"`

	Canary *Canary `json:"canary,omitempty"` // nil until one has come

	Hold    bool   `json:"hold"`    // nothing is written to Delius
	Program string `json:"program"` // version of the projector
	Fold    int    `json:"foldVersion"`
	Schema  int    `json:"schemaVersion"`
}

// Sample is how far everything was behind at one moment.
type Sample struct {
	At     time.Time `json:"at"`
	Behind float64   `json:"oldestUnappliedSeconds"`
}

// Counted is how many there are, and since when the oldest is.
type Counted struct {
	Count int       `json:"count"`
	Since time.Time `json:"since,omitzero"`
}

// Canary is the latest canary that came all the way, and how long its legs took.
type Canary struct {
	Sent   time.Time `json:"sent"`
	Queue  float64   `json:"queueSeconds"`  // sent to received
	Stream float64   `json:"streamSeconds"` // received to stored
	Inbox  float64   `json:"inboxSeconds"`  // stored to committed
}

// Rebuilding is the rebuild of everyone that is under way, or was interrupted.
type Rebuilding struct {
	By       string          `json:"by"`
	Started  time.Time       `json:"started"` // when it was begun, by whichever process
	Since    time.Time       `json:"since"`   // when this process began to go on with it
	Running  bool            `json:"running"` // else it was interrupted, and the next one goes on
	PausedBy string          `json:"pausedBy,omitempty"`
	Phase    projector.Phase `json:"phase"`
	Done     int             `json:"done"`
	Total    int             `json:"total"`
	Rate     float64         `json:"rate"`                     // messages or people a second in this phase; 0 is not known
	Left     float64         `json:"secondsLeft,omitzero"`     // of this phase, at that rate; 0 is not known
	Limit    int             `json:"eventsPerSecond,omitzero"` // that it is limited to
	Reached  time.Time       `json:"reached,omitzero"`         // when that was
	Tally    Total           `json:"tally"`
}

// Verified is a run of verify, and what it came to.
type Verified struct {
	Number    int64     `json:"verify"`
	Who       string    `json:"who"`
	Scheduled bool      `json:"scheduled"`
	Repair    bool      `json:"repair"`
	CRNs      []string  `json:"crns,omitempty"` // empty is everyone
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"` // zero while it runs
	Lost      bool      `json:"lost"`           // its process ended before it did
	Phase     string    `json:"phase,omitempty"`
	Done      int       `json:"done"`
	Total     int       `json:"total"`
	Messages  int       `json:"messages"`
	Contacts  int       `json:"contacts"`
	Addresses int       `json:"addresses"`
	Edited    int       `json:"edited"`
	Damaged   int       `json:"damaged"`
	Left      int       `json:"left"`   // damage that stands, after a repair too
	Unseen    int       `json:"unseen"` // rows and messages that could not be looked at
	Error     string    `json:"error,omitempty"`
}

// ParkedCause is what is parked for one cause.
type ParkedCause struct {
	Cause  delius.Cause
	Items  int           // all of them
	Groups []ParkedGroup // those that concern most people first
	More   int           // groups that are not among them
}

// ParkedGroup is what one remedy would free: what is parked for the same cause by the same
// missing reference.
type ParkedGroup struct {
	Problem string // which names the reference
	Items   int    // all of them
	People  int    // whom their events name; 0 where that is nobody
	Since   time.Time
	NextTry time.Time // zero if it is not tried again
	List    []Parked  // the oldest items
}
