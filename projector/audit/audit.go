// Package audit is the vocabulary of who did what: one entry for each action of a person or of
// the service itself, and for each look at a person in the console. What writes an effect writes
// its entry in the same transaction, where the effect is in the database. Entries are added only.
package audit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"casdelius/store"
)

// The actions.
const (
	Viewed    = "view"     // a look at a person in the console
	Planned   = "plan"     // of everyone
	Rebuilt   = "rebuild"  // of people, or of everyone
	Paused    = "pause"    // of a rebuild
	Resumed   = "resume"   // of a rebuild
	Repaired  = "repair"   // of damage
	Retried   = "retry"    // of what is parked
	Restored  = "restore"  // of a conflict's value
	Reviewed  = "reviewed" // of a conflict
	Replayed  = "replay"   // of a rejected message
	Dismissed = "dismiss"  // of a rejected message
	Adopted   = "adopt-stream"
	Notices   = "notices" // turned on or off
	Older     = "allow-older"
)

// Entry is one entry. What does not apply is zero.
type Entry struct {
	Number   int64           `json:"audit"`
	At       time.Time       `json:"at"` // given by the database
	Who      string          `json:"who"`
	What     string          `json:"what"`
	CRN      store.CRN       `json:"crn,omitempty"`
	Referral store.Referral  `json:"referral,omitzero"`
	Why      string          `json:"why,omitempty"`
	Detail   json.RawMessage `json:"detail,omitempty"` // an object
	Request  uuid.UUID       `json:"request,omitzero"` // that asked for it
}

// With is the entry with a detail, whose fields are of kinds that always have JSON.
func (e Entry) With(detail map[string]any) Entry {
	text, err := json.Marshal(detail)
	if err != nil {
		panic(err) // unreachable: of texts, numbers and lists
	}
	e.Detail = text
	return e
}
