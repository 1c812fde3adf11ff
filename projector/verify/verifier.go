package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"casdelius/projector"
	"casdelius/store"
)

// Verification says what to verify.
type Verification struct {
	projector.Selection // whom, by CRN; Repair: what is damaged

	// AcceptLoss says of which sequences the loss is accepted, where the stream has no message any
	// more or one that is corrupt. Nothing is held for these from then on.
	AcceptLoss []projector.Range

	// Rate is how many messages and rows are looked at in a second; 0 is no limit.
	Rate int

	// Grace is how old a message of the stream may be without being in the inbox: it
	// may be on its way. Default 10 s.
	Grace time.Duration

	Found    func(Finding) error      // told of every finding; an error ends the verification
	Left     func(Finding) error      // told afterwards of damage that could not be repaired
	Progress func(projector.Progress) // told as the work goes on

	// Problem tells what may be told of an unexpected error.
	Problem func(error) string
}

// The phases of a verification.
const (
	VerifyingStream    projector.Phase = "verify-stream"    // counts messages of the stream
	VerifyingContacts  projector.Phase = "verify-contacts"  // counts contacts of the ledger
	VerifyingAddresses projector.Phase = "verify-addresses" // counts its addresses
	Repairing          projector.Phase = "repair"           // counts referrals
	Appending          projector.Phase = "append"           // counts events that a stream lacks
)

// Verdict is what a verification came to.
type Verdict struct {
	Messages, Contacts, Addresses int // looked at
	Edited, Damaged               int
	Left                          int // damage that stands, after a repair too
	Unseen                        []Unseen
}

// Unseen is what could not be looked at, because of an unexpected error: a row of the ledger, a
// message, or the people of a referral that was to be repaired.
type Unseen struct {
	Place    Place
	Row      int64
	Sequence uint64
	Referral store.Referral
	Problem  string
}

// Ports are what a verification calls.
type Ports struct {
	Log        Log
	Inbox      Inbox
	Mender     Mender
	Finder     Finder
	Ledger     Ledger
	Reconciler Reconciler
}

// Verifier is one verification under way: of the inbox, then of the ledger's rows, then the
// repair of what was found.
type Verifier struct {
	ports     Ports
	o         Verification
	selection *projector.Selection // whom, found out; nil is everyone
	verdict   Verdict
	whole     bool                    // the inbox has what the stream has, so what it lacks is lost
	touched   map[store.Referral]bool // with damage, or whose events were brought back
	offenders map[int64]bool          // with damaged rows that are no booking's, or with stray ones
	limiter   *rate.Limiter           // nil without a limit
}

// New makes a verification.
func New(ports Ports, o Verification) *Verifier {
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	nothing := func(Finding) error { return nil }
	if o.Found == nil {
		o.Found = nothing
	}
	if o.Left == nil {
		o.Left = nothing
	}
	if o.Problem == nil {
		o.Problem = error.Error
	}
	if o.Progress == nil {
		o.Progress = func(projector.Progress) {}
	}
	v := &Verifier{ports: ports, o: o, touched: map[store.Referral]bool{}, offenders: map[int64]bool{}}
	if o.Rate > 0 {
		v.limiter = rate.NewLimiter(rate.Limit(o.Rate), o.Rate)
	}
	return v
}

// throttle waits until so many messages or rows are within the rate.
func (v *Verifier) throttle(ctx context.Context, n int) error {
	for v.limiter != nil && n > 0 {
		some := min(n, v.limiter.Burst())
		if err := v.limiter.WaitN(ctx, some); err != nil {
			return err
		}
		n -= some
	}
	return nil
}

// Run verifies, while live projection goes on. With Repair it brings back what the inbox lost
// or has altered, lets the ledger forget events that the stream has lost, and has the people
// of damaged rows reconciled by the one path, which writes these back as the projector left
// them. Rows that a person edited are never touched.
func (v *Verifier) Run(ctx context.Context) (Verdict, error) {
	if !v.o.Everyone() {
		if err := v.selectPeople(ctx); err != nil {
			return v.verdict, err
		}
	}
	if err := v.inbox(ctx); err != nil {
		return v.verdict, err
	}
	v.whole = v.verdict.Left == 0 && len(v.verdict.Unseen) == 0 && (v.o.Repair || v.verdict.Damaged == 0)
	for _, part := range []func(context.Context) error{v.unprocessed, v.contacts, v.addresses} {
		if err := part(ctx); err != nil {
			return v.verdict, err
		}
	}
	if !v.o.Repair {
		v.verdict.Left = v.verdict.Damaged
		return v.verdict, nil
	}
	return v.verdict, v.repair(ctx)
}

