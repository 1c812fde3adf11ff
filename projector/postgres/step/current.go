package step

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// LoadCurrent implements projector.Step with one round trip, and a few more where damage is to
// be repaired.
func (s *Step) LoadCurrent(ctx context.Context, subjects []projector.Subject) (delius.References, error) {
	l := newLoader(&s.config.Fixed, subjects)
	if len(subjects) == 0 {
		return l.refs, nil
	}
	var b pgx.Batch
	l.queueContacts(&b)
	l.queueAddresses(&b)
	l.queueReferences(&b)
	if err := s.tx.SendBatch(ctx, &b).Close(); err != nil {
		return l.refs, fmt.Errorf("loading what stands: %w", tx.Translate(err))
	}
	l.disownContacts()
	l.sortContacts()
	l.spreadAddresses()
	if s.how.Repair {
		if err := l.loadDamage(ctx, s.tx); err != nil {
			return l.refs, fmt.Errorf("looking for damage: %w", tx.Translate(err))
		}
	}
	return l.refs, nil
}

// loader spreads rows that were loaded for a whole batch over its subjects.
type loader struct {
	fixed    *rows.Fixed
	subjects []projector.Subject
	refs     delius.References

	byOffender map[int64]int
	byReferral map[store.Referral]int
	byURN      map[string]int

	urns                     []string
	providers, teams, staffs []string

	addresses map[int64]delius.AddressRow
	applied   []appliedAddress
	terms     map[int64]delius.AppliedTerm
}

type appliedAddress struct {
	delius.AppliedAddress
	lost bool // no event of the booking is in the inbox
}

func newLoader(fixed *rows.Fixed, subjects []projector.Subject) *loader {
	l := &loader{
		fixed: fixed, subjects: subjects,
		byOffender: map[int64]int{}, byReferral: map[store.Referral]int{}, byURN: map[string]int{},
		addresses: map[int64]delius.AddressRow{}, terms: map[int64]delius.AppliedTerm{},
		refs: delius.References{
			Types: map[string]delius.ContactType{}, Providers: map[string]int64{}, Teams: map[string][]delius.Team{},
			Staff: map[string]int64{}, InTeam: map[[2]int64]bool{},
			Users: map[store.Service]int64{store.CAS2: fixed.CAS2, store.CAS3: fixed.CAS3},
			A17:   fixed.A17, Main: fixed.Main, Previous: fixed.Previous,
		},
	}
	officers := map[delius.Officer]bool{}
	for i := range subjects {
		p := &subjects[i].Person
		subjects[i].Current = delius.Current{
			Ownership: p.Ownership, Merged: p.Merged, Via: p.Via,
			AppliedContacts: map[string]delius.AppliedContact{}, AppliedAddresses: map[store.Referral]delius.AppliedAddress{},
			AppliedTerms: map[int64]delius.AppliedTerm{},
		}
		if p.OffenderID != 0 {
			l.byOffender[p.OffenderID] = i
		}
		for _, r := range p.Referrals {
			l.byReferral[r] = i
		}
		for j := range subjects[i].Desired.Contacts {
			c := &subjects[i].Desired.Contacts[j]
			l.byURN[c.URN] = i
			l.urns = append(l.urns, c.URN)
			officers[c.Officer] = true
		}
	}
	for o := range officers {
		if o.Kind == delius.Recorder {
			l.want(o.Region, o.Team(), o.Staff)
		}
	}
	return l
}

// want has codes looked up.
func (l *loader) want(provider, team, staff string) {
	l.providers, l.teams, l.staffs = append(l.providers, provider), append(l.teams, team), append(l.staffs, staff)
}

func (l *loader) referrals() []store.Referral { return slices.Collect(maps.Keys(l.byReferral)) }
func (l *loader) offenders() []int64          { return slices.Sorted(maps.Keys(l.byOffender)) }

// sqlPostings are the codes of a contact's provider, team and staff member, and the tables
// that they come from.
const (
	sqlPostings = `coalesce(trim(a.code), ''), coalesce(trim(t.code), ''), coalesce(trim(s.officer_code), '')`
	sqlPosted   = ` left join delius.probation_area a using (probation_area_id)
		left join delius.team t on t.team_id = c.team_id left join delius.staff s on s.staff_id = c.staff_id`
)

// contactTargets are what [rows.Contacts] and sqlPostings are scanned into.
func contactTargets(r *delius.ContactRow) []any {
	return append(rows.Contacts.Targets(r), &r.Posting.Provider, &r.Posting.Team, &r.Posting.Staff)
}

var (
	sqlContacts = "select " + rows.Contacts.List("c") + ", " + sqlPostings + " from delius.contact c" + sqlPosted +
		" where c.external_reference = any ($1)"
	sqlAppliedContacts = "select " + rows.AppliedContacts.List("l") + " from projection.contact l where l.referral = any ($1)"
)

func (l *loader) queueContacts(b *pgx.Batch) {
	b.Queue(sqlContacts, l.urns).Query(func(found pgx.Rows) error {
		return each(found, contactTargets, func(r delius.ContactRow) {
			c := &l.subjects[l.byURN[r.URN]].Current
			c.Contacts = append(c.Contacts, r)
		})
	})
	b.Queue(sqlAppliedContacts, l.referrals()).Query(func(found pgx.Rows) error {
		return each(found, rows.AppliedContacts.Targets, func(a delius.AppliedContact) {
			a.Events = slices.Clone(a.Events)
			l.subjects[l.byReferral[a.Referral]].Current.AppliedContacts[a.URN] = a
		})
	})
}

