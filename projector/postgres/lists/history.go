package lists

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres/failing"
	"casdelius/projector/postgres/tx"
	"casdelius/store"
)

// PersonHistory is the history of the person with a CRN. The error is
// [inspect.ErrNoHistory] if no event is that person's.
func (l *Lists) PersonHistory(ctx context.Context, crn store.CRN) (inspect.History, error) {
	naming, err := l.Finder.ReferralsNaming(ctx, []store.CRN{crn})
	if err != nil {
		return inspect.History{}, err
	}
	history, err := l.history(ctx, naming, func(p *projector.Person) bool {
		return p.CRN == crn || slices.ContainsFunc(p.Merged, func(o delius.Offender) bool { return o.CRN == crn })
	})
	if err == nil && len(history.Events)+len(history.Unseen) == 0 {
		err = fmt.Errorf("%w of %s", inspect.ErrNoHistory, crn)
	}
	return history, err
}

// ReferralHistory is the history of the person whose referral this is, with all their
// referrals.
func (l *Lists) ReferralHistory(ctx context.Context, referral store.Referral) (inspect.History, error) {
	history, err := l.history(ctx, []store.Referral{referral}, func(p *projector.Person) bool {
		return slices.Contains(p.Referrals, referral)
	})
	if err == nil && len(history.Events)+len(history.Unseen) == 0 {
		err = fmt.Errorf("%w of referral %s", inspect.ErrNoHistory, referral)
	}
	return history, err
}

// history is that of the person who is meant, of the people of some referrals. Where not all
// of these can be looked at it is that of the others.
func (l *Lists) history(ctx context.Context, referrals []store.Referral, meant func(*projector.Person) bool) (inspect.History, error) {
	history, err := l.look(ctx, referrals, meant)
	var unseen []inspect.Failing
	if unexpected(ctx, err) {
		var seen []store.Referral
		for _, referral := range referrals {
			if _, err := l.look(ctx, []store.Referral{referral}, meant); unexpected(ctx, err) {
				unseen = append(unseen, inspect.Failing{Referral: referral, Problem: failing.Problem(err)})
			} else {
				seen = append(seen, referral)
			}
		}
		history, err = l.look(ctx, seen, meant)
	}
	if err != nil {
		return history, err
	}
	history.Unseen = unseen
	history.Failing, err = l.Failing.List(ctx, append(slices.Clone(history.Referrals), referralsOf(unseen)...))
	return history, err
}

// unexpected says whether an error may be one of somebody's own.
func unexpected(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, projector.ErrRetry) && !errors.Is(err, projector.ErrDenied)
}

func referralsOf(all []inspect.Failing) []store.Referral {
	out := make([]store.Referral, len(all))
	for i := range all {
		out[i] = all[i].Referral
	}
	return out
}

// look looks at the people of some referrals without locking them, and tells about
// the one that is meant. A person who is not in Delius is one for each referral: these
// are told as one.
func (l *Lists) look(ctx context.Context, referrals []store.Referral, meant func(*projector.Person) bool) (inspect.History, error) {
	look, err := l.Steps.Open(ctx, projector.Selection{Referrals: referrals, DryRun: true})
	if err != nil {
		return inspect.History{}, err
	}
	defer look.Rollback(ctx)
	var who projector.Person
	for _, p := range look.People() {
		if meant(&p) {
			who.Ownership, who.Merged, who.Via = p.Ownership, p.Merged, p.Via
			who.Referrals = append(who.Referrals, p.Referrals...)
			who.Events = append(who.Events, p.Events...)
			who.Marks = append(who.Marks, p.Marks...)
			if p.Hold != nil {
				who.Hold = p.Hold
			}
		}
	}
	if len(who.Referrals) == 0 {
		return inspect.History{}, nil
	}
	subjects := []projector.Subject{{Person: who, Desired: delius.Fold(slices.Clone(who.Events))}}
	refs, err := look.LoadCurrent(ctx, subjects)
	if err != nil {
		return inspect.History{}, err
	}
	is := &subjects[0]
	history := inspect.History{
		Owner: who.Ownership, Referrals: who.Referrals, Current: is.Current,
		Outcome: delius.Diff(is.Desired, is.Current, refs), Due: len(who.Marks) > 0, Hold: who.Hold,
	}
	if who.Hold != nil {
		history.Outcome = who.Hold.Outcome(who.Referrals)
	}
	if history.Events, err = recorded(ctx, look.Tx(), who.Referrals); err != nil {
		return inspect.History{}, fmt.Errorf("reading events: %w", tx.Translate(err))
	}
	if history.Edits, err = editsOf(ctx, look.Tx(), &is.Current); err != nil {
		return inspect.History{}, fmt.Errorf("reading who edited rows: %w", tx.Translate(err))
	}
	history.Conflicts, err = conflictsOf(ctx, look.Tx(), is)
	return history, err
}

