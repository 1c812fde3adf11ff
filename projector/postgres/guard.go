package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
)

// guard is what must still be as it was read, for decisions to be written.
type guard struct {
	contacts, versions, addresses []int64 // rows that are to be updated
	contactsAt, addressesAt       []stamp
	housed                        []int64 // offenders of whom any address is written

	had   map[int64]bool // contacts that were locked; addresses negated
	moved map[int64]bool // offenders whose addresses are not what they were
}

// lockRows locks the rows that are to be updated, as they were read. People are put off,
// and still due, if somebody else holds one of theirs or has changed it since; so are those
// of whom an address is to be written and whose addresses are others than were read. Who
// lives where is decided from all of a person's addresses, and one that was entered
// meanwhile may be the main one.
func (s *step) lockRows(ctx context.Context, decisions []projector.Decision) ([]projector.Decision, error) {
	g := guard{had: map[int64]bool{}, moved: map[int64]bool{}}
	for i := range decisions {
		g.collect(&decisions[i])
	}
	if len(g.contacts)+len(g.housed) == 0 {
		return decisions, nil
	}
	var b pgx.Batch
	g.queueLocks(&b)
	g.queueAddresses(&b, s.addresses)
	if err := s.tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(decisions), g.putsOff), nil
}

func (g *guard) collect(d *projector.Decision) {
	for _, c := range d.Outcome.Changes {
		switch c := c.(type) {
		case *delius.UpdateContact:
			g.contacts, g.versions, g.contactsAt = append(g.contacts, c.Was.ID), append(g.versions, c.Was.Version), append(g.contactsAt, stamp(c.Was.Updated))
		case *delius.UpdateAddress:
			g.addresses, g.addressesAt = append(g.addresses, c.Was.ID), append(g.addressesAt, stamp(c.Was.Updated))
			g.housed = append(g.housed, d.Person.OffenderID)
		case *delius.InsertAddress:
			g.housed = append(g.housed, d.Person.OffenderID)
		}
	}
}

func (g *guard) queueLocks(b *pgx.Batch) {
	note := func(sign int64) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var id int64
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
				g.had[sign*id] = true
				return nil
			})
			return err
		}
	}
	if len(g.contacts) > 0 {
		b.Queue(`
			select c.contact_id from delius.contact c
			join unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as r (contact_id, row_version, updated)
				on r.contact_id = c.contact_id and r.row_version = c.row_version and r.updated = c.last_updated_datetime
			order by c.contact_id for no key update of c skip locked`, g.contacts, g.versions, g.contactsAt).Query(note(1))
	}
	if len(g.addresses) > 0 {
		b.Queue(`
			select a.offender_address_id from delius.offender_address a
			join unnest($1::bigint[], $2::timestamptz[]) as r (offender_address_id, updated)
				on r.offender_address_id = a.offender_address_id and r.updated = a.last_updated_datetime
			order by a.offender_address_id for no key update of a skip locked`, g.addresses, g.addressesAt).Query(note(-1))
	}
}

// queueAddresses reads the addresses of the housed again and holds them against the rows
// that were read before.
func (g *guard) queueAddresses(b *pgx.Batch, were map[int64]delius.AddressRow) {
	if len(g.housed) == 0 {
		return
	}
	b.Queue("select offender_address_id, offender_id, last_updated_datetime from delius.offender_address where offender_id = any ($1)",
		g.housed).Query(func(rows pgx.Rows) error {
		is := map[int64]bool{}
		var id, offender int64
		var updated time.Time
		_, err := pgx.ForEachRow(rows, []any{&id, &offender, moment{&updated}}, func() error {
			is[id] = true
			if was := were[id]; was.OffenderID != offender || !was.Updated.Equal(updated) {
				g.moved[offender] = true
			}
			return nil
		})
		for id, was := range were {
			if !is[id] {
				g.moved[was.OffenderID] = true
			}
		}
		return err
	})
}

// putsOff says whether a person cannot be written.
func (g *guard) putsOff(d projector.Decision) bool {
	return slices.ContainsFunc(d.Outcome.Changes, func(c delius.Change) bool {
		switch c := c.(type) {
		case *delius.UpdateContact:
			return !g.had[c.Was.ID]
		case *delius.UpdateAddress:
			return !g.had[-c.Was.ID] || g.moved[d.Person.OffenderID]
		case *delius.InsertAddress:
			return g.moved[d.Person.OffenderID]
		}
		return false
	})
}