// each hands on rows that are scanned into the targets of one.
func each[R any](found pgx.Rows, targets func(*R) []any, do func(R)) error {
	var row R
	_, err := pgx.ForEachRow(found, targets(&row), func() error {
		do(row)
		return nil
	})
	return err
}

// sqlAddressAs selects an address with what its type, its status and its last user mean,
// given the type of CAS3 stays and their user.
func sqlAddressAs(a17, user string) string {
	return "select " + rows.Addresses.List("a") + `, coalesce(a.address_type_id = ` + a17 + `, false), coalesce(s.code_value, ''), coalesce(a.last_updated_user_id = ` + user + `, false)`
}

const sqlStatus = " left join delius.r_standard_reference_list s on s.standard_reference_list_id = a.address_status_id"

func addressTargets(r *delius.AddressRow) []any {
	return append(rows.Addresses.Targets(r), &r.A17, &r.Status, &r.ByCAS3)
}

var (
	sqlAddresses = sqlAddressAs("$1", "$2") + " from delius.offender_address a" + sqlStatus + `
		where a.offender_address_id = any (array(
			select offender_address_id from delius.offender_address where offender_id = any ($3)
			union select offender_address_id from projection.address where booking = any ($4)))`
	sqlAppliedAddresses = "select " + rows.AppliedAddresses.List("l") + `,
			l.booking <> all ($2) and l.events <> '{}' and not exists (select from projection.event e where e.referral = l.booking)
		from projection.address l
		where l.booking = any ($2) or l.offender_address_id = any (array(
			select offender_address_id from delius.offender_address where offender_id = any ($1)))`
	sqlAppliedTerms = "select " + rows.AppliedTerms.List("t") + ` from projection.address_term t
		where offender_address_id = any (array(
			select offender_address_id from delius.offender_address where offender_id = any ($1)
			union select offender_address_id from projection.address where booking = any ($2)))`
)

func (l *loader) queueAddresses(b *pgx.Batch) {
	b.Queue(sqlAddresses, l.fixed.A17, l.fixed.CAS3, l.offenders(), l.referrals()).Query(func(found pgx.Rows) error {
		return each(found, addressTargets, func(r delius.AddressRow) { l.addresses[r.ID] = r })
	})
	b.Queue(sqlAppliedAddresses, l.offenders(), l.referrals()).Query(func(found pgx.Rows) error {
		targets := func(a *appliedAddress) []any {
			return append(rows.AppliedAddresses.Targets(&a.AppliedAddress), &a.lost)
		}
		return each(found, targets, func(a appliedAddress) {
			a.Events = slices.Clone(a.Events)
			l.applied = append(l.applied, a)
		})
	})
	b.Queue(sqlAppliedTerms, l.offenders(), l.referrals()).Query(func(found pgx.Rows) error {
		return each(found, rows.AppliedTerms.Targets, func(t delius.AppliedTerm) { l.terms[t.AddressID] = t })
	})
}

// disownContacts leaves out a person's contacts that the ledger knows under another URN
// than they bear now. Somebody has changed the URN of such a row; to adopt it would make
// one row of two contacts. From the next look on the ledger has other rows for both.
func (l *loader) disownContacts() {
	urns := map[int64]string{}
	for i := range l.subjects {
		for urn, a := range l.subjects[i].Current.AppliedContacts {
			urns[a.ContactID] = urn
		}
	}
	for i := range l.subjects {
		c := &l.subjects[i].Current
		c.Contacts = slices.DeleteFunc(c.Contacts, func(r delius.ContactRow) bool {
			urn, known := urns[r.ID]
			return known && urn != r.URN && (r.OffenderID == c.OffenderID || c.MergedAway(r.OffenderID))
		})
	}
}

// sortContacts puts everybody's contacts in the order of their numbers. To have them from
// the database in that order could mean a walk along all contacts there are.
func (l *loader) sortContacts() {
	for i := range l.subjects {
		slices.SortFunc(l.subjects[i].Current.Contacts, func(a, b delius.ContactRow) int { return cmp.Compare(a.ID, b.ID) })
	}
}

// spreadAddresses gives every person the rows that stand on them, the rows that the
// ledger names for their bookings wherever these stand, and what was applied to both.
func (l *loader) spreadAddresses() {
	add := func(i int, row delius.AddressRow) {
		c := &l.subjects[i].Current
		if slices.ContainsFunc(c.Addresses, func(r delius.AddressRow) bool { return r.ID == row.ID }) {
			return
		}
		c.Addresses = append(c.Addresses, row)
		if t, ok := l.terms[row.ID]; ok {
			c.AppliedTerms[row.ID] = t
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.addresses)) {
		row := l.addresses[id]
		if i, ok := l.byOffender[row.OffenderID]; ok {
			add(i, row)
		}
	}
	for _, a := range l.applied {
		row, stands := l.addresses[a.AddressID]
		if i, ok := l.byReferral[a.Booking]; ok {
			l.subjects[i].Current.AppliedAddresses[a.Booking] = a.AppliedAddress
			if stands {
				add(i, row)
			}
		}
		if i, ok := l.byOffender[row.OffenderID]; stands && ok {
			c := &l.subjects[i].Current
			c.AppliedAddresses[a.Booking] = a.AppliedAddress
			if a.lost {
				c.Lost = append(c.Lost, "stay of booking "+a.Booking.String())
			}
		}
	}
}
