package sqstest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Region and Account are what the ARNs and URLs of the queues say.
const (
	Region  = "eu-west-2"
	Account = "000000000000"
)

// Server is an SQS endpoint. Its methods are safe for concurrent use.
type Server struct {
	url  string
	http http.Server
	stop context.CancelFunc // ends the long polls
	done chan struct{}      // closed when the listener has ended

	mu     sync.Mutex // guards everything below and all of the queues
	ahead  time.Duration
	queues map[string]*queue
	number uint64 // of the latest message
	faults []*fault
	calls  map[string]int
	onCall func(ctx context.Context, action string)
}

// Start serves on a free port of this machine until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Run("127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Run serves on a TCP address, "127.0.0.1:0" for any free port, until Close.
func Run(addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve SQS on %s: %w", addr, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		url:    "http://" + reachable(listener.Addr()),
		stop:   stop,
		done:   make(chan struct{}),
		queues: make(map[string]*queue),
		calls:  make(map[string]int),
	}
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // ends with ErrServerClosed
	}()
	return s, nil
}

// reachable is an address under which a listener can be dialled from this machine.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}

// Close ends long polls with no messages, then all connections. It may be called twice.
func (s *Server) Close() {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.http.Shutdown(ctx) // what is not over by then is cut off
	_ = s.http.Close()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.disarm()
	}
}

// URL is the endpoint.
func (s *Server) URL() string { return s.url }

// AWSConfig configures an SDK client for this endpoint. The client tries every call
// once, so that a test meets each failure that it asks for.
func (s *Server) AWSConfig() aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(s.url),
		Credentials:  credentials.NewStaticCredentialsProvider("sqstest", "sqstest", ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// Now is the time by the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// Advance moves the server's clock ahead: messages whose visibility ends by then
// become visible, and long polls whose wait ends by then end.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
	for _, q := range s.queues {
		q.release(s.now())
		q.wakeAll()
		q.arm(s)
	}
}

// Calls is how often an action was called, "ReceiveMessage" say, failed calls
// included.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}
