package projector

import (
	"context"
	"errors"
	"time"

	"casdelius/store"
)

// Due is who is to be looked at.
type Due interface {
	// Due lists referrals that have been due since before a time, the longest first, and
	// before them those whose parked contacts are to be tried again by now.
	Due(ctx context.Context, now, before time.Time, limit int, except []store.Referral) ([]store.Referral, error)
	// MarkDue marks referrals as due.
	MarkDue(ctx context.Context, referrals []store.Referral) error
	// Known are those of some events that the inbox has under their sequences, by these, each with
	// whether its referral is due: as one moment shows it.
	Known(ctx context.Context, events []store.Stored) (map[uint64]bool, error)
	// Woken are the referrals that person events mark.
	Woken(ctx context.Context, events []*store.PersonEvent) ([]Woken, error)
}

// Mender puts right what the inbox knows to be wrong with itself.
type Mender interface {
	// MarkForgotten marks referrals with an event that was never applied although nobody is to
	// look at it. It returns how many there were.
	MarkForgotten(ctx context.Context) (int, error)
	// Misplaced are referrals of which rows stand where a merge in Delius, or the undoing of
	// one, has left them.
	Misplaced(ctx context.Context) ([]store.Referral, error)
	// RestoreIdentities brings back whom the inbox's events name, where that was lost, and
	// marks their referrals as due.
	RestoreIdentities(ctx context.Context) error
	// CorruptSequences are the sequences of events whose body is not what its checksum says, of
	// some referrals, or of all if there are none.
	CorruptSequences(ctx context.Context, referrals []store.Referral) ([]uint64, error)
	// Restore makes the inbox have messages as the stream has them.
	Restore(ctx context.Context, messages []store.Stored) error
}

// fillGaps reads what the inbox lacks up to a sequence (0: the stream's last) and
// marks what was never applied. It returns the stream's last sequence as it was when
// it began.
//
// A gap comes from a database that was restored to an older day, from a consumer that
// was deleted, or from rows that were lost; the consumer alone would never fill it.
func (l *Live) fillGaps(ctx context.Context, to uint64) (uint64, error) {
	stream, err := l.filler.stream(ctx, false)
	if err != nil {
		return 0, err
	}
	if to == 0 {
		to = stream.LastSequence
	}
	gaps, err := l.filler.inbox.Missing(ctx, to)
	if err != nil {
		return 0, err
	}
	if len(gaps) > 0 {
		l.config.Logger.InfoContext(ctx, "filling gaps in the inbox", "gaps", len(gaps), "messages", Length(gaps), "from", gaps[0].From, "to", gaps[len(gaps)-1].To)
		load := func(ctx context.Context, messages []store.Stored) error {
			err := l.filler.inbox.Load(ctx, messages)
			for i := range messages {
				if err == nil && !messages[i].Damaged() {
					l.metrics.gaps.Inc()
				}
			}
			return err
		}
		if err := l.filler.fill(ctx, fill{ranges: gaps, write: load, written: l.filled}); err != nil {
			return 0, err
		}
	}
	forgotten, err := l.mender.MarkForgotten(ctx)
	if err != nil {
		return 0, err
	}
	if forgotten > 0 {
		l.config.Logger.InfoContext(ctx, "events in the inbox were never applied: their referrals are due again", "referrals", forgotten)
	}
	l.searched.Store(to)
	return stream.LastSequence, l.markMisplaced(ctx)
}

// filled notes that a chunk was written: before the first step, and while there is much to fill,
// that is what commits.
func (l *Live) filled(context.Context, int) error {
	l.reconciler.commits()
	return nil
}

// markMisplaced marks whom Delius has merged or unmerged: what tells of that may be lost, or
// never come.
func (l *Live) markMisplaced(ctx context.Context) error {
	misplaced, err := l.mender.Misplaced(ctx)
	if err != nil || len(misplaced) == 0 {
		return err
	}
	l.config.Logger.InfoContext(ctx, "rows stand where a merge has left them: their referrals are due", "referrals", len(misplaced))
	return l.due.MarkDue(ctx, misplaced)
}

// keepSearching searches for gaps on a schedule, and at once when a history was found
// to lack events. What came since the last search may still be in a lane, so it is left to
// the next.
func (l *Live) keepSearching(ctx context.Context) error {
	stream, err := l.log.Stream(ctx)
	if err != nil {
		stream = Stream{}
	}
	settled := stream.LastSequence
	ticker := time.NewTicker(l.config.Search)
	defer ticker.Stop()
	for {
		to := settled
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-l.reconciler.search:
			to = 0
		}
		last, err := l.fillGaps(ctx, to)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrRefused):
			return err
		case err != nil:
			l.config.Logger.WarnContext(ctx, "the search for gaps is tried again later", "error", err)
		default:
			settled = last
			signal(l.wake)
		}
	}
}
