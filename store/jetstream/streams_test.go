package jetstream_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

func TestEnsureMakesStreamsThatKeepEverything(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *jetstream.Config) { c.MaxBytes = 10 << 20 })
	_, vendor := raw(t, f.server.URL())
	for name, maxBytes := range map[string]int64{jetstream.EventsStream: 10 << 20, jetstream.RejectedStream: 256 << 20} {
		stream, err := vendor.Stream(t.Context(), name)
		require.NoError(t, err)
		have := stream.CachedInfo().Config
		require.Equal(t, js.FileStorage, have.Storage)
		require.Equal(t, js.LimitsPolicy, have.Retention)
		require.Equal(t, js.DiscardNew, have.Discard)
		require.Equal(t, maxBytes, have.MaxBytes)
		require.Equal(t, time.Hour, have.Duplicates)
		require.True(t, have.DenyDelete)
		require.True(t, have.DenyPurge)
		require.Error(t, stream.Purge(t.Context()))
	}
	require.NoError(t, f.log.Ensure(t.Context()), "a second time changes nothing")
	require.NoError(t, f.log.Ready(t.Context()))
}

func TestEnsureNamesEverySettingThatIsWeaker(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	_, vendor := raw(t, server.URL())
	_, err := vendor.CreateStream(t.Context(), js.StreamConfig{
		Name:              jetstream.EventsStream,
		Subjects:          []string{"cas.events.cas2.*"},
		Storage:           js.MemoryStorage,
		Retention:         js.InterestPolicy,
		Discard:           js.DiscardOld,
		MaxBytes:          1 << 20,
		MaxAge:            time.Hour,
		MaxMsgs:           1000,
		MaxMsgsPerSubject: 10,
		MaxMsgSize:        1 << 16,
		Duplicates:        time.Minute,
		AllowRollup:       true,
		AllowMsgTTL:       true,
		NoAck:             true,
	})
	require.NoError(t, err)
	_, err = vendor.CreateStream(t.Context(), js.StreamConfig{
		Name:        jetstream.RejectedStream,
		Subjects:    []string{store.RejectedSubjects},
		MaxBytes:    1 << 30,
		Discard:     js.DiscardNew,
		Duplicates:  2 * time.Hour,
		DenyDelete:  true,
		DenyPurge:   true,
		Compression: js.S2Compression,
		PersistMode: js.AsyncPersistMode,
	})
	require.NoError(t, err)
	log := connect(t, jetstream.Config{URL: server.URL(), Replicas: 1, MaxBytes: 2 << 20})

	err = log.Ensure(t.Context())

	require.Equal(t, map[string][]string{
		"stream CAS_EVENTS": {
			"subjects", "storage", "retention", "discard", "max_bytes", "max_age", "max_msgs", "max_msgs_per_subject",
			"max_msg_size", "duplicate_window", "deny_delete", "deny_purge", "no_ack", "allow_rollup_hdrs", "allow_msg_ttl",
		},
		"stream CAS_REJECTED": {"persist_mode", "compression"},
	}, shortfalls(err))
	require.ErrorContains(t, err, "duplicate_window: have 1m0s → want 1h0m0s")
	require.ErrorContains(t, err, "persist_mode: have async → want default")
}

func TestEnsureRefusesFewerReplicas(t *testing.T) {
	t.Parallel()
	f := setup(t)
	config := f.config
	config.Replicas = 3
	err := connect(t, config).Ensure(t.Context())
	require.Equal(t, map[string][]string{"stream CAS_EVENTS": {"num_replicas"}, "stream CAS_REJECTED": {"num_replicas"}}, shortfalls(err))
}

func TestEnsureRefusesAServerThatAcknowledgesBeforeTheDiskHasIt(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natstest.Options{Lazy: true})
	config := jetstream.Config{URL: server.URL(), MonitorURL: server.MonitorURL(), Replicas: 1}
	err := connect(t, config).Ensure(t.Context())
	require.Equal(t, map[string][]string{"the NATS server at " + strings.TrimPrefix(server.MonitorURL(), "http://"): {"sync_interval"}}, shortfalls(err))
	require.ErrorContains(t, err, "sync_interval: have 2m0s → want always")

	config.MonitorURL = ""
	require.NoError(t, connect(t, config).Ensure(t.Context()), "nobody can see it then")
}

