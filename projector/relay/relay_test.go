package relay_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/projector/relay"
	"casdelius/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box is an outbox in memory. It keeps the rules of relay.Outbox, one after the other.
type box struct {
	mu      sync.Mutex
	waiting []*row
	sent    []int64
	taken   int // how often notices were asked for
	fails   int // how many settlings fail
	most    int // notices that were in hand at once

	unordered bool // the latest notices are taken first
}

type row struct {
	relay.Notice
	next, end time.Time
	holder    string
}

func (b *box) put(n relay.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, &row{Notice: n})
}

func (b *box) Take(_ context.Context, holder string, length time.Duration, limit int) (relay.Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken++
	now := time.Now()
	lease := relay.Lease{Holder: holder, End: now.Add(length)}
	seen := map[int64]bool{}
	waiting := slices.Clone(b.waiting)
	if b.unordered {
		slices.Reverse(waiting)
	}
	for _, r := range waiting {
		first := !seen[r.OffenderID]
		seen[r.OffenderID] = true
		alone := len(lease.Notices) > 0 && (r.Tries > 0 || lease.Notices[0].Tries > 0)
		if !first && !b.unordered || alone || len(lease.Notices) == limit || r.next.After(now) || r.end.After(now) {
			continue
		}
		r.holder, r.end = holder, lease.End
		lease.Notices = append(lease.Notices, r.Notice)
	}
	b.most = max(b.most, len(lease.Notices))
	return lease, nil
}

func (b *box) Settle(_ context.Context, lease *relay.Lease, outcomes []relay.Outcome) (settled int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails > 0 {
		b.fails--
		return 0, errors.New("the database is gone")
	}
	for _, o := range outcomes {
		i := slices.IndexFunc(b.waiting, func(r *row) bool { return r.Number == o.Number })
		if i < 0 || !b.waiting[i].end.Equal(lease.End) {
			continue
		}
		settled++
		r := b.waiting[i]
		r.end = time.Time{}
		if o.GaveBack {
			continue
		}
		if o.Failure != "" {
			r.Tries, r.next = r.Tries+1, time.Now().Add(o.Pause)
			continue
		}
		b.sent, b.waiting = append(b.sent, o.Number), slices.Delete(b.waiting, i, i+1)
	}
	return settled, nil
}

func (b *box) Forget(context.Context, time.Duration, int) (int, error) { return 0, nil }

func (b *box) Backlog(context.Context) (relay.Backlog, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	backlog := relay.Backlog{Kept: true, Waiting: len(b.waiting)}
	for _, r := range b.waiting {
		if backlog.Oldest.IsZero() || r.Occurred.Before(backlog.Oldest) {
			backlog.Oldest = r.Occurred
		}
	}
	return backlog, nil
}

func (b *box) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

// topic answers as a function says.
type topic func(ctx context.Context, messages []relay.Message) ([]error, error)

func (f topic) Publish(ctx context.Context, messages []relay.Message) ([]error, error) {
	return f(ctx, messages)
}

// accept accepts everything.
func accept(messages []relay.Message) ([]error, error) { return make([]error, len(messages)), nil }

// notice is the notice of a number, of a person.
func notice(number, person int64) relay.Notice {
	return relay.Notice{Number: number, AddressID: 100 + person, OffenderID: person, CRN: store.CRN(fmt.Sprintf("X%06d", person)), Kind: relay.Updated, Status: "Main Address", Occurred: time.Now()}
}

