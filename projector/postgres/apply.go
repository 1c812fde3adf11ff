package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

// Apply implements projector.Step: a fixed number of statements, however many people.
// Rows and ledger entries are written in one order everywhere, that of their keys, so
// that two projectors never wait for each other in a circle.
func (s *step) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	if len(decisions) == 0 {
		return projector.Applied{Skipped: s.skipped}, nil
	}
	kept, err := s.lockRows(ctx, decisions)
	if err != nil {
		return projector.Applied{}, fmt.Errorf("locking rows: %w", translate(err))
	}
	w := write{step: s, now: now.UTC().Truncate(time.Microsecond)}
	for i := range kept {
		w.collect(&kept[i])
	}
	if err := w.number(ctx); err != nil {
		return projector.Applied{}, fmt.Errorf("drawing row numbers: %w", translate(err))
	}
	if err := w.send(ctx); err != nil {
		return projector.Applied{}, fmt.Errorf("writing %d people: %w", len(kept), translate(err))
	}
	if err := s.tx.Commit(ctx); err != nil {
		return projector.Applied{}, fmt.Errorf("committing %d people: %w", len(kept), translate(err))
	}
	return projector.Applied{People: kept, PutOff: len(decisions) - len(kept), Skipped: s.skipped}, nil
}

// write is everything that a step writes, collected from its people.
type write struct {
	step *step
	now  time.Time

	contactInserts []*delius.InsertContact
	contactUpdates []*delius.UpdateContact
	addressInserts []*delius.InsertAddress
	addressUpdates []*delius.UpdateAddress

	contactLedger []delius.AppliedContact
	addressLedger []delius.AppliedAddress
	memories      []delius.AppliedTerm
	newMemories   map[store.Referral]delius.AppliedTerm
	released      []store.Referral

	conflicts []conflict
	parked    []delius.Parked
	referrals []store.Referral // that were seen whole
	marks     []int64
	applied   []int64
}

type conflict struct {
	delius.Conflict
	crn string
}

func (w *write) collect(d *projector.Decision) {
	if len(d.Outcome.Lost) > 0 {
		return // nothing may be written, and the mark stays
	}
	for _, c := range d.Outcome.Changes {
		switch c := c.(type) {
		case *delius.InsertContact:
			w.contactInserts = append(w.contactInserts, c)
		case *delius.UpdateContact:
			w.contactUpdates = append(w.contactUpdates, c)
		case *delius.InsertAddress:
			w.addressInserts = append(w.addressInserts, c)
		case *delius.UpdateAddress:
			w.addressUpdates = append(w.addressUpdates, c)
		}
	}
	w.contactLedger = append(w.contactLedger, d.Outcome.AppliedContacts...)
	w.addressLedger = append(w.addressLedger, d.Outcome.AppliedAddresses...)
	w.released = append(w.released, d.Outcome.Released...)
	for _, m := range d.Outcome.AppliedTerms {
		if m.AddressID != 0 {
			w.memories = append(w.memories, m)
			continue
		}
		if w.newMemories == nil {
			w.newMemories = map[store.Referral]delius.AppliedTerm{}
		}
		w.newMemories[m.Booking] = m
	}
	for _, c := range d.Outcome.Conflicts {
		w.conflicts = append(w.conflicts, conflict{c, d.Person.CRN})
	}
	w.parked = append(w.parked, d.Outcome.Parked...)
	w.referrals = append(w.referrals, d.Person.Referrals...)
	for _, r := range d.Person.Referrals {
		w.marks = append(w.marks, w.step.marks[r]...)
	}
	for _, f := range d.Applied {
		w.applied = append(w.applied, int64(f.Sequence)) //nolint:gosec // sequences fit
	}
}

// number gives the rows to be inserted their numbers, in the order of their keys.
func (w *write) number(ctx context.Context) error {
	if len(w.contactInserts)+len(w.addressInserts) == 0 {
		return nil
	}
	slices.SortFunc(w.contactInserts, func(a, b *delius.InsertContact) int { return strings.Compare(a.Row.URN, b.Row.URN) })
	slices.SortFunc(w.addressInserts, func(a, b *delius.InsertAddress) int { return a.Applied.Booking.Compare(b.Applied.Booking) })
	var b pgx.Batch
	draw := func(sequence string, n int, take func(i int, id int64)) {
		b.Queue("select nextval('"+sequence+"') from generate_series(1, $1)", n).Query(func(rows pgx.Rows) error {
			i := 0
			var id int64
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
				take(i, id)
				i++
				return nil
			})
			return err
		})
	}
	draw("delius.contact_id_seq", len(w.contactInserts), func(i int, id int64) {
		c := w.contactInserts[i]
		c.Row.ID, c.Applied.ContactID = id, id
	})
	draw("delius.offender_address_id_seq", len(w.addressInserts), func(i int, id int64) {
		a := w.addressInserts[i]
		a.Row.ID, a.Applied.AddressID = id, id
	})
	if err := w.step.tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for _, c := range w.contactInserts {
		w.contactLedger = append(w.contactLedger, c.Applied)
	}
	for _, a := range w.addressInserts {
		w.addressLedger = append(w.addressLedger, a.Applied)
		if m, ok := w.newMemories[a.Applied.Booking]; ok {
			m.AddressID = a.Applied.AddressID
			w.memories = append(w.memories, m)
		}
	}
	return nil
}

