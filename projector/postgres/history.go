package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

// PersonHistory is the history of the person with a CRN. It locks nothing and writes
// nothing. The error is [projector.ErrNoHistory] if no event is that person's.
func (db *Database) PersonHistory(ctx context.Context, crn store.CRN) (projector.History, error) {
	named, err := db.Named(ctx, crn)
	if err != nil {
		return projector.History{}, err
	}
	history, err := db.history(ctx, named, func(p *projector.Person) bool {
		who, _ := delius.Identity(p.Events)
		return p.CRN == string(crn) || p.Missing != "" && who == crn
	})
	if err == nil && len(history.Events) == 0 {
		err = fmt.Errorf("%w of %s", projector.ErrNoHistory, crn)
	}
	return history, err
}

// ReferralHistory is the history of the person whose referral this is, with all their
// referrals.
func (db *Database) ReferralHistory(ctx context.Context, referral store.Referral) (projector.History, error) {
	history, err := db.history(ctx, []store.Referral{referral}, func(p *projector.Person) bool {
		return slices.Contains(p.Referrals, referral)
	})
	if err == nil && len(history.Events) == 0 {
		err = fmt.Errorf("%w of referral %s", projector.ErrNoHistory, referral)
	}
	return history, err
}

// history looks at the people of some referrals without locking them, and tells about
// the one that is meant. A person who is not in Delius is one for each referral: these
// are told as one.
func (db *Database) history(ctx context.Context, referrals []store.Referral, meant func(*projector.Person) bool) (projector.History, error) {
	begun, err := db.Begin(ctx, projector.Pick{Referrals: referrals, DryRun: true})
	if err != nil {
		return projector.History{}, err
	}
	defer begun.Rollback(ctx)
	s := begun.(*step)
	var who projector.Person
	for i := range s.people {
		p := &s.people[i]
		if meant(p) {
			who.OffenderID, who.CRN, who.Missing = p.OffenderID, p.CRN, p.Missing
			who.Referrals = append(who.Referrals, p.Referrals...)
			who.Events = append(who.Events, p.Events...)
		}
	}
	if len(who.Referrals) == 0 {
		return projector.History{}, nil
	}
	s.people = []projector.Person{who}
	desired := delius.Fold(slices.Clone(who.Events))
	cases, refs, err := s.Standing(ctx, []delius.Desired{desired})
	if err != nil {
		return projector.History{}, err
	}
	history := projector.History{
		CRN: store.CRN(who.CRN), Missing: who.Missing, Referrals: who.Referrals,
		Case: cases[0], Outcome: delius.Diff(desired, cases[0], refs),
	}
	for _, r := range who.Referrals {
		history.Due = history.Due || len(s.marks[r]) > 0
	}
	if history.Events, err = s.recorded(ctx, who.Referrals); err != nil {
		return projector.History{}, fmt.Errorf("reading events: %w", translate(err))
	}
	history.Conflicts, err = s.conflictsOf(ctx, cases[0], desired)
	return history, err
}

// recorded reads the events of referrals with the times at which they passed.
func (s *step) recorded(ctx context.Context, referrals []store.Referral) ([]projector.Recorded, error) {
	rows, err := s.tx.Query(ctx, `
		select e.referral, e.type, e.id, e.sequence, coalesce(e.crn, ''), coalesce(e.noms, ''), e.emitted, e.occurred, e.received, e.stored,
			e.source, e.body, a.applied
		from projection.event e left join projection.applied a using (sequence)
		where e.referral = any ($1)`, referrals)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (projector.Recorded, error) {
		var e store.Event
		var sequence int64
		var stored time.Time
		var occurred, received, applied *time.Time
		err := row.Scan(&e.Referral, &e.Type, &e.ID, &sequence, &e.CRN, &e.NOMS, &e.Emitted, &occurred, &received, &stored, &e.Source, &e.Body, &applied)
		e.Emitted, e.Occurred, e.Received = e.Emitted.UTC(), orZero(occurred), orZero(received)
		return projector.Recorded{
			Event:  delius.Read(&e, uint64(sequence)), //nolint:gosec // sequences are positive
			Stored: stored.UTC(), Applied: orZero(applied),
		}, err
	})
}

// conflictsOf lists the conflicts of a person's contacts and addresses, whoever had
// them at the time.
func (s *step) conflictsOf(ctx context.Context, c delius.Current, desired delius.Desired) ([]projector.Conflict, error) {
	var urns []string
	for i := range desired.Contacts {
		urns = append(urns, desired.Contacts[i].URN)
	}
	var addresses []int64
	for i := range c.Addresses {
		addresses = append(addresses, c.Addresses[i].ID)
	}
	return conflicts(ctx, s.tx, "urn <> '' and urn = any ($1) or offender_address_id = any ($2)", urns, addresses)
}
