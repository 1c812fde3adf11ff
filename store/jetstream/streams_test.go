package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
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

func TestEnsureTakesAServerOfAClusterThatIsDown(t *testing.T) {
	t.Parallel()
	servers := natstest.Cluster(t)
	var monitors []string
	for _, s := range servers {
		monitors = append(monitors, s.MonitorURL())
	}
	config := jetstream.Config{URL: natstest.URLs(servers), MonitorURL: strings.Join(monitors, ","), Replicas: 3}
	require.NoError(t, connect(t, config).Ensure(t.Context()))

	servers[0].Stop()
	said := &lines{}
	log, err := jetstream.Connect(t.Context(), config, slog.New(slog.NewTextHandler(said, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	require.Eventually(t, func() bool { // until the others have a leader again
		err := log.Ensure(t.Context())
		return err == nil || !errors.Is(err, jetstream.ErrUnavailable)
	}, patience, 50*time.Millisecond)
	require.NoError(t, log.Ensure(t.Context()))
	require.Contains(t, said.String(), "level=WARN")
	require.Contains(t, said.String(), strings.TrimPrefix(servers[0].MonitorURL(), "http://"))
}

func TestEnsureNamesTheReplicasThatAServerAloneCannotHave(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	for _, monitor := range []string{server.MonitorURL(), "http://127.0.0.1:1"} {
		err := connect(t, jetstream.Config{URL: server.URL(), MonitorURL: monitor, Replicas: 3}).Ensure(t.Context())
		require.Equal(t, map[string][]string{"the NATS server at " + server.URL(): {"STREAM_REPLICAS"}}, shortfalls(err))
		require.ErrorContains(t, err, "STREAM_REPLICAS: have 3, but no cluster → want 1, or a cluster behind NATS_URL")
		require.ErrorContains(t, err, "replicas > 1 not supported in non-clustered mode")
	}
}

func TestEnsureRefusesMessagesTooSmallForAnEventAndWarnsOfSmallOnes(t *testing.T) {
	t.Parallel()
	for size, want := range map[int32]string{500 << 10: "refused", 1 << 20: "warned of", 8 << 20: "fine"} {
		server := natstest.Start(t, natstest.Options{MaxPayload: size})
		said := &lines{}
		log, err := jetstream.Connect(t.Context(), jetstream.Config{URL: server.URL(), MonitorURL: server.MonitorURL(), Replicas: 1},
			slog.New(slog.NewTextHandler(said, nil)))
		require.NoError(t, err)
		t.Cleanup(func() { _ = log.Close() })
		err = log.Ensure(t.Context())
		got := "fine"
		if said.String() != "" {
			require.Contains(t, said.String(), fmt.Sprintf("max_payload: have %d → want 8388608", size))
			got = "warned of"
		}
		if err != nil {
			require.Equal(t, map[string][]string{"the NATS server at " + server.URL(): {"max_payload"}}, shortfalls(err))
			got = "refused"
		}
		require.Equal(t, want, got, "%d bytes", size)
	}
}

func TestSettingsThatAreChangedAreTold(t *testing.T) {
	t.Parallel()
	f := setup(t)
	said := &lines{}
	log, err := jetstream.Connect(t.Context(), f.config, slog.New(slog.NewTextHandler(said, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	require.NoError(t, log.Ensure(t.Context()))
	log.Watch(5 * time.Millisecond)
	require.NoError(t, log.Settings(t.Context()))

	_, vendor := raw(t, f.server.URL())
	stream, err := vendor.Stream(t.Context(), jetstream.EventsStream)
	require.NoError(t, err)
	weak := stream.CachedInfo().Config
	weak.MaxAge = 24 * time.Hour
	_, err = vendor.UpdateStream(t.Context(), weak)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return log.Settings(t.Context()) != nil }, patience, time.Millisecond)
	require.ErrorContains(t, log.Settings(t.Context()), "max_age: have 24h0m0s → want none")

	weak.MaxAge = 0
	_, err = vendor.UpdateStream(t.Context(), weak)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return log.Settings(t.Context()) == nil }, patience, time.Millisecond)
	require.NoError(t, log.Close())
	require.Equal(t, 1, strings.Count(said.String(), "max_age"), "it is said once")
}

func TestAnOutageIsNoChangeOfSettings(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.server.Stop()
	require.Eventually(t, func() bool { return f.log.Ready(t.Context()) != nil }, patience, time.Millisecond)
	err := f.log.Ensure(t.Context())
	require.ErrorIs(t, err, jetstream.ErrUnavailable)
	require.Empty(t, shortfalls(err))
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestConnectFailsWhereNothingListens(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	server.Stop()
	_, err := jetstream.Connect(t.Context(), jetstream.Config{URL: server.URL()}, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, jetstream.ErrUnavailable)
	require.ErrorContains(t, err, "NATS_URL")
	require.ErrorContains(t, err, server.URL())
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
		`NATS_URL holds ""`:                       {},
		`NATS_URL holds "http://x:1"`:             {URL: "http://x:1"},
		`NATS_URL holds "nope://x"`:               {URL: "nats://a, nope://u:secret@x"},
		`NATS_MONITOR_URL holds "nats://x"`:       {URL: "nats://x", MonitorURL: "nats://x"},
		`STREAM_REPLICAS is 2`:                    {URL: "nats://x", Replicas: 2},
		`STREAM_MAX_BYTES is -1`:                  {URL: "nats://x", MaxBytes: -1},
		`Batch is 10001`:                          {URL: "nats://x", Batch: 10001},
		`AckWait is 1ns: want at least 1ms`:       {URL: "nats://x", AckWait: 1},
		`RejectedMaxBytes is -5: want at least 1`: {URL: "nats://x", RejectedMaxBytes: -5},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
	require.NoError(t, jetstream.Config{URL: "tls://a:4222,nats://u:p@b"}.Validate())

	err := jetstream.Config{URL: "x", MonitorURL: "y", Replicas: 2, MaxBytes: -1}.Validate()
	for _, variable := range []string{"NATS_URL", "NATS_MONITOR_URL", "STREAM_REPLICAS", "STREAM_MAX_BYTES"} {
		require.ErrorContains(t, err, variable, "all are named at once")
	}
}

func TestConnectNamesTheFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	for variable, c := range map[string]jetstream.Config{"NATS_CREDS": {Creds: none}, "NATS_CA": {CA: none}} {
		c.URL = "nats://127.0.0.1:1"
		_, err := jetstream.Connect(t.Context(), c, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, variable)
		require.ErrorContains(t, err, none)
		require.NotErrorIs(t, err, jetstream.ErrUnavailable, "waiting does not help")
	}
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
