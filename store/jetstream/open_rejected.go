package jetstream

import (
	"context"
	"slices"
	"time"
)

// OpenRejected is the list of rejected messages that nobody has replayed or dismissed. It is kept,
// without what they hold: a look at it reads only what has come since the last one. It is for one
// goroutine at a time.
type OpenRejected struct {
	log     *Log
	created time.Time // of the stream that it is of: another time, another stream
	read    uint64    // up to this sequence
	list    []RejectedMessage
}

// OpenRejected begins such a list.
func (l *Log) OpenRejected() *OpenRejected { return &OpenRejected{log: l} }

// List gives it as it is now, the oldest message first. Where the stream was never made it fails
// with [ErrNotFound]. The list that it gives does not change.
func (o *OpenRejected) List(ctx context.Context) ([]RejectedMessage, error) {
	if err := o.log.findRejected(ctx); err != nil {
		return nil, err
	}
	stream, err := o.log.stream(ctx, RejectedStream)
	if err != nil {
		return nil, err
	}
	is := stream.CachedInfo()
	if !is.Created.Equal(o.created) || is.State.LastSeq < o.read {
		o.created, o.read, o.list = is.Created, 0, nil
	}
	if is.State.LastSeq == o.read {
		return slices.Clone(o.list), nil // and the stream need not be asked again
	}
	for m, err := range o.log.scan(ctx, RejectedStream, "", o.read+1, 0) {
		if err != nil {
			return nil, err
		}
		o.add(m)
	}
	return slices.Clone(o.list), nil
}

// add takes the next message of the stream. A mark comes behind what it is about.
func (o *OpenRejected) add(m message) {
	o.read = m.sequence
	if m.subject != replayedSubject {
		r := m.rejected(nil)
		r.Body, r.Answer = nil, nil
		o.list = append(o.list, r)
		return
	}
	if n, ok := m.marks(); ok {
		o.list = slices.DeleteFunc(o.list, func(r RejectedMessage) bool { return r.Sequence == n })
	}
}
