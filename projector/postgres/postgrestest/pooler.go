package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Pooler runs PgBouncer in transaction mode in front of a database until the test ends, and
// returns the URL of the database behind it. It hands sessions out for one transaction at a
// time and does not clean them between two. It has a few sessions for any number of clients.
//
// Settings of connections that it does not know it refuses, or, where it is to forgive, forgets.
func Pooler(tb testing.TB, database string, forgives bool) string {
	tb.Helper()
	program, err := findPooler()
	if err != nil {
		tb.Fatal(err)
	}
	a, err := runAs()
	if err != nil {
		tb.Fatal(err)
	}
	h, err := temporaryHome(diskFolders(), a)
	if err != nil {
		tb.Fatal(err)
	}
	for attempts := 10; ; attempts-- {
		through, p, err := startPooler(tb.Context(), program, database, forgives, a, h)
		if err == nil {
			tb.Cleanup(func() {
				p.signal(syscall.SIGQUIT)
				<-p.exited
				if err := h.close(); err != nil {
					tb.Error(err)
				}
			})
			return through
		}
		if attempts == 1 {
			tb.Fatal(errors.Join(err, h.close()))
		}
	}
}

// findPooler finds the program.
func findPooler() (string, error) {
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		if program := filepath.Join(folder, "pgbouncer"); filepath.IsAbs(folder) && executable(program) {
			return program, nil
		}
	}
	return "", fmt.Errorf("%w: install PgBouncer (Debian, Ubuntu: apt-get install pgbouncer; Homebrew: brew install pgbouncer)", exec.ErrNotFound)
}

// startPooler starts it on a port that was free a moment ago, and waits until it answers.
func startPooler(ctx context.Context, program, database string, forgives bool, a account, h *home) (through string, p *process, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	port, err := freePort(ctx)
	if err != nil {
		return "", nil, err
	}
	settings, through, err := poolerSettings(database, forgives, port)
	if err != nil {
		return "", nil, err
	}
	file := filepath.Join(h.path, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return "", nil, err
	}
	log, err := os.Create(h.log())
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = log.Close() }() // the pooler has it open itself
	if err := errors.Join(a.own(file), a.own(h.log())); err != nil {
		return "", nil, err
	}
	if p, err = startProcess(a, log, program, "-q", file); err != nil {
		return "", nil, err
	}
	if err := awaitReady(ctx, p, through); err != nil {
		p.signal(os.Kill)
		<-p.exited
		said, _ := os.ReadFile(h.log())
		return "", nil, fmt.Errorf("start PgBouncer: %w:\n%s", err, said)
	}
	return through, p, nil
}

// poolerSettings are those of a pooler on a port for one database and one role.
func poolerSettings(database string, forgives bool, port int) (settings, through string, err error) {
	address, err := url.Parse(database)
	if err != nil {
		return "", "", err
	}
	password, err := passwordOf(address)
	if err != nil {
		return "", "", err
	}
	settings = fmt.Sprintf(`[databases]
behind = host=%s port=%s dbname=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
`, address.Hostname(), address.Port(), address.Path[1:], address.User.Username(), password, port)
	if forgives {
		settings += "ignore_startup_parameters = intervalstyle, extra_float_digits, bytea_output, backslash_quote, array_nulls, transform_null_equals, " +
			"search_path, row_security, default_transaction_isolation, default_transaction_read_only, default_transaction_deferrable, " +
			"synchronous_commit, statement_timeout, lock_timeout, idle_in_transaction_session_timeout\n"
	}
	address.Host, address.Path = net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "/behind"
	return settings, address.String(), nil
}
