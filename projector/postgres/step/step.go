// Package step is the transaction of a step: it finds the people of some referrals, locks
// them, reads their histories and what stands, and has what was decided written.
//
//	Begin        put what came → select → lock offenders → lock what is nobody's → histories → owners
//	LoadCurrent  contacts, addresses, ledger and references, in one round trip
//	Apply        package write
//
// # Locks
//
// A step locks offenders FOR NO KEY UPDATE SKIP LOCKED: the weaker lock lets others insert rows
// that refer to the person; FOR UPDATE would not, and would end in deadlocks with
// practitioners' own transactions. Who is locked by somebody else is left out. How the rows
// are locked that are written is told in package write.
//
// For a referral whose owner is nobody in Delius there is nobody to lock: an advisory lock of
// the referral takes that place.
//
// # Statements
//
// The number of statements does not depend on how many people there are: rows travel as
// arrays. What is read together goes in one batch. To read a few people, as live events come,
// plans are kept; for many, as a rebuild takes them, they are made each time.
package step

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/failing"
	"casdelius/projector/postgres/inbox"
	"casdelius/projector/postgres/people"
	"casdelius/projector/postgres/tx"
	"casdelius/projector/postgres/write"
	"casdelius/store"
	"casdelius/store/failpoint"
)

// Steps begins steps.
type Steps struct {
	DB     *tx.DB
	Config write.Config

	Failing *failing.Failing
}

// Step is one transaction over a batch of people.
type Step struct {
	config  *write.Config
	tx      pgx.Tx
	how     projector.Selection
	people  []projector.Person
	skipped bool
}

// Begin implements projector.Steps.
func (s *Steps) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	return s.Open(ctx, selection)
}

// MayWrite implements projector.Steps.
func (s *Steps) MayWrite(ctx context.Context) error { return s.Config.Fold.MayWrite(ctx) }

// Fail implements projector.Steps.
func (s *Steps) Fail(ctx context.Context, referral store.Referral, err error, keep bool, now time.Time) (projector.Failure, error) {
	failure := projector.Failure{Referral: referral, Problem: failing.Problem(err)}
	if !keep {
		return failure, nil
	}
	failure.Tries, err = s.Failing.Fail(ctx, referral, failure.Problem, now)
	return failure, err
}

// Open begins a step: it finds the people of the selected referrals, locks them, and reads
// their histories. Every offender that any event of a referral ever named is locked, so that
// a referral whose owner has changed is locked on both.
//
// Offenders that somebody else has locked are left out, and so is whoever has a referral
// that names one of them; they stay due.
func (s *Steps) Open(ctx context.Context, selection projector.Selection) (*Step, error) {
	if len(selection.CRNs)+len(selection.Offenders) > 0 {
		return nil, errors.New("a step begins with referrals: those of people have to be looked up before")
	}
	begin := s.DB.Write
	if selection.DryRun {
		begin = s.DB.Look
	}
	keys := len(selection.Referrals)
	if selection.Repair {
		keys = tx.Few + 1 // a repair looks up much of each
	}
	transaction, err := begin(ctx, keys)
	if err != nil {
		return nil, err
	}
	step := &Step{config: &s.Config, tx: transaction, how: selection}
	if err := step.begin(ctx); err != nil {
		tx.Rollback(ctx, transaction)
		return nil, fmt.Errorf("loading people: %w", tx.Translate(err))
	}
	return step, nil
}

// People implements projector.Step.
func (s *Step) People() []projector.Person { return s.people }

// Apply implements projector.Step.
func (s *Step) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	order := s.how.Order
	if order != nil && s.skipped {
		return projector.Applied{}, write.ErrNotAll
	}
	if len(decisions) == 0 && len(s.how.Messages) > 0 {
		return projector.Applied{Skipped: s.skipped}, tx.Translate(s.tx.Commit(ctx)) // they are due
	}
	applied, err := write.Apply(ctx, s.tx, s.config, decisions, order, now)
	applied.Skipped = s.skipped
	return applied, err
}

// Rollback implements projector.Step.
func (s *Step) Rollback(ctx context.Context) { tx.Rollback(ctx, s.tx) }

// Tx is the transaction, for whoever reads more of the same moment.
func (s *Step) Tx() pgx.Tx { return s.tx }

// begin puts into the inbox what the step is to put there, before it has locked anybody: for
// somebody else who puts the same there it may wait. Then it loads people.
func (s *Step) begin(ctx context.Context) (err error) {
	if err := s.checkFence(ctx); err != nil {
		return err
	}
	selected := map[store.Referral]*names{}
	if len(s.how.Messages) > 0 {
		s.tx, err = inbox.PutIn(ctx, s.tx, s.how.Messages, func(b *pgx.Batch) { s.queueSelect(b, selected) })
	} else {
		var b pgx.Batch
		s.queueSelect(&b, selected)
		err = s.tx.SendBatch(ctx, &b).Close()
	}
	if err != nil || len(selected) == 0 {
		return err
	}
	return s.load(ctx, selected)
}

