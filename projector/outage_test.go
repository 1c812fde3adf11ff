package projector_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
	"casdelius/store/torturetest"
)

// parts are the stream and the database in memory, so that a day of outage passes in a moment of
// a synctest bubble. While one of them is down, whoever calls it hears so.
type parts struct {
	mu           sync.Mutex
	streamIsDown bool
	dbIsDown     bool
	newestFirst  bool // the stream gives its last event first
	forgetful    bool // the database says that it has what it does not

	last    uint64          // sequence of the stream
	waiting []store.Stored  // of the stream, what nobody was given yet
	changed chan struct{}   // closed when there is more
	hand    map[uint64]bool // given and not acknowledged
	most    int             // that were ever in hand
	inbox   map[uint64]bool
	due     []store.Referral
	order   []uint64 // sequences, as they were applied
}

func newParts() *parts {
	return &parts{changed: make(chan struct{}), hand: map[uint64]bool{}, inbox: map[uint64]bool{}}
}

// of is a referral with one event, by its sequence.
func of(sequence uint64) (r store.Referral) {
	binary.BigEndian.PutUint64(r[8:], sequence)
	return r
}

func sequenceOf(r store.Referral) uint64 { return binary.BigEndian.Uint64(r[8:]) }

// append puts events into the stream.
func (p *parts) append(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		p.last++
		p.waiting = append(p.waiting, store.Stored{
			Event:    store.Event{ID: fmt.Sprint(p.last), Type: store.PersonArrived, Referral: of(p.last), CRN: store.CRN(fmt.Sprintf("X%06d", p.last))},
			Sequence: p.last, Stored: time.Now(),
		})
	}
	p.wake()
}

func (p *parts) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// set changes what is down.
func (p *parts) set(stream, db bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streamIsDown, p.dbIsDown = stream, db
	p.wake()
}

// db runs f unless the database is down.
func (p *parts) db(f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dbIsDown {
		return fmt.Errorf("connection refused: %w", projector.ErrUnavailable)
	}
	if f != nil {
		f()
	}
	return nil
}

func (p *parts) Stream(context.Context) (projector.Stream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streamIsDown {
		return projector.Stream{}, fmt.Errorf("no servers: %w", projector.ErrUnavailable)
	}
	return projector.Stream{LastSequence: p.last}, nil
}

func (p *parts) Read(context.Context, uint64, uint64) iter.Seq2[store.Stored, error] {
	panic("what is missing is never read in these tests")
}

func (p *parts) Follow(context.Context) (projector.Follower, error) { return p, nil }

// Fetch implements projector.Follower: while the stream is down it waits.
func (p *parts) Fetch(ctx context.Context, limit int) ([]store.Stored, error) {
	for {
		p.mu.Lock()
		if n := min(limit, len(p.waiting)); n > 0 && !p.streamIsDown {
			defer p.mu.Unlock()
			if p.newestFirst {
				slices.Reverse(p.waiting)
				defer slices.Reverse(p.waiting)
			}
			given := slices.Clone(p.waiting[:n])
			p.waiting = slices.Delete(p.waiting, 0, n)
			for _, e := range given {
				p.hand[e.Sequence] = true
			}
			p.most = max(p.most, len(p.hand))
			return given, nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *parts) Ack(events []store.Stored) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		delete(p.hand, e.Sequence)
	}
	return nil
}

func (p *parts) Release(events []store.Stored) error { return p.Ack(events) }
func (p *parts) Close() error                        { return nil }

func (p *parts) Last(context.Context) (last uint64, err error) { return 0, p.db(nil) }
func (p *parts) VerifyStream(context.Context, uint64, projector.Stream) error {
	return p.db(nil)
}

func (p *parts) Missing(context.Context, uint64) ([]projector.Range, error) { return nil, p.db(nil) }

func (p *parts) Put(_ context.Context, messages []store.Stored) error {
	return p.db(func() { p.put(messages) })
}

func (p *parts) put(messages []store.Stored) {
	for _, m := range messages {
		if !p.forgetful || m.Sequence%100 != 0 {
			p.inbox[m.Sequence] = true
			p.due = append(p.due, m.Referral)
		}
	}
}

func (p *parts) Load(ctx context.Context, messages []store.Stored) error { return p.Put(ctx, messages) }

// Due gives who is due, the longest first.
func (p *parts) Due(_ context.Context, _, _ time.Time, limit int, _ []store.Referral) (due []store.Referral, err error) {
	err = p.db(func() { due = slices.Clone(p.due[:min(limit, len(p.due))]) })
	return due, err
}

func (p *parts) Known(context.Context, []store.Stored) (map[uint64]bool, error) {
	return nil, p.db(nil)
}

func (p *parts) MarkDue(context.Context, []store.Referral) error { return p.db(nil) }

