package postgrestest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startCluster runs a cluster for one test.
func startCluster(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Run(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	return c
}

// connect connects to a database for one test.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// openFolder makes a folder that every user may enter, unlike t.TempDir.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "postgrestest")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755))
	return folder
}

func queryInt(t *testing.T, conn *pgx.Conn, query string) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func TestClusterLivesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	c, err := Run(t.Context(), Options{Memory: true, Settings: map[string]string{"work_mem": "7MB"}})
	require.NoError(t, err)
	conn := connect(t, c.URL("postgres"))
	var workMem string
	require.NoError(t, conn.QueryRow(t.Context(), "show work_mem").Scan(&workMem))
	assert.Equal(t, "7MB", workMem)

	require.NoError(t, c.Stop())
	assert.NoDirExists(t, c.home.path)
	_, err = pgx.Connect(t.Context(), c.URL("postgres"))
	require.Error(t, err)
	require.NoError(t, c.Stop(), "a second stop does nothing")
	require.ErrorContains(t, c.Start(t.Context()), "stopped for good")
}

func TestClusterAsksForItsPassword(t *testing.T) {
	t.Parallel()
	c := startCluster(t, Options{Memory: true})
	u, err := url.Parse(c.URL("postgres"))
	require.NoError(t, err)
	u.User = url.UserPassword(u.User.Username(), "guess")
	_, err = pgx.Connect(t.Context(), u.String())
	require.ErrorContains(t, err, "password authentication failed")
}

func TestKilledClusterRecoversWhatWasCommitted(t *testing.T) {
	t.Parallel()
	c := startCluster(t, Options{Memory: true})
	url := c.URL("postgres")
	conn := connect(t, url)
	_, err := conn.Exec(t.Context(), "create table kept as select 1 as n")
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into kept values (2)")
	require.NoError(t, err)
	require.ErrorContains(t, c.Start(t.Context()), "is running")

	c.Kill()
	require.Error(t, tx.Commit(t.Context()))
	require.NoError(t, c.Start(t.Context()))

	assert.Equal(t, url, c.URL("postgres"))
	assert.Equal(t, 1, queryInt(t, connect(t, url), "select count(*) from kept"))
}

func TestClusterInAGivenFolderKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openFolder(t), "new", "folder")
	first := startCluster(t, Options{Dir: dir, Fsync: true})
	_, err := connect(t, first.URL("postgres")).Exec(t.Context(), "create table kept as select 1 as n")
	require.NoError(t, err)
	_, err = Run(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "postmaster.pid", "two clusters on one folder")
	require.NoError(t, first.Stop())

	second := startCluster(t, Options{Dir: dir})
	assert.Equal(t, 1, queryInt(t, connect(t, second.URL("postgres")), "select n from kept"))
}

func TestInterruptedSetUpIsDoneAgain(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700))
	c := startCluster(t, Options{Dir: dir})
	connect(t, c.URL("postgres"))
}

func TestFailedStartShowsWhatPostgresLogged(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Options{Memory: true, Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, `unrecognized configuration parameter "no_such_setting"`)
}

func TestTakenPortFailsWithItsNumber(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = Run(t.Context(), Options{Memory: true, Port: port})
	require.ErrorIs(t, err, errPortTaken)
	require.ErrorContains(t, err, fmt.Sprintf("port %d", port))
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run(ctx, Options{Memory: true})
	require.ErrorIs(t, err, context.Canceled)
}

// orphanVariable makes the test program a process that runs a cluster and never stops
// it, for TestClusterDiesWithItsProcess.
const orphanVariable = "POSTGRESTEST_ORPHAN"

func runOrphan() int {
	c, err := Run(context.Background(), Options{Memory: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(c.home.path)
	fmt.Println(c.URL("postgres"))
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
	return 0
}

// startOrphan starts such a process and returns it with the cluster's home and URL.
func startOrphan(t *testing.T) (process *exec.Cmd, home, url string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphanVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = stdin.Close() })
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	for _, line := range []*string{&home, &url} {
		require.True(t, lines.Scan(), "the process ended: %v", lines.Err())
		*line = lines.Text()
	}
	return cmd, home, url
}

func TestFilesOfADeadProcessAreRemoved(t *testing.T) {
	t.Parallel()
	orphan, home, _ := startOrphan(t)
	removeIfStale(home)
	require.DirExists(t, home, "its process is alive")

	require.NoError(t, orphan.Process.Kill())
	require.Error(t, orphan.Wait())
	awaitRemoved(t, home)
}

// awaitRemoved waits until the home of a process that has died could be removed.
func awaitRemoved(t *testing.T, home string) {
	t.Helper()
	require.Eventually(t, func() bool {
		removeIfStale(home)
		_, err := os.Stat(home)
		return os.IsNotExist(err)
	}, time.Minute, 10*time.Millisecond)
}
