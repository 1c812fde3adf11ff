package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/store"
)

// ledger is what was loaded of the ledger for a step, to guard what is written back.
type ledger struct {
	contacts  map[string]int64         // contact row by URN
	addresses map[store.Referral]int64 // address row by booking
}

// Standing implements projector.Step with one round trip.
func (s *step) Standing(ctx context.Context, desired []delius.Desired) ([]delius.Current, delius.References, error) {
	l := newLoader(s, desired)
	if len(s.people) == 0 {
		return l.cases, l.refs, nil
	}
	var b pgx.Batch
	l.queueContacts(&b)
	l.queueAddresses(&b)
	l.queueReferences(&b)
	if err := s.tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, delius.References{}, fmt.Errorf("loading what stands: %w", translate(err))
	}
	s.addresses = l.addresses
	l.disownContacts()
	l.sortContacts()
	l.spreadAddresses()
	return l.cases, l.refs, nil
}

// loader spreads rows that were loaded for a whole batch over its people.
type loader struct {
	step  *step
	cases []delius.Current
	refs  delius.References

	byOffender map[int64]int
	byReferral map[store.Referral]int
	byURN      map[string]int

	urns                     []string
	providers, teams, staffs []string

	addresses map[int64]delius.AddressRow
	entries   []ledgerAddress
	memories  map[int64]delius.AppliedTerm
}

type ledgerAddress struct {
	delius.AppliedAddress
	lost bool // no event of the booking is in the inbox
}

func newLoader(s *step, desired []delius.Desired) *loader {
	l := &loader{
		step: s, cases: make([]delius.Current, len(s.people)),
		byOffender: map[int64]int{}, byReferral: map[store.Referral]int{}, byURN: map[string]int{},
		addresses: map[int64]delius.AddressRow{}, memories: map[int64]delius.AppliedTerm{},
		refs: delius.References{
			Types: map[string]delius.ContactType{}, Providers: map[string]int64{}, Teams: map[string][]delius.Team{},
			Staff: map[string]int64{}, InTeam: map[[2]int64]bool{},
		},
	}
	s.ledger = ledger{contacts: map[string]int64{}, addresses: map[store.Referral]int64{}}
	officers := map[delius.Officer]bool{}
	for i, p := range s.people {
		l.cases[i] = delius.Current{
			OffenderID: p.OffenderID, Missing: p.Missing,
			AppliedContacts: map[string]delius.AppliedContact{}, AppliedAddresses: map[store.Referral]delius.AppliedAddress{},
			AppliedTerms: map[int64]delius.AppliedTerm{},
		}
		if p.OffenderID != 0 {
			l.byOffender[p.OffenderID] = i
		}
		for _, r := range p.Referrals {
			l.byReferral[r] = i
		}
		for j := range desired[i].Contacts {
			c := &desired[i].Contacts[j]
			l.byURN[c.URN] = i
			l.urns = append(l.urns, c.URN)
			officers[c.Officer] = true
		}
	}
	for o := range officers {
		if o.Kind == delius.Recorder {
			l.providers, l.teams, l.staffs = append(l.providers, o.Region), append(l.teams, o.Team()), append(l.staffs, o.Staff)
		}
	}
	return l
}

func (l *loader) referrals() []store.Referral { return slices.Collect(maps.Keys(l.byReferral)) }
func (l *loader) offenders() []int64          { return slices.Sorted(maps.Keys(l.byOffender)) }

func (l *loader) queueContacts(b *pgx.Batch) {
	b.Queue(`
		select c.contact_id, c.offender_id, c.external_reference, coalesce(c.description, ''), c.contact_date, c.contact_start_time,
			coalesce(trim(a.code), ''), coalesce(trim(t.code), ''), coalesce(trim(s.officer_code), ''),
			coalesce(c.probation_area_id, 0), coalesce(c.team_id, 0), coalesce(c.staff_id, 0),
			coalesce(c.notes, ''), c.soft_deleted <> 0, c.row_version, c.last_updated_datetime
		from delius.contact c
		left join delius.probation_area a using (probation_area_id)
		left join delius.team t on t.team_id = c.team_id
		left join delius.staff s on s.staff_id = c.staff_id
		where c.external_reference = any ($1)`, l.urns).Query(func(rows pgx.Rows) error {
		var r delius.ContactRow
		_, err := pgx.ForEachRow(rows, []any{
			&r.ID, &r.OffenderID, &r.URN, &r.Description, moment{&r.Date}, moment{&r.Start}, &r.Posting.Provider, &r.Posting.Team, &r.Posting.Staff,
			&r.Posting.ProviderID, &r.Posting.TeamID, &r.Posting.StaffID, &r.Notes, &r.Deleted, &r.Version, moment{&r.Updated},
		}, func() error {
			c := &l.cases[l.byURN[r.URN]]
			c.Contacts = append(c.Contacts, r)
			return nil
		})
		return err
	})
	b.Queue(`
		select urn, referral, coalesce(contact_id, 0), notes, description, happened_at, officer, region, staff, provider, team, officer_code, baseless, deleted, events
		from projection.contact where referral = any ($1)`, l.referrals()).Query(func(rows pgx.Rows) error {
		var e delius.AppliedContact
		var at *time.Time
		_, err := pgx.ForEachRow(rows, []any{
			&e.URN, &e.Referral, &e.ContactID, &e.Notes, &e.Description, &at, &e.Officer.Kind, &e.Officer.Region, &e.Officer.Staff,
			&e.Posting.Provider, &e.Posting.Team, &e.Posting.Staff, &e.Baseless, &e.Deleted, &e.Events,
		}, func() error {
			entry := e
			entry.At, entry.Events = orZero(at), slices.Clone(e.Events)
			l.cases[l.byReferral[e.Referral]].AppliedContacts[e.URN] = entry
			l.step.ledger.contacts[e.URN] = e.ContactID
			return nil
		})
		return err
	})
}

