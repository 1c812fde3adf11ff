//go:build torture

package cmd_test

import (
	"cmp"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

const (
	soakTime = 10 * time.Minute // of the whole torture

	mostEvents = 250  // a second, whatever the machine is capable of: the reference has to fold them too
	burst      = 2000 // events that show what the machine is capable of
)

// TestTortureSoak has events come in at half of the rate that the machine is capable of, while
// every few seconds something befalls a program or a connection. What two of the programs take,
// which nobody ends, is measured once each fault has come, and in the end.
func TestTortureSoak(t *testing.T) {
	t.Parallel()
	s := startSoak(t, torturetest.Length(t, soakTime))
	peak := s.peak()
	s.raiseSteadily(peak / 2)
	faults := s.faults()
	for _, f := range shuffledFaults(s.chance, faults) {
		s.befall(f)
	}
	s.pause()
	early := s.take(t)
	for s.raiseSteadily(s.rate); time.Since(s.began) < s.length; {
		s.befall(faults[s.chance.IntN(len(faults))])
	}
	s.pause()
	s.requireTwin(t)
	s.requireAuditedOnce(t)
	s.requireFlat(t, early, 100*time.Second) // after which idle connections are closed
	torturetest.Figure(t, "faults", s.befallen)
	torturetest.Figure(t, "events", int(s.next.Load()))
	torturetest.Figure(t, "events a second, of a peak of "+strconv.Itoa(peak), s.rate)
}

// TestTortureControlSoak: connections to the database that nobody closes, and an event that never
// comes.
func TestTortureControlSoak(t *testing.T) {
	t.Parallel()
	s := startSoak(t, 0)
	require.Positive(t, s.peak())
	early := s.take(t)
	s.leak()
	torturetest.RequireCaught(t, "more connections", func(tb testing.TB) { s.requireFlat(tb, early, 0) })
	s.twin.Store(s.coming[s.next.Load()].Event)
	torturetest.RequireCaught(t, "a row is not as the events say", func(tb testing.TB) { s.requireTwin(tb) })
}

// soak is a system whose services are programs, two of each, behind links.
type soak struct {
	*system
	*programs
	t      *testing.T
	chance *rand.Rand
	links  map[string]*link
	coming []storetest.Raised
	next   atomic.Int64 // of coming
	length time.Duration
	began  time.Time

	steady, mortal map[string]*program // by their role
	befallen       int
	rate           int           // events a second
	raising        chan struct{} // closed when no more are raised
	enough         chan struct{} // closed when no more are to be raised
	disk, events   float64       // at the last measurement
}

func startSoak(t *testing.T, length time.Duration) *soak {
	t.Helper()
	s := &soak{system: setup(t), t: t, began: time.Now(), chance: torturetest.Random(t), length: length, links: map[string]*link{}, steady: map[string]*program{}, mortal: map[string]*program{}}
	over := func(part, to string) string {
		u, err := url.Parse(to)
		require.NoError(t, err)
		if s.links[part] == nil {
			s.links[part] = newLink(t, u.Host, nil)
		}
		u.Host = s.links[part].address()
		return u.String()
	}
	s.programs = s.build(t)
	s.natsAs = func(role string) string { return over("NATS", s.nats.URLAs(role)) }
	base := over("the CAS API", s.cas.URL())
	s.environment = append(s.environment, "DELIUS_DATABASE_URL="+over("PostgreSQL", s.database), "AWS_ENDPOINT_URL_SQS="+over("SQS", s.sqs.URL()),
		"MESSAGING_CONSUMER_DETAIL_URLS="+base, "OAUTH2_TOKEN_URI="+over("the CAS API", s.cas.TokenURL()))
	histories := s.generate(t, storetest.Options{Seed: s.chance.Uint64N(1 << 32), BaseURL: base, People: 1500 + int(length.Seconds())*mostEvents/10})
	s.coming = shuffled(s.chance, histories)
	for _, role := range []string{natstest.Ingest, natstest.Projector} {
		s.steady[role], s.mortal[role] = s.start(t, role), s.start(t, role)
	}
	return s
}

// raiseNext raises the next event.
func (s *soak) raiseNext() {
	s.raise(s.t, s.coming[s.next.Add(1)-1])
}

// peak is how many events a second come from the queue to the commit where many wait.
func (s *soak) peak() int {
	s.t.Helper()
	began := time.Now()
	for range burst {
		s.raiseNext()
	}
	s.settle(s.t)
	return int(burst / time.Since(began).Seconds())
}

// raiseSteadily raises so many events a second until the next pause.
func (s *soak) raiseSteadily(rate int) {
	s.rate = max(1, min(rate, mostEvents))
	s.raising, s.enough = make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(time.Second / time.Duration(s.rate))
	go func() {
		defer close(s.raising)
		defer tick.Stop()
		for {
			select {
			case <-s.enough:
				return
			case <-tick.C:
				s.raiseNext()
			}
		}
	}()
}

// pause raises no more events one by one, and waits until all are applied, and as many at once as
// have the services open whatever connections they keep. What was in a killed program's hands is
// redelivered.
func (s *soak) pause() {
	s.t.Helper()
	close(s.enough)
	<-s.raising
	s.sqs.Advance(ingest.DefaultConfig().Visibility)
	s.settle(s.t)
	for range burst / 4 {
		s.raiseNext()
	}
	s.settle(s.t)
}

// after waits until so many seconds' events were raised.
func (s *soak) after(seconds float64) {
	s.t.Helper()
	until := s.next.Load() + int64(seconds*float64(s.rate))
	eventually(s.t, "events are raised", func() bool { return s.next.Load() >= until })
}

// fault is what befalls, until it ends.
type fault struct {
	what       string
	begin, end func()
}

// faults are all of them.
func (s *soak) faults() (all []fault) {
	for part, l := range s.links {
		all = append(all, fault{part + " is cut", l.cut, l.mend}, fault{part + " is stopped", l.stop, l.resume})
	}
	for role := range s.mortal {
		all = append(all, fault{
			role + " is killed",
			func() { s.mortal[role].kill() },
			func() { s.mortal[role] = s.start(s.t, role) },
		})
		for _, some := range []map[string]*program{s.steady, s.mortal} {
			all = append(all, fault{
				role + " is stopped",
				func() { some[role].signal(s.t, syscall.SIGSTOP) },
				func() { some[role].signal(s.t, syscall.SIGCONT) },
			})
		}
	}
	slices.SortFunc(all, func(a, b fault) int { return cmp.Compare(a.what, b.what) }) // the same for a seed
	return all
}

func shuffledFaults(chance *rand.Rand, faults []fault) []fault {
	all := slices.Clone(faults)
	chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// keepUp has half as many events come in where the services do not keep up, as others are busy on
// the same machine by now.
func (s *soak) keepUp() {
	s.t.Helper()
	depth, err := s.sqs.Depth(queueName)
	require.NoError(s.t, err)
	if depth.Visible+depth.InFlight > 10*s.rate {
		s.pause()
		s.raiseSteadily(s.rate / 2)
	}
}

// befall has a fault come after a moment and end after a few seconds.
func (s *soak) befall(f fault) {
	s.t.Helper()
	s.keepUp()
	s.after(0.5 + s.chance.Float64())
	f.begin()
	s.after(0.5 + 3*s.chance.Float64())
	f.end()
	s.befallen++
}
