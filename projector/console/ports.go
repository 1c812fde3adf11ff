package console

import (
	"context"
	"time"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/store"
)

// Histories tells what happened to a person, and how their rows stand.
type Histories interface {
	PersonHistory(ctx context.Context, crn store.CRN) (inspect.History, error)
	ReferralHistory(ctx context.Context, referral store.Referral) (inspect.History, error)
}

// People says who somebody is in Delius.
type People interface {
	// Having are the CRNs of the people who have a NOMS number.
	Having(ctx context.Context, noms store.NOMS) ([]store.CRN, error)
	// Restricted are those of some CRNs whose case Delius marks as restricted or excluded.
	Restricted(ctx context.Context, crns []store.CRN) (map[store.CRN]bool, error)
	// Users are the names of Delius's users.
	Users(ctx context.Context, ids []int64) (map[int64]string, error)
}

// Lists tells what waits, and what was replaced.
type Lists interface {
	Parked(ctx context.Context, who projector.Selection, cause delius.Cause) ([]inspect.Parked, error)
	Conflicts(ctx context.Context, who projector.Selection, since time.Time) ([]inspect.Conflict, error)
	Notices(ctx context.Context, who projector.Selection) ([]inspect.Notice, error)
}

// Seen is that somebody looked at a person.
type Seen struct {
	By   string
	CRN  store.CRN
	Page string
	At   time.Time
}

// Journal keeps who looked at whom.
type Journal interface {
	Record(ctx context.Context, s Seen) error
}
