package outbox_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/relay"
	"casdelius/projector/sns"
	"casdelius/projector/sns/snstest"
	"casdelius/store"
)

// ctx is for what has to be done also while a test is being cleaned up after.
var ctx = context.Background()

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(postgrestest.Main(m, postgrestest.Granted(postgres.Grants, postgres.Migrate)))
}

// bench is an outbox in a database of its own.
type bench struct {
	*outbox.Outbox
	t    *testing.T
	pool *pgxpool.Pool
}

func setup(t *testing.T) *bench {
	t.Helper()
	db := postgrestest.New(t)
	d, err := postgres.New(ctx, db.Projector, postgres.Config{})
	require.NoError(t, err)
	return &bench{d.Outbox, t, db.Projector}
}

// put keeps notices: each of a person and of an address row, numbered from 1.
func (b *bench) put(of ...[2]int64) {
	b.t.Helper()
	for _, n := range of {
		_, err := b.pool.Exec(ctx, `
			insert into projection.outbox (offender_address_id, offender_id, crn, kind, status, occurred, cause, trace)
			values ($2, $1, $3, 'updated', 'Main Address', now(), 'a test', '')`, n[0], n[1], fmt.Sprintf("X%06d", n[0]))
		require.NoError(b.t, err)
	}
}

// take takes notices for a holder and gives their numbers.
func (b *bench) take(holder string, length time.Duration, limit int) (relay.Lease, []int64) {
	b.t.Helper()
	lease, err := b.Take(ctx, holder, length, limit)
	require.NoError(b.t, err)
	numbers := []int64{}
	for i := range lease.Notices {
		numbers = append(numbers, lease.Notices[i].Number)
	}
	return lease, numbers
}

// settle settles all of a lease: sent, or with a failure.
func (b *bench) settle(lease *relay.Lease, failure string, pause time.Duration) int {
	b.t.Helper()
	outcomes := make([]relay.Outcome, 0, len(lease.Notices))
	for i := range lease.Notices {
		outcomes = append(outcomes, relay.Outcome{Number: lease.Notices[i].Number, Failure: failure, Pause: pause})
	}
	n, err := b.Settle(ctx, lease, outcomes)
	require.NoError(b.t, err)
	return n
}

// Of a person, and of an address row that has moved between two, only the first notice that
// waits can be taken; the next when that one was sent. It catches a batch with two notices of
// one person, which SNS may accept in any order, and an order for persons alone.
func TestOnlyTheFirstNoticeOfAPersonAndOfAnAddressCanBeTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put([2]int64{1, 10}, [2]int64{1, 11}, [2]int64{2, 10}, [2]int64{3, 12}, [2]int64{2, 13})
	first, numbers := b.take("a", time.Minute, 10)
	require.ElementsMatch(t, []int64{1, 4}, numbers)
	_, numbers = b.take("b", time.Minute, 10)
	require.Empty(t, numbers, "the others wait for those that are taken")
	require.Equal(t, 2, b.settle(&first, "", 0))
	second, numbers := b.take("b", time.Minute, 10)
	require.ElementsMatch(t, []int64{2, 3}, numbers)
	require.Equal(t, 2, b.settle(&second, "", 0))
	_, numbers = b.take("a", time.Minute, 10)
	require.Equal(t, []int64{5}, numbers)
}

func TestNoMoreAreTakenThanAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range int64(15) {
		b.put([2]int64{i, i})
	}
	_, numbers := b.take("a", time.Minute, 10)
	require.Len(t, numbers, 10)
	_, numbers = b.take("b", time.Minute, 10)
	require.Len(t, numbers, 5)
}

// A notice that failed waits out its pause with those behind it, and then comes alone.
func TestANoticeThatFailedRestsAndComesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put([2]int64{1, 10}, [2]int64{1, 11})
	lease, _ := b.take("a", time.Minute, 10)
	require.Equal(t, 1, b.settle(&lease, "refused", time.Hour))
	b.put([2]int64{2, 12}, [2]int64{3, 13})
	lease, numbers := b.take("a", time.Minute, 10)
	require.ElementsMatch(t, []int64{3, 4}, numbers)
	require.Equal(t, 2, b.settle(&lease, "refused", 0))
	_, err := b.pool.Exec(ctx, "update projection.outbox set next_try = now() where number = 1")
	require.NoError(t, err)
	b.put([2]int64{4, 14})
	lease, numbers = b.take("a", time.Minute, 10)
	require.Equal(t, []int64{1}, numbers)
	require.Equal(t, 1, lease.Notices[0].Tries)
}

