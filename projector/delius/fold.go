package delius

import (
	"fmt"
	"slices"

	"casdelius/store"
)

// Desired is what the events of one person want to stand in Delius.
type Desired struct {
	Referrals []store.Referral // sorted
	Contacts  []Contact        // by referral, then kind
	Stays     []Stay           // by booking; also bookings with departures alone, which own an address only by adoption
	Parked    []Parked         // events that cannot be used

	unusable []int64 // hashes of all events that cannot be used, superseded ones too
}

// Fold folds the events of one person, in any order, into what should stand in
// Delius. The result depends on the set of events alone. Each identity must be there
// once. The slice is sorted in place; unknown types have no effect.
func Fold(events []*Event) Desired {
	events = slices.DeleteFunc(events, func(e *Event) bool { return e.kind == nil })
	slices.SortFunc(events, func(a, b *Event) int {
		if c := a.Referral.Compare(b.Referral); c != 0 {
			return c
		}
		if c := a.kind.index - b.kind.index; c != 0 {
			return c
		}
		return a.Compare(&b.Event)
	})
	var out Desired
	out.grow(events)
	for len(events) > 0 {
		n := run(events, func(e *Event) bool { return e.Referral == events[0].Referral })
		out.foldReferral(events[:n:n])
		events = events[n:]
	}
	return out
}

// grow makes room for what sorted events make at most.
func (d *Desired) grow(events []*Event) {
	referrals, contacts := 0, 0
	for i, e := range events {
		switch {
		case i == 0 || e.Referral != events[i-1].Referral:
			referrals++
			contacts++
		case e.kind != events[i-1].kind:
			contacts++
		}
	}
	d.Referrals, d.Contacts = slices.Grow(d.Referrals, referrals), slices.Grow(d.Contacts, contacts)
}

// run is how many of the first events are alike.
func run(events []*Event, alike func(*Event) bool) int {
	if n := slices.IndexFunc(events, func(e *Event) bool { return !alike(e) }); n >= 0 {
		return n
	}
	return len(events)
}

// foldReferral folds the sorted events of one referral.
func (d *Desired) foldReferral(events []*Event) {
	referral := events[0].Referral
	d.Referrals = append(d.Referrals, referral)
	var arrivals, departures []*Event // usable ones
	var moves []*Event                // of both kinds, unusable ones too
	hasBase := false
	for rest := events; len(rest) > 0; {
		kind := rest[0].kind
		n := run(rest, func(e *Event) bool { return e.kind == kind })
		all := rest[:n:n]
		usable := d.park(kind, all)
		switch kind {
		case arrived:
			arrivals = usable
			moves = append(moves, all...)
			hasBase = slices.ContainsFunc(all, func(e *Event) bool { return !e.Type.Updated() })
		case departed:
			departures = usable
			moves = append(moves, all...)
		}
		if len(usable) > 0 {
			c := foldContact(kind, referral, usable)
			c.Hashes = hashesOf(all)
			d.Contacts = append(d.Contacts, c)
		}
		rest = rest[n:]
	}
	if len(arrivals)+len(departures) > 0 {
		s := foldStay(referral, arrivals, departures)
		s.Hashes, s.HasBase = hashesOf(moves), hasBase
		d.Stays = append(d.Stays, s)
	}
}

// park returns the events of a contact that can be used. The others are parked while
// no later event supersedes them, and so are arrivals that name no address.
func (d *Desired) park(kind *Kind, events []*Event) []*Event {
	lastGood, lastPlaced, bad := -1, -1, 0
	for i, e := range events {
		if e.Problem != "" {
			bad++
			d.unusable = append(d.unusable, e.Hash)
			continue
		}
		lastGood = i
		if kind != arrived || e.Premises.Pieces > 0 {
			lastPlaced = i
		}
	}
	for i, e := range events {
		switch {
		case e.Problem != "" && i > lastGood:
			d.Parked = append(d.Parked, Parked{Cause: BadDetail, Referral: e.Referral, URN: kind.URN(e.Referral), Events: []store.Key{e.Key()}, Problem: e.Problem})
		case e.Problem == "" && i > lastPlaced:
			d.Parked = append(d.Parked, Parked{
				Cause: BadAddress, Referral: e.Referral, URN: kind.URN(e.Referral), Events: []store.Key{e.Key()},
				Problem: fmt.Sprintf("the premises of %s name no address line: the contact is written, the address is not", e.Key()),
			})
		}
	}
	if bad == 0 {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(e *Event) bool { return e.Problem != "" })
}

func hashesOf(events []*Event) []int64 {
	hashes := make([]int64, len(events))
	for i, e := range events {
		hashes[i] = e.Hash
	}
	slices.Sort(hashes)
	return hashes
}
