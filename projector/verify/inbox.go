package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"casdelius/projector"
	"casdelius/projector/retry"
	"casdelius/store"
)

// inbox holds the stream against the inbox: all of it, or what there is of the people
// that are asked for.
func (v *Verifier) inbox(ctx context.Context) error {
	// What the inbox has beyond the end of the stream is a finding here, no error.
	stream, err := v.ports.Reconciler.VerifyStream(ctx)
	if err != nil {
		return err
	}
	parts := []projector.Range{{From: 1, To: stream.LastSequence}}
	if v.selection != nil {
		if parts, err = v.selectedRanges(ctx, stream.LastSequence); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if err := v.part(ctx, part, projector.Length(parts)); err != nil {
			return err
		}
	}
	if v.selection != nil {
		return nil
	}
	return v.beyondStream(ctx, stream.LastSequence)
}

// beyondStream finds what the inbox has beyond the end of the stream. That is never
// removed: if the stream has lost messages nothing else has them.
func (v *Verifier) beyondStream(ctx context.Context, last uint64) error {
	found, err := v.ports.Inbox.BeyondStream(ctx, last)
	if err != nil || len(found) == 0 {
		return err
	}
	stream, err := v.ports.Log.Stream(ctx) // which has gone on meanwhile
	if err != nil {
		return fmt.Errorf("asking for the state of the stream: %w", err)
	}
	found = slices.DeleteFunc(found, func(f Finding) bool { return f.Sequence > 0 && f.Sequence <= stream.LastSequence })
	if err := v.record(found); err != nil || !v.o.Repair {
		return err
	}
	return v.leave(found)
}

// selectedRanges are the sequences that the inbox has of the people asked for, and those of
// which it does not know whose they are.
func (v *Verifier) selectedRanges(ctx context.Context, last uint64) ([]projector.Range, error) {
	sequences, err := v.ports.Inbox.Sequences(ctx, v.selection.Referrals)
	if err != nil {
		return nil, err
	}
	gaps, err := v.ports.Inbox.Missing(ctx, last)
	if err != nil {
		return nil, err
	}
	return append(gaps, projector.RangesOf(sequences)...), nil
}

// stretch is a short range of the stream with its messages.
type stretch struct {
	projector.Range
	messages []store.Stored
}

