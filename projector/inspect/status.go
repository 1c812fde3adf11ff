package inspect

import "time"

// Status is how far everything is, for whoever asks whether Delius is up to date. Nothing in it is
// counted for the question: a running projector has.
type Status struct {
	UpToDate bool        `json:"upToDate"`
	Answer   string      `json:"answer"`
	Figures  *Figures    `json:"figures,omitempty"`    // nil if no projector has told of any
	Verified *Verified   `json:"lastVerify,omitempty"` // nil if there was none
	Since    int         `json:"messagesSinceVerify"`  // that it has not seen
	Rebuild  *Rebuilding `json:"rebuild,omitempty"`    // nil if none is under way or interrupted
}

// StatusOf puts together what is known at a time; each may be nil.
func StatusOf(f *Figures, verified *Verified, rebuild *Rebuilding, now time.Time) Status {
	answer := AnswerOf(f, now)
	s := Status{UpToDate: answer.Kind == "good", Answer: answer.Word + ": " + answer.Text, Figures: f, Verified: verified, Rebuild: rebuild}
	if verified != nil {
		s.Since = CameSince(verified, f)
	}
	return s
}

// Answer says whether Delius is up to date. Its kind is good, warn or bad.
type Answer struct{ Kind, Word, Text string }

const (
	stale     = time.Minute // the age from which figures say nothing of now
	behindFor = time.Minute // for how long an event may wait until Delius is said to be behind
)

// AnswerOf is the answer that figures give at a time; they may be nil.
func AnswerOf(f *Figures, now time.Time) Answer {
	switch {
	case f == nil:
		return Answer{"bad", "Not known", "No projector has told how far it is. Is `projector run` running?"}
	case now.Sub(f.At) > stale:
		return Answer{"bad", "Not known", "No projector has told how far it is for " + Lasting(now.Sub(f.At).Seconds()) + ": it stands still, or cannot reach the stream or the database."}
	case f.Hold:
		return Answer{"warn", "On hold", "The projector plans, and writes nothing to Delius."}
	case f.Behind > behindFor.Seconds():
		return Answer{"bad", "Behind", "An event has waited for " + Lasting(f.Behind) + "."}
	case f.Behind > 0:
		return Answer{"good", "Up to date", "The newest events are being applied; the oldest of them has waited for " + Lasting(f.Behind) + "."}
	}
	return Answer{"good", "Up to date", "Every event that can be is in Delius."}
}

// CameSince is how many messages came since a verification of everyone read the stream.
func CameSince(run *Verified, f *Figures) int {
	if f == nil || len(run.CRNs) > 0 || run.Ended.IsZero() || run.Error != "" {
		return 0
	}
	return max(int(f.Last)-run.Messages, 0) //nolint:gosec // fewer than 2^63
}