func (s *Step) load(ctx context.Context, selected map[store.Referral]*names) error {
	index := newOffenderIndex(selected)
	if err := failpoint.Around(ctx, failpoint.Lock, func() error { return s.lookUp(ctx, index, &index.asked, true) }); err != nil {
		return err
	}
	if err := s.lockUnowned(ctx, selected, index); err != nil {
		return err
	}
	histories, err := s.histories(ctx, selected, index)
	if err != nil {
		return err
	}
	if err := s.lookUpNamed(ctx, histories, index); err != nil {
		return err
	}
	return s.assignOwners(ctx, selected, histories, index)
}

// checkFence ends a step of a rebuild that another one has overtaken: a process that hung while
// its lease ended must not go on where it was.
func (s *Step) checkFence(ctx context.Context) error {
	if s.how.Fence == 0 {
		return nil
	}
	valid := false
	err := s.tx.QueryRow(ctx, "select exists (select from projection.rebuild where fence = $1)", s.how.Fence).Scan(&valid)
	if err == nil && !valid {
		err = fmt.Errorf("%w: the lease of this one, number %d, is another's now", projector.ErrRebuildRunning, s.how.Fence)
	}
	return err
}

// names are whom the events of a referral name.
type names struct {
	crns []store.CRN
	noms []store.NOMS
}

func (n *names) add(crn store.CRN, noms store.NOMS) {
	if crn != "" && !slices.Contains(n.crns, crn) {
		n.crns = append(n.crns, crn)
	}
	if noms != "" && !slices.Contains(n.noms, noms) {
		n.noms = append(n.noms, noms)
	}
}

// queueSelect lists the referrals that the step begins with, and whom each of them names.
func (s *Step) queueSelect(b *pgx.Batch, selected map[store.Referral]*names) {
	query := `
		select p.referral, coalesce(i.crn::text, ''), coalesce(i.noms::text, '')
		from unnest($1::uuid[]) p (referral) left join projection.identity i using (referral)`
	if s.how.Due {
		query += " where (select mark from projection.due d where d.referral = p.referral limit 1) is not null"
	}
	b.Queue(query, s.how.Referrals).Query(func(rows pgx.Rows) error {
		var referral store.Referral
		var crn store.CRN
		var noms store.NOMS
		_, err := pgx.ForEachRow(rows, []any{&referral, &crn, &noms}, func() error {
			if selected[referral] == nil {
				selected[referral] = &names{}
			}
			selected[referral].add(crn, noms)
			return nil
		})
		return err
	})
}

// offenderIndex is the people who have names that were asked for, and who of them is locked.
type offenderIndex struct {
	delius.Offenders
	asked  people.Names
	locked map[int64]delius.Offender
}

func newOffenderIndex(selected map[store.Referral]*names) *offenderIndex {
	index := &offenderIndex{locked: map[int64]delius.Offender{}}
	for _, named := range selected {
		index.asked.Add(named.crns, named.noms)
	}
	return index
}

// named are the people whom a referral's events name.
func (o *offenderIndex) named(n *names) (ids []int64) {
	for _, crn := range n.crns {
		ids = append(ids, o.Named(crn, "")...)
	}
	for _, noms := range n.noms {
		ids = append(ids, o.Named("", noms)...)
	}
	return ids
}

// lookUp looks names up. Who could be locked is the step's, and whoever is found where it
// only looks.
func (s *Step) lookUp(ctx context.Context, index *offenderIndex, names *people.Names, locking bool) error {
	note := func(o delius.Offender) { index.locked[o.ID] = o }
	found, lock := index.Add, note
	if !locking || s.how.DryRun {
		lock = nil
	}
	if locking && s.how.DryRun {
		found = func(o delius.Offender) {
			index.Add(o)
			note(o)
		}
	}
	return people.LookUp(ctx, s.tx, names, found, lock)
}

// lockUnowned keeps out of the step the selected referrals of nobody in Delius that another
// step has. Nobody is locked for them, and of two steps the one that has read less could be
// the last to write what is parked.
func (s *Step) lockUnowned(ctx context.Context, selected map[store.Referral]*names, index *offenderIndex) error {
	var unowned []store.Referral
	for referral, named := range selected {
		if len(index.named(named)) == 0 {
			unowned = append(unowned, referral)
		}
	}
	if s.how.DryRun || len(unowned) == 0 {
		return nil
	}
	rows, err := s.tx.Query(ctx, "select r from unnest($1::uuid[]) r where not pg_try_advisory_xact_lock($2, hashtext(r::text))", unowned, unownedLock)
	if err != nil {
		return err
	}
	locked, err := pgx.CollectRows(rows, pgx.RowTo[store.Referral])
	for _, referral := range locked {
		delete(selected, referral)
		s.skipped = true
	}
	return err
}

