package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
)

// role makes a role that may do everything, and gives the database's URL for it.
func (w *world) role(name string) (database string) {
	w.t.Helper()
	u, err := url.Parse(w.delius.URL)
	require.NoError(w.t, err)
	name += "_" + u.Path[1:]
	w.exec("create role " + name + " superuser login password 'old'")
	w.t.Cleanup(func() { w.exec("drop role " + name) })
	u.User = url.UserPassword(name, "old")
	return u.String()
}

// cutOff ends every connection of the projector.
func (w *world) cutOff() {
	w.t.Helper()
	w.exec("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = '" + postgrestest.Projector + "'")
}

// Catches a projector that ends, or that puts people aside, when its password is changed or its
// connections are ended.
func TestAProjectorThatRunsWaitsOutAChangedPassword(t *testing.T) {
	t.Parallel()
	w := setup(t)
	database := w.role("changing")
	u, err := url.Parse(database)
	require.NoError(t, err)
	s := startOn(t, w, database, []store.Event{arrivalOf("X000001", 1)})
	w.applied("X000001", 1)

	w.exec("alter role " + u.User.Username() + " password 'new'")
	w.cutOff()
	s.append(arrivalOf("X000001", 2))
	s.unready("password authentication failed")
	s.says(`"putting events into the inbox"`, "password authentication failed")
	w.exec("alter role " + u.User.Username() + " password 'old'")
	w.applied("X000001", 2)
	for n := range 5 {
		w.cutOff()
		s.append(arrivalOf("X000001", 3+n))
	}
	w.applied("X000001", 7)
	s.metric("failures_total 0$")
	require.Zero(t, s.stop())
}

// says waits until a line of its log says all of this.
func (s *process) says(parts ...string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		for line := range strings.Lines(s.said.String()) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return true
			}
		}
		return false
	}, patience, 20*time.Millisecond, "%q", parts)
}

// A session can turn read-only while it stands. Catches a projector that ends by it, or puts people
// aside for it; package tx tests that the connection is closed.
func TestAProjectorThatRunsWaitsOutAReadOnlySession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec(`create function delius.refuse() returns trigger language plpgsql as $$ begin
		raise exception 'read-only' using errcode = '25006'; end $$`)
	w.exec("create trigger refuse before insert on delius.contact for each row execute function delius.refuse()")
	s := startOn(t, w, w.delius.URL, []store.Event{arrivalOf("X000001", 1)})
	s.says(`"reconciling"`, "25006")
	s.says(`"reconciling"`, `"attempt":3`)
	w.exec("set lock_timeout = '30s'; drop trigger refuse on delius.contact")
	w.applied("X000001", 1)
	s.metric("failures_total 0$")
	require.Zero(t, s.stop())
}

// unready waits until readiness fails and says something.
func (s *process) unready(says string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return notReady(s.address, says) }, patience, 20*time.Millisecond, says)
}

func notReady(address, says string) bool {
	answer, err := http.Get("http://" + address + "/health/readiness")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return err == nil && answer.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(text), says)
}

