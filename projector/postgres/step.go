package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

// step is one transaction over a batch of people. See [Database.Begin].
type step struct {
	db      *Database
	tx      pgx.Tx
	dry     bool
	people  []projector.Person
	marks   map[store.Referral][]int64 // that were set before the histories were read
	ledger  ledger
	skipped bool

	addresses map[int64]delius.AddressRow // that were read of the people
}

// Begin starts a step: it finds the people of the picked referrals, locks them, and
// reads their histories. Every offender that any event of a referral ever named is
// locked, so that a referral whose person has changed is locked on both.
//
// Offenders that somebody else has locked are left out, and so is whoever has a referral
// that names one of them; they stay due.
func (db *Database) Begin(ctx context.Context, pick projector.Pick) (projector.Step, error) {
	begin := db.begin
	if pick.DryRun {
		begin = db.beginLook
	}
	tx, err := begin(ctx)
	if err != nil {
		return nil, err
	}
	s := &step{db: db, tx: tx, dry: pick.DryRun, marks: map[store.Referral][]int64{}}
	if err := s.load(ctx, pick); err != nil {
		rollback(ctx, tx)
		return nil, fmt.Errorf("loading people: %w", translate(err))
	}
	if !pick.PutBack.IsZero() {
		if err := s.putBack(ctx, pick.PutBack); err != nil {
			rollback(ctx, tx)
			return nil, fmt.Errorf("putting damaged rows back: %w", translate(err))
		}
	}
	return s, nil
}

// People implements projector.Step.
func (s *step) People() []projector.Person { return s.people }

// Rollback implements projector.Step.
func (s *step) Rollback(ctx context.Context) { rollback(ctx, s.tx) }

func (s *step) load(ctx context.Context, pick projector.Pick) error {
	picked, err := s.pick(ctx, pick)
	if err != nil || len(picked) == 0 {
		return err
	}
	locked, candidates, err := s.lock(ctx, picked)
	if err != nil {
		return err
	}
	// Marks before histories: an event committed in between keeps its mark.
	if err := s.readMarks(ctx, candidates); err != nil {
		return err
	}
	histories, err := s.histories(ctx, candidates)
	if err != nil {
		return err
	}
	return s.assign(ctx, picked, locked, histories)
}

// pick lists the referrals that the step begins with.
func (s *step) pick(ctx context.Context, pick projector.Pick) ([]store.Referral, error) {
	if !pick.Due || len(pick.Referrals) == 0 {
		return pick.Referrals, nil
	}
	rows, err := s.tx.Query(ctx, "select distinct referral from projection.due where referral = any ($1)", pick.Referrals)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[store.Referral])
}

type offender struct {
	id   int64
	crn  store.CRN
	noms store.NOMS
}

// lock locks the offenders that the picked referrals name, and lists the referrals
// that may be theirs.
func (s *step) lock(ctx context.Context, picked []store.Referral) (map[int64]offender, []store.Referral, error) {
	var crns, noms []string
	err := s.tx.QueryRow(ctx, `
		select coalesce(array_agg(distinct crn) filter (where crn <> ''), '{}'), coalesce(array_agg(distinct noms) filter (where noms <> ''), '{}')
		from projection.identity where referral = any ($1)`, picked).Scan(&crns, &noms)
	if err != nil {
		return nil, nil, err
	}
	query := sqlOffenders + " order by offender_id for no key update skip locked"
	if s.dry {
		query = sqlOffenders
	}
	all, err := s.offenders(ctx, query, crns, noms)
	if err != nil {
		return nil, nil, err
	}
	locked := map[int64]offender{}
	crns, noms = nil, nil
	for _, o := range all {
		locked[o.id] = o
		crns = append(crns, string(o.crn))
		if o.noms != "" {
			noms = append(noms, string(o.noms))
		}
	}
	rows, err := s.tx.Query(ctx, `
		select referral from projection.identity where crn = any ($1::bpchar[]) and crn <> ''
		union select referral from projection.identity where noms = any ($2::bpchar[]) and noms <> ''
		union select unnest($3::uuid[])`, crns, noms, picked)
	if err != nil {
		return nil, nil, err
	}
	candidates, err := pgx.CollectRows(rows, pgx.RowTo[store.Referral])
	return locked, candidates, err
}

