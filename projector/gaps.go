package projector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"casdelius/store"
)

// fillGaps reads what the inbox lacks up to a sequence (0: the stream's last) and
// marks what was never applied. It returns the stream's last sequence as it was when
// it began.
//
// A gap comes from a database that was restored to an older day, from a consumer that
// was deleted, or from rows that were lost; the consumer alone would never fill it.
func (p *Projector) fillGaps(ctx context.Context, to uint64) (uint64, error) {
	// The inbox before the stream: other projectors go on filling it meanwhile.
	held, err := p.db.Last(ctx)
	if err != nil {
		return 0, err
	}
	stream, err := p.log.Stream(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the state of the stream: %w", err)
	}
	p.metrics.stream(stream)
	if err := p.db.Attach(ctx, held, stream); err != nil {
		return 0, err
	}
	if to == 0 {
		to = stream.LastSequence
	}
	gaps, err := p.db.Missing(ctx, to)
	if err != nil {
		return 0, err
	}
	for _, gap := range gaps {
		p.logger.Info("filling a gap in the inbox", "from", gap.From, "to", gap.To)
		if err := p.fill(ctx, gap); err != nil {
			return 0, err
		}
		p.metrics.gaps.Add(float64(gap.To - gap.From + 1))
	}
	forgotten, err := p.db.MarkForgotten(ctx)
	if err != nil {
		return 0, err
	}
	if forgotten > 0 {
		p.logger.Info("events in the inbox were never applied: their referrals are due again", "referrals", forgotten)
	}
	return stream.LastSequence, nil
}

// fill reads one range of the stream into the inbox, in batches.
func (p *Projector) fill(ctx context.Context, gap Range) error {
	batch := make([]store.Stored, 0, fillBatch)
	for message, err := range p.log.Read(ctx, gap.From, gap.To) {
		if err != nil {
			return fmt.Errorf("reading the stream from sequence %d: %w", gap.From, err)
		}
		if batch = append(batch, message); len(batch) == cap(batch) {
			if err := p.put(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return p.put(ctx, batch)
}

// fillBatch bounds the memory that filling the inbox takes.
const fillBatch = 2000

// keepSearching searches for gaps on a schedule, and at once when a history was found
// to lack events. What came since the last search may still be in somebody's hands,
// so it is left to the next.
func (p *Projector) keepSearching(ctx context.Context) error {
	stream, err := p.log.Stream(ctx)
	if err != nil {
		stream = Stream{}
	}
	settled := stream.LastSequence
	ticker := time.NewTicker(p.config.Search)
	defer ticker.Stop()
	for {
		to := settled
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-p.search:
			to = 0
		}
		last, err := p.fillGaps(ctx, to)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrRetry), errors.Is(err, ErrUnavailable):
			p.logger.Warn("the search for gaps has to wait", "error", err)
		case err != nil:
			return err
		default:
			settled = last
			signal(p.wake)
		}
	}
}

// signal leaves a token, unless one is there already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