// send writes everything in one round trip.
func (w *write) send(ctx context.Context) error {
	var b pgx.Batch
	// Rows are found by their numbers whatever the plan, and foreign keys are checked with
	// plans that are worth keeping.
	b.Queue("set local plan_cache_mode = force_generic_plan")
	w.queueContacts(&b)
	w.queueAddresses(&b)
	w.queueSeals(&b)
	w.queueLedger(&b)
	w.queueConflicts(&b)
	w.queueParked(&b)
	b.Queue("delete from projection.due where mark = any (array(select mark from projection.due where mark = any ($1) order by mark for update skip locked))", w.marks)
	slices.Sort(w.applied)
	b.Queue("insert into projection.applied (sequence, applied) select s, $2 from unnest($1::bigint[]) s on conflict do nothing", w.applied, w.now)
	return w.step.tx.SendBatch(ctx, &b).Close()
}

func (w *write) user(kind *delius.Kind) int64 {
	if kind.Service == store.CAS2 {
		return w.step.db.fixed.cas2
	}
	return w.step.db.fixed.cas3
}

// contactColumns are the arrays of the columns that inserts and updates share.
type contactColumns struct {
	ids, offenders, providers, teams, staff, users []int64
	descriptions, notes                            []*string
	dates, starts                                  []stamp
	deleted                                        []int16
	audits                                         []string
}

func (c *contactColumns) add(row *delius.ContactRow, user int64) {
	c.ids, c.offenders, c.users = append(c.ids, row.ID), append(c.offenders, row.OffenderID), append(c.users, user)
	c.providers, c.teams, c.staff = append(c.providers, row.Posting.ProviderID), append(c.teams, row.Posting.TeamID), append(c.staff, row.Posting.StaffID)
	c.descriptions, c.notes = append(c.descriptions, textOrNull(row.Description)), append(c.notes, textOrNull(row.Notes))
	c.dates, c.starts = append(c.dates, stamp(row.Date)), append(c.starts, stamp(row.Start))
	c.deleted = append(c.deleted, flag(row.Deleted))
	c.audits = append(c.audits, fmt.Sprintf("contactId='%d',offenderId='%d'", row.ID, row.OffenderID))
}

func (w *write) queueContacts(b *pgx.Batch) {
	if len(w.contactInserts) > 0 {
		var c contactColumns
		var types []int64
		var urns, sensitive []string
		for _, in := range w.contactInserts {
			c.add(&in.Row, w.user(in.Kind))
			types, urns = append(types, in.Type.ID), append(urns, in.Row.URN)
			sensitive = append(sensitive, yesNo(in.Type.Sensitive))
		}
		b.Queue(`
			insert into delius.contact (contact_id, row_version, offender_id, contact_type_id, description, contact_date, contact_start_time,
				staff_id, team_id, probation_area_id, notes, external_reference, sensitive, created_datetime, last_updated_datetime,
				created_by_user_id, last_updated_user_id, soft_deleted, partition_area_id, trust_provider_team_id, trust_provider_flag)
			select id, 0, offender, type, description, date, start, staff, team, provider, notes, urn, sensitive, $14, $14, usr, usr, 0, 0, team, 0
			from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::date[], $6::timestamptz[], $7::bigint[], $8::bigint[],
				$9::bigint[], $10::text[], $11::text[], $12::text[], $13::bigint[])
				as r (id, offender, type, description, date, start, staff, team, provider, notes, urn, sensitive, usr)
			order by id`,
			c.ids, c.offenders, types, c.descriptions, c.dates, c.starts, c.staff, c.teams, c.providers, c.notes, urns, sensitive, c.users, w.now)
		w.queueAudit(b, w.step.db.fixed.inserted, c)
	}
	if len(w.contactUpdates) == 0 {
		return
	}
	var c contactColumns
	for _, up := range w.contactUpdates {
		c.add(&up.Row, w.user(up.Kind))
	}
	b.Queue(`
		update delius.contact c
		set description = r.description, contact_date = r.date, contact_start_time = r.start, staff_id = nullif(r.staff, 0), team_id = nullif(r.team, 0),
			probation_area_id = nullif(r.provider, 0), notes = r.notes, soft_deleted = r.deleted, row_version = c.row_version + 1,
			trust_provider_team_id = case when c.team_id is distinct from nullif(r.team, 0) or c.staff_id is distinct from nullif(r.staff, 0)
				or c.probation_area_id is distinct from nullif(r.provider, 0) then nullif(r.team, 0) else c.trust_provider_team_id end,
			last_updated_datetime = `+sqlTouched("c", "$11")+`, last_updated_user_id = r.usr
		from unnest($1::bigint[], $2::text[], $3::date[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::smallint[], $10::bigint[])
			as r (id, description, date, start, staff, team, provider, notes, deleted, usr)
		where c.contact_id = r.id`,
		c.ids, c.descriptions, c.dates, c.starts, c.staff, c.teams, c.providers, c.notes, c.deleted, c.users, w.now)
	w.queueAudit(b, w.step.db.fixed.changed, c)
}