// selectPeople finds out whom the CRNs mean.
func (v *Verifier) selectPeople(ctx context.Context) error {
	selection := v.o.Selection
	referrals, err := v.ports.Finder.ReferralsMentioning(ctx, selection.CRNs)
	if err != nil {
		return err
	}
	offenders, err := v.ports.Finder.OffendersOf(ctx, selection.CRNs)
	if err != nil {
		return err
	}
	selection.Referrals, selection.Offenders = append(selection.Referrals, referrals...), append(selection.Offenders, offenders...)
	if len(selection.Referrals)+len(selection.Offenders) == 0 {
		return fmt.Errorf("nobody to verify: neither Delius nor the inbox knows %v", selection.CRNs)
	}
	v.selection = &selection
	return nil
}

const (
	verifyMessages = 2000 // of the stream at once
	verifyRows     = 5000 // of Delius at once
	repairPeople   = 200  // referrals in one step
	repairRounds   = 5    // tries to repair the same
)

// record reports findings and notes whom they concern.
func (v *Verifier) record(found []Finding) error {
	for _, f := range found {
		if f.Severity == Edited {
			v.verdict.Edited++
		} else {
			v.verdict.Damaged++
			v.note(f)
		}
		if err := v.o.Found(f); err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) note(f Finding) {
	switch {
	case f.Referral != store.Referral{}:
		v.touched[f.Referral] = true
	case f.Offender != 0:
		v.offenders[f.Offender] = true
	}
	if f.StandsOn != 0 { // what the stray row did to this person's addresses
		v.offenders[f.StandsOn] = true
	}
}

// leave reports damage that a repair leaves.
func (v *Verifier) leave(left []Finding) error {
	for _, f := range left {
		v.verdict.Left++
		if err := v.o.Left(f); err != nil {
			return err
		}
	}
	return nil
}

func damaged(found []Finding) []Finding {
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Severity != Damaged })
}

// unprocessed finds what the inbox itself knows to be undone.
func (v *Verifier) unprocessed(ctx context.Context) error {
	var referrals []store.Referral
	if v.selection != nil {
		if referrals = v.selection.Referrals; len(referrals) == 0 {
			return nil
		}
	}
	found, err := v.ports.Mender.Unprocessed(ctx, referrals)
	if err != nil || len(found) == 0 {
		return err
	}
	if err := v.record(found); err != nil || !v.o.Repair {
		return err
	}
	_, err = v.ports.Mender.MarkForgotten(ctx) // before their people are looked for
	return err
}

func (v *Verifier) contacts(ctx context.Context) error {
	return v.rows(ctx, InContacts, VerifyingContacts, &v.verdict.Contacts)
}

func (v *Verifier) addresses(ctx context.Context) error {
	return v.rows(ctx, InAddresses, VerifyingAddresses, &v.verdict.Addresses)
}

// rows goes through the rows of the ledger in the order of their numbers, chunk after
// chunk.
func (v *Verifier) rows(ctx context.Context, place Place, phase projector.Phase, count *int) error {
	all, err := v.ports.Ledger.Rows(ctx, place, v.selection)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		v.o.Progress(projector.Progress{Phase: phase, Done: *count, Total: max(all, *count)})
		last, n, err := v.ports.Ledger.Chunk(ctx, place, v.selection, after, verifyRows)
		if err != nil || n == 0 {
			return err
		}
		if err := v.checkRows(ctx, place, after, last, n); err != nil {
			return err
		}
		*count += n
		after = last
		if err := v.throttle(ctx, n); err != nil {
			return err
		}
	}
}

