package delius

import (
	"fmt"
	"slices"

	"casdelius/store"
)

// Offender is a person as Delius knows them.
type Offender struct {
	ID      int64
	CRN     store.CRN
	NOMS    store.NOMS // "" if the person has none
	Deleted bool       // soft-deleted: nobody's
}

// Offenders are those people of Delius who have names that events use. The zero value is
// nobody.
type Offenders struct {
	byID   map[int64]Offender
	byCRN  map[store.CRN]int64
	byNOMS map[store.NOMS][]int64
}

// Add adds a person. One who is there already is added once.
func (o *Offenders) Add(person Offender) {
	if _, known := o.byID[person.ID]; known || person.Deleted {
		return
	}
	if o.byID == nil {
		o.byID, o.byCRN, o.byNOMS = map[int64]Offender{}, map[store.CRN]int64{}, map[store.NOMS][]int64{}
	}
	o.byID[person.ID], o.byCRN[person.CRN] = person, person.ID
	if person.NOMS != "" {
		o.byNOMS[person.NOMS] = append(o.byNOMS[person.NOMS], person.ID)
	}
}

// Named are the people whom a CRN or a NOMS number names, either "" for none.
func (o *Offenders) Named(crn store.CRN, noms store.NOMS) []int64 {
	var ids []int64
	if id, known := o.byCRN[crn]; known && crn != "" {
		ids = append(ids, id)
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

// Ownership says whose a referral is, and why.
type Ownership struct {
	OffenderID int64     // 0 if it is nobody's
	CRN        store.CRN // of the owner; of nobody's, as the events say it
	NOMS       store.NOMS
	Cause      Cause  // why it is nobody's: PersonNotFound or PersonAmbiguous
	Reason     string // for a person, with the values that decided it
}

// Owner decides whose a referral is: by the CRN of its latest event that has one, else by
// the NOMS number of the latest that has one. Delius alone says whom these name. It is the
// one place that decides this.
func Owner(events []*Event, offenders *Offenders) Ownership {
	crn, noms := Identity(events)
	var ids []int64
	by := ""
	switch {
	case crn != "":
		ids, by = offenders.Named(crn, ""), "CRN "+string(crn)
	case noms != "":
		ids, by = offenders.Named("", noms), "NOMS number "+string(noms)
	default:
		return Ownership{Cause: PersonNotFound, Reason: "no event of the referral names anybody"}
	}
	switch len(ids) {
	case 0:
		return Ownership{CRN: crn, NOMS: noms, Cause: PersonNotFound, Reason: fmt.Sprintf("nobody in offender has %s, which the referral's events name", by)}
	case 1:
		owner := offenders.byID[ids[0]]
		return Ownership{OffenderID: owner.ID, CRN: owner.CRN, NOMS: owner.NOMS, Reason: "the referral's latest " + by}
	}
	return Ownership{NOMS: noms, Cause: PersonAmbiguous, Reason: fmt.Sprintf("%d people in offender have %s, which the referral's events name", len(ids), by)}
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
