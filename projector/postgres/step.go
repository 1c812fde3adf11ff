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
	parked  map[store.Referral]bool    // those that have something parked; known only where one looks
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
	isolation, settings := committed, byKeys(len(pick.Referrals))
	if pick.DryRun {
		isolation = snapshot
	}
	if !pick.PutBack.IsZero() {
		settings = byKey
	}
	tx, err := db.beginTx(ctx, isolation, settings)
	if err != nil {
		return nil, err
	}
	s := &step{db: db, tx: tx, dry: pick.DryRun, marks: map[store.Referral][]int64{}, parked: map[store.Referral]bool{}}
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
	picked, named, err := s.pick(ctx, pick)
	if err != nil || len(picked) == 0 {
		return err
	}
	locked, known, err := s.lock(ctx, named)
	if err != nil {
		return err
	}
	if err := s.claim(ctx, picked, known); err != nil {
		return err
	}
	histories, err := s.histories(ctx, picked, locked)
	if err != nil {
		return err
	}
	if err := s.lookUp(ctx, histories, &known); err != nil {
		return err
	}
	return s.assign(ctx, picked, locked, known, histories)
}

// name is what one event, or several, call a person: by CRN, NOMS number or both.
type name struct {
	crn  store.CRN
	noms store.NOMS
}

// names are CRNs and NOMS numbers to look up.
type names struct {
	crns map[store.CRN]bool
	noms map[store.NOMS]bool
}

func (n *names) add(who name) {
	if n.crns == nil {
		n.crns, n.noms = map[store.CRN]bool{}, map[store.NOMS]bool{}
	}
	if who.crn != "" {
		n.crns[who.crn] = true
	}
	if who.noms != "" {
		n.noms[who.noms] = true
	}
}

// pick lists the referrals that the step begins with, and whom each of them names.
func (s *step) pick(ctx context.Context, pick projector.Pick) (picked map[store.Referral][]name, all names, err error) {
	picked = map[store.Referral][]name{}
	query := `
		select p.referral, coalesce(i.crn::text, ''), coalesce(i.noms::text, '')
		from unnest($1::uuid[]) p (referral) left join projection.identity i using (referral)`
	if pick.Due {
		query += " where (select mark from projection.due d where d.referral = p.referral limit 1) is not null"
	}
	rows, err := s.tx.Query(ctx, query, pick.Referrals) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return picked, all, err
	}
	var referral store.Referral
	var who name
	_, err = pgx.ForEachRow(rows, []any{&referral, &who.crn, &who.noms}, func() error {
		picked[referral] = append(picked[referral], who)
		all.add(who)
		return nil
	})
	return picked, all, err
}

type offender struct {
	id   int64
	crn  store.CRN
	noms store.NOMS
}

// lock locks the offenders that the picked referrals name. It gives those it could lock,
// and all of them.
func (s *step) lock(ctx context.Context, named names) (map[int64]offender, directory, error) {
	locked := map[int64]offender{}
	known := directory{asked: named, byCRN: map[store.CRN]int64{}, byNOMS: map[store.NOMS][]int64{}}
	var b pgx.Batch
	if !s.dry {
		queueOffenders(&b, named, " for no key update skip locked", func(o offender) { locked[o.id] = o })
	}
	queueOffenders(&b, named, "", func(o offender) {
		known.add(o)
		if s.dry {
			locked[o.id] = o
		}
	})
	return locked, known, s.tx.SendBatch(ctx, &b).Close()
}

func queueOffenders(b *pgx.Batch, named names, locking string, take func(offender)) {
	b.Queue(`
		select offender_id, crn, coalesce(noms_number, '') from delius.offender
		where soft_deleted = 0 and (crn = any ($1::bpchar[]) or noms_number = any ($2::bpchar[]))`+locking,
		slices.Sorted(maps.Keys(named.crns)), slices.Sorted(maps.Keys(named.noms))).Query(func(rows pgx.Rows) error {
		var o offender
		_, err := pgx.ForEachRow(rows, []any{&o.id, &o.crn, &o.noms}, func() error {
			take(o)
			return nil
		})
		return err
	})
}

// claim keeps out of the step the picked referrals of nobody in Delius that another step
// has. Nobody is locked for them, and of two steps the one that has read less could be the
// last to write what is parked.
func (s *step) claim(ctx context.Context, picked map[store.Referral][]name, known directory) error {
	var unowned []store.Referral
	for referral, named := range picked {
		if !slices.ContainsFunc(named, known.has) {
			unowned = append(unowned, referral)
		}
	}
	if s.dry || len(unowned) == 0 {
		return nil
	}
	rows, err := s.tx.Query(ctx, "select r from unnest($1::uuid[]) r where not pg_try_advisory_xact_lock($2, hashtext(r::text))", unowned, unownedLock)
	if err != nil {
		return err
	}
	taken, err := pgx.CollectRows(rows, pgx.RowTo[store.Referral])
	for _, referral := range taken {
		delete(picked, referral)
		s.skipped = true
	}
	return err
}

