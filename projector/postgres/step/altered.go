package step

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
	"casdelius/projector/postgres/rows"
	"casdelius/store"
)

// AlteredContact is a contact that has the version and time with which we left it, and yet
// is another.
type AlteredContact struct {
	delius.Damaged[delius.ContactRow]
	Referral store.Referral
}

var (
	sqlAlteredContacts = "select " + rows.Contacts.List("c") + ", " + sqlPostings + ", f.offender_id, f.row_version, " + rows.AppliedContacts.List("l") + `
		from projection.contact l join projection.contact_fingerprint f using (contact_id) join delius.contact c using (contact_id)` + sqlPosted + `
		where ` + SQLContactAltered + " and "

	// sqlKeptContacts are those of which the content was kept, as it was.
	sqlKeptContacts = "select " + rows.Contacts.List("c") + ", " + sqlPostings + `
		from projection.contact_fingerprint f cross join lateral jsonb_populate_record(null::delius.contact, f.content) c` + sqlPosted + `
		where f.contact_id = any ($1) and f.content is not null`
)

// AlteredContacts finds altered contacts among those of the ledger that a condition on its
// entry l picks, with how they were left: as it was kept, where a person or another service
// had a hand in the row; else as the ledger says of a row that we inserted.
func AlteredContacts(ctx context.Context, transaction pgx.Tx, fixed *rows.Fixed, which string, args ...any) ([]AlteredContact, error) {
	type altered struct {
		is      delius.ContactRow
		left    delius.Left
		applied delius.AppliedContact
	}
	var all []altered
	var ids []int64
	l := newLoader(fixed, nil)
	found, err := transaction.Query(ctx, sqlAlteredContacts+which+" order by c.contact_id", args...)
	if err != nil {
		return nil, err
	}
	targets := func(a *altered) []any {
		return append(append(contactTargets(&a.is), &a.left.OffenderID, &a.left.Version), rows.AppliedContacts.Targets(&a.applied)...)
	}
	err = each(found, targets, func(a altered) {
		all, ids = append(all, a), append(ids, a.is.ID)
		l.want(a.applied.Posting.Provider, a.applied.Posting.Team, a.applied.Posting.Staff)
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	kept := map[int64]delius.ContactRow{}
	var b pgx.Batch
	b.Queue(sqlKeptContacts, ids).Query(func(found pgx.Rows) error {
		return each(found, contactTargets, func(r delius.ContactRow) { kept[r.ID] = r })
	})
	l.queueReferences(&b)
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return nil, fmt.Errorf("reading how contacts were left: %w", err)
	}
	out := make([]AlteredContact, len(all))
	for i := range all {
		a := &all[i]
		left, known := kept[a.is.ID]
		if !known {
			left = delius.LeftContact(&a.applied, a.left, a.is, &l.refs)
		}
		left.Version, left.Updated = a.is.Version, a.is.Updated
		out[i] = AlteredContact{delius.Damaged[delius.ContactRow]{Kind: delius.KindOfURN(a.applied.URN), Left: left, Is: a.is}, a.applied.Referral}
	}
	return out, nil
}

// AlteredAddress is such an address.
type AlteredAddress struct {
	delius.Damaged[delius.AddressRow]
	Booking    store.Referral // zero of a row that is no stay's
	OffenderID int64          // on whom it was left
}

var (
	sqlAlteredAddresses = sqlAddressAs("$4", "$5") + `, f.offender_id, coalesce(l.booking, '00000000-0000-0000-0000-000000000000')
		from projection.address_fingerprint f join delius.offender_address a using (offender_address_id)
		cross join lateral (select f.offender_address_id as id) k
		left join projection.address l on l.offender_address_id = k.id` + sqlStatus + `
		where ` + SQLAddressAltered + " and "

	sqlKeptAddresses = sqlAddressAs("$2", "$3") + `
		from projection.address_fingerprint f cross join lateral jsonb_populate_record(null::delius.offender_address, f.content) a` + sqlStatus + `
		where f.offender_address_id = any ($1) and f.content is not null`

	sqlAppliedAddressesOf = "select " + rows.AppliedAddresses.List("l") + " from projection.address l where l.offender_address_id = any ($1)"
	sqlAppliedTermsOf     = "select " + rows.AppliedTerms.List("t") + " from projection.address_term t where t.offender_address_id = any ($1)"
)

// AlteredAddresses finds altered addresses among those that a condition on their number k.id
// picks, of which the arguments are $1 to $3, with how they were left.
func AlteredAddresses(ctx context.Context, transaction pgx.Tx, fixed *rows.Fixed, which string, one, two, three any) ([]AlteredAddress, error) {
	type altered struct {
		is      delius.AddressRow
		left    delius.Left
		booking store.Referral
	}
	var all []altered
	var ids []int64
	found, err := transaction.Query(ctx, sqlAlteredAddresses+which+" order by a.offender_address_id", one, two, three, fixed.A17, fixed.CAS3)
	if err != nil {
		return nil, err
	}
	err = each(found, func(a *altered) []any { return append(addressTargets(&a.is), &a.left.OffenderID, &a.booking) }, func(a altered) {
		all, ids = append(all, a), append(ids, a.is.ID)
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	l := newLoader(fixed, nil)
	kept, stays, terms := map[int64]delius.AddressRow{}, map[int64]delius.AppliedAddress{}, map[int64]delius.AppliedTerm{}
	var b pgx.Batch
	b.Queue(sqlKeptAddresses, ids, fixed.A17, fixed.CAS3).Query(func(found pgx.Rows) error {
		return each(found, addressTargets, func(r delius.AddressRow) { kept[r.ID] = r })
	})
	b.Queue(sqlAppliedAddressesOf, ids).Query(func(found pgx.Rows) error {
		return each(found, rows.AppliedAddresses.Targets, func(a delius.AppliedAddress) { stays[a.AddressID] = a })
	})
	b.Queue(sqlAppliedTermsOf, ids).Query(func(found pgx.Rows) error {
		return each(found, rows.AppliedTerms.Targets, func(t delius.AppliedTerm) { terms[t.AddressID] = t })
	})
	if err := transaction.SendBatch(ctx, &b).Close(); err != nil {
		return nil, fmt.Errorf("reading how addresses were left: %w", err)
	}
	out := make([]AlteredAddress, len(all))
	for i := range all {
		a := &all[i]
		left, known := kept[a.is.ID]
		if !known {
			left = delius.LeftAddress(pointer(stays, a.is.ID), pointer(terms, a.is.ID), a.left, a.is, &l.refs)
		}
		left.Updated = a.is.Updated
		out[i] = AlteredAddress{delius.Damaged[delius.AddressRow]{Left: left, Is: a.is}, a.booking, a.left.OffenderID}
	}
	return out, nil
}

// pointer is to what a map has, nil if it has nothing.
func pointer[V any](m map[int64]V, key int64) *V {
	if v, there := m[key]; there {
		return &v
	}
	return nil
}
