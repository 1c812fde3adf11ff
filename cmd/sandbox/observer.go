package main

import (
	"slices"
	"sync"
	"time"

	"casdelius/projector"
	"casdelius/store"
)

// recent is how many events the freshness is taken over.
const recent = 1 << 14

// observer hears of every commit of the projectors.
type observer struct {
	mu      sync.Mutex
	waiting map[store.CRN]*expectation
	parked  map[store.Key]bool // once, so that their freshness says nothing
	ages    []time.Duration    // from stream to commit, a ring
	next    int
}

// expectation is what has to be projected of a person before a practitioner comes.
type expectation struct {
	of    []store.Key
	ready chan struct{} // closed once it is
}

func newObserver(visits []*visit) *observer {
	o := &observer{waiting: map[store.CRN]*expectation{}, parked: map[store.Key]bool{}}
	for _, v := range visits {
		o.waiting[v.crn] = &expectation{of: v.after, ready: make(chan struct{})}
	}
	return o
}

// ready is closed when all that was raised before a visit has been projected.
func (o *observer) ready(v *visit) <-chan struct{} { return o.waiting[v.crn].ready }

// committed takes note of a commit.
func (o *observer) committed(step projector.Applied, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range step.People {
		d := &step.People[i]
		o.age(d, at)
		if e := o.waiting[d.Person.CRN]; e != nil {
			e.look(d)
		}
	}
}

// look sees whether a person's commit is the one that was waited for.
func (e *expectation) look(d *projector.Decision) {
	select {
	case <-e.ready:
		return
	default:
	}
	if len(d.Outcome.Lost) > 0 || slices.ContainsFunc(d.Outcome.Parked, retried) {
		return
	}
	seen := make(map[store.Key]bool, len(d.Person.Events))
	for i := range d.Person.Events {
		seen[d.Person.Events[i].Key()] = true
	}
	for _, k := range e.of {
		if !seen[k] {
			return
		}
	}
	close(e.ready)
}

// age notes how long the events of a commit were on their way. One that was parked in
// between was late for a reason.
func (o *observer) age(d *projector.Decision, at time.Time) {
	applied := make(map[store.Key]bool, len(d.Applied))
	for _, f := range d.Applied {
		applied[f.Key] = true
		if o.parked[f.Key] {
			delete(o.parked, f.Key)
			continue
		}
		if age := at.Sub(f.Stored); len(o.ages) < recent {
			o.ages = append(o.ages, age)
		} else {
			o.ages[o.next%recent] = age
			o.next++
		}
	}
	for _, f := range d.Person.Fresh {
		if !applied[f.Key] {
			o.parked[f.Key] = true
		}
	}
}

// freshness gives the median and the 99th percentile from an event's arrival in the
// stream to its commit in Delius; zeros before the first.
func (o *observer) freshness() (p50, p99 time.Duration) {
	o.mu.Lock()
	ages := slices.Clone(o.ages)
	o.mu.Unlock()
	if len(ages) == 0 {
		return 0, 0
	}
	slices.Sort(ages)
	return ages[len(ages)/2], ages[len(ages)*99/100]
}
