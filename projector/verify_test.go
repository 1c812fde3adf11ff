package projector_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"casdelius/projector"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/verify"
	"casdelius/store"
	"casdelius/store/storetest"
)

// place names what a finding is about.
type place struct {
	in verify.Place
	at int64 // row or sequence
}

func placeOf(f verify.Finding) place {
	if f.Place == verify.InInbox {
		return place{f.Place, int64(f.Sequence)}
	}
	return place{f.Place, f.Row}
}

// Verify verifies as v says.
func (r *rig) Verify(ctx context.Context, v verify.Verification) (verify.Verdict, error) {
	return r.db.Verifier(r.stream, r.Projector, v).Run(ctx)
}

// verify verifies everybody and gives the findings of each severity.
func (r *rig) verify(t require.TestingT, repair bool) (edited, damaged []verify.Finding, verdict verify.Verdict) {
	var left []verify.Finding
	verdict, err := r.Verify(ctx, verify.Verification{
		Selection: projector.Selection{Repair: repair}, Grace: time.Nanosecond,
		Left: func(f verify.Finding) error { left = append(left, f); return nil },
		Found: func(f verify.Finding) error {
			if f.Severity == verify.Edited {
				edited = append(edited, f)
			} else {
				damaged = append(damaged, f)
			}
			return nil
		},
	})
	require.NoError(t, err)
	require.Equal(t, len(edited), verdict.Edited)
	require.Equal(t, len(damaged), verdict.Damaged)
	if repair {
		require.Empty(t, left)
	}
	return edited, damaged, verdict
}

