package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"casdelius/store"
)

// scanBatch is how many messages a scan asks for at once. Two batches are in memory:
// the one that is read and the one that is fetched meanwhile.
const scanBatch = 500

// scanPause is the wait between attempts while the servers do not answer.
const scanPause = 50 * time.Millisecond

// message is one message of a stream, whichever way it came.
type message struct {
	subject  string
	header   nats.Header
	data     []byte
	sequence uint64
	stored   time.Time
	goneTo   uint64 // set where there is no message from sequence up to this one
}

// event makes an event, a person event or a canary of the message, or says why it is none.
func (m message) event() store.Stored {
	s := store.Stored{Sequence: m.sequence, Stored: m.stored, Header: m.header}
	switch {
	case store.IsPersonSubject(m.subject):
		var person store.PersonEvent
		if person, s.Err = store.ParsePersonEvent(m.subject, m.header, m.data); s.Err == nil {
			s.Person = &person
		}
	case store.IsCanarySubject(m.subject):
		var canary store.Canary
		if canary, s.Err = store.ParseCanary(m.subject, m.data); s.Err == nil {
			s.Canary = &canary
		}
	default:
		s.Event, s.Err = store.ParseEvent(m.subject, m.header, m.data)
	}
	if s.Err != nil {
		s.Err = fmt.Errorf("message %d of stream %s: %w", m.sequence, EventsStream, s.Err)
	}
	return s
}

// Read goes through the events, person events and canaries too, with sequences from from to to, in order. from 0 is the
// first; to 0, or beyond it, is the last at the start, so that every Read ends. Of a
// sequence that is gone it says so, with [store.ErrGone].
//
// A restart of the servers is waited out as long as something arrives within
// [Config.Timeout]; an error ends the sequence. The caller continues with the sequence
// after the last one it had.
func (l *Log) Read(ctx context.Context, from, to uint64) iter.Seq2[store.Stored, error] {
	return func(yield func(store.Stored, error) bool) {
		for m, err := range l.scan(ctx, EventsStream, everything, from, to) {
			if err != nil {
				yield(store.Stored{}, err)
				return
			}
			if m.goneTo == 0 && !yield(m.event(), nil) {
				return
			}
			for ; m.sequence <= m.goneTo; m.sequence++ {
				gone := fmt.Errorf("message %d of stream %s: %w", m.sequence, EventsStream, store.ErrGone)
				if !yield(store.Stored{Sequence: m.sequence, Err: gone}, nil) {
					return
				}
			}
		}
	}
}

// everything is the filter of a scan that tells of what is gone as well.
const everything = ">"

