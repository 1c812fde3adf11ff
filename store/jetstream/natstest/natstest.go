// Package natstest runs NATS servers with JetStream inside the process: one, or a
// cluster of three, for tests and for the sandbox. They listen on free ports of the
// loopback interface, keep their streams in a folder, wait for the disk before they
// acknowledge unless told otherwise, and can be stopped and started again on what they
// had stored.
package natstest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	host       = "127.0.0.1"
	maxPayload = 8 << 20
	maxStore   = 64 << 30 // what streams may reserve together; it is not taken from the disk
	limit      = 30 * time.Second
)

// Options says how a server runs. The zero value is a server as it should be in
// production but for being alone.
type Options struct {
	Dir         string      // where the streams are kept; "": a temporary folder that goes with Shutdown
	Port        int         // 0: a free one
	MonitorPort int         // 0: a free one
	MaxPayload  int32       // largest message, in bytes; 0: 8 MiB
	Lazy        bool        // acknowledge before the disk has it, as NATS does by default
	TLS         *tls.Config `json:"-"` // of the server in this process; nil: connections are not encrypted
	Roles       string      // who may do what, as a configuration says; "": anyone may do anything
}

// Server is a NATS server in this process.
type Server struct {
	options   *server.Options
	running   *server.Server
	temporary string // folder to remove in the end
	password  string // of every role
}

// Run starts a server and returns when it can be used.
func Run(o Options) (*Server, error) {
	s, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := s.Restart(); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

// Start runs a server that ends with the test.
func Start(tb testing.TB, options ...Options) *Server {
	tb.Helper()
	o := Options{Dir: tb.TempDir()}
	if len(options) > 0 {
		o = options[0]
		if o.Dir == "" {
			o.Dir = tb.TempDir()
		}
	}
	s, err := Run(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Shutdown)
	return s
}

// prepare makes the folder and the settings of a server that is not started yet.
func prepare(o Options) (*Server, error) {
	s := &Server{}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "nats-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for NATS: %w", err)
		}
		o.Dir, s.temporary = dir, dir
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = maxPayload
	}
	s.options = &server.Options{
		Host: host, Port: free(o.Port),
		HTTPHost: host, HTTPPort: free(o.MonitorPort),
		JetStream: true, StoreDir: o.Dir, JetStreamMaxStore: maxStore,
		SyncAlways: !o.Lazy, MaxPayload: o.MaxPayload,
		NoLog: true, NoSigs: true,
	}
	if o.TLS != nil {
		s.options.TLSConfig, s.options.TLS, s.options.TLSTimeout = o.TLS, true, limit.Seconds()
	}
	if o.Roles != "" {
		return s, s.authorize(o.Roles)
	}
	return s, nil
}

// free spells "any free port" as the server does.
func free(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// Restart starts a server that was stopped, with the same streams on the same ports.
func (s *Server) Restart() error {
	if err := s.start(); err != nil {
		return err
	}
	if !s.running.ReadyForConnections(limit) {
		s.Stop()
		return fmt.Errorf("NATS on port %d is not ready after %v: is the port taken?", s.options.Port, limit)
	}
	s.options.Port = s.running.Addr().(*net.TCPAddr).Port
	s.options.HTTPPort = s.running.MonitorAddr().Port
	return nil
}

func (s *Server) start() error {
	running, err := server.NewServer(s.options.Clone())
	if err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	running.Start()
	s.running = running
	return nil
}

// SetMaxPayload changes the largest message, as an operator who starts the server again
// on a changed configuration.
func (s *Server) SetMaxPayload(bytes int32) error {
	s.Stop()
	s.options.MaxPayload = bytes
	return s.Restart()
}

// Stop stops the server as an operator would; the streams stay.
func (s *Server) Stop() {
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
	}
}

// Shutdown stops the server for good. A temporary folder is removed.
func (s *Server) Shutdown() {
	s.Stop()
	if s.temporary != "" {
		_ = os.RemoveAll(s.temporary) // what is left of it is the system's to clean up
	}
}

// URL is where clients connect to.
func (s *Server) URL() string { return address("nats", s.options.Port) }

// MonitorURL is the base URL of the monitoring endpoints.
func (s *Server) MonitorURL() string { return address("http", s.options.HTTPPort) }

// URLs is where clients connect to that know several servers.
func URLs(servers []*Server) string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.URL()
	}
	return strings.Join(list, ",")
}

func address(scheme string, port int) string {
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// Cluster runs three servers that replicate streams among them and end with the test.
func Cluster(tb testing.TB) []*Server {
	tb.Helper()
	servers, err := cluster([]string{tb.TempDir(), tb.TempDir(), tb.TempDir()})
	for _, s := range servers {
		tb.Cleanup(s.Shutdown)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return servers
}

func cluster(dirs []string) ([]*Server, error) {
	ports, err := freePorts(len(dirs))
	if err != nil {
		return nil, err
	}
	servers := make([]*Server, len(dirs))
	for i, dir := range dirs {
		s, err := prepare(Options{Dir: dir})
		if err != nil {
			return nil, err
		}
		s.join(peer{Number: i + 1, Ports: ports})
		servers[i] = s
	}
	for _, s := range servers { // all at once: they wait for one another
		if err := s.start(); err != nil {
			return servers, err
		}
	}
	for _, s := range servers {
		if !s.running.ReadyForConnections(limit) {
			return servers, errors.New("a server of the cluster is not ready")
		}
		s.options.Port = s.running.Addr().(*net.TCPAddr).Port
		s.options.HTTPPort = s.running.MonitorAddr().Port
	}
	return servers, waitForLeader(servers)
}

// join makes a server that is not started yet one of a cluster.
func (s *Server) join(p peer) {
	s.options.ServerName = fmt.Sprintf("nats-%d", p.Number)
	s.options.Cluster = server.ClusterOpts{Name: "natstest", Host: host, Port: p.Ports[p.Number-1]}
	s.options.Routes = p.routes()
}

// Below the ports that systems give to whoever asks for any: nobody else on the machine gets
// one of these between the moment in which it is found free and that in which it is used.
const firstPort, lastPort = 15000, 31000

// freePorts finds n ports that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	var last error
	for tries := 0; len(ports) < n && tries < 1000; tries++ {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		defer l.Close() // all stay taken until the last is found
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("find %d free ports between %d and %d: %w", n, firstPort, lastPort, last)
	}
	return ports, nil
}

// waitForLeader waits until the cluster has a leader that knows all its members.
func waitForLeader(servers []*Server) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-tick.C {
		for _, s := range servers {
			if s.running.JetStreamIsLeader() && len(s.running.JetStreamClusterPeers()) == len(servers) {
				return nil
			}
		}
	}
	return fmt.Errorf("the NATS cluster has no leader of %d after %v", len(servers), limit)
}
