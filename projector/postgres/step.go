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
}

// Begin starts a step: it finds the people of the picked referrals, locks them, and
// reads their histories. Every offender that any event of a referral ever named is
// locked, so that a referral whose person has changed is locked on both.
//
// Offenders that somebody else has locked are left out; they stay due.
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

func (s *step) readMarks(ctx context.Context, referrals []store.Referral) error {
	rows, err := s.tx.Query(ctx, "select referral, mark from projection.due where referral = any ($1)", referrals) //nolint:rowserrcheck // ForEachRow checks it
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

// history is the events of one referral, and which of them are fresh.
type history struct {
	referral store.Referral
	events   []*delius.Event
	fresh    []projector.Fresh
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

// assign works out whose each referral is. Referrals of people who are locked go to
// them; a picked referral whose person is not in Delius is one of its own.
func (s *step) assign(ctx context.Context, picked []store.Referral, locked map[int64]offender, histories []history) error {
	isPicked := map[store.Referral]bool{}
	for _, r := range picked {
		isPicked[r] = true
	}
	byCRN, byNOMS, err := s.known(ctx, histories)
	if err != nil {
		return err
	}
	owned := map[int64]*projector.Person{}
	var none []projector.Person
	for _, h := range histories {
		id, missing := resolve(h.events, byCRN, byNOMS)
		o, isLocked := locked[id]
		switch {
		case missing != "" && isPicked[h.referral]:
			p := projector.Person{Missing: missing}
			addHistory(&p, h)
			none = append(none, p)
		case missing != "":
		case isLocked:
			if owned[id] == nil {
				owned[id] = &projector.Person{OffenderID: id, CRN: string(o.crn)}
			}
			addHistory(owned[id], h)
		case isPicked[h.referral]:
			s.skipped = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(owned)) {
		s.people = append(s.people, *owned[id])
	}
	s.people = append(s.people, none...)
	return nil
}

func addHistory(p *projector.Person, h history) {
	p.Referrals = append(p.Referrals, h.referral)
	p.Events = append(p.Events, h.events...)
	p.Fresh = append(p.Fresh, h.fresh...)
}

// known finds the offenders whom the histories name, locked or not.
func (s *step) known(ctx context.Context, histories []history) (map[store.CRN]int64, map[store.NOMS][]int64, error) {
	var crns, noms []string
	for _, h := range histories {
		crn, number := delius.Identity(h.events)
		if crn != "" {
			crns = append(crns, string(crn))
		}
		if number != "" {
			noms = append(noms, string(number))
		}
	}
	all, err := s.offenders(ctx, sqlOffenders, crns, noms)
	if err != nil {
		return nil, nil, err
	}
	byCRN, byNOMS := map[store.CRN]int64{}, map[store.NOMS][]int64{}
	for _, o := range all {
		byCRN[o.crn] = o.id
		byNOMS[o.noms] = append(byNOMS[o.noms], o.id)
	}
	return byCRN, byNOMS, nil
}

// resolve says whose a referral is, or why nobody's.
func resolve(events []*delius.Event, byCRN map[store.CRN]int64, byNOMS map[store.NOMS][]int64) (int64, delius.Cause) {
	crn, noms := delius.Identity(events)
	if crn != "" {
		if id, ok := byCRN[crn]; ok {
			return id, ""
		}
		return 0, delius.PersonNotFound
	}
	switch ids := byNOMS[noms]; {
	case noms == "" || len(ids) == 0:
		return 0, delius.PersonNotFound
	case len(ids) > 1:
		return 0, delius.PersonAmbiguous
	default:
		return ids[0], ""
	}
}
