package write

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
)

// guard is what must still be as it was read, for decisions to be written.
type guard struct {
	contacts, versions, addresses []int64 // rows that are to be updated
	contactsAt, addressesAt       []rows.Stamp
	housed                        []int64 // offenders of whom any address is written

	read    map[int64]delius.AddressRow // addresses, as they were read
	locked  map[int64]bool              // contacts that were locked; addresses negated
	changed map[int64]bool              // offenders whose addresses are not what they were
}

// lockRows locks the rows that are to be updated, as they were read. People are deferred,
// and still due, if somebody else has locked one of theirs or has changed it since; so are
// those of whom an address is to be written and whose addresses are others than were read.
// Who lives where is decided from all of a person's addresses, and one that was entered
// meanwhile may be the main one.
func lockRows(ctx context.Context, transaction pgx.Tx, decisions []projector.Decision) ([]projector.Decision, error) {
	g := guard{read: map[int64]delius.AddressRow{}, locked: map[int64]bool{}, changed: map[int64]bool{}}
	for i := range decisions {
		g.collect(&decisions[i])
	}
	if len(g.contacts)+len(g.addresses)+len(g.housed) == 0 {
		return decisions, nil
	}
	var b pgx.Batch
	g.queueLocks(&b)
	g.queueAddresses(&b)
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(decisions), g.defers)
	for i := range kept {
		kept[i].Outcome.Changes = g.possible(kept[i].Outcome.Changes)
	}
	return kept, nil
}

// possible are the changes but for repairs of rows that somebody else has locked: nobody
// waits for these, and nothing else of the person does.
func (g *guard) possible(changes []delius.Change) []delius.Change {
	impossible := func(c delius.Change) bool {
		switch c := c.(type) {
		case *delius.UpdateContact:
			return c.Repair && !g.locked[c.Was.ID]
		case *delius.UpdateAddress:
			return c.Repair && !g.locked[-c.Was.ID]
		}
		return false
	}
	if !slices.ContainsFunc(changes, impossible) {
		return changes
	}
	return slices.DeleteFunc(slices.Clone(changes), impossible)
}

func (g *guard) collect(d *projector.Decision) {
	for i := range d.Current.Addresses {
		g.read[d.Current.Addresses[i].ID] = d.Current.Addresses[i]
	}
	for _, c := range d.Outcome.Changes {
		switch c := c.(type) {
		case *delius.UpdateContact:
			g.contacts, g.versions, g.contactsAt = append(g.contacts, c.Was.ID), append(g.versions, c.Was.Version), append(g.contactsAt, rows.Stamp(c.Was.Updated))
		case *delius.UpdateAddress:
			g.addresses, g.addressesAt = append(g.addresses, c.Was.ID), append(g.addressesAt, rows.Stamp(c.Was.Updated))
			g.houses(d)
		case *delius.InsertAddress:
			g.houses(d)
		}
	}
}

func (g *guard) houses(d *projector.Decision) {
	if d.Person.OffenderID != 0 {
		g.housed = append(g.housed, d.Person.OffenderID)
	}
}

func (g *guard) queueLocks(b *pgx.Batch) {
	note := func(sign int64) func(pgx.Rows) error {
		return func(found pgx.Rows) error {
			var id int64
			_, err := pgx.ForEachRow(found, []any{&id}, func() error {
				g.locked[sign*id] = true
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
func (g *guard) queueAddresses(b *pgx.Batch) {
	if len(g.housed) == 0 {
		return
	}
	b.Queue("select offender_address_id, offender_id, last_updated_datetime from delius.offender_address where offender_id = any ($1)",
		g.housed).Query(func(found pgx.Rows) error {
		is := map[int64]bool{}
		var id, offender int64
		var updated time.Time
		_, err := pgx.ForEachRow(found, []any{&id, &offender, rows.Moment{To: &updated}}, func() error {
			is[id] = true
			if was := g.read[id]; was.OffenderID != offender || !was.Updated.Equal(updated) {
				g.changed[offender] = true
			}
			return nil
		})
		for id, was := range g.read {
			if !is[id] {
				g.changed[was.OffenderID] = true
			}
		}
		return err
	})
}

// defers says whether a person cannot be written.
func (g *guard) defers(d projector.Decision) bool {
	return slices.ContainsFunc(d.Outcome.Changes, func(c delius.Change) bool {
		switch c := c.(type) {
		case *delius.UpdateContact:
			return !c.Repair && !g.locked[c.Was.ID]
		case *delius.UpdateAddress:
			return !c.Repair && (!g.locked[-c.Was.ID] || g.changed[d.Person.OffenderID])
		case *delius.InsertAddress:
			return g.changed[d.Person.OffenderID]
		}
		return false
	})
}