// unownedLock is the class of the advisory locks of referrals of nobody.
const unownedLock = 0x63617364 // "casd"

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

// sqlHistories reads the histories of referrals that name any of these people and of the
// picked, and who of them is due. It is one statement: an event that is committed later
// keeps its mark. Whoever only looks is told who has something parked as well: it may have
// to go.
func sqlHistories(dry bool) string {
	parked := "false"
	if dry {
		parked = "exists (select from projection.parked p where p.referral = u.referral)"
	}
	return `
		with mine as materialized (
			select referral, array(select mark from projection.due d where d.referral = u.referral) as marks, ` + parked + ` as parked
			from (
				select referral from projection.identity where crn = any ($1::bpchar[]) and crn <> ''
				union select referral from projection.identity where noms = any ($2::bpchar[]) and noms <> ''
				union select unnest($3::uuid[])
			) u
		)
		select m.referral, m.marks, m.parked, e.type, e.id, e.sequence, coalesce(e.crn, ''), coalesce(e.noms, ''), e.emitted, e.stored, e.body,
			(select a.sequence from projection.applied a where a.sequence = e.sequence) is null
		from mine m left join projection.event e using (referral)`
}

// histories reads the histories of the picked referrals and of all that may be those of
// locked offenders, and who of them is due.
func (s *step) histories(ctx context.Context, picked map[store.Referral][]name, locked map[int64]offender) ([]history, error) {
	var crns, noms []string
	for _, o := range locked {
		crns = append(crns, string(o.crn))
		if o.noms != "" {
			noms = append(noms, string(o.noms))
		}
	}
	rows, err := s.tx.Query(ctx, sqlHistories(s.dry), crns, noms, slices.Collect(maps.Keys(picked))) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, err
	}
	all := map[store.Referral]*history{}
	var e store.Event
	var marked []int64
	var eventType, id *string
	var sequence *int64
	var emitted, stored *time.Time
	var parked, fresh bool
	_, err = pgx.ForEachRow(rows, []any{
		&e.Referral, &marked, &parked, &eventType, &id, &sequence, &e.CRN, &e.NOMS, &emitted, &stored, (*pgtype.DriverBytes)(&e.Body), &fresh,
	}, func() error {
		h := all[e.Referral]
		if h == nil {
			h = &history{referral: e.Referral}
			all[e.Referral], s.marks[e.Referral], s.parked[e.Referral] = h, slices.Clone(marked), parked
		}
		if sequence == nil {
			return nil // there are no events
		}
		e.Type, e.ID, e.Emitted = store.Type(*eventType), *id, emitted.UTC()
		if e.Type.Known() {
			h.events = append(h.events, delius.Read(&e, uint64(*sequence))) //nolint:gosec // sequences are positive
			h.name(&e)
		}
		if fresh {
			h.fresh = append(h.fresh, projector.Fresh{Key: e.Key(), Sequence: uint64(*sequence), Stored: *stored}) //nolint:gosec // see above
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
func (s *step) assign(ctx context.Context, picked map[store.Referral][]name, locked map[int64]offender, known directory, histories []history) error {
	var all []taken
	var others []int64
	for _, h := range histories {
		id, missing := known.resolve(h.events)
		_, isLocked := locked[id]
		switch {
		case isLocked, missing != "" && picked[h.referral] != nil:
			t := taken{h, id, missing, known.others(&h, locked)}
			all, others = append(all, t), append(others, t.others...)
		case picked[h.referral] != nil:
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
		query += " for no key update skip locked"
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
	p.Waits = p.Waits || len(s.marks[h.referral]) > 0 || s.parked[h.referral]
	p.Referrals = append(p.Referrals, h.referral)
	p.Events = append(p.Events, h.events...)
	p.Fresh = append(p.Fresh, h.fresh...)
}

// directory is the offenders who have names that were asked for, locked or not.
type directory struct {
	asked  names
	byCRN  map[store.CRN]int64
	byNOMS map[store.NOMS][]int64
}

func (d *directory) add(o offender) {
	d.byCRN[o.crn] = o.id
	if o.noms != "" && !slices.Contains(d.byNOMS[o.noms], o.id) {
		d.byNOMS[o.noms] = append(d.byNOMS[o.noms], o.id)
	}
}

// has says whether anybody is called that.
func (d *directory) has(who name) bool {
	_, byCRN := d.byCRN[who.crn]
	return byCRN || len(d.byNOMS[who.noms]) > 0
}

// lookUp looks up whom histories name besides those that were asked for.
func (s *step) lookUp(ctx context.Context, histories []history, known *directory) error {
	var more names
	for i := range histories {
		for _, crn := range histories[i].crns {
			if !known.asked.crns[crn] {
				more.add(name{crn: crn})
			}
		}
		for _, noms := range histories[i].noms {
			if !known.asked.noms[noms] {
				more.add(name{noms: noms})
			}
		}
	}
	if len(more.crns)+len(more.noms) == 0 {
		return nil
	}
	var b pgx.Batch
	queueOffenders(&b, more, "", known.add)
	return s.tx.SendBatch(ctx, &b).Close()
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
