package projector

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"casdelius/store"
)

// Verification says what to verify.
type Verification struct {
	CRNs   []store.CRN // only these people; none is everybody
	Repair bool        // what is damaged

	// Grace is how old a message of the stream may be without being in the inbox: it
	// may be on its way. Default 10 s.
	Grace time.Duration

	Found    func(Finding) error // told of every finding; an error ends the verification
	Left     func(Finding) error // told afterwards of damage that could not be repaired
	Progress func(Progress)      // told as the work goes on
}

// The phases of a verification.
const (
	VerifyingStream    Phase = "verify-stream"    // counts messages of the stream
	VerifyingContacts  Phase = "verify-contacts"  // counts contacts of the ledger
	VerifyingAddresses Phase = "verify-addresses" // counts its addresses
	Repairing          Phase = "repair"           // counts referrals
)

// Verdict is what a verification came to.
type Verdict struct {
	Messages, Contacts, Addresses int // looked at
	Edited, Damaged               int
	Left                          int // damage that stands, after a repair too
}

// Verify holds the stream against the inbox, and inbox and ledger against Delius, while
// live projection goes on. With Repair it brings back what the inbox lost or holds
// altered, lets the ledger forget events that the stream has lost, puts damaged rows back
// as the projector left them and then reconciles their people by the one path. Rows that a
// person edited are never touched.
func (p *Projector) Verify(ctx context.Context, order Verification) (Verdict, error) {
	if order.Grace == 0 {
		order.Grace = 10 * time.Second
	}
	nothing := func(Finding) error { return nil }
	if order.Found == nil {
		order.Found = nothing
	}
	if order.Left == nil {
		order.Left = nothing
	}
	if order.Progress == nil {
		order.Progress = func(Progress) {}
	}
	v := &verifier{Projector: p, order: order, touched: map[store.Referral]bool{}, moved: map[int64]bool{}}
	if len(order.CRNs) > 0 {
		scope, err := p.db.Scope(ctx, order.CRNs)
		if err != nil {
			return v.verdict, err
		}
		if len(scope.Referrals)+len(scope.Offenders) == 0 {
			return v.verdict, fmt.Errorf("nobody to verify: neither Delius nor the inbox knows %v", order.CRNs)
		}
		v.scope = &scope
	}
	if err := v.inbox(ctx); err != nil {
		return v.verdict, err
	}
	v.whole = v.verdict.Left == 0 && (order.Repair || v.verdict.Damaged == 0)
	for _, part := range []func(context.Context) error{v.neglected, v.contacts, v.addresses} {
		if err := part(ctx); err != nil {
			return v.verdict, err
		}
	}
	if !order.Repair {
		v.verdict.Left = v.verdict.Damaged
		return v.verdict, nil
	}
	return v.verdict, v.repair(ctx)
}

// verifier is one verification.
type verifier struct {
	*Projector
	order   Verification
	scope   *Scope
	verdict Verdict
	whole   bool                    // the inbox holds what the stream has, so what it lacks is lost
	touched map[store.Referral]bool // with damage, or whose events were brought back
	moved   map[int64]bool          // offenders with damaged rows that are no booking's
}

const (
	verifyMessages = 2000 // of the stream at once
	verifyRows     = 5000 // of Delius at once
	repairPeople   = 200  // referrals in one step
	repairRounds   = 5    // tries to repair the same
)

// tell tells of findings and notes whom they concern.
func (v *verifier) tell(found []Finding) error {
	for _, f := range found {
		if f.Severity == Edited {
			v.verdict.Edited++
		} else {
			v.verdict.Damaged++
			v.note(f)
		}
		if err := v.order.Found(f); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) note(f Finding) {
	switch {
	case f.Referral != store.Referral{}:
		v.touched[f.Referral] = true
	case f.Offender != 0:
		v.moved[f.Offender] = true
	}
}

// leave tells of damage that a repair leaves.
func (v *verifier) leave(left []Finding) error {
	for _, f := range left {
		v.verdict.Left++
		if err := v.order.Left(f); err != nil {
			return err
		}
	}
	return nil
}

func damaged(found []Finding) []Finding {
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Severity != Damaged })
}