func (r *rig) ids(t require.TestingT, query string) []int64 {
	rows, err := r.delius.Pool.Query(ctx, query)
	require.NoError(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	return ids
}

func (r *rig) exec(t require.TestingT, query string, args ...any) {
	_, err := r.delius.Pool.Exec(ctx, query, args...)
	require.NoError(t, err)
}

// vandal damages one thing at a time, each of which only once, and keeps what it did.
type vandal struct {
	*rig
	did  map[place]bool
	busy map[place]bool // what has a copy
	gone bool           // a row was deleted
}

// Statements that change a row without a word in it.
var (
	contactDamage = []string{
		"notes = notes || ' altered'", "notes = null", "description = 'altered'", "contact_start_time = contact_start_time + interval '1 hour'",
		"contact_date = contact_date + 1", "soft_deleted = 1 - soft_deleted", "external_reference = null", "external_reference = 'urn:altered'",
		"trust_provider_flag = 1", "partition_area_id = 7", "sensitive = case sensitive when 'Y' then 'N' else 'Y' end",
		"offender_id = (select max(offender_id) from delius.offender)", "created_datetime = created_datetime - interval '1 day'",
		"team_id = (select max(team_id) from delius.team)", "last_updated_user_id = (select max(user_id) from delius.user_)",
		"contact_type_id = (select max(contact_type_id) from delius.r_contact_type)",
	}
	addressDamage = []string{
		"street_name = 'altered'", "postcode = null", "start_date = start_date - 1", "end_date = coalesce(end_date, start_date) + 1", "telephone_number = '0'",
		"soft_deleted = 1 - soft_deleted", "offender_id = (select max(offender_id) from delius.offender)",
		"address_status_id = (select standard_reference_list_id from delius.r_standard_reference_list where code_value = 'B')",
	}
	eventDamage = []string{
		"body = body || ' '", "body = body || ' ', sha256 = sha256(body || ' ')", "crn = 'Z999999'", "emitted = emitted + interval '1 day'",
		"id = id || 'x'", "referral = gen_random_uuid()", "type = 'accommodation.cas3.booking.altered'", "sequence = sequence + 1000000",
	}
)

const (
	copyContact = `
		insert into delius.contact select (jsonb_populate_record(c, jsonb_build_object('contact_id', nextval('delius.contact_id_seq')))).*
		from delius.contact c where contact_id = $1 returning contact_id`
	copyAddress = `
		insert into delius.offender_address select (jsonb_populate_record(a, jsonb_build_object('offender_address_id', nextval('delius.offender_address_id_seq')))).*
		from delius.offender_address a where offender_address_id = $1 returning offender_address_id`
)

// damage does one thing, if there is something left to do it to.
func (v *vandal) damage(t *rapid.T) {
	pick := func(in verify.Place, query string) (int64, bool) {
		ids := slices.DeleteFunc(v.ids(t, query), func(id int64) bool { return v.did[place{in, id}] || v.busy[place{in, id}] })
		if len(ids) == 0 {
			return 0, false
		}
		return rapid.SampledFrom(ids).Draw(t, "which"), true
	}
	const (
		untouched = `select contact_id from projection.contact_fingerprint s join delius.contact c using (contact_id) join projection.contact using (contact_id)
			where c.row_version = s.row_version and c.last_updated_datetime = s.updated order by 1`
		asLeft = `select offender_address_id from projection.address_fingerprint s join delius.offender_address a using (offender_address_id)
			where a.last_updated_datetime = s.updated order by 1`
		own = `select l.offender_address_id from projection.address l join delius.offender_address a using (offender_address_id)
			join delius.user_ u on u.user_id = a.created_by_user_id where a.soft_deleted = 0 and u.distinguished_name = 'Cas3AndDelius' order by 1`
		live = `select contact_id from projection.contact join delius.contact using (contact_id) where soft_deleted = 0 order by 1`
		// One that was moved beyond the stream has another number now, and was damaged already.
		events = "select sequence from projection.event where sequence < 1000000 order by 1"
		others = "select sequence from projection.other_sequence order by 1"
	)
	switch what := rapid.SampledFrom([]string{
		"alter contact", "delete contact", "copy contact", "alter address", "delete address", "copy address",
		"lose event", "alter event", "lose other",
	}).Draw(t, "damage"); what {
	case "alter contact":
		if id, ok := pick(verify.InContacts, untouched); ok {
			v.alter(t, verify.InContacts, id, "delius.contact", "contact_id", rapid.SampledFrom(contactDamage).Draw(t, "how"))
		}
	case "alter address":
		if id, ok := pick(verify.InAddresses, asLeft); ok {
			v.alter(t, verify.InAddresses, id, "delius.offender_address", "offender_address_id", rapid.SampledFrom(addressDamage).Draw(t, "how"))
		}
	case "alter event":
		if sequence, ok := pick(verify.InInbox, events); ok {
			v.alter(t, verify.InInbox, sequence, "projection.event", "sequence", rapid.SampledFrom(eventDamage).Draw(t, "how"))
		}
	case "delete contact":
		if id, ok := pick(verify.InContacts, live); ok {
			v.exec(t, "delete from delius.contact where contact_id = $1", id)
			v.did[place{verify.InContacts, id}], v.gone = true, true
		}
	case "delete address":
		if id, ok := pick(verify.InAddresses, asLeft); ok {
			v.exec(t, "delete from delius.offender_address where offender_address_id = $1", id)
			v.did[place{verify.InAddresses, id}], v.gone = true, true
		}
	case "copy contact":
		if id, ok := pick(verify.InContacts, live); ok {
			v.copy(t, verify.InContacts, id, copyContact)
		}
	case "copy address":
		if id, ok := pick(verify.InAddresses, own); ok {
			v.copy(t, verify.InAddresses, id, copyAddress)
		}
	case "lose event":
		if sequence, ok := pick(verify.InInbox, events); ok {
			v.alter(t, verify.InInbox, sequence, "projection.event", "sequence", "")
		}
	case "lose other":
		if sequence, ok := pick(verify.InInbox, others); ok {
			v.alter(t, verify.InInbox, sequence, "projection.other_sequence", "sequence", "")
		}
	}
}

// follows says whether a finding is no damage of its own, but follows from that of an
// event: what the inbox makes of the altered one, and copies that are the only ones left.
func (v *vandal) follows(f verify.Finding) bool {
	if v.did[placeOf(f)] {
		return false
	}
	switch f.Problem {
	case verify.Unnamed, verify.Extra, verify.Unapplied, verify.Unwritten:
		return true
	case verify.Missing:
		return slices.ContainsFunc(v.stream.messages, func(m store.Stored) bool {
			return m.Key() == f.Event && m.Sequence < f.Sequence && v.did[place{verify.InInbox, int64(m.Sequence)}]
		})
	}
	return false
}

// alter runs an update, or a delete if there is none.
func (v *vandal) alter(t require.TestingT, in verify.Place, id int64, table, key, set string) {
	statement := "delete from " + table + " where " + key + " = $1"
	if set != "" {
		before, after := "", ""
		require.NoError(t, v.delius.Pool.QueryRow(ctx, "select r::text from "+table+" r where "+key+" = $1", id).Scan(&before))
		err := v.delius.Pool.QueryRow(ctx, "update "+table+" r set "+set+" where "+key+" = $1 returning r::text", id).Scan(&after)
		require.NoError(t, err)
		if before != after {
			v.did[place{in, id}] = true
		}
		return
	}
	v.exec(t, statement, id)
	v.did[place{in, id}] = true
}

func (v *vandal) copy(t require.TestingT, in verify.Place, id int64, statement string) {
	var double int64
	require.NoError(t, v.delius.Pool.QueryRow(ctx, statement, id).Scan(&double))
	v.did[place{in, double}] = true
	v.busy[place{in, id}] = true
}

func TestVerifyFindsAllDamageAndNothingElseAndRepairUndoesIt(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rapid.Check(t, func(r *rapid.T) {
		histories := storetest.Histories().Draw(r, "histories")
		rig.begin(r, histories)
		rig.settleIn(r, histories)
		_, damaged, verdict := rig.verify(r, false)
		require.Empty(r, damaged, "nothing is damaged where nothing was")
		require.Equal(r, len(rig.stream.messages), verdict.Messages)
		before := rig.kept(r)

		v := &vandal{rig: rig, did: map[place]bool{}, busy: map[place]bool{}}
		for range rapid.IntRange(1, 6).Draw(r, "damages") {
			v.damage(r)
		}
		_, damaged, _ = rig.verify(r, false)
		found := map[place]bool{}
		for _, f := range damaged {
			if !v.follows(f) {
				found[placeOf(f)] = true
			}
		}
		require.Equal(r, v.did, found)

		_, _, verdict = rig.verify(r, true)
		require.Zero(r, verdict.Left, "all is repaired")
		_, damaged, _ = rig.verify(r, false)
		require.Empty(r, damaged)
		after := rig.kept(r)
		require.Equal(r, before.events, after.events)
		if !v.gone {
			require.Equal(r, before.contacts, after.contacts)
			require.Equal(r, before.addresses, after.addresses)
		}
		rig.requireAtRest(r, histories)
	})
}

// settleIn projects the histories over what practitioners entered, with edits between.
func (r *rig) settleIn(t *rapid.T, histories []storetest.History) {
	for _, h := range histories {
		if rapid.Bool().Draw(t, "lives somewhere") {
			_, err := r.delius.InsertAddress(ctx, postgrestest.Address{
				CRN: string(h.Person.CRN), Type: "A01", Status: "M", StreetName: "1 High Street", Postcode: "AB1 2CD",
				Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
			})
			require.NoError(t, err)
		}
	}
	events := shuffled(t, histories)
	for len(events) > 0 {
		n := rapid.IntRange(1, len(events)).Draw(t, "batch")
		require.NoError(t, r.db.Put(ctx, r.stream.add(events[:n]...)))
		events = events[n:]
		r.reconcile(t)
		if rapid.Bool().Draw(t, "edit") {
			r.editSomething(t)
		}
	}
}

// editSomething does what a practitioner does, and holds that verify lists it as that.
func (r *rig) editSomething(t *rapid.T) {
	contacts := r.ids(t, "select contact_id from projection.contact where contact_id is not null order by 1")
	addresses := r.ids(t, "select offender_address_id from projection.address order by 1")
	want := place{}
	switch {
	case len(addresses) > 0 && rapid.Bool().Draw(t, "an address"):
		want = place{verify.InAddresses, rapid.SampledFrom(addresses).Draw(t, "address")}
		require.NoError(t, r.delius.EditAddress(ctx, want.at, func(a *postgrestest.Address) {
			if a.TelephoneNumber = "1"; rapid.Bool().Draw(t, "street") {
				a.StreetName = "By hand"
			}
		}))
	case len(contacts) > 0:
		want = place{verify.InContacts, rapid.SampledFrom(contacts).Draw(t, "contact")}
		require.NoError(t, r.delius.EditContact(ctx, want.at, func(c *postgrestest.Contact) {
			c.Notes += "\nBy hand"
			c.SoftDeleted = rapid.IntRange(0, 4).Draw(t, "delete") == 0
		}))
	default:
		return
	}
	edited, damaged, _ := r.verify(t, false)
	require.Empty(t, damaged)
	i := slices.IndexFunc(edited, func(f verify.Finding) bool { return placeOf(f) == want })
	require.GreaterOrEqual(t, i, 0, "the edit is listed")
	require.Equal(t, postgrestest.Practitioner, edited[i].By)
	require.NotZero(t, edited[i].At)
}

// kept is what a repair must bring back.
type kept struct {
	contacts  map[int64]postgrestest.Contact
	addresses map[int64]postgrestest.Address
	events    map[int64]string
}

// kept reads all rows that the ledger knows, without version and time of writing.
func (r *rig) kept(t require.TestingT) kept {
	k := kept{map[int64]postgrestest.Contact{}, map[int64]postgrestest.Address{}, map[int64]string{}}
	rows := r.rows(t)
	known := r.ids(t, "select contact_id from projection.contact where contact_id is not null")
	for _, c := range rows.contacts {
		if slices.Contains(known, c.ID) {
			k.contacts[c.ID] = c.Portable()
		}
	}
	known = r.ids(t, "select offender_address_id from projection.address union select offender_address_id from projection.address_term")
	for _, a := range rows.addresses {
		if slices.Contains(known, a.ID) {
			k.addresses[a.ID] = a.Portable()
		}
	}
	//nolint:rowserrcheck // ForEachRow checks it
	events, err := r.delius.Pool.Query(ctx, `
		select sequence, concat_ws(' ', referral, type, id, crn, noms, emitted, sha256, body) from projection.event
		union all select sequence, 'other' from projection.other_sequence`)
	require.NoError(t, err)
	var sequence int64
	var text string
	_, err = pgx.ForEachRow(events, []any{&sequence, &text}, func() error {
		k.events[sequence] = text
		return nil
	})
	require.NoError(t, err)
	return k
}

// requireAtRest holds that looking at everybody changes nothing.
func (r *rig) requireAtRest(t require.TestingT, histories []storetest.History) {
	report, err := r.Reconcile(ctx, projector.Selection{Referrals: referrals(histories), DryRun: true})
	require.NoError(t, err)
	require.Zero(t, report.Lost)
	require.Zero(t, report.Changes)
}
