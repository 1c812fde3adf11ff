package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"casdelius/cmd/internal/service"
)

func TestMain(m *testing.M) {
	// A connection whose request was refused is kept for half a second, so that its client
	// can read why.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func at(address string) service.Address {
	return service.Address{Variable: "HTTP_ADDRESS", Value: address}
}

func get(t *testing.T, e *service.Endpoints, path string) (code int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + e.Address() + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestHealthSaysWhichPartIsDown(t *testing.T) {
	t.Parallel()
	registry := service.Registry()
	hits := prometheus.NewCounter(prometheus.CounterOpts{Name: "hits_total"})
	registry.MustRegister(hits)
	hits.Inc()
	e, err := service.Serve("name", at("127.0.0.1:0"), registry, slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(e.Close)

	code, _ := get(t, e, "/health/liveness")
	require.Equal(t, http.StatusOK, code)
	code, body := get(t, e, "/health/readiness")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "the service is starting")

	e.Started(
		service.Check{Name: "serving", Serving: true, Run: func(context.Context) error { return nil }},
		service.Check{Name: "other", Run: func(context.Context) error { return errors.New("broken") }},
	)
	code, body = get(t, e, "/health/readiness")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `{"status":"UP","components":{"serving":{"status":"UP"}}}`, body)
	code, body = get(t, e, "/health")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.JSONEq(t, `{"status":"DOWN","components":{"serving":{"status":"UP"},"other":{"status":"DOWN","error":"broken"}}}`, body)

	code, body = get(t, e, "/info")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, `"name":"name"`)
	_, body = get(t, e, "/metrics")
	require.Contains(t, body, "hits_total 1")
	code, _ = get(t, e, "/nothing")
	require.Equal(t, http.StatusNotFound, code)
}

// Catches details that are asked for at every readiness probe, and details that are dropped
// where the part is down.
func TestHealthShowsDetailsAndReadinessDoesNotAskForThem(t *testing.T) {
	t.Parallel()
	e, err := service.Serve("name", at("127.0.0.1:0"), service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	var down error
	e.Started(service.Check{
		Name: "queue", Serving: true, Run: func(context.Context) error { return nil },
		Details: func(context.Context) (map[string]string, error) { return map[string]string{"queueName": "q"}, down },
	})
	_, body := get(t, e, "/health/readiness")
	require.JSONEq(t, `{"status":"UP","components":{"queue":{"status":"UP"}}}`, body)
	_, body = get(t, e, "/health")
	require.JSONEq(t, `{"status":"UP","components":{"queue":{"status":"UP","details":{"queueName":"q"}}}}`, body)
	down = errors.New("broken")
	code, body := get(t, e, "/health")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.JSONEq(t, `{"status":"DOWN","components":{"queue":{"status":"DOWN","error":"broken","details":{"queueName":"q"}}}}`, body)
}

func TestFurtherHandlersCanBeServed(t *testing.T) {
	t.Parallel()
	e, err := service.Serve("name", at("127.0.0.1:0"), service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	e.Handle("GET /people/{crn}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.PathValue("crn"))
	}))
	code, body := get(t, e, "/people/X123456")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "X123456", body)
	code, _ = get(t, e, "/health/liveness")
	require.Equal(t, http.StatusOK, code)
	require.Panics(t, func() { e.Handle("GET /health", http.NotFoundHandler()) })
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	e, err := service.Serve("name", at("127.0.0.1:0"), service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.Address()+"/health/liveness", nil)
	require.NoError(t, err)
	request.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	t.Parallel()
	first, err := service.Serve("first", at("127.0.0.1:0"), service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.NoError(t, err)
	t.Cleanup(first.Close)
	_, err = service.Serve("second", at(first.Address()), service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.ErrorContains(t, err, first.Address())
	require.ErrorContains(t, err, "HTTP_ADDRESS")
	// Catches an error that names the service's variable where the console's says the address.
	_, err = service.Serve("console", service.Address{Variable: "CONSOLE_ADDRESS", Value: first.Address()}, service.Registry(), slog.New(slog.DiscardHandler), service.Limits{})
	require.ErrorContains(t, err, "change CONSOLE_ADDRESS if it is taken")
}

func TestLogLinesNameTheirTrace(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := service.Logger(&out, "INFO", "json")
	require.NoError(t, err)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	logger.With("a", 1).DebugContext(t.Context(), "not shown")
	logger.With("a", 1).InfoContext(trace.ContextWithSpanContext(t.Context(), span), "shown")
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, span.TraceID().String(), line["trace_id"])
	require.Equal(t, span.SpanID().String(), line["span_id"])
	require.EqualValues(t, 1, line["a"])
}

// Catches a logger that writes the nanoseconds of a duration into JSON, also within a group or
// of a logger's own attributes, or where another function changes the line.
func TestDurationsInLogLinesAreText(t *testing.T) {
	t.Parallel()
	for format, says := range map[string]string{
		"json": `"every":"1h0m0s","group":{"took":"2m8s","other":3}`,
		"text": "every=1h0m0s group.took=2m8s group.other=3",
	} {
		var out bytes.Buffer
		logger, err := service.Logger(&out, "info", format, func(_ []string, a slog.Attr) slog.Attr { return a })
		require.NoError(t, err)
		logger.With("every", time.Hour).WithGroup("group").Info("done", "took", 128*time.Second, "other", 3)
		require.Contains(t, out.String(), says)
	}
}

func TestOddLogSettingsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := service.Logger(io.Discard, "loud", "json")
	require.ErrorContains(t, err, `"loud"`)
	_, err = service.Logger(io.Discard, "info", "xml")
	require.ErrorContains(t, err, `"xml"`)
}

func TestTracingWithoutAnEndpointSendsNothing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	stop, err := service.Tracing(t.Context(), "name")
	require.NoError(t, err)
	stop()
}
