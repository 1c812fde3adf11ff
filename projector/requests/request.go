package requests

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"casdelius/projector/delius"
	"casdelius/store"
)

// Kind is what is asked for.
type Kind string

// The kinds of request.
const (
	Retry    Kind = "retry"    // what is parked, by cause or person: Target.Cause, Target.CRNs or Target.All
	Repair   Kind = "repair"   // damage of one person: Target.CRNs
	Plan     Kind = "plan"     // everyone: the result is what a rebuild would come to, and its hash
	Rebuild  Kind = "rebuild"  // of people, Target.CRNs or Target.Referrals, or of everyone: Target.All
	Pause    Kind = "pause"    // the rebuild of everyone
	Resume   Kind = "resume"   // the rebuild of everyone
	Restore  Kind = "restore"  // the person's value of Target.Conflict
	Reviewed Kind = "reviewed" // Target.Conflict
	Replay   Kind = "replay"   // Target.Rejected, by ingest
	Dismiss  Kind = "dismiss"  // Target.Rejected, by ingest
)

// Confirmed says whether a plan is shown before, and its hash goes with the request.
func (k Kind) Confirmed() bool { return k == Repair || k == Rebuild || k == Restore }

// Target is whom or what a request is about.
type Target struct {
	CRNs      []store.CRN      `json:"crns,omitempty"`
	Referrals []store.Referral `json:"referrals,omitempty"`
	All       bool             `json:"all,omitempty"`
	Cause     delius.Cause     `json:"cause,omitempty"`
	Conflict  int64            `json:"conflict,omitempty"`
	Rejected  uint64           `json:"rejected,omitempty"` // sequence in the stream of rejected messages
	Rate      int              `json:"rate,omitempty"`     // of a rebuild of everyone: events a second; 0 is no limit
	Restart   bool             `json:"restart,omitempty"`  // of a rebuild of everyone
}

// State says how far a request is.
type State string

// The states of a request.
const (
	Waiting State = "waiting"
	Working State = "working" // a projector has taken it; where that one is killed another does
	Done    State = "done"
	Refused State = "refused" // nothing was done: the plan is another one now, or it cannot be
	Failed  State = "failed"  // it met an error; what was done says the outcome
)

// Request is what somebody asked for, and what became of it.
type Request struct {
	ID       uuid.UUID       `json:"request"`
	Kind     Kind            `json:"kind"`
	Target   Target          `json:"target"`
	PlanHash string          `json:"planHash,omitempty"`
	Who      string          `json:"who"`
	Why      string          `json:"why,omitempty"`
	At       time.Time       `json:"at"`
	State    State           `json:"state"`
	Tries    int             `json:"tries"`
	Taken    time.Time       `json:"takenAt,omitzero"`
	Ended    time.Time       `json:"endedAt,omitzero"`
	Outcome  string          `json:"outcome,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"` // of a plan: PlanResult
	Invalid  string          `json:"-"`                // why it cannot be read as it stands in the database
}

// PlanResult is the result of a plan of everyone.
type PlanResult struct {
	Hash      string `json:"planHash"` // that a rebuild of everyone confirms
	People    int    `json:"people"`
	Changed   int    `json:"peopleChanged"`
	Rows      int    `json:"rows"`
	Fields    int    `json:"fields"`
	Conflicts int    `json:"conflicts"`
	Parked    int    `json:"parked"`
	Failed    int    `json:"failed"`
}

// Validate names what is wrong with a new request.
func (r *Request) Validate() error {
	var all []error
	need := func(given bool, what string) {
		if !given {
			all = append(all, fmt.Errorf("a request to %s needs %s", r.Kind, what))
		}
	}
	need(r.ID != uuid.UUID{}, "an id")
	need(r.Who != "", "who asks")
	if r.Invalid != "" {
		return errors.New(r.Invalid)
	}
	t := &r.Target
	people := len(t.CRNs)+len(t.Referrals) > 0
	switch r.Kind {
	case Retry:
		need(t.All || t.Cause != "" || len(t.CRNs) > 0, "a cause, a person, or all")
	case Repair:
		need(len(t.CRNs) == 1, "one person")
	case Rebuild:
		need(t.All != people, "people, or all")
	case Restore, Reviewed:
		need(t.Conflict != 0, "a conflict")
	case Replay, Dismiss:
		need(t.Rejected != 0, "a rejected message")
	case Plan, Pause, Resume:
	default:
		all = append(all, fmt.Errorf("there is no request of kind %q", r.Kind))
	}
	if r.Kind.Confirmed() {
		need(r.PlanHash != "", "the hash of the plan that was confirmed")
	}
	return errors.Join(all...)
}