const sqlOffenders = `
	select offender_id, crn, coalesce(noms_number, '') from delius.offender
	where soft_deleted = 0 and (crn = any ($1::bpchar[]) or noms_number = any ($2::bpchar[]))`

func (s *step) offenders(ctx context.Context, query string, args ...any) ([]offender, error) {
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (offender, error) {
		var o offender
		err := row.Scan(&o.id, &o.crn, &o.noms)
		return o, err
	})
}

// readMarks reads who is due. Whoever only looks is told of what is parked as well, by a
// mark that is nobody's: it may have to go.
func (s *step) readMarks(ctx context.Context, referrals []store.Referral) error {
	query := "select referral, mark from projection.due where referral = any ($1)"
	if s.dry {
		query += " union all select referral, 0 from projection.parked where referral = any ($1)"
	}
	rows, err := s.tx.Query(ctx, query, referrals) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return err
	}
	var referral store.Referral
	var mark int64
	_, err = pgx.ForEachRow(rows, []any{&referral, &mark}, func() error {
		s.marks[referral] = append(s.marks[referral], mark)
		return nil
	})
	return err
}

// history is the events of one referral, whom they name, and which of them are fresh.
type history struct {
	referral store.Referral
	events   []*delius.Event
	crns     []store.CRN
	noms     []store.NOMS
	fresh    []projector.Fresh
}

// name notes whom an event names.
func (h *history) name(e *store.Event) {
	if e.CRN != "" && !slices.Contains(h.crns, e.CRN) {
		h.crns = append(h.crns, e.CRN)
	}
	if e.NOMS != "" && !slices.Contains(h.noms, e.NOMS) {
		h.noms = append(h.noms, e.NOMS)
	}
}

func (s *step) histories(ctx context.Context, referrals []store.Referral) ([]history, error) {
	const query = `
		select e.referral, e.type, e.id, e.sequence, coalesce(e.crn, ''), coalesce(e.noms, ''), e.emitted, e.stored, e.body,
			(select a.sequence from projection.applied a where a.sequence = e.sequence) is null
		from projection.event e
		where e.referral = any ($1)`
	rows, err := s.tx.Query(ctx, query, referrals) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, err
	}
	all := map[store.Referral]*history{}
	for _, r := range referrals {
		all[r] = &history{referral: r}
	}
	var e store.Event
	var sequence int64
	var stored time.Time
	var fresh bool
	_, err = pgx.ForEachRow(rows, []any{&e.Referral, &e.Type, &e.ID, &sequence, &e.CRN, &e.NOMS, &e.Emitted, &stored, (*pgtype.DriverBytes)(&e.Body), &fresh}, func() error {
		h := all[e.Referral]
		e.Emitted = e.Emitted.UTC()
		if e.Type.Known() {
			h.events = append(h.events, delius.Read(&e, uint64(sequence))) //nolint:gosec // sequences are positive
			h.name(&e)
		}
		if fresh {
			h.fresh = append(h.fresh, projector.Fresh{Key: e.Key(), Sequence: uint64(sequence), Stored: stored}) //nolint:gosec // see above
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]history, 0, len(all))
	for _, h := range all {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b history) int { return a.referral.Compare(b.referral) })
	return out, nil
}

// taken is a referral that is the step's, and whose it is.
type taken struct {
	history
	owner   int64 // 0 if missing
	missing delius.Cause
	others  []int64 // whom it named besides, and who is not locked
}

// assign works out whose each referral is. Referrals of people who are locked go to
// them; a picked referral whose person is not in Delius is one of its own.
//
// Whoever has a referral that ever named somebody else is left out unless that one is
// locked as well: a step that has read fewer of its events may be writing it there.
func (s *step) assign(ctx context.Context, picked []store.Referral, locked map[int64]offender, histories []history) error {
	isPicked := map[store.Referral]bool{}
	for _, r := range picked {
		isPicked[r] = true
	}
	names, err := s.directory(ctx, histories)
	if err != nil {
		return err
	}
	var all []taken
	var others []int64
	for _, h := range histories {
		id, missing := names.resolve(h.events)
		_, isLocked := locked[id]
		switch {
		case isLocked, missing != "" && isPicked[h.referral]:
			t := taken{h, id, missing, names.others(&h, locked)}
			all, others = append(all, t), append(others, t.others...)
		case isPicked[h.referral]:
			s.skipped = true
		}
	}
	held, err := s.lockOthers(ctx, others)
	if err != nil {
		return err
	}
	s.give(all, locked, held)
	return nil
}

