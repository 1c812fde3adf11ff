package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the role that every URL of a cluster names.
const superuser = "postgres"

// Options says where and how a private PostgreSQL runs.
type Options struct {
	// Dir keeps the data from run to run. "" is a temporary folder that Stop removes.
	Dir string
	// Memory holds a temporary folder in memory, where the system has a large enough
	// file system there. Databases are made many times faster than on a busy disk.
	Memory bool
	// Port to listen on, on 127.0.0.1 only. 0 is a free one.
	Port int
	// Fsync makes commits survive a power cut, as in production. Without it they
	// survive only a crash of PostgreSQL itself.
	Fsync bool
	// Settings are further configuration parameters; they win over the defaults.
	Settings map[string]string
}

// Cluster is a private PostgreSQL. Its methods may be called from several goroutines.
type Cluster struct {
	binaries string
	account  account
	home     *home
	password string
	settings map[string]string
	passfile func() (string, error) // with the password, written once: whoever connects reads it

	mu      sync.Mutex
	port    int      // 0 until a free one is chosen
	server  *process // nil before the first start
	stopped bool
}

// Run makes a cluster, or takes up the one that stands in Options.Dir, and starts
// it; ctx bounds the start, not the cluster's life. The error of a start that fails
// holds what PostgreSQL logged.
func Run(ctx context.Context, o Options) (*Cluster, error) {
	binaries, err := findBinaries(ctx)
	if err != nil {
		return nil, err
	}
	a, err := runAs()
	if err != nil {
		return nil, err
	}
	h, err := o.home(a)
	if err != nil {
		return nil, fmt.Errorf("folder for PostgreSQL: %w", err)
	}
	c := &Cluster{binaries: binaries, account: a, home: h, settings: o.settings(), port: o.Port}
	c.passfile = sync.OnceValues(c.writePassfile)
	if err := c.initialise(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("set up PostgreSQL in %s: %w", h.path, err), h.close())
	}
	if err := c.Start(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return c, nil
}

func (o Options) home(a account) (*home, error) {
	switch {
	case o.Dir != "":
		return openHome(o.Dir, a)
	case o.Memory:
		return temporaryHome(append(memoryFolders(), diskFolders()...), a)
	}
	return temporaryHome(diskFolders(), a)
}

func (o Options) settings() map[string]string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"max_connections":         "200",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"jit":                     "off", // the statements here run shorter than they compile
	}
	if !o.Fsync {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
	}
	maps.Copy(settings, o.Settings)
	return settings
}

// initialise makes the data folder, unless it stands there. It is made under another
// name, so that one that was interrupted is never taken for a whole one.
func (c *Cluster) initialise(ctx context.Context) error {
	var err error
	if c.password, err = c.home.makePassword(c.account); err != nil {
		return err
	}
	if _, err := os.Stat(c.home.data()); err == nil {
		return nil
	}
	unfinished := c.home.data() + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	if err := c.account.own(unfinished); err != nil {
		return err
	}
	if err := c.initdb(ctx, unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, c.home.data())
}

func (c *Cluster) initdb(ctx context.Context, data string) error {
	log, err := c.openLog()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has it open itself
	p, err := startProcess(c.account, log.File, filepath.Join(c.binaries, "initdb"),
		"--pgdata", data, "--username", superuser, "--pwfile", c.home.password(), "--auth", "scram-sha-256",
		"--locale", "C", "--encoding", "UTF8", "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.killGroup() // initdb runs servers that would go on writing for a moment
		<-p.exited
		return ctx.Err()
	}
	if p.err != nil {
		return fmt.Errorf("initdb: %w:\n%s", p.err, log.tail())
	}
	return nil
}

// URL is the connection string of a database of the cluster, as its superuser.
func (c *Cluster) URL(database string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.urlOn(c.port, database)
}

func (c *Cluster) urlOn(port int, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Start starts a cluster that was killed, on the same port and with the same data,
// and returns once it takes connections.
func (c *Cluster) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return errors.New("start PostgreSQL: it was stopped for good")
	case c.server != nil && c.server.running():
		return errors.New("start PostgreSQL: it is running")
	}
	for attempts := 10; ; attempts-- {
		port, err := c.choosePort(ctx)
		if err != nil {
			return err
		}
		err = c.startOn(ctx, port)
		switch {
		case err == nil:
			c.port = port
			return nil
		case c.port == 0 && attempts > 1 && errors.Is(err, errPortTaken):
			// somebody was faster: take another
		default:
			return fmt.Errorf("start PostgreSQL on port %d with data in %s: %w", port, c.home.path, err)
		}
	}
}

// choosePort returns the cluster's port, or one that was free a moment ago.
func (c *Cluster) choosePort(ctx context.Context) (int, error) {
	if c.port != 0 {
		return c.port, nil
	}
	return freePort(ctx)
}

// freePort returns a port that was free a moment ago.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port for PostgreSQL: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

var errPortTaken = errors.New("the port is taken")

// startOn starts the server and waits until it takes connections.
func (c *Cluster) startOn(ctx context.Context, port int) error {
	log, err := c.openLog()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has it open itself
	args := []string{"-D", c.home.data(), "-p", strconv.Itoa(port)}
	for _, name := range slices.Sorted(maps.Keys(c.settings)) {
		args = append(args, "-c", name+"="+c.settings[name])
	}
	p, err := startProcess(c.account, log.File, filepath.Join(c.binaries, "postgres"), args...)
	if err != nil {
		return err
	}
	if err := awaitReady(ctx, p, c.urlOn(port, "postgres")); err != nil {
		_ = p.end()
		if said := log.tail(); strings.Contains(said, "Address already in use") {
			return fmt.Errorf("%w:\n%s", errPortTaken, said)
		}
		return fmt.Errorf("%w:\n%s", err, log.tail())
	}
	c.server = p
	return nil
}

// awaitReady connects until it works, the program has ended or ctx has.
func awaitReady(ctx context.Context, p *process, url string) error {
	const pause, limit = 10 * time.Millisecond, time.Second
	for {
		// The password sees to it that no other server is taken for this one.
		attempt, cancel := context.WithTimeout(ctx, limit)
		conn, err := pgx.Connect(attempt, url)
		cancel()
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("it took no connection: %w", errors.Join(ctx.Err(), err))
		case <-time.After(pause):
		}
	}
}

// Kill ends the server as a crash does: nothing is flushed, clients are cut off in
// the middle, and the next Start recovers from the write-ahead log. It returns once
// all of the server's processes are gone.
//
// It is PostgreSQL's immediate shutdown. Killing the server's parent process outright
// would leave its children at work on the data for a while.
func (c *Cluster) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil || c.stopped {
		return
	}
	c.server.signal(syscall.SIGQUIT)
	<-c.server.exited
}

// Stop ends the server for good, cutting off clients that are still connected, and
// removes a temporary folder. A second call does nothing.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	if err := errors.Join(c.server.end(), c.home.close()); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}

// end stops a server: by a fast shutdown, then by an immediate one, then by force.
func (p *process) end() error {
	for _, step := range []struct {
		signal syscall.Signal
		limit  time.Duration
	}{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}} {
		p.signal(step.signal)
		select {
		case <-p.exited:
			return nil
		case <-time.After(step.limit):
		}
	}
	p.signal(os.Kill)
	<-p.exited
	return errors.New("postgres did not end by itself and was killed")
}
