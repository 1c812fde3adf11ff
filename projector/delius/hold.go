package delius

import "casdelius/store"

// Hold is why a person is held: an event of theirs is in the stream and cannot be read, or was
// there. What the others would make without it is not what should stand.
type Hold struct {
	Cause   Cause // MessageCorrupt or MessageGone
	Problem string
}

// Outcome is that of a person who is held, with these referrals: nothing is written, and each of
// them is parked.
func (h Hold) Outcome(referrals []store.Referral) (out Outcome) {
	for _, r := range referrals {
		out.Parked = append(out.Parked, Parked{Cause: h.Cause, Referral: r, Problem: h.Problem})
	}
	return out
}
