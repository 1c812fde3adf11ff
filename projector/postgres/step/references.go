package step

import (
	"github.com/jackc/pgx/v5"

	"casdelius/projector/delius"
)

// codes are those of the contact types of every kind.
var codes = func() (all []string) {
	for _, kind := range delius.Kinds() {
		all = append(all, kind.Code)
	}
	return all
}()

// sqlCodes looks codes up: of contact types, providers, teams and members of staff.
const sqlCodes = `
	select 'type', code, contact_type_id, 0::bigint, coalesce(sensitive_contact, 'N') = 'Y' from delius.r_contact_type where code = any ($1)
	union all select 'provider', trim(code), probation_area_id, 0, false from delius.probation_area where code = any ($2::bpchar[])
	union all select 'team', trim(code), team_id, probation_area_id, false from delius.team where code = any ($3::bpchar[])
	union all select 'staff', trim(officer_code), staff_id, 0, false from delius.staff where officer_code = any ($4::bpchar[])`

func (l *loader) queueReferences(b *pgx.Batch) {
	b.Queue(`
		select distinct on (m.offender_id) m.offender_id, trim(a.code), trim(t.code), trim(s.officer_code),
			a.probation_area_id, t.team_id, s.staff_id
		from delius.offender_manager m
		join delius.probation_area a using (probation_area_id)
		join delius.team t on t.team_id = m.team_id
		join delius.staff s on s.staff_id = m.allocation_staff_id
		where m.offender_id = any ($1) and m.active_flag = 1 and m.soft_deleted = 0
		order by m.offender_id, m.offender_manager_id desc`, l.offenders()).Query(func(found pgx.Rows) error {
		var id int64
		var p delius.Posting
		_, err := pgx.ForEachRow(found, []any{&id, &p.Provider, &p.Team, &p.Staff, &p.ProviderID, &p.TeamID, &p.StaffID}, func() error {
			manager := p
			l.subjects[l.byOffender[id]].Current.Manager = &manager
			return nil
		})
		return err
	})
	b.Queue(sqlCodes, codes, l.providers, l.teams, l.staffs).Query(func(found pgx.Rows) error {
		var is, code string
		var id, provider int64
		var sensitive bool
		_, err := pgx.ForEachRow(found, []any{&is, &code, &id, &provider, &sensitive}, func() error {
			switch is {
			case "type":
				l.refs.Types[code] = delius.ContactType{ID: id, Sensitive: sensitive}
			case "provider":
				l.refs.Providers[code] = id
			case "team":
				l.refs.Teams[code] = append(l.refs.Teams[code], delius.Team{ID: id, ProviderID: provider})
			case "staff":
				l.refs.Staff[code] = id
			}
			return nil
		})
		return err
	})
	if len(l.staffs) == 0 {
		return // nobody can be missing in a team
	}
	b.Queue(`
		select st.staff_id, st.team_id from delius.staff_team st
		join delius.staff s using (staff_id) join delius.team t using (team_id)
		where s.officer_code = any ($1::bpchar[]) and t.code = any ($2::bpchar[])`, l.staffs, l.teams).Query(func(found pgx.Rows) error {
		var staff, team int64
		_, err := pgx.ForEachRow(found, []any{&staff, &team}, func() error {
			l.refs.InTeam[[2]int64{staff, team}] = true
			return nil
		})
		return err
	})
}
