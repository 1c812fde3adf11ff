package postgres

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
)

// queueLedger writes the ledger. An entry that was not there when the step began is
// inserted, not replaced: if somebody else made it meanwhile, the step runs again.
func (w *write) queueLedger(b *pgx.Batch) {
	if len(w.released) > 0 {
		b.Queue("delete from projection.address where booking = any ($1)", w.released)
	}
	w.queueContactLedger(b)
	w.queueAddressLedger(b)
	if len(w.memories) == 0 {
		return
	}
	slices.SortFunc(w.memories, func(a, b delius.AppliedTerm) int { return cmp.Compare(a.AddressID, b.AddressID) })
	var ids []int64
	var statuses []string
	var ends []stamp
	var own, open []bool
	for _, m := range w.memories {
		ids, statuses, ends = append(ids, m.AddressID), append(statuses, m.Status), append(ends, stamp(m.End))
		own, open = append(own, m.OwnEnd), append(open, m.Open)
	}
	b.Queue(`
		insert into projection.address_memory (offender_address_id, status, end_date, own_end, open)
		select * from unnest($1::bigint[], $2::text[], $3::date[], $4::boolean[], $5::boolean[])
		on conflict (offender_address_id) do update
		set status = excluded.status, end_date = excluded.end_date, own_end = excluded.own_end, open = excluded.open`, ids, statuses, ends, own, open)
}

func (w *write) queueContactLedger(b *pgx.Batch) {
	slices.SortFunc(w.contactLedger, func(a, b delius.AppliedContact) int { return strings.Compare(a.URN, b.URN) })
	for _, known := range []bool{false, true} {
		var referrals [][16]byte
		var ids []int64
		var at []*time.Time
		var baseless, deleted []bool
		text := make([][]string, 10)
		for i := range w.contactLedger {
			e := &w.contactLedger[i]
			if _, was := w.step.ledger.contacts[e.URN]; was != known {
				continue
			}
			referrals, ids = append(referrals, e.Referral), append(ids, e.ContactID)
			at, baseless, deleted = append(at, orNull(e.At)), append(baseless, e.Baseless), append(deleted, e.Deleted)
			for j, value := range []string{
				e.URN, e.Notes, e.Description, string(e.Officer.Kind), e.Officer.Region, e.Officer.Staff,
				e.Posting.Provider, e.Posting.Team, e.Posting.Staff, array(e.Events),
			} {
				text[j] = append(text[j], value)
			}
		}
		if len(ids) == 0 {
			continue
		}
		query := sqlContactLedger
		if known {
			query += sqlContactLedgerKnown
		}
		b.Queue(query, text[0], referrals, ids, text[1], text[2], at, text[3], text[4], text[5], text[6], text[7], text[8], baseless, deleted, text[9])
	}
}

const sqlContactLedger = `
insert into projection.contact (urn, referral, contact_id, notes, description, happened_at, officer, region, staff,
	provider, team, officer_code, baseless, deleted, events)
select urn, referral, nullif(contact_id, 0), notes, description, happened_at, officer, region, staff, provider, team, officer_code, baseless, deleted, events::bigint[]
from unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[],
	$11::text[], $12::text[], $13::boolean[], $14::boolean[], $15::text[])
	as r (urn, referral, contact_id, notes, description, happened_at, officer, region, staff, provider, team, officer_code, baseless, deleted, events)`

const sqlContactLedgerKnown = `
on conflict (urn) do update
set contact_id = excluded.contact_id, notes = excluded.notes, description = excluded.description, happened_at = excluded.happened_at,
	officer = excluded.officer, region = excluded.region, staff = excluded.staff, provider = excluded.provider, team = excluded.team,
	officer_code = excluded.officer_code, baseless = excluded.baseless, deleted = excluded.deleted, events = excluded.events`

func (w *write) queueAddressLedger(b *pgx.Batch) {
	slices.SortFunc(w.addressLedger, func(a, b delius.AppliedAddress) int { return a.Booking.Compare(b.Booking) })
	for _, known := range []bool{false, true} {
		var bookings [][16]byte
		var ids []int64
		var starts, departures []stamp
		var provisional []bool
		text := make([][]string, 7)
		for i := range w.addressLedger {
			e := &w.addressLedger[i]
			if _, was := w.step.ledger.addresses[e.Booking]; was != known {
				continue
			}
			bookings, ids, provisional = append(bookings, e.Booking), append(ids, e.AddressID), append(provisional, e.Provisional)
			starts, departures = append(starts, stamp(e.Start)), append(departures, stamp(e.Departure))
			for j, value := range []string{
				e.Lines.Building, e.Lines.Street, e.Lines.District, e.Lines.Town, e.Lines.County, e.Lines.Postcode, array(e.Events),
			} {
				text[j] = append(text[j], value)
			}
		}
		if len(ids) == 0 {
			continue
		}
		query := sqlAddressLedger
		if known {
			query += sqlAddressLedgerKnown
		}
		b.Queue(query, bookings, ids, text[0], text[1], text[2], text[3], text[4], text[5], starts, departures, provisional, text[6])
	}
}

