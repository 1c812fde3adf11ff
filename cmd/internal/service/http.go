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
)

// checkTime bounds all checks of one request together.
const checkTime = 3 * time.Second

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
func (c *Check) look(ctx context.Context, detailed bool) status {
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

	mu     sync.Mutex
	checks []Check
}

// Serve starts to serve at an address such as :8080. Until [Endpoints.Started] the
// service is alive but not ready.
func Serve(name, address string, registry *prometheus.Registry, logger *slog.Logger) (*Endpoints, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics, change HTTP_ADDRESS if it is taken: %w", err)
	}
	e := &Endpoints{
		name: name, registry: registry, mux: http.NewServeMux(),
		address: listener.Addr().String(),
		served:  make(chan struct{}),
		checks: []Check{{Name: "start", Serving: true, Run: func(context.Context) error {
			return errors.New("the service is starting")
		}}},
	}
	e.route()
	e.http = http.Server{
		Handler:           e.mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
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
	_ = e.http.Close()
	<-e.served
}

// route adds the endpoints that every service has.
func (e *Endpoints) route() {
	e.mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { e.health(w, r, false) })
	e.mux.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, r *http.Request) { e.health(w, r, true) })
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

// health answers 200 if every check is well, else 503.
func (e *Endpoints) health(w http.ResponseWriter, r *http.Request, serving bool) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	e.mu.Lock()
	checks := e.checks
	e.mu.Unlock()
	answer, code := status{Status: "UP", Components: map[string]status{}}, http.StatusOK
	for _, c := range checks {
		if serving && !c.Serving {
			continue
		}
		part := c.look(ctx, !serving)
		if part.Status != "UP" {
			answer.Status, code = "DOWN", http.StatusServiceUnavailable
		}
		answer.Components[c.Name] = part
	}
	writeJSON(w, code, answer)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // whoever asked is gone
}
