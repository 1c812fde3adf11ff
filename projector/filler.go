package projector

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"casdelius/projector/retry"
	"casdelius/store"
)

// Inbox is the database's copy of the stream, as it is filled.
type Inbox interface {
	// Last is the highest sequence that the inbox has recorded, 0 if none.
	Last(ctx context.Context) (uint64, error)
	// VerifyStream holds the inbox, whose highest sequence was last, against the stream. It
	// refuses another one than the inbox was filled from, and one that has lost messages.
	VerifyStream(ctx context.Context, last uint64, stream Stream) error
	// Missing are the gaps in the sequences that are recorded, up to one.
	Missing(ctx context.Context, to uint64) ([]Range, error)
	// Put puts messages into the inbox and marks their referrals as due: of a person event
	// those whose events name somebody whom it names.
	Put(ctx context.Context, messages []store.Stored) error
	// Load does what Put does, for up to some thousands of messages.
	Load(ctx context.Context, messages []store.Stored) error
}

// Woken is a referral that is to be looked at because of a person event.
type Woken struct {
	Referral store.Referral
	Name     string // one of those that its events give its person
}

// filler fills the inbox from the stream. There is no other way into it.
type filler struct {
	log     Log
	inbox   Inbox
	due     Due
	retry   retry.Retrier
	logger  *slog.Logger
	metrics *metrics
	notify  func([]store.Stored) // of messages that were put into the inbox; may be nil
}

const (
	loadMessages = 5000
	loadBytes    = 16 << 20
	loaders      = 2 // chunks that are written at once: while one waits for the disk
)

// stream gives the state of the stream, after holding the inbox against it. What the inbox
// has recorded beyond the end of the stream is an error, unless it is to be found later.
func (f *filler) stream(ctx context.Context, beyond bool) (Stream, error) {
	last, err := f.inbox.Last(ctx) // before the stream, which goes on
	if err != nil {
		return Stream{}, err
	}
	stream, err := f.log.Stream(ctx)
	if err != nil {
		return Stream{}, fmt.Errorf("asking for the state of the stream: %w", err)
	}
	if beyond {
		last = min(last, stream.LastSequence)
	}
	return stream, f.inbox.VerifyStream(ctx, last, stream)
}

// put puts messages into the inbox that were received.
func (f *filler) put(ctx context.Context, messages []store.Stored) error {
	for i := range messages {
		f.reportUnreadable(ctx, &messages[i])
	}
	err := f.retry.Do(ctx, "putting events into the inbox", func() error { return f.inbox.Put(ctx, messages) })
	if err == nil {
		f.received(messages)
	}
	return err
}

// received tells of messages that were put into the inbox.
func (f *filler) received(messages []store.Stored) {
	f.metrics.received(messages)
	if f.notify != nil {
		f.notify(messages)
	}
}

// woken are the referrals that the person events among messages have marked.
func (f *filler) woken(ctx context.Context, messages []store.Stored) (woken []Woken, err error) {
	var events []*store.PersonEvent
	for i := range messages {
		if messages[i].Person != nil {
			events = append(events, messages[i].Person)
		}
	}
	if len(events) == 0 {
		return nil, nil
	}
	err = f.retry.Do(ctx, "asking whom person events wake", func() (err error) {
		woken, err = f.due.Woken(ctx, events)
		return err
	})
	if len(woken) > 0 {
		f.metrics.woken.Add(float64(len(woken)))
		f.logger.InfoContext(ctx, "person events: referrals of whom they name are looked at again", "events", len(events), "referrals", len(woken))
	}
	return woken, err
}

// reportUnreadable says that a message is neither an event nor a person event, if it is neither.
func (f *filler) reportUnreadable(ctx context.Context, message *store.Stored) {
	if message.Err == nil {
		return
	}
	if message.Damaged() {
		f.logger.ErrorContext(ctx, "a message of the stream is damaged: whoever it is of is held", "sequence", message.Sequence, "error", message.Err)
		return
	}
	f.metrics.unreadable.Inc()
	f.logger.ErrorContext(ctx, "a message of the stream is no event: it stays there, and is left out", "sequence", message.Sequence, "error", message.Err)
}

// fill is one filling of the inbox.
type fill struct {
	ranges   []Range
	write    func(context.Context, []store.Stored) error // Load, or what restores altered messages
	chunk    int                                         // messages that are written at once; 0 is as many as pay
	writers  int                                         // chunks that are written at once; 0 is as many as pay
	written  func(ctx context.Context, messages int) error
	progress func(messages int)
}

// fill reads ranges of the stream and writes them in chunks, while the next is read.
func (f *filler) fill(ctx context.Context, o fill) error {
	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []store.Stored)
	group.Go(func() error {
		defer close(chunks)
		return f.cut(ctx, &o, func(messages []store.Stored) error {
			select {
			case chunks <- messages:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	writers := o.writers
	if writers == 0 {
		writers = loaders
	}
	var mu sync.Mutex
	for range writers {
		group.Go(func() error {
			for messages := range chunks {
				if err := f.retry.Do(ctx, "filling the inbox", func() error { return o.write(ctx, messages) }); err != nil {
					return err
				}
				f.received(messages)
				if o.progress != nil {
					mu.Lock()
					o.progress(len(messages))
					mu.Unlock()
				}
				if o.written != nil {
					if err := o.written(ctx, len(messages)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// cut cuts ranges of the stream into chunks that are bounded in number and size.
func (f *filler) cut(ctx context.Context, o *fill, yield func([]store.Stored) error) error {
	most := o.chunk
	if most == 0 {
		most = loadMessages
	}
	var chunk []store.Stored
	size := 0
	for _, gap := range o.ranges {
		for message, err := range f.log.Read(ctx, gap.From, gap.To) {
			if err != nil {
				return fmt.Errorf("reading the stream from sequence %d: %w", gap.From, err)
			}
			f.reportUnreadable(ctx, &message)
			chunk, size = append(chunk, message), size+len(message.Body)
			if len(chunk) < most && size < loadBytes {
				continue
			}
			if err := yield(chunk); err != nil {
				return err
			}
			chunk, size = make([]store.Stored, 0, most), 0
		}
	}
	if len(chunk) == 0 {
		return nil
	}
	return yield(chunk)
}

// RangesOf are sequences, in order, as ranges.
func RangesOf(sequences []uint64) (out []Range) {
	for _, s := range sequences {
		if n := len(out); n > 0 && out[n-1].To == s-1 {
			out[n-1].To = s
			continue
		}
		out = append(out, Range{s, s})
	}
	return out
}

// Length is how many sequences ranges hold.
func Length(ranges []Range) (n int) {
	for _, r := range ranges {
		n += int(r.To - r.From + 1) //nolint:gosec // fewer than 2^63
	}
	return n
}