// lockOthers locks offenders whom referrals of locked people name. There are none but
// where a referral's person has changed, and another referral of that person was picked.
func (s *step) lockOthers(ctx context.Context, others []int64) (map[int64]bool, error) {
	held := map[int64]bool{}
	if len(others) == 0 {
		return held, nil
	}
	query := "select offender_id from delius.offender where offender_id = any ($1)"
	if !s.dry {
		query += " order by offender_id for no key update skip locked"
	}
	rows, err := s.tx.Query(ctx, query, others) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, err
	}
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		held[id] = true
		return nil
	})
	return held, err
}

// give makes people of referrals, but for those who name somebody who is not held.
func (s *step) give(all []taken, locked map[int64]offender, held map[int64]bool) {
	owned, left := map[int64]*projector.Person{}, map[int64]bool{}
	var none []projector.Person
	for _, t := range all {
		switch {
		case slices.ContainsFunc(t.others, func(id int64) bool { return !held[id] }):
			left[t.owner], s.skipped = true, true
		case t.missing != "":
			p := projector.Person{Missing: t.missing}
			s.addHistory(&p, t.history)
			none = append(none, p)
		default:
			if owned[t.owner] == nil {
				owned[t.owner] = &projector.Person{OffenderID: t.owner, CRN: string(locked[t.owner].crn)}
			}
			s.addHistory(owned[t.owner], t.history)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(owned)) {
		if !left[id] {
			s.people = append(s.people, *owned[id])
		}
	}
	s.people = append(s.people, none...)
}

func (s *step) addHistory(p *projector.Person, h history) {
	p.Waits = p.Waits || len(s.marks[h.referral]) > 0
	p.Referrals = append(p.Referrals, h.referral)
	p.Events = append(p.Events, h.events...)
	p.Fresh = append(p.Fresh, h.fresh...)
}

// directory is the offenders whom histories name, locked or not.
type directory struct {
	byCRN  map[store.CRN]int64
	byNOMS map[store.NOMS][]int64
}

func (s *step) directory(ctx context.Context, histories []history) (directory, error) {
	d := directory{map[store.CRN]int64{}, map[store.NOMS][]int64{}}
	crns, noms := map[store.CRN]bool{}, map[store.NOMS]bool{}
	for i := range histories {
		for _, crn := range histories[i].crns {
			crns[crn] = true
		}
		for _, number := range histories[i].noms {
			noms[number] = true
		}
	}
	all, err := s.offenders(ctx, sqlOffenders, slices.Collect(maps.Keys(crns)), slices.Collect(maps.Keys(noms)))
	if err != nil {
		return d, err
	}
	for _, o := range all {
		d.byCRN[o.crn] = o.id
		d.byNOMS[o.noms] = append(d.byNOMS[o.noms], o.id)
	}
	return d, nil
}

// others are the offenders whom any event of a referral named, but for the locked.
func (d directory) others(h *history, locked map[int64]offender) (out []int64) {
	note := func(ids ...int64) {
		for _, id := range ids {
			if _, had := locked[id]; !had {
				out = append(out, id)
			}
		}
	}
	for _, crn := range h.crns {
		if id, there := d.byCRN[crn]; there {
			note(id)
		}
	}
	for _, number := range h.noms {
		note(d.byNOMS[number]...)
	}
	return out
}

// resolve says whose a referral is, or why nobody's.
func (d directory) resolve(events []*delius.Event) (int64, delius.Cause) {
	crn, noms := delius.Identity(events)
	if crn != "" {
		if id, ok := d.byCRN[crn]; ok {
			return id, ""
		}
		return 0, delius.PersonNotFound
	}
	switch ids := d.byNOMS[noms]; {
	case noms == "" || len(ids) == 0:
		return 0, delius.PersonNotFound
	case len(ids) > 1:
		return 0, delius.PersonAmbiguous
	default:
		return ids[0], ""
	}
}
