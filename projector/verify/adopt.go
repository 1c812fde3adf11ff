package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"casdelius/projector"
	"casdelius/store"
)

// Adopter is an inbox that can take another stream for its own.
type Adopter interface {
	// Filled is when the stream was created that the inbox was filled from, and the highest
	// sequence that it has recorded.
	Filled(ctx context.Context) (projector.Stream, error)
	// Beyond counts the events that the inbox has beyond a sequence, and the sequences there
	// that have none.
	Beyond(ctx context.Context, sequence uint64) (events, others int, err error)
	// Events are the next few events that the inbox has beyond a sequence, in their order.
	Events(ctx context.Context, after uint64) ([]store.Stored, error)
	// Adopt makes the stream that was created at a time the inbox's, and forgets what the inbox
	// has beyond a sequence: the stream tells it anew.
	Adopt(ctx context.Context, stream projector.Stream, common uint64) error
}

// Appender appends events to the stream.
type Appender interface {
	Append(ctx context.Context, e *store.Event) (store.Ack, error)
}

// Adoption is how a stream that was restored from a backup, into another cluster say, compares
// with the inbox.
type Adoption struct {
	Was    projector.Stream // that the inbox was filled from, up to the last sequence that it has
	Is     projector.Stream // that there is now
	Common uint64           // up to this sequence they say the same, but that the inbox may lack messages
	Events int              // that the inbox has beyond it
	Others int              // sequences beyond it of which the inbox has no event: duplicates, person events
}

// Same says whether the stream is the inbox's already. The inbox keeps whole microseconds.
func (a *Adoption) Same() bool {
	return a.Was.Created.Equal(a.Is.Created.Truncate(time.Microsecond)) && a.Events+a.Others == 0
}

// ErrForeign is the error of a stream that has messages, and none in common with the inbox.
var ErrForeign = errors.New("the stream and the inbox have no message in common: this is no backup of the inbox's stream")

// CompareForAdoption compares a stream with an inbox, that of the ports and of the adopter, up
// to where they part.
func CompareForAdoption(ctx context.Context, ports Ports, inbox Adopter, progress func(projector.Progress)) (a Adoption, err error) {
	if a.Was, err = inbox.Filled(ctx); err != nil {
		return a, err
	}
	if a.Is, err = ports.Log.Stream(ctx); err != nil {
		return a, fmt.Errorf("asking for the state of the stream: %w", err)
	}
	v := New(ports, Verification{Progress: progress})
	if a.Common, err = v.common(ctx, min(a.Is.LastSequence, a.Was.LastSequence)); err != nil {
		return a, err
	}
	if a.Common == 0 && a.Was.LastSequence > 0 && a.Is.LastSequence > 0 {
		return a, ErrForeign
	}
	a.Events, a.Others, err = inbox.Beyond(ctx, a.Common)
	return a, err
}

// errParted ends a comparison.
var errParted = errors.New("they part")

// common is the sequence up to which the stream and the inbox say the same.
func (v *Verifier) common(ctx context.Context, last uint64) (common uint64, err error) {
	if last == 0 {
		return 0, nil
	}
	err = v.cut(ctx, projector.Range{From: 1, To: last}, func(s stretch) error {
		v.o.Progress(projector.Progress{Phase: VerifyingStream, Done: int(s.From - 1), Total: int(last)}) //nolint:gosec // fewer than 2^63
		entries, err := v.ports.Inbox.Entries(ctx, s.Range)
		if err != nil {
			return err
		}
		found, err := v.compare(ctx, s.messages, entries)
		if err != nil {
			return err
		}
		common = s.To
		for _, f := range found {
			if f.Problem != Missing { // which is read once the stream is the inbox's
				common = min(common, f.Sequence-1)
			}
		}
		if common < s.To {
			return errParted
		}
		return nil
	})
	if errors.Is(err, errParted) {
		err = nil
	}
	return common, err
}

// appends is how many events are on their way to the stream at once.
const appends = 64

// Adopt appends the events that only the inbox has, and makes the stream the inbox's. One that
// was appended before, by an adoption that was interrupted, becomes a duplicate.
func (a *Adoption) Adopt(ctx context.Context, inbox Adopter, to Appender, progress func(projector.Progress)) error {
	for after, done := a.Common, 0; ; {
		progress(projector.Progress{Phase: Appending, Done: done, Total: a.Events})
		events, err := inbox.Events(ctx, after)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return inbox.Adopt(ctx, a.Is, a.Common)
		}
		group, appending := errgroup.WithContext(ctx)
		group.SetLimit(appends)
		for i := range events {
			group.Go(func() error {
				if _, err := to.Append(appending, &events[i].Event); err != nil {
					return fmt.Errorf("appending %s to the stream: %w", events[i].Key(), err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		after, done = events[len(events)-1].Sequence, done+len(events)
	}
}
