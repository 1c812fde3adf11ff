package delius

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"casdelius/store"
)

// Offender is a person as Delius knows them.
type Offender struct {
	ID      int64
	CRN     store.CRN
	NOMS    store.NOMS // "" if the person has none
	Deleted bool       // soft-deleted: nobody's, but for whom they were merged into

	MergedInto store.CRN // of one who is soft-deleted: what their latest MTCRN says; "" if they have none
	MergedAt   time.Time
}

// Offenders are those people of Delius who have names that events use, and those whom merges
// lead to. The zero value is nobody.
type Offenders struct {
	byID   map[int64]Offender
	byCRN  map[store.CRN]int64
	byNOMS map[store.NOMS][]int64 // live people
	merged []Offender             // who were merged away
}

// Add adds a person. One who is there already is added once.
func (o *Offenders) Add(person Offender) {
	if _, known := o.byID[person.ID]; known {
		return
	}
	if o.byID == nil {
		o.byID, o.byCRN, o.byNOMS = map[int64]Offender{}, map[store.CRN]int64{}, map[store.NOMS][]int64{}
	}
	o.byID[person.ID], o.byCRN[person.CRN] = person, person.ID
	if person.NOMS != "" && !person.Deleted {
		o.byNOMS[person.NOMS] = append(o.byNOMS[person.NOMS], person.ID)
	}
	if person.Deleted && person.MergedInto != "" {
		o.merged = append(o.merged, person)
	}
}

// maxMerges is over how many merges a CRN is followed: a chain may go round.
const maxMerges = 8

// follow gives the live person whom a CRN names: who has it, or else who those were merged
// into who had it. path are the people who were merged away; it ends with the CRN that leads
// to nobody, if the second result is false.
func (o *Offenders) follow(crn store.CRN) (owner Offender, found bool, path []Offender) {
	for range maxMerges + 1 {
		id, known := o.byCRN[crn]
		if !known {
			return Offender{}, false, append(path, Offender{CRN: crn})
		}
		person := o.byID[id]
		if !person.Deleted {
			return person, true, path
		}
		if path = append(path, person); person.MergedInto == "" {
			break
		}
		crn = person.MergedInto
	}
	return Offender{}, false, path
}

// Named are the people whom a CRN or a NOMS number names, either "" for none.
func (o *Offenders) Named(crn store.CRN, noms store.NOMS) []int64 {
	var ids []int64
	if crn != "" {
		if owner, found, _ := o.follow(crn); found {
			ids = append(ids, owner.ID)
		}
	}
	if noms == "" {
		return ids
	}
	for _, id := range o.byNOMS[noms] {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Merged are those who were merged into a person, in the order of their numbers.
func (o *Offenders) Merged(into int64) (away []Offender) {
	for _, person := range o.merged {
		if owner, found, _ := o.follow(person.CRN); found && owner.ID == into {
			away = append(away, person)
		}
	}
	slices.SortFunc(away, func(a, b Offender) int { return cmp.Compare(a.ID, b.ID) })
	return away
}

// Ownership says whose a referral is, and why.
type Ownership struct {
	OffenderID int64     // 0 if it is nobody's
	CRN        store.CRN // of the owner; of nobody's, as the events say it
	NOMS       store.NOMS
	Via        store.CRN // what the events name, where it led to the owner over a merge; else ""
	Cause      Cause     // why it is nobody's: PersonNotFound or PersonAmbiguous
	Reason     string    // for a person, with the values that decided it
}

// Owner decides whose a referral is: by the CRN of its latest event that has one, else by
// the NOMS number of the latest that has one. Delius alone says whom these name: a CRN the
// live person who has it, else the one whom a chain of merges leads to. It is the one place
// that decides this.
func Owner(events []*Event, offenders *Offenders) Ownership {
	crn, noms := Identity(events)
	switch {
	case crn != "":
		return ownerByCRN(crn, offenders)
	case noms != "":
		return ownerByNOMS(noms, offenders)
	}
	return Ownership{Cause: PersonNotFound, Reason: "no event of the referral names anybody"}
}

func ownerByCRN(crn store.CRN, offenders *Offenders) Ownership {
	owner, found, path := offenders.follow(crn)
	if found {
		is := Ownership{OffenderID: owner.ID, CRN: owner.CRN, NOMS: owner.NOMS, Reason: "the referral's latest CRN " + string(crn) + merges(path)}
		if len(path) > 0 {
			is.Via = crn
		}
		return is
	}
	reason := fmt.Sprintf("nobody in offender has CRN %s, which the referral's events name", crn)
	switch last := path[len(path)-1]; {
	case len(path) > maxMerges:
		reason = fmt.Sprintf("CRN %s, which the referral's events name, was%s: that goes on or round without end", crn, merges(path[:maxMerges])[1:])
	case last.CRN != crn && last.Deleted:
		reason = fmt.Sprintf("CRN %s, which the referral's events name, was%s, who is soft-deleted and was merged into nobody", crn, merges(path[:len(path)-1])[1:])
	case last.CRN != crn:
		reason = fmt.Sprintf("CRN %s, which the referral's events name, was%s, which nobody in offender has", crn, merges(path[:len(path)-1])[1:])
	}
	return Ownership{CRN: crn, Cause: PersonNotFound, Reason: reason}
}

// Merge says into whom a person was merged, and when.
func (o *Offender) Merge() string { return string(o.CRN) + " was merged into " + o.into() }

func (o *Offender) into() string {
	if o.MergedAt.IsZero() {
		return string(o.MergedInto)
	}
	return string(o.MergedInto) + " on " + format(o.MergedAt.In(store.London()), "02/01/2006")
}

// merges says into whom people were merged one after another, and when.
func merges(path []Offender) string {
	text := ""
	for _, p := range path {
		text += ", merged into " + p.into()
	}
	return text
}

func ownerByNOMS(noms store.NOMS, offenders *Offenders) Ownership {
	ids := offenders.Named("", noms)
	switch len(ids) {
	case 0:
		return Ownership{NOMS: noms, Cause: PersonNotFound, Reason: fmt.Sprintf("nobody in offender has NOMS number %s, which the referral's events name", noms)}
	case 1:
		owner := offenders.byID[ids[0]]
		return Ownership{OffenderID: owner.ID, CRN: owner.CRN, NOMS: owner.NOMS, Reason: "the referral's latest NOMS number " + string(noms)}
	}
	return Ownership{NOMS: noms, Cause: PersonAmbiguous, Reason: fmt.Sprintf("%d people in offender have NOMS number %s, which the referral's events name", len(ids), noms)}
}

// Identity is who a referral's person is by its events, given in any order: the CRN
// of the latest that has one, else the NOMS number of the latest that has one.
// Unknown types do not count; both are "" if no event names anyone.
func Identity(events []*Event) (store.CRN, store.NOMS) {
	var crn, noms *Event
	for _, e := range events {
		if !e.Type.Known() {
			continue
		}
		if e.CRN != "" && (crn == nil || crn.Before(&e.Event)) {
			crn = e
		}
		if e.NOMS != "" && (noms == nil || noms.Before(&e.Event)) {
			noms = e
		}
	}
	switch {
	case crn != nil:
		return crn.CRN, ""
	case noms != nil:
		return "", noms.NOMS
	}
	return "", ""
}