// run runs a relay until the function that it returns is called.
func run(t *testing.T, b *box, f topic, change ...func(*relay.Config)) (stop func(), metrics *prometheus.Registry) {
	t.Helper()
	config := relay.Config{Holder: "test", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Registry: prometheus.NewRegistry()}
	for _, c := range change {
		c(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- relay.New(b, f, config).Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}, config.Registry.(*prometheus.Registry)
}

// value is that of a counter or a gauge.
func value(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return cmp.Or(f.GetMetric()[0].GetCounter().GetValue(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// The message is the contract's, byte by byte. It catches a field more or less, an id as a text,
// an offset of another place, and a time that is cut to seconds.
func TestAMessageIsAsTheContractSays(t *testing.T) {
	t.Parallel()
	n := relay.Notice{
		Number: 7, AddressID: 123, CRN: "X123456", Kind: relay.Created, Status: "Main Address",
		Occurred: time.Date(2026, 7, 9, 10, 2, 3, 4000, time.UTC), Trace: "trace",
	}
	const created = `{"eventType":"probation-case.address.created","version":1,"occurredAt":"2026-07-09T11:02:03.000004+01:00",` +
		`"description":"A new address has been created on the probation case",` +
		`"additionalInformation":{"addressStatus":"Main Address","addressId":123},` +
		`"personReference":{"identifiers":[{"type":"CRN","value":"X123456"}]}}`
	message := n.Message()
	require.Equal(t, []string{"7", "probation-case.address.created", "trace"}, []string{message.ID, message.EventType, message.Trace})
	requireBytes(t, created, message.Body)

	n.Kind, n.Status, n.CRN, n.Occurred = relay.Updated, "", "", time.Date(2026, 12, 9, 10, 2, 3, 0, time.UTC)
	requireBytes(t, `{"eventType":"probation-case.address.updated","version":1,"occurredAt":"2026-12-09T10:02:03.000000Z",`+
		`"description":"An address has been updated on the probation case","additionalInformation":{"addressId":123}}`, n.Message().Body)
}

func requireBytes(t *testing.T, want, have string) {
	t.Helper()
	require.Equal(t, []byte(want), []byte(have), have)
}

// A topic that fails as a whole is asked once after each pause, and the pauses grow; when it
// accepts again all that waits is sent. It catches a loop that goes on to the next notices at
// once, in which a failing topic is asked as fast as the machine can.
func TestAFailingTopicIsAskedLessAndLess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		for i := range int64(1000) {
			b.put(notice(i+1, i+1))
		}
		calls, healed := 0, false
		var mu sync.Mutex
		stop, metrics := run(t, b, func(_ context.Context, messages []relay.Message) ([]error, error) {
			mu.Lock()
			defer mu.Unlock()
			if calls++; healed {
				return accept(messages)
			}
			return nil, fmt.Errorf("SNS is %w", relay.ErrUnavailable)
		})
		<-time.After(time.Hour)
		mu.Lock()
		require.Less(t, calls, 2+9+12*1+3, "two in flight, nine while the pause doubles to five minutes, one in five minutes then")
		require.Greater(t, calls, 15)
		healed = true
		mu.Unlock()
		<-time.After(20 * time.Minute)
		require.Zero(t, b.left())
		require.InDelta(t, 1000, value(t, metrics, "projector_notices_sent_total"), 0)
		stop()
	})
}

// One notice that the topic refuses, even if it is the call that fails for it, holds back its own
// person and nobody else. It catches a retry of whole batches: those who happened to be in the
// same call would never be sent.
func TestANoticeThatFailsItsCallHoldsBackItsOwnPersonOnly(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func([]relay.Message, int) ([]error, error){
		"alone": func(messages []relay.Message, at int) ([]error, error) {
			results := make([]error, len(messages))
			results[at] = errors.New("SNS refuses it")
			return results, nil
		},
		"with its call": func([]relay.Message, int) ([]error, error) { return nil, errors.New("InvalidParameter") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &box{}
				for i := range int64(40) {
					b.put(notice(i+1, i%20))
				}
				stop, metrics := run(t, b, func(_ context.Context, messages []relay.Message) ([]error, error) {
					if at := slices.IndexFunc(messages, func(m relay.Message) bool { return m.ID == "4" }); at >= 0 {
						return refuse(messages, at)
					}
					return accept(messages)
				})
				<-time.After(time.Hour)
				require.Equal(t, 2, b.left(), "the refused one and the next of the same person")
				require.InDelta(t, 2, value(t, metrics, "projector_notices_waiting"), 0)
				require.Greater(t, value(t, metrics, "projector_notice_failures_total"), 10.0)
				require.Less(t, value(t, metrics, "projector_notice_failures_total"), 40.0, "its pauses grow, too")
				require.InDelta(t, 3600, value(t, metrics, "projector_notices_oldest_seconds"), 10)
				stop()
			})
		})
	}
}

