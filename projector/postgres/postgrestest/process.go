package postgrestest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// process is a running program of PostgreSQL.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once it has ended
	err    error         // how it ended; to be read once exited is closed
}

// startProcess starts the program as the account, with its output going to log. It
// has a session of its own, so that an interrupt typed at a terminal reaches only
// this process, which then stops it in order; where the system can, it is interrupted
// when this process dies.
func startProcess(a account, log *os.File, program string, args ...string) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/" // the caller's folder may be closed to the account
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential(), Setsid: true}
	dieWithParent(cmd.SysProcAttr)

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux counts the end of the thread that forked as the parent's death, so
		// this thread must live for as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// running says whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal; a process that has ended gets none.
func (p *process) signal(s os.Signal) {
	_ = p.cmd.Process.Signal(s)
}

// killGroup kills the process with its descendants, except those that left its session
// as a server's children do.
func (p *process) killGroup() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// environment is this process's own without what steers PostgreSQL and without its
// language, as messages are read.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable, "LC_") && !strings.HasPrefix(variable, "LANG") {
			env = append(env, variable)
		}
	}
	return env
}
