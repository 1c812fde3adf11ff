package console

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/requests"
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

// Waiting tells what waits.
type Waiting interface {
	// ParkedGroups gathers what is parked for a cause, "" being each: so many groups of a cause at
	// most, and so many items of a group.
	ParkedGroups(ctx context.Context, cause delius.Cause, groups, items int) ([]inspect.ParkedCause, error)
	// Notices are those that wait, or of a person those of the last days, so many at most.
	Notices(ctx context.Context, who projector.Selection, limit int) ([]inspect.Notice, error)
}

// Conflicts tells which values of people's events have replaced. Those before a number are
// listed, 0 being all, the newest first.
type Conflicts interface {
	Conflicts(ctx context.Context, who projector.Selection, since time.Time) ([]inspect.Conflict, error)
	OpenConflicts(ctx context.Context, before int64, limit int) ([]inspect.Conflict, error)
	NewestConflicts(ctx context.Context, before int64, limit int) ([]inspect.Conflict, error)
	// Conflict gives one; nil if there is none.
	Conflict(ctx context.Context, number int64) (*inspect.Conflict, error)
}

// Progress tells how far everything is.
type Progress interface {
	// Figures are the newest; nil if no projector has kept any.
	Figures(ctx context.Context) (*inspect.Figures, error)
	Behind(ctx context.Context, since time.Time) ([]inspect.Sample, error)
	// Rebuilding is the rebuild of everyone; nil if none is under way or interrupted.
	Rebuilding(ctx context.Context) (*inspect.Rebuilding, error)
}

// Verifications tells what verify found.
type Verifications interface {
	Runs(ctx context.Context, limit int) ([]inspect.Verified, error)
	Findings(ctx context.Context, run int64, after, limit int) ([]inspect.FindingLine, error)
}

// Rejected is a message that ingest has rejected.
type Rejected struct {
	store.Rejection
	Sequence uint64
	Stored   time.Time
	Mark     *store.Mark // what somebody made of it; nil for nothing yet
	Err      error       // why it cannot be read
}

// Rejections tells which messages ingest has rejected.
type Rejections interface {
	// Newest lists the newest of those that nobody has replayed or dismissed, and how many there are.
	Newest(ctx context.Context, limit int) ([]Rejected, int, error)
	// BySequence gives one; the error is [ErrNoRejection] if there is none.
	BySequence(ctx context.Context, sequence uint64) (Rejected, error)
}

// ErrNoRejection marks that no rejected message has a sequence.
var ErrNoRejection = errors.New("no such rejected message")

// Requests tells what somebody asked for, and what would come of what one is about to ask.
type Requests interface {
	// Request gives one; nil if there is none.
	Request(ctx context.Context, id uuid.UUID) (*requests.Request, error)
	Requests(ctx context.Context, before time.Time, limit int) ([]requests.Request, error)
	// Look says what a request of some people's rows would write now.
	Look(ctx context.Context, r *requests.Request) (requests.Preview, error)
}

// Writer writes down what users do. It can write nothing else.
type Writer interface {
	Add(ctx context.Context, r *requests.Request) error
	Record(ctx context.Context, e audit.Entry) error
}