func (p *parts) Woken(context.Context, []*store.PersonEvent) ([]projector.Woken, error) {
	return nil, p.db(nil)
}

func (p *parts) MarkForgotten(context.Context) (int, error)          { return 0, p.db(nil) }
func (p *parts) Misplaced(context.Context) ([]store.Referral, error) { return nil, p.db(nil) }
func (p *parts) RestoreIdentities(context.Context) error             { return p.db(nil) }
func (p *parts) Restore(context.Context, []store.Stored) error       { return p.db(nil) }
func (p *parts) MayWrite(context.Context) error                      { return p.db(nil) }
func (p *parts) CorruptSequences(context.Context, []store.Referral) ([]uint64, error) {
	return nil, p.db(nil)
}

func (p *parts) Fail(context.Context, store.Referral, error, bool, time.Time) (projector.Failure, error) {
	return projector.Failure{}, p.db(nil)
}

func (p *parts) Begin(_ context.Context, selection projector.Selection) (projector.Step, error) {
	s := &step{parts: p}
	return s, p.db(func() {
		p.put(selection.Messages)
		for _, r := range selection.Referrals {
			if slices.Contains(p.due, r) {
				s.people = append(s.people, projector.Person{Referrals: []store.Referral{r}})
			}
		}
	})
}

// step is one over people of whom nothing is to be written.
type step struct {
	*parts
	people []projector.Person
}

func (s *step) People() []projector.Person { return s.people }

func (s *step) LoadCurrent(context.Context, []projector.Subject) (delius.References, error) {
	return delius.References{}, s.db(nil)
}

func (s *step) Apply(_ context.Context, decisions []projector.Decision, _ time.Time) (projector.Applied, error) {
	err := s.db(func() {
		for _, d := range decisions {
			r := d.Person.Referrals[0]
			s.due = slices.DeleteFunc(s.due, func(due store.Referral) bool { return due == r })
			s.order = append(s.order, sequenceOf(r))
		}
	})
	return projector.Applied{People: decisions}, err
}

func (s *step) Rollback(context.Context) {}

// handful is how many events a projector may have in hand: a batch with the intake, and of each of
// two lanes four that wait and those in work.
const handful = 10 * batchSize

const batchSize = 10

// day lets a part fail for a day, while an event comes every minute, and lets the projector have
// a minute for what has piled up.
func (p *parts) day(t *testing.T, batch int, stream, db bool) {
	t.Helper()
	pr, err := projector.New(p, projector.Ports{Inbox: p, Mender: p, Due: p, Steps: p}, projector.Config{Batch: batch, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- pr.Run(running) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	pass := func(d time.Duration) {
		<-time.After(d)
		synctest.Wait()
	}
	p.append(5 * batchSize)
	pass(time.Minute)
	p.set(stream, db)
	for range 24 * 60 {
		p.append(1)
		pass(time.Minute)
	}
	p.set(false, false)
	pass(time.Minute)
}

// requireOutlasted holds that every event was applied, the oldest first, and that few were in
// hand at any time.
func (p *parts) requireOutlasted(t testing.TB) {
	t.Helper()
	require.LessOrEqual(t, p.most, handful, "events pile up in memory")
	newest, applied := uint64(0), map[uint64]bool{}
	for _, sequence := range p.order {
		newest, applied[sequence] = max(newest, sequence), true
		require.LessOrEqual(t, newest-sequence, uint64(handful), "an old event was overtaken: sequence %d", sequence)
	}
	require.Len(t, applied, int(p.last), "an event is lost")
	require.Empty(t, p.hand, "an event is not acknowledged")
}

// Catches, as the controls show, events that pile up in memory, an order in which what waits
// longest does not come first, and a database that has lost what it said that it had.
func TestADayWithoutNATSOrPostgreSQLLosesNothingFillsNoMemoryAndIsMadeUpForOldestFirst(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]struct{ stream, db bool }{"NATS": {true, false}, "PostgreSQL": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParts()
				p.day(t, batchSize, down.stream, down.db)
				p.requireOutlasted(t)
			})
		})
	}
}

func TestTheControlsOfADayWithoutNATSOrPostgreSQLAreCaught(t *testing.T) {
	t.Parallel()
	for saying, broken := range map[string]func(*parts) (batch int){
		"pile up in memory": func(*parts) int { return 24 * 60 },
		"was overtaken":     func(p *parts) int { p.newestFirst = true; return batchSize },
		"an event is lost":  func(p *parts) int { p.forgetful = true; return batchSize },
	} {
		t.Run(saying, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParts()
				p.day(t, broken(p), false, true)
				torturetest.RequireCaught(t, saying, p.requireOutlasted)
			})
		})
	}
}
