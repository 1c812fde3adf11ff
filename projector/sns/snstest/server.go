package snstest

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

// Region and Account are what the ARNs of the topics say.
const (
	Region  = "eu-west-2"
	Account = "000000000000"
)

// Message is a message that was accepted.
type Message struct {
	ID         string
	Body       string
	Attributes map[string]string // of type String
}

// Server is an SNS endpoint. Its methods are safe for concurrent use.
type Server struct {
	url  string
	http http.Server
	stop context.CancelFunc // ends calls that linger
	done chan struct{}      // closed when the listener has ended

	mu     sync.Mutex
	topics map[string]*topic // by ARN
	faults []*fault
	calls  map[string]int
	onCall func(ctx context.Context, action string)
}

// topic is a topic with who listens to it.
type topic struct {
	subscribers []func(Message)
	pending     int
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
		return nil, fmt.Errorf("serve SNS on %s: %w", addr, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		url: "http://" + listener.Addr().String(), stop: stop, done: make(chan struct{}),
		topics: map[string]*topic{}, calls: map[string]int{},
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

// Close ends all connections. It may be called twice.
func (s *Server) Close() {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.http.Shutdown(ctx) // what is not over by then is cut off
	_ = s.http.Close()
	<-s.done
}

// URL is the endpoint.
func (s *Server) URL() string { return s.url }

// AWSConfig configures an SDK client for this endpoint. The client tries every call once, so
// that a test meets each failure that it asks for.
func (s *Server) AWSConfig() aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(s.url),
		Credentials:  credentials.NewStaticCredentialsProvider("snstest", "snstest", ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// CreateTopic makes a topic, or finds the one of that name, and returns its ARN.
func (s *Server) CreateTopic(name string) (arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	arn = fmt.Sprintf("arn:aws:sns:%s:%s:%s", Region, Account, name)
	if s.topics[arn] == nil {
		s.topics[arn] = &topic{}
	}
	return arn
}

// Subscribe has f called with every message that a topic accepts from now on, one after the
// other. The call that published it waits for f.
func (s *Server) Subscribe(arn string, f func(Message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[arn]
	t.subscribers = append(t.subscribers, f)
}

// SetPending is how many subscriptions nobody has confirmed.
func (s *Server) SetPending(arn string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics[arn].pending = n
}

// Calls is how often an action was called, "PublishBatch" say, failed calls included.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}
