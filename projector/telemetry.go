package projector

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// names are the telemetry events that operators know, by event type.
var names = map[store.Type]string{
	store.ApplicationSubmitted:     "ApplicationSubmitted",
	store.ApplicationStatusUpdated: "ApplicationStatusUpdated",
	store.ReferralSubmitted:        "ApplicationSubmitted",
	store.BookingProvisionallyMade: "BookingProvisionallyMade",
	store.BookingConfirmed:         "BookingConfirmed",
	store.BookingCancelled:         "BookingCancelled",
	store.BookingCancelledUpdated:  "BookingCancelledUpdated",
	store.PersonArrived:            "PersonArrived",
	store.PersonArrivedUpdated:     "PersonArrivedUpdated",
	store.PersonDeparted:           "PersonDeparted",
	store.PersonDepartedUpdated:    "PersonDepartedUpdated",
}

// tell reports a reconcile: telemetry for every event that was applied for the first
// time, unless it was applied by a rebuild; what operators should know of its rows; and
// who was left out.
func (p *Projector) tell(r Report, quiet bool) {
	p.metrics.putOff.Add(float64(r.PutOff))
	now := p.config.Now()
	for i := range r.People {
		p.tellLost(&r.People[i])
		p.tellPerson(&r.People[i], now, quiet)
	}
	for i := range r.Plan {
		p.tellLost(&r.Plan[i])
		if !quiet {
			p.metrics.planned.Add(float64(len(r.Plan[i].Outcome.Changes)))
		}
	}
	if p.config.Committed != nil && len(r.People) > 0 {
		p.config.Committed(r.Applied, now)
	}
}

// tellLost has the inbox searched for gaps when a person's history is found to lack
// events: once, because what the search has not found the next one will not find either.
func (p *Projector) tellLost(d *Decision) {
	if p.losses.isNew(d.Person.Referrals, d.Outcome.Lost) {
		signal(p.search)
	}
}

func (p *Projector) tellPerson(d *Decision, now time.Time, quiet bool) {
	if len(d.Outcome.Lost) > 0 {
		p.pauses.fail(d.Person.Referrals, now)
		return
	}
	urns := map[string]bool{}
	for _, f := range d.Applied {
		if quiet || f.Known {
			continue
		}
		p.metrics.freshness.Observe(now.Sub(f.Stored).Seconds())
		if name, known := names[f.Key.Type]; known {
			urns[delius.KindOf(f.Key.Type).URN(f.Key.Referral)] = true
			p.metrics.telemetry.WithLabelValues(name).Inc()
			p.logger.Info(name, "crn", d.Person.CRN, "eventType", string(f.Key.Type), "referral", f.Key.Referral.String(), "eventId", f.Key.ID)
		}
	}
	for _, n := range d.Outcome.Observations {
		if quiet || n.Kind == delius.ContactAlreadyExists && !urns[n.URN] {
			continue // told when it was first seen
		}
		p.metrics.telemetry.WithLabelValues(string(n.Kind)).Inc()
		p.logger.Info(string(n.Kind), "crn", d.Person.CRN, "urn", n.URN, "address", n.AddressID, "text", n.Text)
	}
	for _, c := range d.Outcome.Conflicts {
		p.metrics.conflicts.Inc()
		p.logger.Warn("a person's value was replaced by the events: it is kept as a conflict", "crn", d.Person.CRN, "urn", c.URN, "address", c.AddressID, "field", c.Field)
	}
	for _, c := range d.Outcome.Changes {
		p.metrics.changes.WithLabelValues(kindOfChange(c)).Inc()
	}
}

// losses remembers of which referrals the history lacks events, until it is whole again or
// the process ends.
type losses struct {
	mu sync.Mutex
	of map[store.Referral]string // contacts and stays
}

// isNew notes what the history of a person, whose the referrals are, lacks events of, and
// says whether that is another thing than before.
func (l *losses) isNew(referrals []store.Referral, lost []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(lost) == 0 {
		for _, r := range referrals {
			delete(l.of, r)
		}
		return false
	}
	what := strings.Join(lost, " ")
	known := slices.ContainsFunc(referrals, func(r store.Referral) bool { return l.of[r] == what })
	for _, r := range referrals {
		l.of[r] = what
	}
	return !known
}

func kindOfChange(c delius.Change) string {
	switch c.(type) {
	case *delius.InsertContact:
		return "insert-contact"
	case *delius.UpdateContact:
		return "update-contact"
	case *delius.InsertAddress:
		return "insert-address"
	default:
		return "update-address"
	}
}

// measure refreshes the gauges.
func (p *Projector) measure(ctx context.Context) {
	backlog, err := p.db.Backlog(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.logger.Warn("what waits could not be counted", "error", err)
		}
		return
	}
	p.metrics.backlog(backlog, p.config.Now())
}
