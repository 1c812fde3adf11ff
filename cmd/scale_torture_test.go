//go:build torture

package cmd_test

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/projector/postgres"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

// What the whole torture does with each number of projectors.
const (
	sharedEvents = 4000 // while nobody is killed
	scaleKills   = 24
	betweenKills = 40 // events
)

const (
	// takeover is how long the people of a hung projector wait at most: the consumer's wait of
	// 12 s, and what a request for events that is still open was given.
	takeover = 20 * time.Second

	pace = 4 * time.Millisecond // between two live events
)

// TestTortureScaleOut has 1, 2 and 4 projectors, programs on one stream and one database, share
// live events, be killed and started again at any moment, and hang.
func TestTortureScaleOut(t *testing.T) {
	t.Parallel()
	kills := torturetest.Part(t, scaleKills)
	shared := torturetest.Part(t, sharedEvents)
	s := newScaling(t, 3*(shared+(kills+12)*betweenKills+hungEvents))
	for _, n := range []int{1, 2, 4} {
		for len(s.running) < n {
			s.running = append(s.running, s.start(t, natstest.Projector))
		}
		s.requireShared(t, shared)
		s.killSome(kills)
		if n > 1 {
			s.requireTakenOver(t)
		}
		s.requireTwin(t)
		s.requireAuditedOnce(t)
	}
	torturetest.Figure(t, "kills of one of 1, 2 and 4 projectors", s.kills)
	torturetest.Figure(t, "events", s.appended())
}

// TestTortureControlScaleOut: a projector on hold, which takes part and does nothing; a row that is
// changed; and a consumer that waits for three minutes before it takes events for not worked on.
func TestTortureControlScaleOut(t *testing.T) {
	t.Parallel()
	s := newScaling(t, 2*sharedEvents)
	s.followOnce(3 * time.Minute)
	s.running = append(s.running, s.start(t, natstest.Projector), s.start(t, natstest.Projector, "run", "--hold"))
	torturetest.RequireCaught(t, "the work is not shared", func(tb testing.TB) { s.requireShared(tb, sharedEvents/10) })
	s.requireTwin(t)
	s.exec(t, "update delius.contact set notes = 'Damaged' where contact_id = (select max(contact_id) from delius.contact)")
	torturetest.RequireCaught(t, "a row is not as the events say", s.requireRows)
	s.running[1].kill()
	s.running[1] = s.start(t, natstest.Projector)
	torturetest.RequireCaught(t, "are not taken over", func(tb testing.TB) { s.requireTakenOver(tb) })
}

// scaling is a system whose projectors are programs.
type scaling struct {
	*system
	*programs
	t       *testing.T
	chance  *rand.Rand
	db      *postgres.Database
	coming  []storetest.Raised
	next    atomic.Int64 // of coming
	running []*program
	kills   int
}

// newScaling starts the parts, with people of whom at least so many events are to come.
func newScaling(t *testing.T, events int) *scaling {
	t.Helper()
	s := &scaling{system: setup(t), t: t, chance: torturetest.Random(t)}
	s.programs = s.build(t)
	histories := s.generate(t, storetest.Options{Seed: s.chance.Uint64N(1 << 32), People: events/10 + 1}) // who have 13 each
	s.coming = shuffled(s.chance, histories)
	require.GreaterOrEqual(t, len(s.coming), events)
	var err error
	s.db, err = postgres.New(ctx, s.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	return s
}

// followOnce makes the consumer, with another wait than projectors would give it.
func (s *scaling) followOnce(wait time.Duration) {
	s.t.Helper()
	log, err := jetstream.Connect(ctx, jetstream.Config{
		URL: s.system.nats.URLAs(natstest.Projector), Inbox: natstest.InboxOf(natstest.Projector), AckWait: wait, Linger: 50 * time.Millisecond,
	}, s.said.logger("consumer"))
	require.NoError(s.t, err)
	follower, err := log.Follow(ctx, projection.Durable)
	require.NoError(s.t, err)
	require.NoError(s.t, follower.Close())
	require.NoError(s.t, log.Close())
}

func (s *scaling) appended() int { return int(s.next.Load()) }

// feed appends so many live events, one after the other.
func (s *scaling) feed(n int) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	if s.appended()+n > len(s.coming) {
		return errors.New("too few events were made up")
	}
	for range n {
		e := s.coming[s.next.Load()]
		s.twin.Store(e.Event)
		if _, err := s.log.Append(ctx, &e.Event); err != nil {
			return err
		}
		s.next.Add(1)
		<-tick.C
	}
	return nil
}

// applied is the metric that counts the events that a projector has applied.
const applied = "projector_freshness_seconds_count"

// requireShared holds that each of the projectors applies its share of so many live events.
func (s *scaling) requireShared(tb testing.TB, events int) {
	tb.Helper()
	before := make([]float64, len(s.running))
	for i, p := range s.running {
		before[i] = p.metric(s.t, applied)
	}
	require.NoError(tb, s.feed(events))
	s.settle(tb)
	shares, all := make([]float64, len(s.running)), 0.0
	for i, p := range s.running {
		shares[i] = p.metric(s.t, applied) - before[i]
		all += shares[i]
	}
	tb.Logf("%d events: applied %v", events, shares)
	fair := all / float64(len(shares))
	for _, share := range shares {
		require.InDelta(tb, fair, share, 0.2*fair, "the work is not shared: %v", shares)
	}
}

// killSome kills projectors while events come in, now and then all of them, and starts them again.
func (s *scaling) killSome(kills int) {
	s.t.Helper()
	fed := make(chan error, 1)
	go func() { fed <- s.feed((kills + 1) * betweenKills) }()
	begun := s.appended()
	for round := range kills {
		eventually(s.t, "events come in", func() bool { return s.appended() >= begun+round*betweenKills+s.chance.IntN(betweenKills) })
		some := 1
		if s.chance.IntN(4) == 0 {
			some = len(s.running)
		}
		killed := s.chance.Perm(len(s.running))[:some]
		for _, i := range killed {
			s.running[i].kill()
			s.kills++
		}
		for _, i := range killed {
			s.running[i] = s.start(s.t, natstest.Projector)
		}
	}
	require.NoError(s.t, <-fed)
}

// hungEvents come in before and while a projector hangs: for longer than the second that a request
// which it has made before is still open.
const hungEvents = 300

// requireTakenOver has one of the projectors hang while events come in, and holds that the others
// apply all of them in time.
func (s *scaling) requireTakenOver(tb testing.TB) {
	tb.Helper()
	hung := s.running[s.chance.IntN(len(s.running))]
	eventually(tb, "it works", func() bool {
		require.NoError(tb, s.feed(betweenKills))
		return hung.metric(s.t, applied) > 0
	})
	hung.signal(s.t, syscall.SIGSTOP)
	defer hung.signal(s.t, syscall.SIGCONT)
	began := time.Now()
	require.NoError(tb, s.feed(hungEvents))
	left := 0
	require.Eventually(tb, func() bool {
		info, err := s.log.Info(ctx)
		if err != nil {
			return false
		}
		err = s.delius.Pool.QueryRow(ctx, `select $1 - count(*) from projection.event e
			where exists (select from projection.applied a where a.sequence = e.sequence)`, info.LastSequence).Scan(&left)
		return err == nil && left == 0
	}, takeover-time.Since(began), glance, "the events of a projector that hangs are not taken over")
	tb.Logf("taken over after %s", time.Since(began).Round(time.Second/10))
}
