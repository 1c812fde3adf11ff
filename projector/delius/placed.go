package delius

import (
	"fmt"
	"slices"

	"casdelius/store"
)

// Placed says how a row came to the person on whom we put it, where that was over a merge: by
// which CRN of somebody merged away, and to whom. The zero value is a row that was inserted on
// the person whom its events name, or that Delius or a person moved: when a merge is undone,
// only what we moved ourselves goes back.
type Placed struct {
	By store.CRN
	On int64 // offender
}

// MergedAway says whether somebody was merged into the person.
func (c *Current) MergedAway(offender int64) bool {
	_, away := c.merged(offender)
	return away
}

// merged is who was merged into the person, by their number.
func (c *Current) merged(offender int64) (Offender, bool) {
	i := slices.IndexFunc(c.Merged, func(o Offender) bool { return o.ID == offender })
	if i < 0 {
		return Offender{}, false
	}
	return c.Merged[i], true
}

// leadsHere says whether a CRN names the person: it is theirs, or that of somebody who was
// merged into them.
func (c *Current) leadsHere(crn store.CRN) bool {
	return crn != "" && (crn == c.CRN || slices.ContainsFunc(c.Merged, func(o Offender) bool { return o.CRN == crn }))
}

// belongs says whether a row of ours that stands on an offender is this person's: it stands on
// them, on somebody who was merged into them, or where we put it by a CRN that names them now.
func (c *Current) belongs(offender int64, placed Placed) bool {
	return offender == c.OffenderID || c.MergedAway(offender) || placed.On == offender && c.leadsHere(placed.By)
}

// leaving says whether a row of ours that stands on the person is somebody else's: it came by
// a CRN that does not name them any more.
func (c *Current) leaving(placed Placed) bool {
	return placed.By != "" && placed.On == c.OffenderID && !c.leadsHere(placed.By)
}

// place is how a row of this person's stands once it is on them, given where it stood.
func (c *Current) place(offender int64, was Placed) Placed {
	by := was.By
	if away, was := c.merged(offender); was && !c.leadsHere(by) {
		by = away.CRN
	}
	if by == c.CRN || offender == c.OffenderID && was.On != offender {
		return Placed{}
	}
	return Placed{By: by, On: c.OffenderID}
}

// placedBy is how a row stands that is inserted for a referral.
func (c *Current) placedBy(referral store.Referral) Placed {
	if via := c.Via[referral]; via != "" {
		return Placed{By: via, On: c.OffenderID}
	}
	return Placed{}
}

// brought is the field of a row that comes to the person, and the events that it shows.
func (c *Current) brought(from int64, was Placed, events []store.Key) Field {
	f := Field{Name: "person", From: fmt.Sprintf("offender %d", from), To: string(c.CRN), Events: events, Reason: "its own person is back: the merge was undone"}
	if away, merged := c.merged(from); merged {
		f.From, f.Reason = string(away.CRN), "its person was merged into this one"
	} else if was.By != c.CRN {
		f.Reason = "the merge by which it came was undone: its CRN " + string(was.By) + " names this person now"
	}
	return f
}