const sqlAddressLedger = `
insert into projection.address (booking, offender_address_id, building, street, district, town, county, postcode, start_date, departure, provisional, events)
select booking, id, building, street, district, town, county, postcode, start_date, departure, provisional, events::bigint[]
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::date[], $10::date[], $11::boolean[], $12::text[])
	as r (booking, id, building, street, district, town, county, postcode, start_date, departure, provisional, events)`

const sqlAddressLedgerKnown = `
on conflict (booking) do update
set offender_address_id = excluded.offender_address_id, building = excluded.building, street = excluded.street, district = excluded.district,
	town = excluded.town, county = excluded.county, postcode = excluded.postcode, start_date = excluded.start_date,
	departure = excluded.departure, provisional = excluded.provisional, events = excluded.events`

func (w *write) queueConflicts(b *pgx.Batch) {
	if len(w.conflicts) == 0 {
		return
	}
	text := make([][]string, 6)
	addresses := make([]*int64, len(w.conflicts))
	for i, c := range w.conflicts {
		if c.AddressID != 0 {
			addresses[i] = &w.conflicts[i].AddressID
		}
		var keys []string
		for _, k := range c.Events {
			keys = append(keys, k.ID)
		}
		for j, value := range []string{c.crn, c.URN, c.Field, c.Replaced, c.With, strings.Join(keys, "\n")} {
			text[j] = append(text[j], value)
		}
	}
	b.Queue(`
		insert into projection.conflict (crn, urn, offender_address_id, field, replaced, with_value, events, at)
		select crn, urn, address, field, replaced, with_value, string_to_array(events, e'\n'), $8
		from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
			as r (crn, urn, address, field, replaced, with_value, events)`,
		text[0], text[1], addresses, text[2], text[3], text[4], text[5], w.now)
}

// queueParked makes the list of what is parked for the referrals that were seen what
// it is now. What stays parked for the same cause keeps its age; each failed retry
// doubles the pause before the next.
func (w *write) queueParked(b *pgx.Batch) {
	var referrals [][16]byte
	var address, retried []bool
	text := make([][]string, 4)
	slices.SortFunc(w.parked, func(a, b delius.Parked) int {
		return cmp.Or(a.Referral.Compare(b.Referral), strings.Compare(a.URN, b.URN), strings.Compare(parkedEvent(a), parkedEvent(b)))
	})
	for _, p := range w.parked {
		referrals, address, retried = append(referrals, p.Referral), append(address, p.Address), append(retried, p.Cause.Retried())
		for j, value := range []string{p.URN, parkedEvent(p), string(p.Cause), p.Problem} {
			text[j] = append(text[j], value)
		}
	}
	b.Queue(`
		delete from projection.parked where referral = any ($1)
			and (referral, urn, address, event) not in (select * from unnest($2::uuid[], $3::text[], $4::boolean[], $5::text[]))`,
		w.referrals, referrals, text[0], address, text[1])
	if len(referrals) == 0 {
		return
	}
	b.Queue(`
		insert into projection.parked (referral, urn, address, event, cause, problem, since, tries, retry_at)
		select referral, urn, address, event, cause, problem, $8::timestamptz, 1, case when retried then $8::timestamptz + $9::interval end
		from unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::boolean[])
			as r (referral, urn, address, event, cause, problem, retried)
		on conflict (referral, urn, address, event) do update
		set cause = excluded.cause, problem = excluded.problem,
			since = case when parked.cause = excluded.cause then parked.since else excluded.since end,
			tries = case when parked.cause = excluded.cause then parked.tries + 1 else 1 end,
			retry_at = case
				when parked.cause <> excluded.cause or excluded.retry_at is null then excluded.retry_at
				else $8::timestamptz + least($10::interval, $9::interval * power(2, least(parked.tries, 30))) end
		where parked.cause <> excluded.cause or parked.problem <> excluded.problem or parked.retry_at <= $8::timestamptz`,
		referrals, text[0], address, text[1], text[2], text[3], retried, w.now, w.step.db.config.RetryMin, w.step.db.config.RetryMax)
}

// parkedEvent is the event that is parked, as one text; "" if it is a contact.
func parkedEvent(p delius.Parked) string {
	if len(p.Events) == 0 {
		return ""
	}
	return string(p.Events[0].Type) + " " + p.Events[0].ID
}

// array writes numbers as PostgreSQL writes an array, because arrays of arrays of
// different lengths cannot be unnested.
func array(values []int64) string {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, v, 10)
	}
	return string(append(b, '}'))
}
