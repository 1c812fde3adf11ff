// Package write is the one writer: nothing else writes Delius. It is handed what was decided
// for some people, of whom a step has locked the offenders, and writes it set by set, with the
// ledger, the fingerprints, the audit, the notices and the marks, in the step's transaction.
//
//	lock the rows as they were read → number new ones → write everything in one round trip → commit
//
// # Locks
//
// The contact and address rows that are about to be written are locked FOR NO KEY UPDATE SKIP
// LOCKED, provided that they still are what was read. Before an address is written, all of
// that person's are held against what was read as well. Whoever has a row that could not be
// had is deferred. So no statement waits for a person, a contact or an address. The foreign
// keys of a row that is written may: for a member of staff or a team, say, that somebody has
// locked FOR UPDATE. If that transaction waits for us as well, it is we who give up: the lock
// timeout is half of the second after which PostgreSQL looks for deadlocks, and ends whoever
// looked first. Rows of the projector's own tables are written in the order of their keys
// everywhere.
//
// Notices of address rows are kept where the setting says so, which is read under an advisory
// lock that all writers share. Whoever turns it waits for them, and they for a moment for that.
//
// Nothing else keeps two contacts under one URN apart: Delius has no unique index there. The
// ledger has, and an entry that was not there when a step began is inserted, never replaced,
// so of two steps that would both insert a contact one runs again.
package write

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres/foldversion"
	"casdelius/projector/postgres/orders"
	"casdelius/projector/postgres/people"
	"casdelius/projector/postgres/rows"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
	"casdelius/store/failpoint"
)

// Apply writes decisions in the transaction of a step and commits it, unless a newer fold than
// this program's has written; see package foldversion. It does so with a fixed number of
// statements, however many people. Rows and ledger entries are written in one order
// everywhere, that of their keys, so that two projectors never wait for each other in a
// circle. What was decided is not changed: the numbers of new rows are in what comes back.
//
// What is written for an order, which may be nil, is written for all of these people or for
// nobody.
func Apply(ctx context.Context, transaction pgx.Tx, config *Config, decisions []projector.Decision, order *projector.Order, now time.Time) (projector.Applied, error) {
	if len(decisions) == 0 && order == nil {
		return projector.Applied{}, nil
	}
	kept, err := lockRows(ctx, transaction, decisions)
	if err != nil {
		return projector.Applied{}, fmt.Errorf("locking rows: %w", tx.Translate(err))
	}
	if order != nil && len(kept) < len(decisions) {
		return projector.Applied{}, ErrNotAll
	}
	w := writer{config: config, tx: transaction, order: order, now: now.UTC().Truncate(time.Microsecond)}
	for i := range kept {
		w.collect(&kept[i])
	}
	if err := w.number(ctx); err != nil {
		return projector.Applied{}, fmt.Errorf("drawing row numbers: %w", tx.Translate(err))
	}
	if err := w.send(ctx); err != nil {
		tx.Rollback(ctx, transaction)
		return projector.Applied{}, fmt.Errorf("writing %d people: %w", len(kept), tx.Translate(config.Fold.Settle(ctx, err)))
	}
	if err := failpoint.Around(ctx, failpoint.Commit, func() error { return transaction.Commit(ctx) }); err != nil {
		return projector.Applied{}, fmt.Errorf("committing %d people: %w", len(kept), tx.Translate(err))
	}
	return projector.Applied{People: kept, Deferred: len(decisions) - len(kept), Inserted: w.inserted(), Notices: w.kept}, nil
}

// ErrNotAll is the error of an order of whose people somebody else has locked or changed
// something: it may be tried again.
var ErrNotAll = fmt.Errorf("%w: somebody else has locked a person or a row that is to be written", projector.ErrRetry)

// Config is what every write needs.
type Config struct {
	Fixed              rows.Fixed
	RetryMin, RetryMax time.Duration // pauses of what is parked, and of people who fail
	Fold               foldversion.Guard
}

// writer is everything that a step writes, collected from its people. Rows and entries are
// copies: they get their numbers and times here.
type writer struct {
	config *Config
	tx     pgx.Tx
	order  *projector.Order // nil for none
	now    time.Time

	insertedContacts          []insertedContact
	insertedAddresses         []insertedAddress
	contacts, wholeContacts   []delius.ContactRow // to update: what the events decide, or every column
	addresses, wholeAddresses []delius.AddressRow
	audits                    []audit
	editedContacts            edits // of those that are updated
	editedAddresses           edits

	appliedContacts    []known[delius.AppliedContact]
	appliedAddresses   []known[delius.AppliedAddress]
	terms              []delius.AppliedTerm
	released           []store.Referral
	forgottenContacts  []string
	forgottenAddresses []int64
	fingerprints       fingerprints
	notices            []notice
	kept               int // of the notices: all, or none where the setting is off

	conflicts []conflict
	parked    []delius.Parked
	referrals []store.Referral // that were seen whole
	marks     []int64
	applied   []int64
	left      []int64 // live people whom a row has left: where they live is to be decided again
}

