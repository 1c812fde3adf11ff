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

func (l *loader) queueReferences(b *pgx.Batch) {
	b.Queue("select code, contact_type_id, coalesce(sensitive_contact, 'N') = 'Y' from delius.r_contact_type where code = any ($1)", codes).Query(func(found pgx.Rows) error {
		var code string
		var t delius.ContactType
		_, err := pgx.ForEachRow(found, []any{&code, &t.ID, &t.Sensitive}, func() error {
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
	queueCodes(b, "select trim(code), probation_area_id, 0::bigint from delius.probation_area where code = any ($1::bpchar[])", l.providers,
		func(code string, id, _ int64) { l.refs.Providers[code] = id })
	queueCodes(b, "select trim(code), team_id, probation_area_id from delius.team where code = any ($1::bpchar[])", l.teams,
		func(code string, id, provider int64) {
			l.refs.Teams[code] = append(l.refs.Teams[code], delius.Team{ID: id, ProviderID: provider})
		})
	queueCodes(b, "select trim(officer_code), staff_id, 0::bigint from delius.staff where officer_code = any ($1::bpchar[])", l.staffs,
		func(code string, id, _ int64) { l.refs.Staff[code] = id })
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

// queueCodes looks up codes, each with two ids.
func queueCodes(b *pgx.Batch, query string, wanted []string, found func(code string, id, other int64)) {
	b.Queue(query, wanted).Query(func(all pgx.Rows) error {
		var code string
		var id, other int64
		_, err := pgx.ForEachRow(all, []any{&code, &id, &other}, func() error {
			found(code, id, other)
			return nil
		})
		return err
	})
}
