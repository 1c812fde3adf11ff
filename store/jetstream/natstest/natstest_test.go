package natstest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/store/jetstream/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARestartedServerHasItsStreamsAndPorts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := natstest.Run(natstest.Options{Dir: dir})
	require.NoError(t, err)
	defer server.Shutdown()
	url, monitor := server.URL(), server.MonitorURL()
	_, err = client(t, url).CreateStream(t.Context(), jetstream.StreamConfig{Name: "S"})
	require.NoError(t, err)
	_, err = client(t, url).Publish(t.Context(), "S", []byte("kept"))
	require.NoError(t, err)

	server.Stop()
	require.NoError(t, server.Restart())

	require.Equal(t, url, server.URL())
	require.Equal(t, monitor, server.MonitorURL())
	stream, err := client(t, url).Stream(t.Context(), "S")
	require.NoError(t, err)
	require.Equal(t, uint64(1), stream.CachedInfo().State.Msgs)
	response, err := http.Get(monitor + "/healthz") //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Equal(t, http.StatusOK, response.StatusCode)
	server.Shutdown()
	require.DirExists(t, dir, "a folder that was given is not ours to remove")
}

func TestATemporaryFolderGoesWithTheServer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	server, err := natstest.Run(natstest.Options{})
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	server.Shutdown()
	require.NoDirExists(t, left[0])
}

func TestAClusterReplicates(t *testing.T) {
	t.Parallel()
	servers := natstest.Cluster(t)
	stream, err := client(t, natstest.URLs(servers)).CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Replicas: 3})
	require.NoError(t, err)
	require.Len(t, stream.CachedInfo().Cluster.Replicas, 2)
}

func client(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js
}