// known is an entry of the ledger that is written, with the row of the one that was there.
type known[Entry any] struct {
	entry Entry
	was   int64
	there bool
}

type insertedContact struct {
	row     delius.ContactRow
	applied known[delius.AppliedContact]
}

type insertedAddress struct {
	row     delius.AddressRow
	applied known[delius.AppliedAddress]
	term    delius.AppliedTerm
	fields  []delius.Field // why
}

type conflict struct {
	delius.Conflict
	crn string
}

// audit is one interaction: a contact that is inserted or changed.
type audit struct{ interaction, user, contact, offender int64 }

func (w *writer) collect(d *projector.Decision) {
	if len(d.Outcome.Lost) > 0 {
		return // nothing may be written, and the mark stays
	}
	for _, c := range d.Outcome.Changes {
		w.change(d, c)
	}
	w.collectLedger(d)
	for _, c := range d.Outcome.Conflicts {
		w.conflicts = append(w.conflicts, conflict{c, string(d.Person.CRN)})
	}
	w.parked = append(w.parked, d.Outcome.Parked...)
	w.referrals = append(w.referrals, d.Person.Referrals...)
	w.marks = append(w.marks, d.Person.Marks...)
	for _, f := range d.Applied {
		w.applied = append(w.applied, int64(f.Sequence)) //nolint:gosec // sequences fit
	}
}

func (w *writer) change(d *projector.Decision, change delius.Change) {
	if from := movedFrom(change); from != 0 && !d.Current.MergedAway(from) {
		w.left = append(w.left, from)
	}
	switch c := change.(type) {
	case *delius.InsertContact:
		row, user := c.Row, w.config.Fixed.User(c.Kind.Service)
		row.Created, row.Updated, row.CreatedBy, row.UpdatedBy = w.now, w.now, user, user
		w.insertedContacts = append(w.insertedContacts, insertedContact{row, knownContact(d, c.Applied)})
	case *delius.UpdateContact:
		row, user := c.Row, w.config.Fixed.User(c.Kind.Service)
		row.Version, row.Updated = c.Was.Version+1, w.touched(c.Was.Updated)
		if !c.Repair {
			row.UpdatedBy = user
			if !w.ours(c.Was.UpdatedBy) {
				w.editedContacts.add(row.ID, c.Was.UpdatedBy, c.Was.Updated)
			}
		}
		w.audits = append(w.audits, audit{w.config.Fixed.Changed, user, row.ID, row.OffenderID})
		w.contacts, w.wholeContacts = appendTo(w.contacts, w.wholeContacts, c.Whole, row)
	case *delius.InsertAddress:
		row, user := c.Row, w.config.Fixed.CAS3
		row.Created, row.Updated, row.CreatedBy, row.UpdatedBy = w.now, w.now, user, user
		w.insertedAddresses = append(w.insertedAddresses, insertedAddress{row, knownAddress(d, c.Applied), termOf(d, c.Applied.Booking), c.Fields})
	case *delius.UpdateAddress:
		row := c.Row
		row.Updated = w.touched(c.Was.Updated)
		if !c.Repair {
			row.UpdatedBy = w.config.Fixed.CAS3
			if !w.ours(c.Was.UpdatedBy) {
				w.editedAddresses.add(row.ID, c.Was.UpdatedBy, c.Was.Updated)
			}
		}
		w.addresses, w.wholeAddresses = appendTo(w.addresses, w.wholeAddresses, c.Whole, row)
		w.noteUpdate(c)
	}
}

// ours says whether a user is one by whom services of ours write; nobody is as good.
func (w *writer) ours(user int64) bool {
	return user == 0 || user == w.config.Fixed.User(store.CAS2) || user == w.config.Fixed.CAS3
}

// movedFrom is on whom an address row stood that a change gives to somebody else; 0 of any
// other change.
func movedFrom(change delius.Change) int64 {
	if c, ok := change.(*delius.UpdateAddress); ok && c.Was.OffenderID != c.Row.OffenderID {
		return c.Was.OffenderID
	}
	return 0
}

func appendTo[R any](rows, whole []R, isWhole bool, row R) ([]R, []R) {
	if isWhole {
		return rows, append(whole, row)
	}
	return append(rows, row), whole
}

