package postgrestest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius/deliustest"
)

// World reads the database's people and reference data for a twin, so that both know
// the same. What is added later has to be added to the twin as well.
func (d Delius) World(ctx context.Context) (deliustest.World, error) {
	var w deliustest.World
	load := func(query string, scan func(pgx.Rows) error) error {
		rows, err := d.Pool.Query(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	for _, part := range []struct {
		query string
		scan  func(pgx.Rows) error
	}{
		{selectOffenders, func(r pgx.Rows) error {
			var o deliustest.Offender
			defer func() { w.Offenders = append(w.Offenders, o) }()
			return r.Scan(&o.ID, &o.CRN, &o.NOMS, &o.SoftDeleted, &o.MergedInto)
		}},
		{`select m.offender_manager_id, m.offender_id, a.code, t.code, s.officer_code, m.active_flag = 1, m.soft_deleted = 1
			from delius.offender_manager m join delius.probation_area a using (probation_area_id)
			join delius.team t on t.team_id = m.team_id join delius.staff s on s.staff_id = m.allocation_staff_id`, func(r pgx.Rows) error {
			var m deliustest.Manager
			defer func() { w.Managers = append(w.Managers, m) }()
			return r.Scan(&m.ID, &m.OffenderID, &m.Provider, &m.Team, &m.Staff, &m.Active, &m.SoftDeleted)
		}},
		{"select code::text from delius.probation_area", func(r pgx.Rows) error {
			var code string
			defer func() { w.Providers = append(w.Providers, code) }()
			return r.Scan(&code)
		}},
		{"select t.code::text, a.code::text from delius.team t join delius.probation_area a using (probation_area_id)", func(r pgx.Rows) error {
			var t deliustest.Team
			defer func() { w.Teams = append(w.Teams, t) }()
			return r.Scan(&t.Code, &t.Provider)
		}},
		{"select officer_code::text from delius.staff", func(r pgx.Rows) error {
			var s deliustest.Staff
			defer func() { w.Staff = append(w.Staff, s) }()
			return r.Scan(&s.Code)
		}},
		{"select code, sensitive_contact = 'Y' from delius.r_contact_type", func(r pgx.Rows) error {
			var c deliustest.ContactType
			defer func() { w.ContactTypes = append(w.ContactTypes, c) }()
			return r.Scan(&c.Code, &c.Sensitive)
		}},
	} {
		if err := load(part.query, part.scan); err != nil {
			return w, fmt.Errorf("read the world for a twin: %w", err)
		}
	}
	return w, nil
}

// Portable lists the database's contacts and addresses in the form in which those of
// two databases, and of a twin, can be compared.
func (d Delius) Portable(ctx context.Context) ([]Contact, []Address, error) {
	contacts, err := d.Contacts(ctx)
	if err != nil {
		return nil, nil, err
	}
	addresses, err := d.Addresses(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range contacts {
		contacts[i] = contacts[i].Portable()
	}
	for i := range addresses {
		addresses[i] = addresses[i].Portable()
	}
	return inOrder(contacts, addresses)
}

// TwinPortable lists a twin's contacts and addresses in the same form.
func TwinPortable(t *deliustest.Twin) ([]Contact, []Address, error) {
	user := func(name string) string {
		if name == deliustest.Practitioner {
			return Practitioner
		}
		return name
	}
	contacts := []Contact{}
	for _, c := range t.Contacts() {
		contacts = append(contacts, Contact{
			CRN: string(c.CRN), Type: c.Type, Officer: Officer{Provider: c.Provider, Team: c.Team, Staff: c.Staff},
			TrustProviderTeam: c.Team, ExternalReference: c.URN, Description: c.Description, Notes: c.Notes,
			Date: c.Date, StartTime: c.Start, Sensitive: c.Sensitive, SoftDeleted: c.Deleted,
			CreatedBy: user(c.CreatedBy), UpdatedBy: user(c.UpdatedBy),
		})
	}
	addresses := []Address{}
	for _, a := range t.Addresses() {
		addresses = append(addresses, Address{
			CRN: string(a.CRN), Type: a.Type, Status: a.Status, BuildingName: a.Building, StreetName: a.Street, District: a.District,
			TownCity: a.Town, County: a.County, Postcode: a.Postcode, NoFixedAbode: a.NoFixedAbode, TypeVerified: a.Verified,
			Start: a.Start, End: a.End, SoftDeleted: a.Deleted, CreatedBy: user(a.CreatedBy), UpdatedBy: user(a.UpdatedBy),
		})
	}
	return inOrder(contacts, addresses)
}

// inOrder orders rows by whose they are, and by what they say: all of that only where the rest is
// equal, as it takes long.
func inOrder(contacts []Contact, addresses []Address) ([]Contact, []Address, error) {
	slices.SortFunc(contacts, func(a, b Contact) int {
		if first := cmp.Or(cmp.Compare(a.CRN, b.CRN), cmp.Compare(a.ExternalReference, b.ExternalReference)); first != 0 {
			return first
		}
		return cmp.Compare(fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b))
	})
	slices.SortFunc(addresses, func(a, b Address) int {
		if first := cmp.Or(cmp.Compare(a.CRN, b.CRN), a.Start.Compare(b.Start)); first != 0 {
			return first
		}
		return cmp.Compare(fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b))
	})
	return contacts, addresses, nil
}