func TestEnsureLooksAtEveryMonitoringPort(t *testing.T) {
	t.Parallel()
	f := setup(t)
	other := natstest.Start(t, natstest.Options{Lazy: true})
	config := f.config
	config.MonitorURL = f.server.MonitorURL() + ", " + other.MonitorURL()
	require.ErrorContains(t, connect(t, config).Ensure(t.Context()), "sync_interval")
}

func TestEnsureDoesNotTakeSilenceForSafety(t *testing.T) {
	t.Parallel()
	f := setup(t)
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	config := f.config
	config.MonitorURL = stranger.URL
	require.ErrorIs(t, connect(t, config).Ensure(t.Context()), jetstream.ErrUnavailable)
}

func TestConnectFailsWhereNothingListens(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	server.Stop()
	_, err := jetstream.Connect(t.Context(), jetstream.Config{URL: server.URL()}, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, jetstream.ErrUnavailable)
}

func TestConnectHeedsItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := jetstream.Connect(ctx, jetstream.Config{URL: "nats://127.0.0.1:4222"}, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, context.Canceled)
}

func TestConfigNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]jetstream.Config{
		`URL holds ""`:                            {},
		`URL holds "http://x:1"`:                  {URL: "http://x:1"},
		`URL holds "nope://u:xxxxx@x"`:            {URL: "nats://a, nope://u:secret@x"},
		`MonitorURL holds "nats://x"`:             {URL: "nats://x", MonitorURL: "nats://x"},
		`Replicas is 2`:                           {URL: "nats://x", Replicas: 2},
		`MaxBytes is -1`:                          {URL: "nats://x", MaxBytes: -1},
		`Batch is 10001`:                          {URL: "nats://x", Batch: 10001},
		`AckWait is 1ns: want at least 1ms`:       {URL: "nats://x", AckWait: 1},
		`RejectedMaxBytes is -5: want at least 1`: {URL: "nats://x", RejectedMaxBytes: -5},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
	require.NoError(t, jetstream.Config{URL: "tls://a:4222,nats://u:p@b"}.Validate())
}

func TestInfoTellsOneStreamFromAnother(t *testing.T) {
	t.Parallel()
	f := setup(t)
	empty, err := f.log.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(1), empty.FirstSequence)
	require.Zero(t, empty.LastSequence)
	require.WithinDuration(t, time.Now(), empty.Created, time.Minute)

	fill(t, f.log, 1, 3)
	filled, err := f.log.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, empty.Created, filled.Created)
	require.Equal(t, uint64(3), filled.LastSequence)
	require.Equal(t, uint64(3), filled.Messages)
	require.Equal(t, int64(1<<30), filled.MaxBytes)
	require.Positive(t, filled.Bytes)
}

// shortfalls takes the settings that fall short out of an error, by what has them.
func shortfalls(err error) map[string][]string {
	list := map[string][]string{}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		var settings *jetstream.SettingsError
		if errors.As(err, &settings) {
			for _, d := range settings.Differences {
				list[settings.Of] = append(list[settings.Of], d.Setting)
			}
		}
	}
	return list
}

func TestConnectingToAServerThatSaysNothingCanBeGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := silent.Accept(); err == nil {
			accepted <- conn
		}
		cancel()
	}()
	_, err = jetstream.Connect(ctx, jetstream.Config{URL: "nats://" + silent.Addr().String(), Timeout: time.Hour}, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, silent.Close())
	require.NoError(t, (<-accepted).Close()) // which ends the attempt
}

func TestClosingDoesNotWaitForAServerThatSaysNothing(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	upstream, err := url.Parse(server.URL())
	require.NoError(t, err)
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = relay.Close() })
	relayed := make(chan [2]net.Conn, 1)
	go func() {
		client, err := relay.Accept()
		if err != nil {
			return
		}
		behind, err := net.Dial("tcp", upstream.Host)
		if err != nil {
			return
		}
		relayed <- [2]net.Conn{client, behind}
		go func() { _, _ = io.Copy(behind, client) }()
		_, _ = io.Copy(client, behind)
	}()
	log, err := jetstream.Connect(t.Context(), jetstream.Config{URL: "nats://" + relay.Addr().String(), Replicas: 1, Timeout: time.Hour}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ends := <-relayed
	require.NoError(t, ends[1].Close()) // from now on nobody answers, and the client is not told
	require.ErrorIs(t, log.Close(), jetstream.ErrUnavailable)
	require.NoError(t, ends[0].Close())
}