// touched is the time of an update of a row: now, or a microsecond after what stands, where a
// clock runs behind. What stands may be any time at all.
func (w *writer) touched(was time.Time) time.Time {
	if was.Before(w.now) || was.Year() > 9999 {
		return w.now
	}
	return was.Add(time.Microsecond)
}

// termOf is the status and end of the address of a stay that is inserted.
func termOf(d *projector.Decision, booking store.Referral) delius.AppliedTerm {
	for _, t := range d.Outcome.AppliedTerms {
		if t.AddressID == 0 && t.Booking == booking {
			return t
		}
	}
	return delius.AppliedTerm{}
}

func (w *writer) collectLedger(d *projector.Decision) {
	for _, a := range d.Outcome.AppliedContacts {
		w.appliedContacts = append(w.appliedContacts, knownContact(d, a))
	}
	for _, a := range d.Outcome.AppliedAddresses {
		w.appliedAddresses = append(w.appliedAddresses, knownAddress(d, a))
	}
	for _, t := range d.Outcome.AppliedTerms {
		if t.AddressID != 0 {
			w.terms = append(w.terms, t)
		}
	}
	w.released = append(w.released, d.Outcome.Released...)
	repaired := &d.Outcome.Repaired
	w.forgottenContacts = append(w.forgottenContacts, repaired.ForgottenContacts...)
	w.forgottenAddresses = append(w.forgottenAddresses, repaired.ForgottenAddresses...)
	w.fingerprints.contacts.keep(repaired.KnownContacts)
	w.fingerprints.addresses.keep(repaired.KnownAddresses)
}

// knownContact is an entry with what the person's ledger had in its place. What a repair
// forgets is not there any more.
func knownContact(d *projector.Decision, entry delius.AppliedContact) known[delius.AppliedContact] {
	was, there := d.Current.AppliedContacts[entry.URN]
	return known[delius.AppliedContact]{entry, was.ContactID, there && !slices.Contains(d.Outcome.Repaired.ForgottenContacts, entry.URN)}
}

func knownAddress(d *projector.Decision, entry delius.AppliedAddress) known[delius.AppliedAddress] {
	was, there := d.Current.AppliedAddresses[entry.Booking]
	return known[delius.AppliedAddress]{entry, was.AddressID, there && !slices.Contains(d.Outcome.Repaired.ForgottenAddresses, was.AddressID)}
}

// number gives the rows to be inserted their numbers and puts what is applied to them with the
// rest of the ledger, in the order of their keys. The addresses of one person have their numbers
// in the order in which they were lived in: among rows that are alike otherwise numbers decide.
func (w *writer) number(ctx context.Context) error {
	if len(w.insertedContacts)+len(w.insertedAddresses) == 0 {
		return nil
	}
	slices.SortFunc(w.insertedContacts, func(a, b insertedContact) int { return strings.Compare(a.row.URN, b.row.URN) })
	var b pgx.Batch
	draw(&b, "delius.contact_id_seq", len(w.insertedContacts), func(i int, id int64) {
		c := &w.insertedContacts[i]
		c.row.ID, c.applied.entry.ContactID = id, id
		w.appliedContacts = append(w.appliedContacts, c.applied)
		w.audits = append(w.audits, audit{w.config.Fixed.Inserted, c.row.CreatedBy, id, c.row.OffenderID})
	})
	draw(&b, "delius.offender_address_id_seq", len(w.insertedAddresses), func(i int, id int64) {
		a := &w.insertedAddresses[i]
		a.row.ID, a.applied.entry.AddressID, a.term.AddressID = id, id, id
	})
	err := w.tx.SendBatch(ctx, &b).Close()
	slices.SortFunc(w.insertedAddresses, func(a, b insertedAddress) int { return a.applied.entry.Booking.Compare(b.applied.entry.Booking) })
	for i := range w.insertedAddresses {
		w.appliedAddresses = append(w.appliedAddresses, w.insertedAddresses[i].applied)
		w.terms = append(w.terms, w.insertedAddresses[i].term)
	}
	return err
}

// inserted are the rows that were inserted, with the numbers that they got.
func (w *writer) inserted() []projector.Inserted {
	all := make([]projector.Inserted, 0, len(w.insertedContacts)+len(w.insertedAddresses))
	for i := range w.insertedContacts {
		all = append(all, projector.Inserted{URN: w.insertedContacts[i].row.URN, ID: w.insertedContacts[i].row.ID})
	}
	for i := range w.insertedAddresses {
		all = append(all, projector.Inserted{Booking: w.insertedAddresses[i].applied.entry.Booking, ID: w.insertedAddresses[i].row.ID})
	}
	return all
}

