package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

func TestMain(m *testing.M) {
	natstest.ServeIfAsked()
	goleak.VerifyTestMain(m)
}

const patience = 30 * time.Second

// fixture is one server and a log on it.
type fixture struct {
	server *natstest.Server
	config jetstream.Config
	log    *jetstream.Log
}

func setup(tb testing.TB, change ...func(*jetstream.Config)) fixture {
	tb.Helper()
	return setupOn(tb, natstest.Start(tb), change...)
}

// setupLazy is setup on a server that does not wait for the disk, for tests with many
// events that are not about what is on disk.
func setupLazy(tb testing.TB, change ...func(*jetstream.Config)) fixture {
	tb.Helper()
	unseen := func(c *jetstream.Config) { c.MonitorURL = "" }
	return setupOn(tb, natstest.Start(tb, natstest.Options{Lazy: true}), append(change, unseen)...)
}

func setupOn(tb testing.TB, server *natstest.Server, change ...func(*jetstream.Config)) fixture {
	tb.Helper()
	config := jetstream.Config{
		URL:        server.URL(),
		MonitorURL: server.MonitorURL(),
		Replicas:   1,
		Timeout:    5 * time.Second,
		Linger:     50 * time.Millisecond,
	}
	for _, c := range change {
		c(&config)
	}
	log := connect(tb, config)
	require.NoError(tb, log.Ensure(tb.Context()))
	return fixture{server, config, log}
}

// setupSmall is setup on a server whose largest message was made smaller than a log is
// made with.
func setupSmall(tb testing.TB, maxPayload int32) fixture {
	tb.Helper()
	f := setup(tb)
	require.NoError(tb, f.server.SetMaxPayload(maxPayload))
	f.log = connect(tb, f.config)
	return f
}

// connect gives a log of its own connection, which ends with the test.
func connect(tb testing.TB, config jetstream.Config) *jetstream.Log {
	tb.Helper()
	log, err := jetstream.Connect(tb.Context(), config, slog.New(slog.DiscardHandler))
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = log.Close() }) // its server may be stopped already
	return log
}

// raw gives the bare client, for what the log itself would never do.
func raw(tb testing.TB, url string) (*nats.Conn, js.JetStream) {
	tb.Helper()
	conn, err := nats.Connect(url)
	require.NoError(tb, err)
	tb.Cleanup(conn.Close)
	stream, err := js.New(conn)
	require.NoError(tb, err)
	return conn, stream
}

// event makes the n-th of a series of different events.
func event(n int) *store.Event {
	return &store.Event{
		ID:       fmt.Sprintf("event-%d", n),
		Type:     store.PersonArrived,
		Referral: referral(n / 3),
		CRN:      "X123456",
		Emitted:  time.Date(2024, 5, 1, 12, 0, n, 1000, time.UTC),
		Occurred: time.Date(2024, 5, 1, 11, 0, n, 0, time.UTC),
		Source:   "https://cas.example/events/cas3/person-arrived/" + fmt.Sprint(n),
		Body:     fmt.Appendf(nil, `{"id":"event-%d","eventDetails":%q}`, n, bytes.Repeat([]byte("x"), 900)),
	}
}

func referral(n int) store.Referral {
	return store.Referral(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n)))
}

// fill appends events from to to, both included, many at a time.
func fill(tb testing.TB, log *jetstream.Log, from, to int) {
	tb.Helper()
	work := make(chan int)
	failed := make(chan error, 64)
	for range cap(failed) {
		go func() {
			var err error
			for n := range work {
				if _, e := log.Append(context.Background(), event(n)); e != nil {
					err = e
				}
			}
			failed <- err
		}()
	}
	for n := from; n <= to; n++ {
		work <- n
	}
	close(work)
	for range cap(failed) {
		require.NoError(tb, <-failed)
	}
}

// read collects a whole range.
func read(tb testing.TB, log *jetstream.Log, from, to uint64) []store.Stored {
	tb.Helper()
	var events []store.Stored
	for e, err := range log.Read(tb.Context(), from, to) {
		require.NoError(tb, err)
		events = append(events, e)
	}
	return events
}

// ids collects the ids of events.
func ids(events []store.Stored) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// sequences collects the sequences of events.
func sequences(events []store.Stored) []uint64 {
	list := make([]uint64, len(events))
	for i, e := range events {
		list[i] = e.Sequence
	}
	return list
}
