package deliustest

import (
	"time"

	"casdelius/store"
)

// placed says of a row that we brought to a person over a merge by which CRN that was, and to
// whom. Delius or a person who moves a row leaves nothing here.
type placed struct{ by, on store.CRN }

// names finds whom a CRN names: the live person who has it, or whom merges lead to.
func (w *reference) names(crn store.CRN) (Offender, bool) {
	for range 9 { // a person and eight merges
		id, ok := w.byCRN[crn]
		if !ok {
			return Offender{}, false
		}
		if o := w.offenders[id]; !o.SoftDeleted {
			return o, true
		}
		crn = w.offenders[id].MergedInto
	}
	return Offender{}, false
}

// namesOf says whether a CRN names a person.
func (w *reference) namesOf(crn store.CRN, person Offender) bool {
	who, ok := w.names(crn)
	return ok && who.ID == person.ID
}

// theirs says whether a row of ours that stands on a CRN is a person's.
func (t *Twin) theirs(person Offender, on store.CRN, p placed) bool {
	return t.world.namesOf(on, person) || p.on == on && t.world.namesOf(p.by, person)
}

// leaving says whether a row of ours that stands on a person has somebody else to go to.
func (t *Twin) leaving(person Offender, a *Address) bool {
	p := t.tenancies[t.owner[a.ID]].placed
	return p.by != "" && p.on == person.CRN && !t.world.namesOf(p.by, person)
}

// home is how a row stands that is a person's, once it is on them.
func (t *Twin) home(person Offender, from store.CRN, was placed) placed {
	if from == person.CRN {
		if was.on != from || was.by == person.CRN {
			return placed{}
		}
		return was
	}
	by := was.by
	if t.world.namesOf(from, person) && !t.world.namesOf(by, person) {
		by = from
	}
	if by == person.CRN {
		return placed{}
	}
	return placed{by, person.CRN}
}

// inserted is how a row stands that is inserted for a referral.
func (t *Twin) inserted(person Offender, r store.Referral) placed {
	if crn := t.referrals[r].identity().crn; crn != "" && crn != person.CRN {
		return placed{crn, person.CRN}
	}
	return placed{}
}

// MoveRows moves all rows of one person to another, as Delius may do when it merges them.
func (t *Twin) MoveRows(from, to store.CRN, now time.Time) {
	for _, c := range t.Contacts() {
		if c.CRN == from {
			c.CRN = to
			c.edited(now)
		}
	}
	for _, a := range t.Addresses() {
		if a.CRN == from {
			t.bring(a, to)
			a.edited(now)
		}
	}
}

// bring moves an address to a person.
func (t *Twin) bring(a *Address, to store.CRN) {
	t.Remove(a)
	a.CRN = to
	t.addresses[a.ID] = a
	t.byPerson[to] = append(t.byPerson[to], a)
}
