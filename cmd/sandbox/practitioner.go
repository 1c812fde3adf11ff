package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// practitioners pay the visits of a story in Delius.
type practitioners struct {
	delius  postgrestest.Delius
	post    *post
	visited atomic.Int64
}

// visit pays every visit as soon as its time has come, and lets CAS go on after each.
func (p *practitioners) visit(ctx context.Context, visits []*visit, ready func(*visit) <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, v := range visits {
		group.Go(func() error {
			select {
			case <-ready(v):
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := p.edit(ctx, v); err != nil {
				return fmt.Errorf("a practitioner who %s of %s: %w", v.hand, v.crn, err)
			}
			p.visited.Add(1)
			return p.post.send(ctx, v.then)
		})
	}
	return group.Wait()
}

// edit changes the row as the reference was changed.
func (p *practitioners) edit(ctx context.Context, v *visit) error {
	if v.row == (row{}) {
		return nil
	}
	id, err := p.findRow(ctx, v)
	switch {
	case err != nil:
		return err
	case v.hand == correctsPlace:
		return p.delius.EditAddress(ctx, id, func(a *postgrestest.Address) { a.BuildingName = correctedFlat })
	}
	return p.delius.EditContact(ctx, id, v.hand.change)
}

// findRow is the id of the row that a visit is about.
func (p *practitioners) findRow(ctx context.Context, v *visit) (int64, error) {
	if v.hand == correctsPlace {
		return p.find(ctx, `
			select a.offender_address_id from delius.offender_address a join delius.offender o using (offender_id)
			where o.crn = $1 and a.street_name is not distinct from nullif($2, '') and a.postcode is not distinct from nullif($3, '') and a.start_date = $4`,
			string(v.crn), v.row.street, v.row.postcode, v.row.start)
	}
	return p.find(ctx, "select contact_id from delius.contact where external_reference = $1", v.row.urn)
}

// change makes the change in a contact.
func (h hand) change(c *postgrestest.Contact) {
	switch h {
	case addsNote:
		c.Notes += "\n" + addedNote
	case correctsTime:
		c.StartTime = correctedTime(c.StartTime)
		c.Date = store.Date(c.StartTime)
	case deletes:
		c.SoftDeleted = true
	case correctsPlace: // of an address
	}
}

// find is the id of the only row that a query gives.
func (p *practitioners) find(ctx context.Context, query string, args ...any) (int64, error) {
	rows, err := p.delius.Pool.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
}