// unownedLock is the class of the advisory locks of referrals of nobody.
const unownedLock = 0x63617364 // "casd"

// lookUpNamed looks up whom histories name besides those that were asked for.
func (s *Step) lookUpNamed(ctx context.Context, histories []history, index *offenderIndex) error {
	var more people.Names
	for i := range histories {
		more.Add(histories[i].crns, histories[i].noms)
	}
	if more.Without(&index.asked); more.Empty() {
		return nil
	}
	return s.lookUp(ctx, index, &more, false)
}

// ownedReferral is a referral that is the step's, and whose it is.
type ownedReferral struct {
	history
	delius.Ownership
	merged    []delius.Offender // who were merged into the owner
	alsoNamed []int64           // whom it concerns besides, and who is not locked
}

// concerns are all whom a referral concerns: whom its events named, who were merged into its
// owner, and on whom rows of it were put over a merge.
func (o *ownedReferral) concerns(index *offenderIndex) []int64 {
	ids := append(index.named(&o.names), o.placed...)
	for _, away := range o.merged {
		ids = append(ids, away.ID)
	}
	return ids
}

// assignOwners works out whose each referral is. Referrals of people who are locked go to
// them; a selected referral whose owner is nobody in Delius is a person of its own.
//
// Whoever has a referral that ever named somebody else is left out unless that one is
// locked as well: a step that has read fewer of its events may be writing it there. So it is
// with whoever was merged into the owner, and on whom rows stand that a merge has brought.
func (s *Step) assignOwners(ctx context.Context, selected map[store.Referral]*names, histories []history, index *offenderIndex) error {
	var all []ownedReferral
	var alsoNamed []int64
	holds := map[int64]*delius.Hold{}
	for _, h := range histories {
		if h.hold != nil {
			for _, id := range index.named(&h.names) {
				holds[id] = h.hold
			}
		}
		owner := delius.Owner(h.events, &index.Offenders)
		_, isLocked := index.locked[owner.OffenderID]
		switch {
		case isLocked, owner.Cause != "" && selected[h.referral] != nil:
			owned := ownedReferral{history: h, Ownership: owner, merged: index.Merged(owner.OffenderID)}
			owned.alsoNamed = slices.DeleteFunc(owned.concerns(index), func(id int64) bool { _, had := index.locked[id]; return had })
			all, alsoNamed = append(all, owned), append(alsoNamed, owned.alsoNamed...)
		case selected[h.referral] != nil:
			s.skipped = true
		}
	}
	locked, err := s.lockAlsoNamed(ctx, alsoNamed)
	if err != nil {
		return err
	}
	s.groupByOwner(all, locked)
	for i := range s.people {
		if p := &s.people[i]; p.Hold == nil {
			p.Hold = holds[p.OffenderID]
		}
	}
	return nil
}

// lockAlsoNamed locks offenders whom referrals of locked people name. There are none but
// where a referral's owner has changed, and another referral of that person was selected.
func (s *Step) lockAlsoNamed(ctx context.Context, ids []int64) (map[int64]bool, error) {
	locked := map[int64]bool{}
	if len(ids) == 0 {
		return locked, nil
	}
	query := "select offender_id from delius.offender where offender_id = any ($1)"
	if !s.how.DryRun {
		query += " for no key update skip locked"
	}
	rows, err := s.tx.Query(ctx, query, ids) //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, err
	}
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		locked[id] = true
		return nil
	})
	return locked, err
}

// noteVia notes what the events of a referral name, where that leads to its owner over a merge.
func (o *ownedReferral) noteVia(p *projector.Person) {
	if o.Via == "" {
		return
	}
	if p.Via == nil {
		p.Via = map[store.Referral]store.CRN{}
	}
	p.Via[o.referral] = o.Via
}

// groupByOwner makes people of referrals, but for those who name somebody who is not locked.
func (s *Step) groupByOwner(all []ownedReferral, locked map[int64]bool) {
	owners, leftOut := map[int64]*projector.Person{}, map[int64]bool{}
	var unowned []projector.Person
	for i := range all {
		owned := &all[i]
		switch {
		case slices.ContainsFunc(owned.alsoNamed, func(id int64) bool { return !locked[id] }):
			leftOut[owned.OffenderID], s.skipped = true, true
		case owned.Cause != "":
			p := projector.Person{Ownership: owned.Ownership}
			owned.addTo(&p)
			unowned = append(unowned, p)
		default:
			if owners[owned.OffenderID] == nil {
				owners[owned.OffenderID] = &projector.Person{Ownership: owned.Ownership, Merged: owned.merged}
			}
			owned.addTo(owners[owned.OffenderID])
			owned.noteVia(owners[owned.OffenderID])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		if !leftOut[id] {
			s.people = append(s.people, *owners[id])
		}
	}
	s.people = append(s.people, unowned...)
}
