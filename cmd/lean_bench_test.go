package cmd_test

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

// handler is what a Go team would write in the projector's place: workers that share people among
// themselves, and events one by one or in batches, each batch a transaction. All that does not
// change is read once. It writes the same contacts, audit entries and addresses, as long as events
// come once and in order, nobody else writes, and nothing is missing.
//
// It waits for each statement before it sends the next, as most are written. Pipelined it looks up
// what a whole batch needs, and sends all that it writes, in one round trip each.
type handler struct {
	pool      *pgxpool.Pool
	workers   int
	most      int // events of a transaction
	pipelined bool

	ids  map[string]int64 // reference data by what they are and their code
	done func([]store.Stored)
}

// lean runs a handler.
func lean(workers, most int, pipelined bool) runner {
	return func(ctx context.Context, b *testing.B, c *course) {
		b.Helper()
		config, err := pgxpool.ParseConfig(c.database)
		require.NoError(b, err)
		config.MaxConns = int32(workers)
		pool, err := pgxpool.NewWithConfig(ctx, config)
		require.NoError(b, err)
		defer pool.Close()
		h := handler{pool: pool, workers: workers, most: most, pipelined: pipelined, done: c.done}
		require.NoError(b, h.learn(ctx))
		follower := c.follow()
		c.begins()
		if err := h.run(ctx, follower); ctx.Err() == nil {
			require.NoError(b, err)
		}
	}
}

// learn reads what does not change.
func (h *handler) learn(ctx context.Context) error {
	//nolint:rowserrcheck // ForEachRow checks it
	rows, err := h.pool.Query(ctx, `
		select 'type ' || code, contact_type_id from delius.r_contact_type
		union all select 'provider ' || trim(code), probation_area_id from delius.probation_area
		union all select 'team ' || trim(code), team_id from delius.team
		union all select 'staff ' || trim(officer_code), staff_id from delius.staff
		union all select 'user ' || distinguished_name, user_id from delius.user_
		union all select 'interaction ' || business_interaction_code, business_interaction_id from delius.business_interaction
		union all select code_set_name || ' ' || code_value, standard_reference_list_id
			from delius.r_standard_reference_list join delius.r_reference_data_master using (reference_data_master_id)`)
	if err != nil {
		return err
	}
	h.ids = map[string]int64{}
	var name string
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		h.ids[name] = id
		return nil
	})
	return err
}

