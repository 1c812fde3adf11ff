package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/singleflight"
)

// Check is one part of a service's health.
type Check struct {
	Name string
	// Serving parts decide whether the service is ready, too: /health/readiness.
	Serving bool
	// Run is nil if the part is well; its error is shown to whoever asks.
	Run func(context.Context) error
	// Details, where it is set, is asked by /health in place of Run: it takes longer, and what
	// it finds is shown too, also beside an error.
	Details func(context.Context) (map[string]string, error)
}

// look asks the part how it is.
func (c Check) look(ctx context.Context, detailed bool) status {
	var details map[string]string
	var err error
	if detailed && c.Details != nil {
		details, err = c.Details(ctx)
	} else {
		err = c.Run(ctx)
	}
	if err != nil {
		return status{Status: "DOWN", Error: err.Error(), Details: details}
	}
	return status{Status: "UP", Details: details}
}

// Registry makes a registry that has the metrics of process and runtime.
func Registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(),
		collectors.NewBuildInfoCollector(),
	)
	return registry
}

// Endpoints serves /health, /health/liveness, /health/readiness, /info and /metrics.
type Endpoints struct {
	name     string
	registry *prometheus.Registry
	mux      *http.ServeMux
	http     http.Server
	address  string
	served   chan struct{}
	limits   Limits
	running  context.Context // ends with Close: what checks are run in
	end      context.CancelFunc
	looks    singleflight.Group // a check that hangs is not begun another time

	mu     sync.Mutex
	checks []Check
}

// Address is where to serve, such as :8080, and the variable or flag that says so.
type Address struct{ Variable, Value string }

// Serve starts to serve at an address, within limits. Until [Endpoints.Started] the service
// is alive but not ready.
func Serve(name string, at Address, registry *prometheus.Registry, logger *slog.Logger, limits Limits) (*Endpoints, error) {
	limits.setDefaults()
	listener, err := net.Listen("tcp", at.Value)
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics, change %s if it is taken: %w", at.Variable, err)
	}
	running, end := context.WithCancel(context.Background())
	e := &Endpoints{
		name: name, registry: registry, mux: http.NewServeMux(),
		address: listener.Addr().String(),
		limits:  limits, running: running, end: end,
		served: make(chan struct{}),
		checks: []Check{{Name: "start", Serving: true, Run: func(context.Context) error {
			return errors.New("the service is starting")
		}}},
	}
	e.route()
	e.http = http.Server{
		Handler:           e.mux,
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.HeaderBytes,
	}
	listener = netutil.LimitListener(listener, limits.Connections)
	go func() {
		defer close(e.served)
		if err := e.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.ErrorContext(context.Background(), "health and metrics are not served any more", "error", err)
		}
	}()
	return e, nil
}

// Address is where the endpoints are served.
func (e *Endpoints) Address() string { return e.address }

// Started replaces the checks: from now on these decide.
func (e *Endpoints) Started(checks ...Check) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checks = checks
}

// Handle serves further requests, with a pattern of [http.ServeMux]. One that is served
// already panics. A response is given 30 s; whoever needs longer says so with
// [http.ResponseController].
func (e *Endpoints) Handle(pattern string, handler http.Handler) { e.mux.Handle(pattern, handler) }

// Close stops serving.
func (e *Endpoints) Close() {
	e.end()
	_ = e.http.Close()
	<-e.served
}

// route adds the endpoints that every service has.
func (e *Endpoints) route() {
	e.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { e.health(w, false) })
	e.mux.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, _ *http.Request) { e.health(w, true) })
	e.mux.HandleFunc("GET /health/liveness", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, status{Status: "UP"})
	})
	e.mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"build": ReadBuild(e.name)})
	})
	e.mux.Handle("GET /metrics", promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{}))
}

// status is the health of the service, or of a part of it: UP or DOWN.
type status struct {
	Status     string            `json:"status"`
	Error      string            `json:"error,omitempty"`
	Details    map[string]string `json:"details,omitempty"`
	Components map[string]status `json:"components,omitempty"`
}

// health answers 200 if every check is well, else 503. All checks run at once, each within
// its own time: one that hangs says nothing of the others.
func (e *Endpoints) health(w http.ResponseWriter, serving bool) {
	e.mu.Lock()
	checks := e.checks
	e.mu.Unlock()
	parts := make([]status, len(checks))
	var looking sync.WaitGroup
	for i, c := range checks {
		if !serving || c.Serving {
			looking.Go(func() { parts[i] = e.look(c, !serving) })
		}
	}
	looking.Wait()
	answer, code := status{Status: "UP", Components: map[string]status{}}, http.StatusOK
	for i, c := range checks {
		if serving && !c.Serving {
			continue
		}
		if parts[i].Status != "UP" {
			answer.Status, code = "DOWN", http.StatusServiceUnavailable
		}
		answer.Components[c.Name] = parts[i]
	}
	writeJSON(w, code, answer)
}

// look asks one part how it is, and does not wait for longer than a check is given, also where
// the check itself does. Whoever asks while it is being looked at shares the answer.
func (e *Endpoints) look(c Check, detailed bool) status {
	limit := time.NewTimer(e.limits.Check + e.limits.Check/10) // after the check's own context
	defer limit.Stop()
	answer := e.looks.DoChan(fmt.Sprint(c.Name, detailed), func() (any, error) {
		ctx, cancel := context.WithTimeout(e.running, e.limits.Check)
		defer cancel()
		return c.look(ctx, detailed), nil
	})
	select {
	case is := <-answer:
		return is.Val.(status) //nolint:forcetypeassert // it is what the function above gives
	case <-limit.C:
		return status{Status: "DOWN", Error: fmt.Sprintf("no answer within %s", e.limits.Check)}
	}
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // whoever asked is gone
}