func draw(b *pgx.Batch, sequence string, n int, drawn func(i int, id int64)) {
	b.Queue("select nextval('"+sequence+"') from generate_series(1, $1)", n).Query(func(found pgx.Rows) error {
		i := 0
		var id int64
		_, err := pgx.ForEachRow(found, []any{&id}, func() error {
			drawn(i, id)
			i++
			return nil
		})
		return err
	})
}

// send writes everything in one round trip.
func (w *writer) send(ctx context.Context) error {
	var b pgx.Batch
	w.config.Fold.Queue(&b) // before any row is written: see there
	// Rows are found by their numbers whatever the plan, and foreign keys are checked with
	// plans that are worth keeping.
	b.Queue("set local plan_cache_mode = force_generic_plan")
	between(ctx, &b, failpoint.Apply, func() { w.queueRows(&b) })
	between(ctx, &b, failpoint.Ledger, func() { w.queueLedger(&b) })
	w.queueFingerprints(&b)
	w.queueConflicts(&b)
	w.queueParked(&b)
	between(ctx, &b, failpoint.Outbox, func() { w.queueNotices(ctx, &b) })
	b.Queue("delete from projection.due where mark = any (array(select mark from projection.due where mark = any ($1) order by mark for update skip locked))", w.marks)
	if len(w.left) > 0 {
		b.Queue("insert into projection.due (referral) select referral from ("+people.SQLReferralsOf("$1")+") r order by 1", w.left)
	}
	slices.Sort(w.applied)
	b.Queue("insert into projection.applied (sequence, applied) select s, $2 from unnest($1::bigint[]) s on conflict do nothing", w.applied, w.now)
	if w.order != nil {
		orders.Queue(&b, w.order)
	}
	return w.tx.SendBatch(ctx, &b).Close()
}

// between puts statements between the two moments of a failpoint.
func between(ctx context.Context, b *pgx.Batch, point failpoint.Point, queue func()) {
	failpoint.Between(ctx, point, func(now func() error) {
		b.Queue("select").Exec(func(pgconn.CommandTag) error { return now() })
	}, queue)
}

// What an ordinary update writes, and what a repair does.
var (
	contactsOfEvents  = rows.Contacts.OfEvents()
	addressesOfEvents = rows.Addresses.OfEvents()

	sqlInsertContacts, sqlUpdateContacts, sqlUpdateWholeContacts    = rows.Contacts.Insert(), contactsOfEvents.Update(), rows.Contacts.Update()
	sqlInsertAddresses, sqlUpdateAddresses, sqlUpdateWholeAddresses = rows.Addresses.Insert(), addressesOfEvents.Update(), rows.Addresses.Update()
)

func (w *writer) queueRows(b *pgx.Batch) {
	contacts := make([]delius.ContactRow, len(w.insertedContacts))
	for i := range w.insertedContacts {
		contacts[i] = w.insertedContacts[i].row
	}
	addresses := make([]delius.AddressRow, len(w.insertedAddresses))
	for i := range w.insertedAddresses {
		addresses[i] = w.insertedAddresses[i].row
	}
	queue(b, sqlInsertContacts, rows.Contacts, contacts)
	queue(b, sqlUpdateContacts, contactsOfEvents, w.contacts)
	queue(b, sqlUpdateWholeContacts, rows.Contacts, w.wholeContacts)
	w.queueAudits(b)
	queue(b, sqlInsertAddresses, rows.Addresses, addresses)
	queue(b, sqlUpdateAddresses, addressesOfEvents, w.addresses)
	queue(b, sqlUpdateWholeAddresses, rows.Addresses, w.wholeAddresses)
}

// queue writes rows by a statement of their table, if there are any.
func queue[R any](b *pgx.Batch, statement string, table rows.Table[R], all []R) {
	if len(all) > 0 {
		b.Queue(statement, table.Arrays(all)...)
	}
}

func (w *writer) queueAudits(b *pgx.Batch) {
	if len(w.audits) == 0 {
		return
	}
	interactions, users, parameters := make([]int64, len(w.audits)), make([]int64, len(w.audits)), make([]string, len(w.audits))
	for i, a := range w.audits {
		interactions[i], users[i] = a.interaction, a.user
		parameters[i] = fmt.Sprintf("contactId='%d',offenderId='%d'", a.contact, a.offender)
	}
	b.Queue(`
		insert into delius.audited_interaction (date_time, business_interaction_id, user_id, outcome, interaction_parameters)
		select $4, interaction, usr, 'P', parameters from unnest($1::bigint[], $2::bigint[], $3::text[]) as r (interaction, usr, parameters)`,
		interactions, users, parameters, w.now)
}