func (w *write) queueAudit(b *pgx.Batch, interaction int64, c contactColumns) {
	b.Queue(`
		insert into delius.audited_interaction (date_time, business_interaction_id, user_id, outcome, interaction_parameters)
		select $3, $4, usr, 'P', parameters from unnest($1::bigint[], $2::text[]) as r (usr, parameters)`,
		c.users, c.audits, w.now, interaction)
}

func (w *write) status(code string) int64 {
	if code == delius.MainStatus {
		return w.step.db.fixed.main
	}
	return w.step.db.fixed.previous
}

// addressColumns are the arrays of the columns that inserts and updates share.
type addressColumns struct {
	ids, offenders, statuses                           []int64
	building, street, district, town, county, postcode []*string
	starts, ends                                       []stamp
	deleted                                            []int16
}

func (c *addressColumns) add(row *delius.AddressRow, status int64) {
	c.ids, c.offenders, c.statuses = append(c.ids, row.ID), append(c.offenders, row.OffenderID), append(c.statuses, status)
	for _, column := range []struct {
		to    *[]*string
		value string
	}{
		{&c.building, row.Lines.Building},
		{&c.street, row.Lines.Street},
		{&c.district, row.Lines.District},
		{&c.town, row.Lines.Town},
		{&c.county, row.Lines.County},
		{&c.postcode, row.Lines.Postcode},
	} {
		*column.to = append(*column.to, textOrNull(column.value))
	}
	c.starts, c.ends = append(c.starts, stamp(row.Start)), append(c.ends, stamp(row.End))
	c.deleted = append(c.deleted, flag(row.Deleted))
}

func (w *write) queueAddresses(b *pgx.Batch) {
	if len(w.addressInserts) > 0 {
		var c addressColumns
		for _, in := range w.addressInserts {
			c.add(&in.Row, w.status(in.Row.Status))
		}
		b.Queue(`
			insert into delius.offender_address (offender_address_id, offender_id, address_type_id, address_status_id, building_name, street_name,
				district, town_city, county, postcode, no_fixed_abode, type_verified, start_date, end_date, soft_deleted,
				created_datetime, created_by_user_id, last_updated_datetime, last_updated_user_id, partition_area_id)
			select id, offender, $12, status, building, street, district, town, county, postcode, 'N', 'N', start_date, end_date, 0, $13, $14, $13, $14, 0
			from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::date[], $11::date[])
				as r (id, offender, status, building, street, district, town, county, postcode, start_date, end_date)
			order by id`,
			c.ids, c.offenders, c.statuses, c.building, c.street, c.district, c.town, c.county, c.postcode, c.starts, c.ends,
			w.step.db.fixed.a17, w.now, w.step.db.fixed.cas3)
	}
	if len(w.addressUpdates) == 0 {
		return
	}
	var c addressColumns
	for _, up := range w.addressUpdates {
		status := int64(0) // left as it is
		if up.Row.Status != up.Was.Status {
			status = w.status(up.Row.Status)
		}
		c.add(&up.Row, status)
	}
	b.Queue(`
		update delius.offender_address a
		set building_name = r.building, street_name = r.street, district = r.district, town_city = r.town, county = r.county, postcode = r.postcode,
			address_status_id = coalesce(nullif(r.status, 0), a.address_status_id), start_date = r.start_date, end_date = r.end_date, soft_deleted = r.deleted,
			last_updated_datetime = `+sqlTouched("a", "$12")+`, last_updated_user_id = $13
		from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::date[], $10::date[], $11::smallint[])
			as r (id, status, building, street, district, town, county, postcode, start_date, end_date, deleted)
		where a.offender_address_id = r.id`,
		c.ids, c.statuses, c.building, c.street, c.district, c.town, c.county, c.postcode, c.starts, c.ends, c.deleted,
		w.now, w.step.db.fixed.cas3)
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func flag(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}