// neglected finds what the inbox itself knows to be undone.
func (v *verifier) neglected(ctx context.Context) error {
	var referrals []store.Referral
	if v.scope != nil {
		if referrals = v.scope.Referrals; len(referrals) == 0 {
			return nil
		}
	}
	found, err := v.db.Neglected(ctx, referrals)
	if err != nil || len(found) == 0 {
		return err
	}
	if err := v.tell(found); err != nil || !v.order.Repair {
		return err
	}
	_, err = v.db.MarkForgotten(ctx) // before their people are looked for
	return err
}

func (v *verifier) contacts(ctx context.Context) error {
	return v.rows(ctx, InContacts, VerifyingContacts, &v.verdict.Contacts)
}

func (v *verifier) addresses(ctx context.Context) error {
	return v.rows(ctx, InAddresses, VerifyingAddresses, &v.verdict.Addresses)
}

// rows goes through the rows of the ledger in the order of their numbers, chunk after
// chunk.
func (v *verifier) rows(ctx context.Context, place Place, phase Phase, count *int) error {
	all, err := v.db.Rows(ctx, place, v.scope)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		v.order.Progress(Progress{Phase: phase, Done: *count, Total: max(all, *count)})
		last, n, err := v.db.Chunk(ctx, place, v.scope, after, verifyRows)
		if err != nil || n == 0 {
			return err
		}
		found, err := v.check(ctx, place, v.scope, after, last)
		if err != nil {
			return err
		}
		if err := v.tell(found); err != nil {
			return err
		}
		*count += n
		after = last
	}
}

// check holds rows of the ledger against Delius, and against the inbox where that is
// whole.
func (v *verifier) check(ctx context.Context, place Place, scope *Scope, after, last int64) ([]Finding, error) {
	found, err := v.db.Check(ctx, place, scope, after, last)
	if err != nil || !v.whole {
		return found, err
	}
	lost, err := v.db.Lost(ctx, place, scope, after, last)
	return append(found, lost...), err
}

// repair puts damaged rows back and reconciles their people by the one path, some
// people at a time, and looks again at each.
func (v *verifier) repair(ctx context.Context) error {
	offenders := slices.Sorted(maps.Keys(v.moved))
	for some := range slices.Chunk(offenders, repairPeople) {
		named, err := v.db.ReferralsOf(ctx, some)
		if err != nil {
			return err
		}
		for _, r := range named {
			v.touched[r] = true
		}
	}
	done := 0
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(v.touched), store.Referral.Compare), repairPeople) {
		v.order.Progress(Progress{Phase: Repairing, Done: done, Total: len(v.touched)})
		if err := v.repairSome(ctx, Scope{Referrals: some}, some); err != nil {
			return err
		}
		done += len(some)
	}
	for some := range slices.Chunk(offenders, repairPeople) {
		if err := v.repairSome(ctx, Scope{Offenders: some}, nil); err != nil {
			return err
		}
	}
	return nil
}

// repairSome repairs until there is nothing left, or until it has tried often enough:
// whom somebody else has in hand may be free the next time.
func (v *verifier) repairSome(ctx context.Context, scope Scope, referrals []store.Referral) error {
	if v.whole {
		if err := again(ctx, v.Projector, func() error { return v.db.Forget(ctx, referrals) }); err != nil {
			return err
		}
	}
	var left []Finding
	for round := range repairRounds {
		report, err := v.Reconcile(ctx, Pick{Referrals: referrals, Quiet: true, PutBack: v.config.Now()})
		if err != nil {
			return err
		}
		if left, err = v.look(ctx, &scope); err != nil {
			return err
		}
		if len(left) == 0 && report.PutOff == 0 && !report.Skipped {
			return nil
		}
		if err := wait(ctx, v.config.Retry, round); err != nil {
			return err
		}
	}
	return v.leave(left)
}

// look gives the damage of the rows of a few people, and what is neglected of them.
func (v *verifier) look(ctx context.Context, scope *Scope) ([]Finding, error) {
	var all []Finding
	if len(scope.Referrals) > 0 {
		found, err := v.db.Neglected(ctx, scope.Referrals)
		if err != nil {
			return nil, err
		}
		all = found
	}
	for _, place := range []Place{InContacts, InAddresses} {
		found, err := v.check(ctx, place, scope, 0, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return damaged(all), nil
}