// run hands events to workers, by person.
func (h *handler) run(ctx context.Context, follower projector.Follower) error {
	failed := make(chan error, h.workers+1)
	lanes := make([]chan store.Stored, h.workers)
	var group sync.WaitGroup
	for i := range lanes {
		lanes[i] = make(chan store.Stored, h.most)
		group.Go(func() {
			for first := range lanes[i] {
				if err := h.handle(ctx, follower, h.fill(first, lanes[i])); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	seed := maphash.MakeSeed()
	err := func() error {
		for {
			events, err := follower.Fetch(ctx, 64)
			if err != nil {
				return err
			}
			for i := range events {
				who := cmp.Or(string(events[i].CRN), string(events[i].NOMS))
				select {
				case lanes[maphash.String(seed, who)%uint64(h.workers)] <- events[i]:
				case err := <-failed:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}()
	for i := range lanes {
		close(lanes[i])
	}
	group.Wait()
	return errors.Join(err, follower.Close())
}

// fill takes what waits, up to a batch.
func (h *handler) fill(first store.Stored, lane <-chan store.Stored) []store.Stored {
	batch := []store.Stored{first}
	for len(batch) < h.most {
		select {
		case next, open := <-lane:
			if !open {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// handle writes events, again after a deadlock with another worker over somebody who is named
// by another number there, and acknowledges them.
func (h *handler) handle(ctx context.Context, follower projector.Follower, batch []store.Stored) error {
	for {
		err := pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error { return h.writeAll(ctx, tx, batch) })
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "40P01" {
			continue
		}
		if err != nil {
			return err
		}
		h.done(batch)
		return follower.Ack(batch)
	}
}

// somebody is whom an event is of, with the manager.
type somebody struct{ offender, provider, team, staff int64 }

// writeAll writes a batch, or one event of it after the other.
func (h *handler) writeAll(ctx context.Context, tx pgx.Tx, batch []store.Stored) error {
	if h.pipelined {
		return h.write(ctx, tx, batch)
	}
	for i := range batch {
		if err := h.write(ctx, tx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// send sends statements, in one round trip or each for itself.
func (h *handler) send(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	if h.pipelined {
		return tx.SendBatch(ctx, b).Close()
	}
	for _, query := range b.QueuedQueries {
		if err := tx.SendBatch(ctx, &pgx.Batch{QueuedQueries: []*pgx.QueuedQuery{query}}).Close(); err != nil {
			return err
		}
	}
	return nil
}

// write looks up what the events need, and writes all that they say.
func (h *handler) write(ctx context.Context, tx pgx.Tx, batch []store.Stored) error {
	events := make([]*delius.Event, 0, len(batch))
	var crns, noms, urns []string
	for i := range batch {
		e := delius.Read(&batch[i].Event, batch[i].Sequence)
		if kind := delius.KindOf(e.Type); kind != nil {
			events, urns = append(events, e), append(urns, kind.URN(e.Referral))
			crns, noms = append(crns, string(e.CRN)), append(noms, string(e.NOMS))
		}
	}
	people, contacts := map[string]somebody{}, map[string]bool{}
	var look, write pgx.Batch
	look.Queue(`
		select o.offender_id, o.crn, coalesce(o.noms_number, ''), m.probation_area_id, m.team_id, m.allocation_staff_id
		from delius.offender o join delius.offender_manager m on m.offender_id = o.offender_id and m.active_flag = 1 and m.soft_deleted = 0
		where o.crn = any ($1::bpchar[]) or o.noms_number = any ($2::bpchar[])`, crns, noms).Query(func(rows pgx.Rows) error {
		var p somebody
		var crn, number string
		_, err := pgx.ForEachRow(rows, []any{&p.offender, &crn, &number, &p.provider, &p.team, &p.staff}, func() error {
			people[crn], people[number] = p, p
			return nil
		})
		return err
	})
	look.Queue("select external_reference from delius.contact where external_reference = any ($1)", urns).Query(func(rows pgx.Rows) error {
		var urn string
		_, err := pgx.ForEachRow(rows, []any{&urn}, func() error {
			contacts[urn] = true
			return nil
		})
		return err
	})
	if err := h.send(ctx, tx, &look); err != nil {
		return err
	}
	slices.SortStableFunc(events, func(a, b *delius.Event) int { // fewer deadlocks
		return cmp.Compare(h.of(people, a).offender, h.of(people, b).offender)
	})
	for _, e := range events {
		h.queue(&write, e, h.of(people, e), contacts)
	}
	return h.send(ctx, tx, &write)
}

func (h *handler) of(people map[string]somebody, e *delius.Event) somebody {
	return people[cmp.Or(string(e.CRN), string(e.NOMS))]
}

// queue writes one event: its contact, the audit entry, and where the person lives now.
func (h *handler) queue(b *pgx.Batch, e *delius.Event, p somebody, contacts map[string]bool) {
	kind := delius.KindOf(e.Type)
	urn, user := kind.URN(e.Referral), h.ids["user Cas3AndDelius"]
	if o := e.Officer; o.Kind == delius.Recorder {
		p.provider, p.team, p.staff = h.ids["provider "+o.Region], h.ids["team "+o.Team()], h.ids["staff "+o.Staff]
	}
	const audited = `insert into delius.audited_interaction (date_time, business_interaction_id, user_id, outcome, interaction_parameters)
		select now(), $1, $2, 'P', concat('contactId=''', contact_id, ''',offenderId=''', offender_id, '''') from c`
	if contacts[urn] {
		b.Queue(`
			with c as (
				update delius.contact set notes = concat(notes, E'\n', $4::text), contact_date = $5::timestamptz::date, contact_start_time = $5::timestamptz,
					row_version = row_version + 1, last_updated_datetime = now(), last_updated_user_id = $2
				where external_reference = $3 returning contact_id, offender_id
			) `+audited, h.ids["interaction CLBI007"], user, urn, e.Text, e.At)
	} else {
		contacts[urn] = true
		b.Queue(`
			with c as (
				insert into delius.contact (offender_id, contact_type_id, contact_date, contact_start_time, staff_id, team_id, probation_area_id,
					notes, description, external_reference, created_by_user_id, last_updated_user_id, trust_provider_team_id)
				values ($3, $4, $5::timestamptz::date, $5::timestamptz, $6, $7, $8, $9, $10, $11, $2, $2, $7) returning contact_id, offender_id
			) `+audited, h.ids["interaction CLBI003"], user, p.offender, h.ids["type "+kind.Code], e.At, p.staff, p.team, p.provider, e.Text, e.Description, urn)
	}
	h.queueAddress(b, kind.Code, e, p.offender, user)
}

func (h *handler) queueAddress(b *pgx.Batch, contact string, e *delius.Event, person, user int64) {
	if contact != "EAAR" && contact != "EADP" {
		return
	}
	b.Queue(`update delius.offender_address set address_status_id = $3, end_date = $2::timestamptz::date, last_updated_datetime = now()
		where offender_id = $1 and address_status_id = $4 and soft_deleted = 0`, person, e.At, h.ids["ADDRESS STATUS P"], h.ids["ADDRESS STATUS M"])
	if contact == "EADP" {
		return
	}
	lines := &e.Premises.Lines
	b.Queue(`insert into delius.offender_address (offender_id, address_type_id, address_status_id, street_name, district, town_city, county, postcode, start_date,
			created_by_user_id, last_updated_user_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz::date, $10, $10)`,
		person, h.ids["ADDRESS TYPE A17"], h.ids["ADDRESS STATUS M"], lines.Street, lines.District, lines.Town, lines.County, lines.Postcode, e.At, user)
}

// milliseconds is what so many of a hundred stay below.
func milliseconds(took []time.Duration, of int) float64 {
	return float64(slices.Sorted(slices.Values(took))[len(took)*of/100].Microseconds()) / 1000
}
