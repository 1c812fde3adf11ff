package casapitest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"casdelius/store"
)

// The credentials that the token endpoint takes.
const (
	ClientID     = "casdelius"
	ClientSecret = "not-a-secret"
)

// TokenPath is where the token endpoint is, below the base URL.
const TokenPath = "/auth/oauth/token"

// Server is a CAS API with its token endpoint. Its methods are safe for concurrent
// use, also while it serves.
type Server struct {
	address string
	http    http.Server
	served  chan struct{}

	mu       sync.Mutex
	details  map[string][]byte    // by path
	faults   map[string]*Fault    // by path; "" for every detail, TokenPath for tokens
	requests map[string]int       // by path
	tokens   map[string]time.Time // accepted until
	lifetime time.Duration
}

// Fault is a failure to be served instead of the right answer. The zero Fault is none.
type Fault struct {
	Times    int           // how often; 0: until it is cleared
	Delay    time.Duration // before the answer, which is the right one if nothing else is set
	Status   int           // answer with this status and no detail
	Location string        // with a Status of 3xx: where to
	Body     []byte        // answer 200 with this body
	Cut      bool          // break the connection in the middle of the answer
}

// Start serves at a free port of this machine until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Run("127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Run serves at an address such as 127.0.0.1:0, whose port is then chosen, until Close.
func Run(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the CAS API cannot listen: %w", err)
	}
	s := &Server{
		address:  listener.Addr().String(),
		served:   make(chan struct{}),
		details:  map[string][]byte{},
		faults:   map[string]*Fault{},
		requests: map[string]int{},
		tokens:   map[string]time.Time{},
		lifetime: time.Hour,
	}
	s.http = http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // ends with ErrServerClosed
	}()
	return s, nil
}

// Close stops serving and breaks every connection.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.served
}

// URL is the base URL of the details.
func (s *Server) URL() string { return "http://" + s.address }

// TokenURL is the token endpoint.
func (s *Server) TokenURL() string { return s.URL() + TokenPath }

// DetailURL is where the detail of an event is served, known type or not.
func (s *Server) DetailURL(t store.Type, eventID string) string {
	return s.URL() + Path(t, eventID)
}

// Path is the path of an event's detail. A type that the API does not have gets a path
// of the same form.
func Path(t store.Type, eventID string) string {
	path := t.DetailPath()
	if path == "" {
		path = "/events/" + string(t.Service()) + "/" + strings.ReplaceAll(string(t), ".", "-")
	}
	return path + "/" + url.PathEscape(eventID)
}

// Put serves body at a path, or at the path of a URL of this server.
func (s *Server) Put(path string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.details[s.path(path)] = body
}

// Fail serves a fault at a path or URL; "" means every detail. It replaces the fault
// that was there; the zero Fault ends it.
func (s *Server) Fail(path string, f Fault) { s.setFault(s.path(path), f) }

// FailTokens serves a fault at the token endpoint.
func (s *Server) FailTokens(f Fault) { s.setFault(TokenPath, f) }

func (s *Server) setFault(path string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, path)
	if f.Status != 0 || f.Body != nil || f.Delay != 0 || f.Cut {
		s.faults[path] = &f
	}
}

// RefuseTokens makes every token given out so far invalid: the API answers 401.
func (s *Server) RefuseTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// SetTokenLifetime sets for how long tokens given out from now on are valid; an hour
// to begin with.
func (s *Server) SetTokenLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

// Requests is how often a detail was asked for; "" gives all details together.
func (s *Server) Requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[s.path(path)]
}

// TokenRequests is how often a token was asked for.
func (s *Server) TokenRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[TokenPath]
}

func (s *Server) path(of string) string { return strings.TrimPrefix(of, s.URL()) }

// ServeHTTP answers for the API and for the token endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	fault := s.count(path)
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-r.Context().Done():
			return // the client is gone
		}
	}
	switch {
	case fault.Cut:
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"id":`))
		panic(http.ErrAbortHandler)
	case fault.Status != 0:
		if fault.Location != "" {
			w.Header().Set("Location", fault.Location)
		}
		w.WriteHeader(fault.Status)
	case path == TokenPath:
		s.serveToken(w, r)
	case !s.authorised(r):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		s.serveDetail(w, path, fault.Body)
	}
}

// count counts a request and takes the fault that it is to meet.
func (s *Server) count(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[path]++
	keys := []string{path}
	if path != TokenPath {
		s.requests[""]++
		keys = append(keys, "")
	}
	for _, key := range keys {
		f := s.faults[key]
		if f == nil {
			continue
		}
		if f.Times == 1 {
			delete(s.faults, key)
		}
		f.Times--
		return *f
	}
	return Fault{}
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost || id != ClientID || secret != ClientSecret || r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	s.mu.Lock()
	value, lifetime := rand.Text(), s.lifetime
	s.tokens[value] = time.Now().Add(lifetime)
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": value, "token_type": "bearer", "expires_in": int(lifetime.Seconds()),
	})
}

func (s *Server) authorised(r *http.Request) bool {
	value, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.tokens[value]
	return bearer && known && time.Now().Before(until)
}

func (s *Server) serveDetail(w http.ResponseWriter, path string, body []byte) {
	if body == nil {
		s.mu.Lock()
		body = s.details[path]
		s.mu.Unlock()
	}
	if body == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
