package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary be the program itself.
const asProgram = "CASDELIUS_TEST_AS_SANDBOX"

// sandbox is the program as a process of its own, which keeps its temporary folders in
// one of the test's.
type sandbox struct {
	*exec.Cmd
	dir  string
	rest chan struct{} // closed when its output has ended
}

// startSandbox starts the program and waits until it says how to look inside.
func startSandbox(t *testing.T) *sandbox {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox-test-") // PostgreSQL may run as another user, who cannot enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	self, err := os.Executable()
	require.NoError(t, err)
	s := &sandbox{exec.CommandContext(t.Context(), self, "--people", "10", "--rate", "5"), dir, make(chan struct{})}
	s.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+dir)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	// A program hears of a hangup only if it is not started with that ignored, as the tests
	// themselves may be, by nohup. What its parent handles is as usual in a new program.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP)
	err = s.Start()
	signal.Stop(handled)
	require.NoError(t, err)
	lines := bufio.NewScanner(out)
	for !strings.Contains(lines.Text(), "To look inside") {
		require.True(t, lines.Scan(), "it ended before it had started")
	}
	go func() {
		defer close(s.rest)
		_, _ = io.Copy(io.Discard, out)
	}()
	return s
}

// hangUp closes the terminal, as the kernel and the shell tell it, and waits for the end.
func (s *sandbox) hangUp(t *testing.T) (code int) {
	t.Helper()
	for range 2 {
		require.NoError(t, s.Process.Signal(syscall.SIGHUP))
	}
	<-s.rest
	_ = s.Wait() // the exit code is what counts
	return s.ProcessState.ExitCode()
}

func (s *sandbox) requireNothingLeft(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestATerminalThatIsClosedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	require.Zero(t, s.hangUp(t))
	s.requireNothingLeft(t)
}

func TestAPostgreSQLThatDiedLeavesNothingBehindEither(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "data", "postmaster.pid"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.Fields(string(text))[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	s.hangUp(t)
	s.requireNothingLeft(t)
}