func (l *loader) queueAddresses(b *pgx.Batch) {
	b.Queue(`
		select a.offender_address_id, a.offender_id, coalesce(a.address_type_id = $3, false), coalesce(s.code_value, ''),
			coalesce(a.building_name, ''), coalesce(a.street_name, ''), coalesce(a.district, ''), coalesce(a.town_city, ''),
			coalesce(a.county, ''), coalesce(a.postcode, ''), a.start_date, a.end_date, a.soft_deleted <> 0,
			a.created_datetime, a.last_updated_datetime, a.last_updated_user_id = $4
		from delius.offender_address a
		left join delius.r_standard_reference_list s on s.standard_reference_list_id = a.address_status_id
		where a.offender_address_id = any (array(
			select offender_address_id from delius.offender_address where offender_id = any ($1)
			union select offender_address_id from projection.address where booking = any ($2)))`,
		l.offenders(), l.referrals(), l.step.db.fixed.a17, l.step.db.fixed.cas3).Query(func(rows pgx.Rows) error {
		var r delius.AddressRow
		_, err := pgx.ForEachRow(rows, []any{
			&r.ID, &r.OffenderID, &r.A17, &r.Status, &r.Lines.Building, &r.Lines.Street, &r.Lines.District, &r.Lines.Town,
			&r.Lines.County, &r.Lines.Postcode, moment{&r.Start}, moment{&r.End}, &r.Deleted, moment{&r.Created}, moment{&r.Updated}, &r.ByCAS3,
		}, func() error {
			l.addresses[r.ID] = r
			return nil
		})
		return err
	})
	b.Queue(`
		select l.booking, l.offender_address_id, l.building, l.street, l.district, l.town, l.county, l.postcode, l.start_date, l.departure,
			l.provisional, l.events, l.booking <> all ($2) and l.events <> '{}' and not exists (select from projection.event e where e.referral = l.booking)
		from projection.address l
		where l.booking = any ($2) or l.offender_address_id = any (array(
			select offender_address_id from delius.offender_address where offender_id = any ($1)))`,
		l.offenders(), l.referrals()).Query(func(rows pgx.Rows) error {
		var e ledgerAddress
		_, err := pgx.ForEachRow(rows, []any{
			&e.Booking, &e.AddressID, &e.Lines.Building, &e.Lines.Street, &e.Lines.District, &e.Lines.Town, &e.Lines.County,
			&e.Lines.Postcode, moment{&e.Start}, moment{&e.Departure}, &e.Provisional, &e.Events, &e.lost,
		}, func() error {
			entry := e
			entry.Events = slices.Clone(e.Events)
			l.entries = append(l.entries, entry)
			l.step.ledger.addresses[e.Booking] = e.AddressID
			return nil
		})
		return err
	})
	b.Queue(`
		select offender_address_id, status, end_date, own_end, open from projection.address_memory
		where offender_address_id = any (array(select offender_address_id from delius.offender_address where offender_id = any ($1)))`, l.offenders()).Query(func(rows pgx.Rows) error {
		var m delius.AppliedTerm
		_, err := pgx.ForEachRow(rows, []any{&m.AddressID, &m.Status, moment{&m.End}, &m.OwnEnd, &m.Open}, func() error {
			l.memories[m.AddressID] = m
			return nil
		})
		return err
	})
}

// disownContacts leaves out a person's contacts that the ledger knows under another URN
// than they bear now. Somebody has changed the URN of such a row; to adopt it would make
// one row of two contacts. From the next look on the ledger has other rows for both.
func (l *loader) disownContacts() {
	urns := make(map[int64]string, len(l.step.ledger.contacts))
	for urn, id := range l.step.ledger.contacts {
		urns[id] = urn
	}
	for i := range l.cases {
		c := &l.cases[i]
		c.Contacts = slices.DeleteFunc(c.Contacts, func(r delius.ContactRow) bool {
			urn, known := urns[r.ID]
			return known && urn != r.URN && r.OffenderID == c.OffenderID
		})
	}
}