// What was accepted is settled again and again while the lease lasts, and not sent twice for a
// database that was away for a moment. It catches a settling that is tried once.
func TestAnAcceptedNoticeIsSettledWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{fails: 4}
		b.put(notice(1, 1))
		calls := 0
		stop, _ := run(t, b, func(_ context.Context, messages []relay.Message) ([]error, error) {
			calls++
			return accept(messages)
		})
		<-time.After(time.Minute)
		stop()
		require.Equal(t, []int64{1}, b.sent)
		require.Equal(t, 1, calls)
	})
}

// A call is over before its lease is, so that one who hangs has stopped when another takes over.
// It catches a call without a limit, or with one that is longer than the lease.
func TestACallEndsBeforeItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		b.put(notice(1, 1))
		began := time.Now()
		var took time.Duration
		stop, _ := run(t, b, func(ctx context.Context, messages []relay.Message) ([]error, error) {
			if took > 0 {
				return accept(messages)
			}
			<-ctx.Done()
			took = time.Since(began)
			return nil, ctx.Err()
		}, func(c *relay.Config) { c.Lease = 10 * time.Second })
		<-time.After(time.Minute)
		stop()
		require.Equal(t, 5*time.Second, took)
		require.Equal(t, []int64{1}, b.sent)
	})
}

// A round whose call fails as a whole gives back what it has not sent, without a try, so that it
// goes together as soon as the topic accepts again. It catches a round that is sent to its end
// though the topic is away, and one whose rest counts as refused, or waits for its lease to end.
func TestWhatAFailedRoundHasNotSentIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		for i := range int64(100) {
			b.put(notice(i+1, i+1))
		}
		var calls []int
		stop, _ := run(t, b, func(_ context.Context, messages []relay.Message) ([]error, error) {
			if calls = append(calls, len(messages)); len(calls) == 1 {
				return nil, relay.ErrUnavailable
			}
			return accept(messages)
		}, func(c *relay.Config) { c.Calls, c.Lease = 1, time.Minute })
		<-time.After(10 * time.Second)
		stop()
		require.Equal(t, slices.Concat([]int{10}, slices.Repeat([]int{1}, 10), slices.Repeat([]int{10}, 9)), calls, "those that failed come alone, the others ten by ten")
		require.Zero(t, b.left())
	})
}

// A stop waits for what is in flight, so that nothing that was accepted is sent again, and gives
// back what is not, so that nobody waits for a lease. It catches a call that is cut off by the
// stop, and a stop that waits for the whole round.
func TestAStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		for i := range int64(20) {
			b.put(notice(i+1, i+1))
		}
		entered := make(chan struct{})
		stop, _ := run(t, b, func(ctx context.Context, messages []relay.Message) ([]error, error) {
			close(entered)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(2 * time.Second):
				return accept(messages)
			}
		}, func(c *relay.Config) { c.Calls = 1 })
		<-entered
		stop()
		require.Len(t, b.sent, 10)
		for _, r := range b.waiting {
			require.Zero(t, r.end)
			require.Zero(t, r.Tries)
		}
	})
}

// Whoever has just committed wakes the relay; nobody waits for the next look then. And a relay
// that has nothing to do asks once a second.
func TestARelayWakesAtOnceAndOtherwiseLooksNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		r := relay.New(b, topic(func(_ context.Context, messages []relay.Message) ([]error, error) { return accept(messages) }), relay.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		<-time.After(time.Minute + 500*time.Millisecond)
		synctest.Wait()
		require.InDelta(t, 58, b.taken, 1)
		b.put(notice(1, 1))
		r.Wake()
		<-time.After(100 * time.Millisecond)
		require.Zero(t, b.left())
		cancel()
		require.NoError(t, <-ended)
	})
}

// Notices that are kept and that nobody can send are said, with what to do. It catches a relay
// that is quiet where the variable is missing.
func TestARelayWithoutATopicIsUnreadyWhileNoticesAreKept(t *testing.T) {
	t.Parallel()
	b := &box{}
	b.put(notice(1, 1))
	require.ErrorContains(t, relay.New(b, nil, relay.Config{}).Ready(t.Context()), "set MESSAGING_PRODUCER_TOPIC")
	require.NoError(t, relay.New(b, topic(nil), relay.Config{}).Ready(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, relay.New(b, nil, relay.Config{}).Run(ctx))
	require.Zero(t, b.taken)
}
