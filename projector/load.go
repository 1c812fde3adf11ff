package projector

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"casdelius/store"
)

// Loader fills the inbox with much at once.
type Loader interface {
	// Load does what Put does, for up to some thousands of messages.
	Load(ctx context.Context, messages []store.Stored) error
	// Recall brings back whom the inbox's events name, where that was lost, and marks their
	// referrals as due.
	Recall(ctx context.Context) error
	// Broken are the sequences of events whose body is not what its checksum says.
	Broken(ctx context.Context) ([]uint64, error)
}

const (
	loadMessages = 5000
	loadBytes    = 16 << 20
	loaders      = 2 // chunks that are written at once: while one waits for the disk
)

// fill reads what the inbox lacks, up to the stream's last sequence as it is now, and
// what it holds altered, and recalls whom its events name. Where every sequence is
// recorded the stream is not read.
func (w *walk) fill(ctx context.Context) error {
	held, err := w.db.Last(ctx) // before the stream, which goes on
	if err != nil {
		return err
	}
	stream, err := w.log.Stream(ctx)
	if err != nil {
		return err
	}
	if err := w.db.Attach(ctx, held, stream); err != nil {
		return err
	}
	gaps, err := w.db.Missing(ctx, stream.LastSequence)
	if err != nil {
		return err
	}
	var broken []uint64
	group, looking := errgroup.WithContext(ctx) // beside one another they read the inbox from the disk once
	group.SetLimit(w.atOnce(2))
	group.Go(func() (err error) {
		broken, err = w.db.Broken(looking)
		return err
	})
	group.Go(func() error {
		return again(looking, w.Projector, func() error { return w.db.Recall(looking) })
	})
	if err := group.Wait(); err != nil {
		return err
	}
	mend := ranges(broken)
	w.tally.Messages = length(gaps) + length(mend)
	if w.tally.Messages == 0 {
		return nil
	}
	all := int(stream.LastSequence) //nolint:gosec // fewer than 2^63
	w.progress = Progress{Phase: FillingInbox, Done: all - w.tally.Messages, Total: all}
	w.logger.Debug("filling the inbox", "missing", length(gaps), "altered", length(mend), "last", stream.LastSequence)
	w.tell()
	if err := w.read(ctx, gaps, w.db.Load); err != nil {
		return err
	}
	return w.read(ctx, mend, w.db.Restore)
}

// read reads ranges of the stream and writes them in chunks, while the next is read.
func (w *walk) read(ctx context.Context, gaps []Range, write func(context.Context, []store.Stored) error) error {
	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []store.Stored)
	group.Go(func() error {
		defer close(chunks)
		return w.cut(ctx, gaps, func(messages []store.Stored) error {
			select {
			case chunks <- messages:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	var mu sync.Mutex
	for range w.atOnce(loaders) {
		group.Go(func() error {
			for messages := range chunks {
				if err := again(ctx, w.Projector, func() error { return write(ctx, messages) }); err != nil {
					return err
				}
				w.metrics.events.Add(float64(len(messages)))
				mu.Lock()
				w.progress.Done += len(messages)
				w.tell()
				mu.Unlock()
				if err := w.pay(ctx, len(messages)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// cut cuts ranges of the stream into chunks that are bounded in number and size.
func (w *walk) cut(ctx context.Context, gaps []Range, yield func([]store.Stored) error) error {
	var chunk []store.Stored
	size := 0
	for _, gap := range gaps {
		for message, err := range w.log.Read(ctx, gap.From, gap.To) {
			if err != nil {
				return fmt.Errorf("reading the stream from sequence %d: %w", gap.From, err)
			}
			if message.Err != nil {
				w.unreadable(&message)
			}
			chunk, size = append(chunk, message), size+len(message.Body)
			if len(chunk) < w.load && size < loadBytes {
				continue
			}
			if err := yield(chunk); err != nil {
				return err
			}
			chunk, size = make([]store.Stored, 0, w.load), 0
		}
	}
	if len(chunk) == 0 {
		return nil
	}
	return yield(chunk)
}

// ranges are sequences, in order, as ranges.
func ranges(sequences []uint64) (out []Range) {
	for _, s := range sequences {
		if n := len(out); n > 0 && out[n-1].To == s-1 {
			out[n-1].To = s
			continue
		}
		out = append(out, Range{s, s})
	}
	return out
}

func length(ranges []Range) (n int) {
	for _, r := range ranges {
		n += int(r.To - r.From + 1) //nolint:gosec // fewer than 2^63
	}
	return n
}