// part verifies a range, stretch after stretch: while one is compared the next is read.
func (v *Verifier) part(ctx context.Context, part projector.Range, total int) error {
	group, ctx := errgroup.WithContext(ctx)
	stretches := make(chan stretch)
	group.Go(func() error {
		defer close(stretches)
		return v.cut(ctx, part, func(s stretch) error {
			select {
			case stretches <- s:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	group.Go(func() error {
		for s := range stretches {
			looked := func() {
				v.o.Progress(projector.Progress{Phase: VerifyingStream, Done: v.verdict.Messages, Total: max(total, v.verdict.Messages)})
			}
			looked()
			if err := v.stretch(ctx, s); err != nil {
				return err
			}
			looked()
			if err := v.throttle(ctx, len(s.messages)); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// cut reads a range of the stream and cuts it into stretches.
func (v *Verifier) cut(ctx context.Context, part projector.Range, yield func(stretch) error) error {
	next := func(from uint64) stretch {
		return stretch{Range: projector.Range{From: from, To: min(part.To, from+verifyMessages-1)}}
	}
	if part.From > part.To {
		return nil
	}
	s := next(part.From)
	for message, err := range v.ports.Log.Read(ctx, part.From, part.To) {
		if err != nil {
			return fmt.Errorf("reading the stream from sequence %d: %w", s.From, err)
		}
		for message.Sequence > s.To {
			if err := yield(s); err != nil {
				return err
			}
			s = next(s.To + 1)
		}
		s.messages = append(s.messages, message)
	}
	for ; s.To < part.To; s = next(s.To + 1) {
		if err := yield(s); err != nil {
			return err
		}
	}
	return yield(s)
}

// stretch verifies a stretch. What is so young that it may be on its way to the inbox is
// waited for.
func (v *Verifier) stretch(ctx context.Context, s stretch) error {
	look := func() ([]Finding, error) {
		entries, err := v.ports.Inbox.Entries(ctx, s.Range)
		if err != nil {
			return nil, err
		}
		return v.compare(ctx, s.messages, entries)
	}
	found, err := look()
	for err == nil && v.anyYoung(found, s.messages) {
		if err = retry.Pause(ctx, v.o.Grace/50); err == nil {
			found, err = look()
		}
	}
	if unexpected(ctx, err) {
		return v.halve(ctx, s, err)
	}
	if err != nil {
		return err
	}
	for i := range s.messages {
		if !errors.Is(s.messages[i].Err, store.ErrGone) {
			v.verdict.Messages++
		}
	}
	if found, err = v.streamDamage(ctx, found, s.messages); err != nil {
		return err
	}
	if err := v.record(found); err != nil || !v.o.Repair {
		return err
	}
	for round := 0; len(found) > 0 && round < repairRounds; round++ {
		if err := v.restore(ctx, found, s.messages); err != nil {
			return err
		}
		if found, err = look(); err != nil {
			return err
		}
		found = slices.DeleteFunc(found, func(f Finding) bool { return f.Place == InStream })
	}
	return v.leave(found)
}

// streamDamage reports what of the stream itself is damaged, notes it, so that whoever it is of
// is held, and gives what else was found. No repair can bring it back, but its loss can be
// accepted.
func (v *Verifier) streamDamage(ctx context.Context, found []Finding, messages []store.Stored) (others []Finding, err error) {
	var noted []store.Stored
	var accepted []uint64
	var left []Finding
	for _, f := range found {
		switch {
		case f.Place != InStream:
			others = append(others, f)
			continue
		case slices.ContainsFunc(v.o.AcceptLoss, func(r projector.Range) bool { return r.From <= f.Sequence && f.Sequence <= r.To }):
			accepted = append(accepted, f.Sequence)
		default:
			left = append(left, f)
		}
		noted = append(noted, *messageAt(messages, f.Sequence))
		if err := v.record([]Finding{f}); err != nil {
			return nil, err
		}
	}
	if len(noted) == 0 {
		return others, nil
	}
	if err := v.ports.Reconciler.Retry(ctx, "noting damage of the stream", func() error { return v.ports.Mender.Put(ctx, noted) }); err != nil {
		return nil, err
	}
	if len(accepted) > 0 {
		if err := v.ports.Mender.AcceptLoss(ctx, accepted); err != nil {
			return nil, err
		}
	}
	if v.o.Repair {
		err = v.leave(left)
	}
	return others, err
}

// halve verifies the halves of a stretch that cannot be looked at, until the message is found
// that is why.
func (v *Verifier) halve(ctx context.Context, s stretch, err error) error {
	if s.From == s.To {
		v.verdict.Unseen = append(v.verdict.Unseen, Unseen{Place: InInbox, Sequence: s.From, Problem: v.o.Problem(err)})
		return nil
	}
	middle := s.From + (s.To-s.From)/2
	at, _ := slices.BinarySearchFunc(s.messages, middle+1, func(m store.Stored, sequence uint64) int { return cmp.Compare(m.Sequence, sequence) })
	if err := v.stretch(ctx, stretch{projector.Range{From: s.From, To: middle}, s.messages[:at]}); err != nil {
		return err
	}
	return v.stretch(ctx, stretch{projector.Range{From: middle + 1, To: s.To}, s.messages[at:]})
}

// anyYoung says whether a message is missing that the log took only just now.
func (v *Verifier) anyYoung(found []Finding, messages []store.Stored) bool {
	now := time.Now()
	return slices.ContainsFunc(found, func(f Finding) bool {
		return f.Problem == Missing && slices.ContainsFunc(messages, func(m store.Stored) bool {
			return m.Sequence == f.Sequence && now.Sub(m.Stored).Abs() < v.o.Grace
		})
	})
}

// compare finds how the inbox differs from messages of the stream. Both are in the
// order of their sequences.
func (v *Verifier) compare(ctx context.Context, messages []store.Stored, entries []Entry) ([]Finding, error) {
	var found []Finding
	var copies []*store.Stored // of events that must stand in the inbox under a lower sequence
	next := 0
	for i := range messages {
		m := &messages[i]
		for ; next < len(entries) && entries[next].Sequence < m.Sequence; next++ {
			found = append(found, extra(&entries[next]))
		}
		if next == len(entries) || entries[next].Sequence > m.Sequence {
			if m.Canary != nil {
				continue // it is of no case: nothing is missing without it
			}
			found = append(found, absent(m))
			continue
		}
		h := &entries[next]
		next++
		switch {
		case m.Damaged() && !h.Accepted:
			f := absent(m)
			if !h.Other {
				f.Event, f.Referral, f.CRN = h.Key(), h.Referral, string(h.CRN)
			}
			found = append(found, f)
		case m.Damaged():
		case h.Other && m.IsEvent():
			copies = append(copies, m)
		case !h.Other:
			if d := differences(m, h); len(d) > 0 {
				f := absent(m)
				f.Problem, f.Differences = Altered, d
				if !m.IsEvent() {
					f.Event, f.Referral = h.Key(), h.Referral
				}
				found = append(found, f)
			}
		}
	}
	for ; next < len(entries); next++ {
		found = append(found, extra(&entries[next]))
	}
	lost, err := v.lostCopies(ctx, copies)
	return v.ofSelected(append(found, lost...), messages), err
}

// lostCopies are the messages among those that the inbox took for duplicates of which
// it has no earlier one.
func (v *Verifier) lostCopies(ctx context.Context, copies []*store.Stored) ([]Finding, error) {
	if len(copies) == 0 {
		return nil, nil
	}
	keys := make([]store.Key, len(copies))
	for i, m := range copies {
		keys[i] = m.Key()
	}
	first, err := v.ports.Inbox.FirstSequences(ctx, keys)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for i, m := range copies {
		if sequence, there := first[keys[i]]; !there || sequence > m.Sequence {
			found = append(found, absent(m))
		}
	}
	return found, nil
}

func absent(m *store.Stored) Finding {
	f := Finding{Severity: Damaged, Place: InInbox, Problem: Missing, Sequence: m.Sequence}
	switch {
	case m.Damaged():
		f.Place, f.Problem = InStream, Corrupt
		if errors.Is(m.Err, store.ErrGone) {
			f.Problem = Gone
		}
		if m.Referral != (store.Referral{}) {
			f.Event, f.Referral, f.CRN = m.Key(), m.Referral, string(m.CRN)
		}
	case m.IsEvent():
		f.Event, f.Referral, f.CRN = m.Key(), m.Referral, string(m.CRN)
	case m.Person != nil:
		f.Person = m.Person.Key()
		if len(m.Person.CRNs) > 0 {
			f.CRN = string(m.Person.CRNs[0])
		}
	}
	return f
}

func extra(h *Entry) Finding {
	f := Finding{Severity: Damaged, Place: InInbox, Problem: Extra, Sequence: h.Sequence}
	if !h.Other {
		f.Event, f.Referral, f.CRN = h.Key(), h.Referral, string(h.CRN)
	}
	return f
}

// ofSelected leaves out what is certainly somebody else's. A person event names several.
func (v *Verifier) ofSelected(found []Finding, messages []store.Stored) []Finding {
	if v.selection == nil {
		return found
	}
	selected := func(crn store.CRN) bool { return slices.Contains(v.o.CRNs, crn) }
	return slices.DeleteFunc(found, func(f Finding) bool {
		if m := messageAt(messages, f.Sequence); m != nil && m.Person != nil && slices.ContainsFunc(m.Person.CRNs, selected) {
			return false
		}
		return !slices.Contains(v.selection.Referrals, f.Referral) && !selected(store.CRN(f.CRN))
	})
}

// messageAt is the message with a sequence, among some in order; nil if it is not there.
func messageAt(messages []store.Stored, sequence uint64) *store.Stored {
	i, there := slices.BinarySearchFunc(messages, sequence, func(m store.Stored, sequence uint64) int { return cmp.Compare(m.Sequence, sequence) })
	if !there {
		return nil
	}
	return &messages[i]
}

// differences compares an event of the inbox with its message.
func differences(m *store.Stored, h *Entry) []Difference {
	if !m.IsEvent() {
		was := ""
		if m.Person != nil {
			was = m.Person.Key().String()
		}
		return []Difference{{"event", was, h.Key().String()}}
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	}
	sum := m.Checksum()
	is := h.Sum
	if sum == h.Sum && !h.Intact {
		is = "another body"
	}
	all := []Difference{
		{"event", m.Key().String(), h.Key().String()},
		{"crn", string(m.CRN), string(h.CRN)},
		{"noms", string(m.NOMS), string(h.NOMS)},
		{"emitted", moment(m.Emitted), moment(h.Emitted)},
		{"occurred", moment(m.Occurred), moment(h.Occurred)},
		{"received", moment(m.Received), moment(h.Received)},
		{"stored", moment(m.Stored), moment(h.Stored)},
		{"source", m.Source, h.Source},
		{"body", sum, is},
	}
	return slices.DeleteFunc(all, func(d Difference) bool { return d.Was == d.Is })
}

// restore brings messages back into the inbox as the stream has them.
func (v *Verifier) restore(ctx context.Context, left []Finding, messages []store.Stored) error {
	var back []store.Stored
	for _, f := range left {
		m := messageAt(messages, f.Sequence)
		if m == nil {
			continue
		}
		back = append(back, *m)
		v.note(f)
		if m.IsEvent() {
			v.touched[m.Referral] = true
		}
	}
	slices.SortFunc(back, func(a, b store.Stored) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return v.ports.Reconciler.Retry(ctx, "restoring messages in the inbox", func() error { return v.ports.Mender.Restore(ctx, back) })
}
