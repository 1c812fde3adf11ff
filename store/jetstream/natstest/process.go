package natstest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// asked is the variable of the environment that makes a program a server, with its settings.
const asked = "CASDELIUS_NATSTEST_PROCESS"

// Process is a NATS server in a process of its own, which can be killed.
type Process struct {
	settings settings
	command  *exec.Cmd
	alive    io.Closer // once it is closed, the server ends
}

// settings are what a process is told.
type settings struct {
	Options
	Peer *peer
}

// ServeIfAsked makes this program a server until it is killed, if [Processes] started it. It
// is for the first line of TestMain.
func ServeIfAsked() {
	text := os.Getenv(asked)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it is gone
	os.Exit(0)
}

func serve(text string) error {
	var is settings
	if err := json.Unmarshal([]byte(text), &is); err != nil {
		return err
	}
	s, err := prepare(is.Options)
	if err != nil {
		return err
	}
	if is.Peer != nil {
		s.join(*is.Peer)
	}
	if err := s.Restart(); err != nil {
		return err
	}
	fmt.Println(s.URL())
	return nil
}

// Processes starts a server for each folder, which end with the test: one alone, several as
// one cluster. They run this very program again, which has to call [ServeIfAsked]. What else
// the options say is the same for all. A cluster has a leader a moment later.
func Processes(tb testing.TB, o Options, dirs ...string) []*Process {
	tb.Helper()
	ports, err := freePorts(3 * len(dirs)) // fixed ones: it comes back where clients look for it
	if err != nil {
		tb.Fatal(err)
	}
	routes := ports[2*len(dirs):]
	processes := make([]*Process, len(dirs))
	for i, dir := range dirs {
		o.Dir, o.Port, o.MonitorPort = dir, ports[2*i], ports[2*i+1]
		processes[i] = &Process{settings: settings{Options: o}}
		if len(dirs) > 1 {
			processes[i].settings.Peer = &peer{Number: i + 1, Ports: routes}
		}
		tb.Cleanup(processes[i].Kill)
	}
	if err := StartAll(processes...); err != nil {
		tb.Fatal(err)
	}
	return processes
}

// StartAll starts servers that were killed, all at once, and returns when clients can
// connect to them.
func StartAll(processes ...*Process) error {
	failed := make(chan error)
	for _, p := range processes {
		go func() { failed <- p.start() }()
	}
	var all error
	for range processes {
		all = errors.Join(all, <-failed)
	}
	return all
}

func (p *Process) start() error {
	text, err := json.Marshal(p.settings)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), asked+"="+string(text))
	command.Stderr = os.Stderr
	alive, err := command.StdinPipe()
	if err != nil {
		return err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	p.command, p.alive = command, alive
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		p.Kill()
		return fmt.Errorf("the NATS server on port %d is not ready: %w", p.settings.Port, err)
	}
	return nil
}

// Kill ends a server as kill -9 does, and returns when it is gone. One that is gone is left
// alone.
func (p *Process) Kill() {
	if p.command == nil {
		return
	}
	_ = p.command.Process.Kill() // it may have ended by itself
	_ = p.command.Wait()         // that it was killed
	_ = p.alive.Close()
	p.command = nil
}

// Pid is the number of the server's process.
func (p *Process) Pid() int { return p.command.Process.Pid }

// URL is where clients connect to.
func (p *Process) URL() string { return address("nats", p.settings.Port) }

// MonitorURL is the base URL of the monitoring endpoints.
func (p *Process) MonitorURL() string { return address("http", p.settings.MonitorPort) }

// peer is a server's place in a cluster.
type peer struct {
	Number int   // from 1 on
	Ports  []int // at which the servers of the cluster reach each other, in their order
}

// routes are where a cluster's servers reach each other.
func (p peer) routes() []*url.URL {
	list := make([]*url.URL, len(p.Ports))
	for i, port := range p.Ports {
		list[i] = &url.URL{Scheme: "nats", Host: host + ":" + strconv.Itoa(port)}
	}
	return list
}
