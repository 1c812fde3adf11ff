package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Database is a database of its own for one test, with the stand-in Delius in it. It
// goes when the test ends.
//
// Its Pool is the owner's: of practitioners, administrators and of the test itself. Projectors
// get URL, or the pool Projector: where the package's tests were prepared by [Granted] these are
// of the role that has no more than its grants, else of the owner, too.
type Database struct {
	Delius
	URL       string
	Projector *pgxpool.Pool
	Owner     string // the URL as the owner
}

// Prepare adds to the database that every test's is a copy of; migrations, say.
type Prepare func(ctx context.Context, conn *pgx.Conn) error

// Main wraps the tests of a package that call [New]:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Main(m)) }
//
// or, without goleak, os.Exit(postgrestest.Main(m).Run()).
func Main(m *testing.M, prepare ...Prepare) *M {
	s := &server{prepare: prepare}
	s.start = sync.OnceValue(s.run)
	shared.Store(s)
	return &M{tests: m, server: s}
}

// M runs a package's tests.
type M struct {
	tests  *testing.M
	server *server
}

// Run runs the tests and then stops the cluster, if a test has started it. It returns
// the exit code.
func (m *M) Run() int {
	code := m.tests.Run()
	shared.Store(nil)
	if err := m.server.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// New returns a new database. The first call of a test process starts a cluster, which
// the process shares; the package's TestMain must have called [Main]. The pool is
// closed and the database dropped when the test ends, whoever is still connected; that
// the test has not given back a connection by then is an error of the test.
func New(tb testing.TB) Database {
	tb.Helper()
	s := shared.Load()
	if s == nil {
		tb.Fatal("postgrestest.New needs a TestMain that runs the tests by postgrestest.Main")
	}
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	ctx := tb.Context()
	if _, err := s.admin.Exec(ctx, "create database "+name+" template "+template); err != nil {
		tb.Fatalf("create database %s: %v", name, err)
	}
	tb.Cleanup(func() { s.drop(tb, name) })

	owner := s.cluster.URL(name)
	projectors := owner
	if s.granted {
		var err error
		if projectors, err = s.cluster.WithFile(AsRole(owner)); err != nil {
			tb.Fatalf("write the file of the password: %v", err)
		}
	}
	return Database{Delius: Delius{Pool: openPool(tb, owner)}, URL: projectors, Projector: openPool(tb, projectors), Owner: owner}
}

// openPool opens a database until the test ends.
func openPool(tb testing.TB, url string) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), url+"&pool_max_conns=16")
	if err != nil {
		tb.Fatalf("connect to PostgreSQL: %v", err)
	}
	tb.Cleanup(func() { closePool(tb, pool) })
	return pool
}

// template is the database that tests get copies of.
const template = "delius_template"

// shared is the server of this test process; nil outside of M.Run.
var shared atomic.Pointer[server]

// server is a cluster with the template in it.
type server struct {
	prepare   []Prepare
	start     func() error // run, once
	cluster   *Cluster     // nil before start
	admin     *pgxpool.Pool
	granted   bool // the template has the role
	databases atomic.Int64
}

// limit bounds what must not hang: starting, dropping a database, closing a pool.
const limit = time.Minute

func (s *server) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cluster, err := Run(ctx, Options{Memory: true, Settings: map[string]string{"max_wal_size": "128MB"}})
	if err != nil {
		return err
	}
	if err := s.makeTemplate(ctx, cluster); err != nil {
		return errors.Join(err, cluster.Stop())
	}
	s.cluster = cluster
	return nil
}

// makeTemplate makes the template. Nobody may be connected to it when it is copied,
// so its connection is closed.
func (s *server) makeTemplate(ctx context.Context, cluster *Cluster) (err error) {
	if s.admin, err = pgxpool.New(ctx, cluster.URL("postgres")); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.admin.Close()
		}
	}()
	if _, err := s.admin.Exec(ctx, "create database "+template); err != nil {
		return fmt.Errorf("create the template database: %w", err)
	}
	conn, err := pgx.Connect(ctx, cluster.URL(template))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if err := CreateDelius(ctx, conn); err != nil {
		return err
	}
	for _, prepare := range s.prepare {
		if err := prepare(ctx, conn); err != nil {
			return fmt.Errorf("prepare the template database: %w", err)
		}
	}
	return conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", Role).Scan(&s.granted)
}

func (s *server) stop() error {
	if s.cluster == nil {
		return nil
	}
	s.admin.Close()
	return s.cluster.Stop()
}

func (s *server) drop(tb testing.TB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if _, err := s.admin.Exec(ctx, "drop database "+name+" with (force)"); err != nil {
		tb.Errorf("drop database %s: %v", name, err)
	}
}

// closePool closes the pool, which waits for every connection to be given back.
func closePool(tb testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	const patience = 10 * time.Second
	select {
	case <-closed:
	case <-time.After(patience):
		tb.Errorf("%d connections of the test's pool were not given back: release them, close their rows, end their transactions",
			pool.Stat().AcquiredConns())
	}
}