// cluster starts a PostgreSQL whose data stays in a folder.
func cluster(t *testing.T, dir string) *postgrestest.Cluster {
	t.Helper()
	c, err := postgrestest.Run(ctx, postgrestest.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c
}

// failover gives two servers with the same data: a primary, and a standby of it that is not yet
// promoted, with a world on the primary.
func failover(t *testing.T) (w *world, standby *postgrestest.Cluster) {
	t.Helper()
	dir, err := os.MkdirTemp("", "casdelius-failover-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) // PostgreSQL's own user enters it
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	making, err := postgrestest.Run(ctx, postgrestest.Options{Dir: first})
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, making.URL("postgres"))
	require.NoError(t, err)
	require.NoError(t, postgrestest.CreateDelius(ctx, conn))
	require.NoError(t, conn.Close(ctx))
	url, err := making.WithFile(making.URL("postgres"))
	require.NoError(t, err)
	code, _, stderr := tool(t, "migrate", "--delius-database-url", url, "--nats-url", "nats://127.0.0.1:1")
	require.Zero(t, code, stderr)
	pool := openPool(t, making.URL("postgres"))
	require.NoError(t, postgrestest.Delius{Pool: pool}.AddPeople(ctx, []postgrestest.Person{
		{CRN: "X000001", NOMS: "A0001AA", Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}},
	}))
	pool.Close()
	require.NoError(t, making.Stop())
	copied, err := exec.Command("cp", "-a", first, second).CombinedOutput()
	require.NoError(t, err, "%s", copied)
	require.NoError(t, os.WriteFile(filepath.Join(second, "data", "standby.signal"), nil, 0o644))
	primary := cluster(t, first)
	w = &world{t: t, delius: postgrestest.Database{Delius: postgrestest.Delius{Pool: openPool(t, primary.URL("postgres"))}, URL: primary.URL("postgres")}}
	w.db, err = postgres.New(ctx, w.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	return w, cluster(t, second)
}

// Catches a projector that ends when it is led to a standby, one that puts people aside for it,
// and one that stays connected to that server: connections over the same path lead to the
// primary then.
func TestAProjectorFollowsAFailover(t *testing.T) {
	t.Parallel()
	w, standby := failover(t)
	network, database := newPath(t, w.delius.URL)
	primary := network.target
	s := startOn(t, w, database, []store.Event{arrivalOf("X000001", 1)})
	w.applied("X000001", 1)

	elsewhere, err := url.Parse(standby.URL("postgres"))
	require.NoError(t, err)
	network.lead(elsewhere.Host)
	network.sever()
	s.append(arrivalOf("X000001", 2))
	s.says(`"putting events into the inbox"`, "the server is a standby")
	network.lead(primary)
	w.applied("X000001", 2)
	there := openPool(t, standby.URL("postgres"))
	require.Eventually(t, func() bool {
		n := 0
		require.NoError(t, there.QueryRow(ctx, "select count(*) from pg_stat_activity where application_name = $1", postgrestest.Projector).Scan(&n))
		return n == 0
	}, patience, 20*time.Millisecond, "nothing is read from the standby any more")
	s.metric("failures_total 0$")
	require.Zero(t, s.stop())
}

// freeAddress is one that nobody listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// Catches a projector that ends at its start because the database is not there yet, and one
// that waits in silence.
func TestRunWaitsForTheDatabaseAndSaysSo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u, err := url.Parse(w.delius.URL)
	require.NoError(t, err)
	nats, _ := stream(t, []store.Event{arrivalOf("X000001", 1)})
	server, there := u.Host, freeAddress(t)
	u.Host = there
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said written
	address := freeAddress(t)
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"run", "--http-address", address, "--nats-url", nats, "--stream-replicas=1", "--delius-database-url", u.String()}, &said, io.Discard)
	}()
	require.Eventually(t, func() bool { return notReady(address, there+" (DELIUS_DATABASE_URL)") }, patience, 20*time.Millisecond)
	require.Contains(t, said.String(), "the database cannot be used yet")

	late := &path{target: server}
	late.listener, err = net.Listen("tcp", there)
	require.NoError(t, err)
	late.carrying.Go(late.accept)
	w.applied("X000001", 1)
	cancel()
	require.Zero(t, <-ended)
	require.NoError(t, late.listener.Close())
	late.sever()
	late.carrying.Wait()
}

// Catches a wrong password, or a database that is not there, that is waited for: no waiting
// heals it.
func TestAWrongDatabaseIsRefusedAtTheStartWithWhatToDo(t *testing.T) { // not parallel: a password comes by the environment
	w := setup(t)
	u, err := url.Parse(w.delius.URL)
	require.NoError(t, err)
	wrong := *u
	wrong.User = url.UserPassword(u.User.Username(), "wrong-password")
	nowhere := *u
	nowhere.Path = "/nowhere"
	for says, database := range map[string]string{
		"28P01": wrong.String(),
		"3D000": nowhere.String(),
	} {
		t.Setenv("DELIUS_DATABASE_URL", database)
		code, _, stderr := tool(t, "run", "--http-address", "127.0.0.1:0", "--log-level", "error")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, says)
		require.Contains(t, stderr, u.Host+" (DELIUS_DATABASE_URL)")
		require.Contains(t, stderr, "set user, password and database in DELIUS_DATABASE_URL")
		require.NotContains(t, stderr, "wrong-password")
	}
}

// Catches a stream that is another one, which no retry heals, and that is retried for ever.
func TestAnotherStreamStillEndsAProjector(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec("insert into projection.stream (created) values ('2020-01-01')")
	nats, _ := stream(t, nil)
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"run", "--http-address", "127.0.0.1:0", "--nats-url", nats, "--stream-replicas=1", "--delius-database-url", w.delius.URL}, &stdout, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "it is another stream")
	require.ErrorIs(t, w.db.VerifyStream(ctx, 0, projector.Stream{Created: moment("2021-01-01T00:00:00Z")}), projector.ErrRefused)
}

// written is what was written.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *written) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *written) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func openPool(t *testing.T, database string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(ctx, database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}
