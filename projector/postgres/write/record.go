package write

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
)

// queueLedger writes the ledger. An entry that was not there when the step began is
// inserted, not replaced: if somebody else made it meanwhile, the step runs again.
func (w *writer) queueLedger(b *pgx.Batch) {
	if len(w.released) > 0 {
		b.Queue("delete from projection.address where booking = any ($1)", w.released)
	}
	if len(w.forgottenContacts) > 0 {
		b.Queue(`
			with forgotten as (
				delete from projection.contact where urn = any ($1) returning contact_id
			) delete from projection.contact_fingerprint f using forgotten where f.contact_id = forgotten.contact_id`, w.forgottenContacts)
	}
	if len(w.forgottenAddresses) > 0 {
		for _, table := range []string{"address", "address_term", "address_fingerprint"} {
			b.Queue("delete from projection."+table+" where offender_address_id = any ($1)", w.forgottenAddresses)
		}
	}
	queueEntries(b, sqlAppliedContacts, rows.AppliedContacts, w.appliedContacts)
	queueEntries(b, sqlAppliedAddresses, rows.AppliedAddresses, w.appliedAddresses)
	queue(b, sqlTerms, rows.AppliedTerms, w.terms)
}

// entries are the statements for entries that are new and for those that were there.
type entries struct{ insert, replace string }

func entriesOf[Entry any](table rows.Table[Entry]) entries {
	return entries{table.Insert(), table.Insert() + table.OrReplace()}
}

var (
	sqlAppliedContacts  = entriesOf(rows.AppliedContacts)
	sqlAppliedAddresses = entriesOf(rows.AppliedAddresses)
	sqlTerms            = entriesOf(rows.AppliedTerms).replace
)

func queueEntries[Entry any](b *pgx.Batch, statements entries, table rows.Table[Entry], all []known[Entry]) {
	var fresh, there []Entry
	for _, k := range all {
		if k.there {
			there = append(there, k.entry)
		} else {
			fresh = append(fresh, k.entry)
		}
	}
	queue(b, statements.insert, table, fresh)
	queue(b, statements.replace, table, there)
}

func (w *writer) queueConflicts(b *pgx.Batch) {
	if len(w.conflicts) == 0 {
		return
	}
	text := make([][]string, 6)
	addresses, users := make([]*int64, len(w.conflicts)), make([]*int64, len(w.conflicts))
	values, edited := make([]*string, len(w.conflicts)), make([]rows.Stamp, len(w.conflicts))
	for i, c := range w.conflicts {
		if c.AddressID != 0 {
			addresses[i] = &w.conflicts[i].AddressID
		}
		if c.EditedBy != 0 {
			users[i] = &w.conflicts[i].EditedBy
		}
		values[i], edited[i] = valueText(&w.conflicts[i].Value), rows.Stamp(c.EditedAt)
		var keys []string
		for _, k := range c.Events {
			keys = append(keys, k.ID)
		}
		for j, value := range []string{c.crn, c.URN, c.Field, c.Replaced, c.With, strings.Join(keys, "\n")} {
			text[j] = append(text[j], value)
		}
	}
	b.Queue(`
		insert into projection.conflict (crn, urn, offender_address_id, field, replaced, with_value, events, at, value, edited_user, edited_at)
		select crn, urn, address, field, replaced, with_value, string_to_array(events, e'\n'), $8, value::jsonb, edited_user, edited_at
		from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $9::text[], $10::bigint[], $11::timestamptz[])
			as r (crn, urn, address, field, replaced, with_value, events, value, edited_user, edited_at)`,
		text[0], text[1], addresses, text[2], text[3], text[4], text[5], w.now, values, users, edited)
}

// valueText is a value as it is kept; nil is none.
func valueText(v *delius.Kept) *string {
	if !v.Known() {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // unreachable: its times are such as have JSON
	}
	out := string(text)
	return &out
}

// queueParked makes the list of what is parked for the referrals that were seen what
// it is now. What stays parked for the same cause keeps its age; each failed retry
// doubles the pause before the next.
func (w *writer) queueParked(b *pgx.Batch) {
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
	// Whoever is written does not fail any more.
	b.Queue(`
		with well as (delete from projection.failing where referral = any ($1))
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
		referrals, text[0], address, text[1], text[2], text[3], retried, w.now, w.config.RetryMin, w.config.RetryMax)
}

// parkedEvent is the event that is parked, as one text; "" if it is a contact.
func parkedEvent(p delius.Parked) string {
	if len(p.Events) == 0 {
		return ""
	}
	return string(p.Events[0].Type) + " " + p.Events[0].ID
}
