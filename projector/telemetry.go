package projector

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"casdelius/projector/delius"
	"casdelius/store"
)

// publish reports a reconcile: telemetry for every event that was applied for the first
// time, unless it was applied by a rebuild; what operators should know of its rows; and
// who was left out.
func (r *Reconciler) publish(ctx context.Context, report Report, quiet bool) {
	r.metrics.deferred.Add(float64(report.Deferred))
	now := r.now()
	for i := range report.People {
		r.searchForLost(&report.People[i])
		r.publishPerson(ctx, &report.People[i], now, quiet)
	}
	for i := range report.Plan {
		r.searchForLost(&report.Plan[i])
		if !quiet {
			r.metrics.planned.Add(float64(len(report.Plan[i].Outcome.Changes)))
		}
	}
	if r.committed != nil && len(report.People) > 0 {
		r.committed(report.Applied, now)
	}
}

// searchForLost has the inbox searched for gaps when a person's history is found to lack
// events: once, because what the search has not found the next one will not find either.
func (r *Reconciler) searchForLost(d *Decision) {
	if r.losses.New(d.Person.Referrals, d.Outcome.Lost) {
		signal(r.search)
	}
}

func (r *Reconciler) publishPerson(ctx context.Context, d *Decision, now time.Time, quiet bool) {
	if len(d.Outcome.Lost) > 0 {
		r.pauses.Fail(d.Person.Referrals, now)
		return
	}
	r.pauses.Over(d.Person.Referrals)
	urns := map[string]bool{}
	for _, f := range d.Applied {
		if quiet || f.Known {
			continue
		}
		r.metrics.freshness.Observe(now.Sub(f.Stored).Seconds())
		if name := delius.TelemetryName(f.Key.Type); name != "" {
			urns[delius.KindOf(f.Key.Type).URN(f.Key.Referral)] = true
			r.tell(ctx, name, properties(&d.Person, f.Key)...)
		}
	}
	for _, n := range d.Outcome.Observations {
		if quiet || n.Kind == delius.ContactAlreadyExists && !urns[n.URN] {
			continue // published when it was first seen
		}
		r.tell(ctx, string(n.Kind), slog.String("crn", string(d.Person.CRN)), slog.String("urn", n.URN),
			slog.Int64("address", n.AddressID), slog.String("text", n.Text))
	}
	for _, c := range d.Outcome.Conflicts {
		r.metrics.conflicts.Inc()
		r.logger.WarnContext(ctx, "a person's value was replaced by the events: it is kept as a conflict", "crn", d.Person.CRN, "urn", c.URN, "address", c.AddressID, "field", c.Field)
	}
	for _, c := range d.Outcome.Changes {
		r.metrics.changes.WithLabelValues(kindOfChange(c)).Inc()
	}
}

// tell counts a telemetry event and writes the log line that it is.
func (r *Reconciler) tell(ctx context.Context, name string, properties ...slog.Attr) {
	r.metrics.telemetry.WithLabelValues(name).Inc()
	r.logger.LogAttrs(ctx, slog.LevelInfo, name, append([]slog.Attr{slog.String(store.EventNameField, name)}, properties...)...)
}

// properties are what telemetry says of an event of a person: first the properties that
// today's dashboards query, then ours. What an event does not say is left out.
func properties(p *Person, key store.Key) []slog.Attr {
	all := []slog.Attr{slog.String("crn", string(p.CRN))}
	add := func(name, value string) {
		if value != "" {
			all = append(all, slog.String(name, value))
		}
	}
	if i := slices.IndexFunc(p.Events, func(e *delius.Event) bool { return e.Key() == key }); i >= 0 {
		e := p.Events[i]
		add("detailUrl", store.PublicURL(e.Source))
		if !e.Occurred.IsZero() {
			add("occurredAt", e.Occurred.Format(time.RFC3339Nano))
		}
		if key.Type.Service() == store.CAS2 {
			add("applicationId", key.Referral.String())
		}
		add("cohort", e.Cohort)
		add("status", e.Status)
	}
	return append(all, slog.String("eventType", string(key.Type)), slog.String("referral", key.Referral.String()), slog.String("eventId", key.ID))
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