// checkRows checks so many rows. Where that meets an unexpected error it halves them, until the
// row is found that cannot be looked at.
func (v *Verifier) checkRows(ctx context.Context, place Place, after, last int64, n int) error {
	found, err := v.check(ctx, place, v.selection, after, last)
	switch {
	case err == nil:
		return v.record(found)
	case !unexpected(ctx, err):
		return err
	case n == 1:
		v.verdict.Unseen = append(v.verdict.Unseen, Unseen{Place: place, Row: last, Problem: v.o.Problem(err)})
		return nil
	}
	middle, half, err := v.ports.Ledger.Chunk(ctx, place, v.selection, after, n/2)
	if err != nil {
		return err
	}
	if err := v.checkRows(ctx, place, after, middle, half); err != nil {
		return err
	}
	return v.checkRows(ctx, place, middle, last, max(1, n-half))
}

// unexpected says whether an error may be one of a row's, or a message's, own.
func unexpected(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, projector.ErrRetry) && !errors.Is(err, projector.ErrUnavailable) && !errors.Is(err, projector.ErrDenied)
}

// check holds rows of the ledger against Delius, and against the inbox where that is
// whole.
func (v *Verifier) check(ctx context.Context, place Place, selection *projector.Selection, after, last int64) ([]Finding, error) {
	found, err := v.ports.Ledger.Check(ctx, place, selection, after, last)
	if err != nil || !v.whole {
		return found, err
	}
	lost, err := v.ports.Ledger.Lost(ctx, place, selection, after, last)
	return append(found, lost...), err
}

// repair reconciles the people of damaged rows by the one path, which writes these back as
// they were left, some people at a time, and looks again at each.
func (v *Verifier) repair(ctx context.Context) error {
	offenders := slices.Sorted(maps.Keys(v.offenders))
	for some := range slices.Chunk(offenders, repairPeople) {
		named, err := v.ports.Finder.ReferralsOf(ctx, some)
		if err != nil {
			return err
		}
		for _, r := range named {
			v.touched[r] = true
		}
	}
	done := 0
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(v.touched), store.Referral.Compare), repairPeople) {
		v.o.Progress(projector.Progress{Phase: Repairing, Done: done, Total: len(v.touched)})
		if err := v.repairSome(ctx, projector.Selection{Referrals: some}, some); err != nil {
			return err
		}
		done += len(some)
	}
	for some := range slices.Chunk(offenders, repairPeople) {
		if err := v.repairSome(ctx, projector.Selection{Offenders: some}, nil); err != nil {
			return err
		}
	}
	return nil
}

// repairSome repairs until there is nothing left, or until it has tried often enough:
// whoever is locked by somebody else may be free the next time.
func (v *Verifier) repairSome(ctx context.Context, selection projector.Selection, referrals []store.Referral) error {
	if v.whole {
		if err := v.ports.Reconciler.Retry(ctx, "forgetting lost events", func() error { return v.ports.Ledger.Forget(ctx, referrals) }); err != nil {
			return err
		}
	}
	var left []Finding
	for round := range repairRounds {
		report, err := v.ports.Reconciler.Reconcile(ctx, projector.Selection{Referrals: referrals, Quiet: true, Repair: true})
		if err != nil {
			return err
		}
		if len(report.Failed) > 0 {
			for _, f := range report.Failed {
				v.verdict.Unseen = append(v.verdict.Unseen, Unseen{Referral: f.Referral, Problem: f.Problem})
			}
			referrals = slices.DeleteFunc(slices.Clone(referrals), func(r store.Referral) bool {
				return slices.ContainsFunc(report.Failed, func(f projector.Failure) bool { return f.Referral == r })
			})
			selection.Referrals = referrals
		}
		if left, err = v.recheck(ctx, &selection); err != nil {
			return err
		}
		if len(left) == 0 && !report.Locked() {
			return nil
		}
		if err := v.ports.Reconciler.Wait(ctx, round); err != nil {
			return err
		}
	}
	return v.leave(left)
}

// recheck gives the damage of the rows of a few people, and what is neglected of them.
func (v *Verifier) recheck(ctx context.Context, selection *projector.Selection) ([]Finding, error) {
	var all []Finding
	if len(selection.Referrals) > 0 {
		found, err := v.ports.Mender.Unprocessed(ctx, selection.Referrals)
		if err != nil {
			return nil, err
		}
		all = found
	}
	for _, place := range []Place{InContacts, InAddresses} {
		found, err := v.check(ctx, place, selection, 0, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return damaged(all), nil
}