// editsOf reads who had changed rows before they were last written.
func editsOf(ctx context.Context, transaction pgx.Tx, current *delius.Current) (inspect.Edits, error) {
	is := inspect.Edits{Contacts: map[int64]inspect.Edit{}, Addresses: map[int64]inspect.Edit{}}
	var contacts, addresses []int64
	for i := range current.Contacts {
		contacts = append(contacts, current.Contacts[i].ID)
	}
	for i := range current.Addresses {
		addresses = append(addresses, current.Addresses[i].ID)
	}
	rows, err := transaction.Query(ctx, `
		select true, contact_id, edited_user, case when isfinite(edited_at) then edited_at end
		from projection.contact_fingerprint where contact_id = any ($1) and edited_user is not null
		union all
		select false, offender_address_id, edited_user, case when isfinite(edited_at) then edited_at end
		from projection.address_fingerprint where offender_address_id = any ($2) and edited_user is not null`, contacts, addresses)
	if err != nil {
		return is, err
	}
	type edited struct {
		contact   bool
		row, user int64
		at        *time.Time
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e edited, err error) {
		err = row.Scan(&e.contact, &e.row, &e.user, &e.at)
		return e, err
	})
	for _, e := range all {
		of := is.Addresses
		if e.contact {
			of = is.Contacts
		}
		of[e.row] = inspect.Edit{User: e.user, At: orZero(e.at)}
	}
	return is, err
}

// recorded reads the events of referrals with the times at which they passed.
func recorded(ctx context.Context, transaction pgx.Tx, referrals []store.Referral) ([]inspect.Recorded, error) {
	rows, err := transaction.Query(ctx, `
		select e.referral, e.type, e.id, e.sequence, coalesce(e.crn, ''), coalesce(e.noms, ''), e.emitted, e.occurred, e.received, e.stored,
			e.source, e.body, a.applied
		from projection.event e left join projection.applied a using (sequence)
		where e.referral = any ($1)`, referrals)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (inspect.Recorded, error) {
		var e store.Event
		var sequence int64
		var stored time.Time
		var occurred, received, applied *time.Time
		err := row.Scan(&e.Referral, &e.Type, &e.ID, &sequence, &e.CRN, &e.NOMS, &e.Emitted, &occurred, &received, &stored, &e.Source, &e.Body, &applied)
		e.Emitted, e.Occurred, e.Received = e.Emitted.UTC(), orZero(occurred), orZero(received)
		return inspect.Recorded{
			Event:  delius.Read(&e, uint64(sequence)), //nolint:gosec // sequences are positive
			Stored: stored.UTC(), Applied: orZero(applied),
		}, err
	})
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// conflictsOf lists the conflicts of a person's contacts and addresses, whoever had
// them at the time.
func conflictsOf(ctx context.Context, transaction pgx.Tx, s *projector.Subject) ([]inspect.Conflict, error) {
	var urns []string
	for i := range s.Desired.Contacts {
		urns = append(urns, s.Desired.Contacts[i].URN)
	}
	var addresses []int64
	for i := range s.Current.Addresses {
		addresses = append(addresses, s.Current.Addresses[i].ID)
	}
	return conflicts(ctx, transaction, "urn <> '' and urn = any ($1) or offender_address_id = any ($2) order by at, conflict_id", urns, addresses)
}