// What is given back can be taken at once, as if it never had been: neither as sent nor as failed.
// It catches a settling that knows these two only.
func TestANoticeThatIsGivenBackIsAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put([2]int64{1, 10}, [2]int64{2, 11})
	lease, numbers := b.take("a", time.Minute, 10)
	require.Len(t, numbers, 2)
	n, err := b.Settle(ctx, &lease, []relay.Outcome{{Number: 1, GaveBack: true}, {Number: 2, GaveBack: true}})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	lease, numbers = b.take("b", time.Minute, 10)
	require.ElementsMatch(t, []int64{1, 2}, numbers)
	require.Zero(t, lease.Notices[0].Tries)
}

// A lease that has ended passes to whoever asks next, and the former holder can settle nothing
// any more, even if it is the same process. It catches a settling by number alone: the late
// answer of one who hung would let the next notice go while this one is in flight again.
func TestALeaseThatEndedIsAnothers(t *testing.T) {
	t.Parallel()
	for _, second := range []string{"b", "a"} {
		b := setup(t)
		b.put([2]int64{1, 10})
		late, numbers := b.take("a", time.Millisecond, 10)
		require.Equal(t, []int64{1}, numbers)
		var lease relay.Lease
		require.Eventually(t, func() bool {
			lease, numbers = b.take(second, time.Minute, 10)
			return len(numbers) == 1
		}, 10*time.Second, time.Millisecond)
		require.Zero(t, b.settle(&late, "", 0))
		require.Equal(t, 1, b.settle(&lease, "", 0))
		require.Zero(t, b.settle(&lease, "", 0), "what is settled is settled")
	}
}

func TestWhatWasSentIsForgottenInSmallBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range int64(5) {
		b.put([2]int64{i, i})
	}
	_, err := b.pool.Exec(ctx, "update projection.outbox set sent = now() - case when number < 4 then interval '8 days' else interval '6 days' end where number < 5")
	require.NoError(t, err)
	for _, want := range []int{2, 1, 0} {
		n, err := b.Forget(ctx, 7*24*time.Hour, 2)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	backlog, err := b.Backlog(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, backlog.Waiting)
	require.False(t, backlog.Oldest.IsZero())
	require.False(t, backlog.Kept)
}

// watcher is a topic that holds the promises of order against every call.
type watcher struct {
	t        *testing.T
	mu       sync.Mutex
	inFlight map[string]bool  // people
	accepted map[string][]int // numbers by person, each once
	chance   *rand.Rand
	hang     func(ctx context.Context) // instead of an answer, at times
}

func newWatcher(t *testing.T) *watcher {
	return &watcher{t: t, inFlight: map[string]bool{}, accepted: map[string][]int{}, chance: rand.New(rand.NewPCG(1, 2))}
}