// History gives the events of one referral in the order of the log. It is far slower
// than an index, and no way to serve many.
func (l *Log) History(ctx context.Context, r store.Referral) ([]store.Stored, error) {
	var events []store.Stored
	for _, subject := range store.ReferralSubjects(r) {
		for m, err := range l.scan(ctx, EventsStream, subject, 0, 0) {
			if err != nil {
				return nil, fmt.Errorf("history of referral %s: %w", r, err)
			}
			events = append(events, m.event())
		}
	}
	slices.SortFunc(events, func(a, b store.Stored) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return events, nil
}

// scan goes through the messages of a stream with sequences from from to to that
// match the filter ("" is all), as [Log.Read] does.
func (l *Log) scan(ctx context.Context, stream, filter string, from, to uint64) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		s, err := l.newScanner(ctx, stream, filter, from, to)
		if err != nil {
			yield(message{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		batches := make(chan []message)
		var failed error // read only once batches is closed
		go func() {
			defer close(batches)
			defer s.release()
			failed = s.run(ctx, batches)
		}()
		defer func() { // waits for the goroutine above
			cancel()
			for range batches {
			}
		}()
		for batch := range batches {
			for _, m := range batch {
				if !yield(m, nil) {
					return
				}
			}
		}
		if failed != nil {
			yield(message{}, l.translate(fmt.Sprintf("read stream %s at sequence %d", stream, s.next), failed))
		}
	}
}

// scanner reads a range of a stream through a consumer that it makes again from where
// it stands whenever anything is odd: an error, a message that was lost on the way, or
// silence before the end.
type scanner struct {
	log      *Log
	stream   js.Stream
	filter   string
	next, to uint64

	consumer  js.Consumer // nil: to be made
	delivered uint64      // how many messages the consumer has delivered
}

func (l *Log) newScanner(ctx context.Context, stream, filter string, from, to uint64) (*scanner, error) {
	handle, err := l.stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	state := handle.CachedInfo().State
	if to == 0 || to > state.LastSeq {
		to = state.LastSeq
	}
	s := &scanner{log: l, stream: handle, filter: filter, next: max(from, 1), to: to}
	if filter != everything {
		s.next = max(s.next, state.FirstSeq)
	}
	return s, nil
}

// run sends batch after batch until the range is through.
func (s *scanner) run(ctx context.Context, batches chan<- []message) error {
	for s.next <= s.to {
		batch, err := s.batch(ctx)
		if err != nil {
			return err
		}
		select {
		case batches <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// batch gives the next messages, at least one, or none at the end of the range. It
// tries until nothing has come for Config.Timeout.
func (s *scanner) batch(ctx context.Context) ([]message, error) {
	deadline := time.NewTimer(s.log.cfg.Timeout)
	defer deadline.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		batch, err := s.attempt(ctx)
		if err == nil && (len(batch) > 0 || s.next > s.to) {
			return batch, nil
		}
		s.release()
		if err != nil && !errors.Is(kindOf(err), ErrUnavailable) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			return nil, cmp.Or(err, errSilent)
		case <-time.After(scanPause):
		}
	}
}

var errSilent = errors.New("the stream has more messages but delivers none")

// attempt fetches once. Where less came than was asked for, the stream itself is asked
// where it goes on, so that neither a gap nor an empty tail is waited for, and what
// was lost on the way is not taken for the end. A request that a dying server took is
// never answered, so an attempt has only a part of the time.
func (s *scanner) attempt(ctx context.Context) ([]message, error) {
	ctx, cancel := context.WithTimeout(ctx, s.log.cfg.Timeout/4)
	defer cancel()
	if s.consumer == nil {
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
	}
	batch, err := s.fetch()
	if len(batch) > 0 || err != nil {
		return batch, err
	}
	return s.skip(ctx)
}

func (s *scanner) connect(ctx context.Context) error {
	consumer, err := s.stream.CreateConsumer(ctx, js.ConsumerConfig{
		DeliverPolicy:     js.DeliverByStartSequencePolicy,
		OptStartSeq:       s.next,
		FilterSubject:     strings.TrimPrefix(s.filter, everything),
		AckPolicy:         js.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return err
	}
	s.consumer, s.delivered = consumer, 0
	return nil
}

// fetch asks the consumer once for what is there and takes it up to the first message
// that is out of turn. next moves past what it returns.
func (s *scanner) fetch() ([]message, error) {
	if !s.log.conn.IsConnected() {
		return nil, nats.ErrDisconnected // the library would leave a subscription behind
	}
	fetched, err := s.consumer.FetchNoWait(scanBatch)
	if err != nil {
		return nil, err
	}
	batch := make([]message, 0, scanBatch)
	inTurn := true
	for msg := range fetched.Messages() {
		meta, err := msg.Metadata()
		s.delivered++
		inTurn = inTurn && err == nil && meta.Sequence.Consumer == s.delivered
		// The leader is asked of what seems to be gone: another server may only lack it itself.
		if inTurn = inTurn && (s.filter != everything || meta.Sequence.Stream == s.next || s.next > s.to); !inTurn {
			continue
		}
		if meta.Sequence.Stream > s.to {
			s.next = s.to + 1
			continue
		}
		batch = append(batch, message{msg.Subject(), msg.Headers(), msg.Data(), meta.Sequence.Stream, meta.Timestamp.UTC(), 0})
		s.next = meta.Sequence.Stream + 1
	}
	if !inTurn {
		s.release()
	}
	if len(batch) == 0 {
		return nil, fetched.Error()
	}
	return batch, nil
}

// skip moves next to the first message there is, or past the end of the range, and gives what
// it has passed as one message if everything is told. Where the leader has a message that the
// consumer's server does not, it is taken from the leader.
func (s *scanner) skip(ctx context.Context) ([]message, error) {
	if s.next > s.to {
		return nil, nil
	}
	from, subject := s.next, cmp.Or(s.filter, ">")
	following, err := s.stream.GetMsg(ctx, from, js.WithGetMsgSubject(subject))
	switch {
	case errors.Is(err, js.ErrMsgNotFound):
		s.next = s.to + 1
	case err != nil:
		return nil, err
	default:
		s.next = min(following.Sequence, s.to+1)
	}
	if s.filter != everything {
		return nil, nil
	}
	s.release()
	if s.next > from {
		return []message{{sequence: from, goneTo: s.next - 1}}, nil
	}
	s.next++
	return []message{{following.Subject, following.Header, following.Data, following.Sequence, following.Time.UTC(), 0}}, nil
}

// release gives the consumer up. If that fails the server drops it by itself.
func (s *scanner) release() {
	if s.consumer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.stream.DeleteConsumer(ctx, s.consumer.CachedInfo().Name); err != nil {
		s.log.logger.Debug("could not delete a reader's consumer", "error", err)
	}
	s.consumer = nil
}
