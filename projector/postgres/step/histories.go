package step

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/people"
	"casdelius/store"
)

// history is the events of one referral, whom they name, which of them are fresh, and
// whether it is due.
type history struct {
	names
	referral store.Referral
	events   []*delius.Event
	fresh    []projector.Fresh
	marks    []int64
	parked   bool    // known only where one looks
	placed   []int64 // on whom rows of it were put over a merge
	hold     *delius.Hold
}

// noteDamage notes what of the stream is damaged of the referral: a cause, a sequence, and whom
// it named, separated by spaces.
func (h *history) noteDamage(damage []string) {
	for _, text := range damage {
		parts := strings.Split(text, " ")
		h.add(store.CRN(parts[2]), store.NOMS(parts[3]))
		if h.hold == nil {
			h.hold = &delius.Hold{Cause: delius.Cause(parts[0]), Problem: "message " + parts[1] + " of the stream, of referral " + h.referral.String()}
		}
	}
}

// addTo makes the referral one of a person's.
func (h *history) addTo(p *projector.Person) {
	p.Waits = p.Waits || len(h.marks) > 0 || h.parked
	if p.Hold == nil {
		p.Hold = h.hold
	}
	p.Referrals = append(p.Referrals, h.referral)
	p.Events = append(p.Events, h.events...)
	p.Fresh = append(p.Fresh, h.fresh...)
	p.Marks = append(p.Marks, h.marks...)
}

// sqlHistories reads the histories of referrals that name any of these people and of the
// selected, and who of them is due. It is one statement: an event that is committed later
// keeps its mark. Whoever only looks is told who has something parked as well: it may have
// to go.
func sqlHistories(dry bool) string {
	parked := "false"
	if dry {
		parked = "exists (select from projection.parked p where p.referral = u.referral)"
	}
	return `
		with mine as materialized (
			select referral, array(select mark from projection.due d where d.referral = u.referral) as marks, ` + parked + ` as parked, array(
				select placed_on from projection.contact c where c.referral = u.referral and c.placed_by <> ''
				union select placed_on from projection.address a where a.booking = u.referral and a.placed_by <> '') as placed,
				array(select concat_ws(' ', d.cause, d.sequence, coalesce(d.crn, ''), coalesce(d.noms, '')) from projection.damage d
					where d.referral = u.referral and d.accepted is null order by d.sequence) as damage
			from (` + people.SQLReferralsNaming + ` union select unnest($3::uuid[])) u
		)
		select m.referral, m.marks, m.parked, m.placed, m.damage, e.type, e.id, e.sequence, coalesce(e.crn, ''), coalesce(e.noms, ''), e.emitted, e.occurred, e.stored, coalesce(e.source, ''), e.body,
			(select a.sequence from projection.applied a where a.sequence = e.sequence) is null
		from mine m left join projection.event e using (referral)`
}

// histories reads the histories of the selected referrals and of all that may be those of
// locked offenders, in the order of the referrals.
func (s *Step) histories(ctx context.Context, selected map[store.Referral]*names, index *offenderIndex) ([]history, error) {
	var crns, noms []string
	for _, o := range index.locked {
		crns = append(crns, string(o.CRN))
		if o.NOMS != "" {
			noms = append(noms, string(o.NOMS))
		}
	}
	rows, err := s.tx.Query(ctx, sqlHistories(s.how.DryRun), crns, noms, slices.Collect(maps.Keys(selected))) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, err
	}
	all := map[store.Referral]*history{}
	var e store.Event
	var marks, placed []int64
	var damage []string
	var eventType, id *string
	var sequence *int64
	var emitted, occurred, stored *time.Time
	var source pgtype.DriverBytes // needed only of what is new, by telemetry
	var parked, fresh bool
	_, err = pgx.ForEachRow(rows, []any{
		&e.Referral, &marks, &parked, &placed, &damage, &eventType, &id, &sequence, &e.CRN, &e.NOMS, &emitted, &occurred, &stored, &source, (*pgtype.DriverBytes)(&e.Body), &fresh,
	}, func() error {
		h := all[e.Referral]
		if h == nil {
			h = &history{referral: e.Referral, marks: slices.Clone(marks), parked: parked, placed: slices.Clone(placed)}
			h.noteDamage(damage)
			all[e.Referral] = h
		}
		if sequence == nil {
			return nil // there are no events
		}
		e.Type, e.ID, e.Emitted = store.Type(*eventType), *id, emitted.UTC()
		e.Occurred, e.Source = time.Time{}, ""
		if fresh {
			e.Source = string(source)
			if occurred != nil {
				e.Occurred = occurred.UTC()
			}
		}
		if e.Type.Known() {
			h.events = append(h.events, delius.Read(&e, uint64(*sequence))) //nolint:gosec // sequences are positive
			h.add(e.CRN, e.NOMS)
		}
		if fresh {
			h.fresh = append(h.fresh, projector.Fresh{Key: e.Key(), Sequence: uint64(*sequence), Stored: *stored}) //nolint:gosec // see above
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]history, 0, len(all))
	for _, h := range all {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b history) int { return a.referral.Compare(b.referral) })
	return out, nil
}