// sortContacts puts everybody's contacts in the order of their numbers. To have them from
// the database in that order could mean a walk along all contacts there are.
func (l *loader) sortContacts() {
	for i := range l.cases {
		slices.SortFunc(l.cases[i].Contacts, func(a, b delius.ContactRow) int { return cmp.Compare(a.ID, b.ID) })
	}
}

// spreadAddresses gives every person the rows that stand on them, the rows that the
// ledger names for their bookings wherever these stand, and both rows' entries.
func (l *loader) spreadAddresses() {
	give := func(i int, row delius.AddressRow) {
		c := &l.cases[i]
		if slices.ContainsFunc(c.Addresses, func(r delius.AddressRow) bool { return r.ID == row.ID }) {
			return
		}
		c.Addresses = append(c.Addresses, row)
		if m, ok := l.memories[row.ID]; ok {
			c.AppliedTerms[row.ID] = m
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.addresses)) {
		row := l.addresses[id]
		if i, ok := l.byOffender[row.OffenderID]; ok {
			give(i, row)
		}
	}
	for _, e := range l.entries {
		row, stands := l.addresses[e.AddressID]
		if i, ok := l.byReferral[e.Booking]; ok {
			l.cases[i].AppliedAddresses[e.Booking] = e.AppliedAddress
			if stands {
				give(i, row)
			}
		}
		if i, ok := l.byOffender[row.OffenderID]; stands && ok {
			l.cases[i].AppliedAddresses[e.Booking] = e.AppliedAddress
			if e.lost {
				l.cases[i].Lost = append(l.cases[i].Lost, "stay of booking "+e.Booking.String())
			}
		}
	}
}

func (l *loader) queueReferences(b *pgx.Batch) {
	b.Queue("select code, contact_type_id, coalesce(sensitive_contact, 'N') = 'Y' from delius.r_contact_type where code like 'EA%'").Query(func(rows pgx.Rows) error {
		var code string
		var t delius.ContactType
		_, err := pgx.ForEachRow(rows, []any{&code, &t.ID, &t.Sensitive}, func() error {
			l.refs.Types[code] = t
			return nil
		})
		return err
	})
	b.Queue(`
		select distinct on (m.offender_id) m.offender_id, trim(a.code), trim(t.code), trim(s.officer_code),
			a.probation_area_id, t.team_id, s.staff_id
		from delius.offender_manager m
		join delius.probation_area a using (probation_area_id)
		join delius.team t on t.team_id = m.team_id
		join delius.staff s on s.staff_id = m.allocation_staff_id
		where m.offender_id = any ($1) and m.active_flag = 1 and m.soft_deleted = 0
		order by m.offender_id, m.offender_manager_id desc`, l.offenders()).Query(func(rows pgx.Rows) error {
		var id int64
		var p delius.Posting
		_, err := pgx.ForEachRow(rows, []any{&id, &p.Provider, &p.Team, &p.Staff, &p.ProviderID, &p.TeamID, &p.StaffID}, func() error {
			manager := p
			l.cases[l.byOffender[id]].Manager = &manager
			return nil
		})
		return err
	})
	codes := func(query string, wanted []string, take func(code string, id, other int64)) {
		b.Queue(query, wanted).Query(func(rows pgx.Rows) error {
			var code string
			var id, other int64
			_, err := pgx.ForEachRow(rows, []any{&code, &id, &other}, func() error {
				take(code, id, other)
				return nil
			})
			return err
		})
	}
	codes("select trim(code), probation_area_id, 0::bigint from delius.probation_area where code = any ($1::bpchar[])", l.providers,
		func(code string, id, _ int64) { l.refs.Providers[code] = id })
	codes("select trim(code), team_id, probation_area_id from delius.team where code = any ($1::bpchar[])", l.teams,
		func(code string, id, provider int64) {
			l.refs.Teams[code] = append(l.refs.Teams[code], delius.Team{ID: id, ProviderID: provider})
		})
	codes("select trim(officer_code), staff_id, 0::bigint from delius.staff where officer_code = any ($1::bpchar[])", l.staffs,
		func(code string, id, _ int64) { l.refs.Staff[code] = id })
	b.Queue(`
		select st.staff_id, st.team_id from delius.staff_team st
		join delius.staff s using (staff_id) join delius.team t using (team_id)
		where s.officer_code = any ($1::bpchar[]) and t.code = any ($2::bpchar[])`, l.staffs, l.teams).Query(func(rows pgx.Rows) error {
		var staff, team int64
		_, err := pgx.ForEachRow(rows, []any{&staff, &team}, func() error {
			l.refs.InTeam[[2]int64{staff, team}] = true
			return nil
		})
		return err
	})
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