// Publish implements relay.Topic.
func (w *watcher) Publish(ctx context.Context, messages []relay.Message) ([]error, error) {
	results, hangs := w.begin(messages)
	if hangs {
		w.hang(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range messages {
		delete(w.inFlight, person(m))
		number, last := atoi(m.ID), 0
		if all := w.accepted[person(m)]; len(all) > 0 {
			last = all[len(all)-1]
		}
		if results[i] == nil && number > last {
			w.accepted[person(m)] = append(w.accepted[person(m)], number)
		}
	}
	return results, nil
}

func (w *watcher) begin(messages []relay.Message) (results []error, hangs bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	results = make([]error, len(messages))
	for i, m := range messages {
		if w.inFlight[person(m)] {
			w.t.Errorf("two notices of %s are in flight", person(m))
		}
		w.inFlight[person(m)] = true
		if w.chance.IntN(10) == 0 {
			results[i] = fmt.Errorf("SNS is %w", relay.ErrUnavailable)
		}
	}
	return results, w.hang != nil && w.chance.IntN(20) == 0
}

func person(m relay.Message) string {
	_, rest, _ := strings.Cut(m.Body, `"value":"`)
	return rest[:7]
}

func atoi(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

// relays runs relays with short leases until the function that it returns is called.
func (b *bench) relays(n int, topic relay.Topic) (stop func()) {
	running, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	for i := range n {
		r := relay.New(b, topic, relay.Config{
			Holder: fmt.Sprint("relay ", i), Lease: time.Second, Poll: time.Millisecond, Pause: time.Millisecond, Most: 5 * time.Millisecond,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		ended.Go(func() { _ = r.Run(running) })
	}
	return func() {
		cancel()
		ended.Wait()
	}
}

func (b *bench) awaitSent() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		backlog, err := b.Backlog(ctx)
		return err == nil && backlog.Waiting == 0
	}, time.Minute, 5*time.Millisecond)
}

// Two relays share the work, some calls hang until they are cut off, some messages are refused:
// no person is in two calls at once, and what is accepted first is in order. It catches a take
// without the lease of others, or one that looks at persons and not at what is in flight.
func TestTwoRelaysNeverPublishOnePersonAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := newWatcher(t)
	w.hang = func(ctx context.Context) { <-ctx.Done() } // it is cut off at half of the lease
	stop := b.relays(2, w)
	want := map[string][]int{}
	for i := range 300 {
		p := int64(i*7%23 + 1)
		b.put([2]int64{p, int64(10_000 + i)}) // rows that differ: the person alone keeps the order
		name := fmt.Sprintf("X%06d", p)
		want[name] = append(want[name], i+1)
	}
	b.awaitSent()
	stop()
	require.Equal(t, want, w.accepted)
}

// A relay that was killed, or hangs for ever, leaves leases that end by themselves; the other
// goes on with them. It catches a lease without an end.
func TestWhatAKilledRelayHadIsTakenOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range int64(10) {
		b.put([2]int64{i, i}, [2]int64{i, i})
	}
	_, numbers := b.take("killed", 300*time.Millisecond, 10)
	require.Len(t, numbers, 10)
	w := newWatcher(t)
	stop := b.relays(1, w)
	b.awaitSent()
	stop()
	require.Len(t, w.accepted, 10)
	for name, all := range w.accepted {
		require.Len(t, all, 2, name)
	}
}

// Of a batch that SNS accepts in part, the refused message holds back its own person, and all
// others are sent. It catches a batch that is settled by the answer of the call.
func TestAPartlyAcceptedBatchHoldsBackOnePerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range int64(10) {
		b.put([2]int64{i, i}, [2]int64{i, i})
	}
	server := snstest.Start(t)
	arn := server.CreateTopic("events")
	topic, err := sns.New(awssns.NewFromConfig(server.AWSConfig()), arn)
	require.NoError(t, err)
	server.FailMessages(snstest.Always, http.StatusBadRequest, "InvalidParameter", func(m snstest.Message) bool { return strings.Contains(m.Body, "X000004") })
	stop := b.relays(1, topic)
	require.Eventually(t, func() bool {
		backlog, err := b.Backlog(ctx)
		return err == nil && backlog.Waiting == 2
	}, time.Minute, 5*time.Millisecond)
	rows, err := b.pool.Query(ctx, "select crn, tries > 0, error <> '' from projection.outbox where sent is null order by number")
	require.NoError(t, err)
	type left struct {
		CRN           store.CRN
		Tried, Failed bool
	}
	waiting, err := pgx.CollectRows(rows, pgx.RowToStructByPos[left])
	require.NoError(t, err)
	require.Equal(t, []left{{"X000004", true, true}, {"X000004", false, false}}, waiting)
	server.Heal()
	b.awaitSent()
	stop()
}

func TestTheSettingIsTurnedAndSaysIfItWasSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, step := range []struct{ on, changed bool }{{false, false}, {true, true}, {true, false}, {false, true}} {
		changed, err := outbox.Keep(ctx, b.pool, step.on)
		require.NoError(t, err)
		require.Equal(t, step.changed, changed)
		kept, err := outbox.Kept(ctx, b.pool)
		require.NoError(t, err)
		require.Equal(t, step.on, kept)
	}
}
