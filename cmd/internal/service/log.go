package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Logger makes a logger that writes to w: level is debug, info, warn or error in any
// case, format is json or text. Lines that belong to a trace name it, and durations are text,
// such as 2m8s, in both formats. Each of the functions may change what a line says; see
// [slog.HandlerOptions].
func Logger(w io.Writer, level, format string, replace ...func([]string, slog.Attr) slog.Attr) (*slog.Logger, error) {
	var least slog.Level
	var problems []error
	if err := least.UnmarshalText([]byte(level)); err != nil {
		problems = append(problems, fmt.Errorf("LOG_LEVEL is %q: a log level is debug, info, warn or error", level))
	}
	options := &slog.HandlerOptions{Level: least, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		for _, f := range replace {
			a = f(groups, a)
		}
		if a.Value.Kind() == slog.KindDuration { // JSON would have it as nanoseconds
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}
	var lines slog.Handler
	switch format {
	case "json":
		lines = slog.NewJSONHandler(w, options)
	case "text":
		lines = slog.NewTextHandler(w, options)
	default:
		problems = append(problems, fmt.Errorf("LOG_FORMAT is %q: a log format is json or text", format))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return slog.New(traced{lines}), nil
}

// traced adds the ids of trace and span.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traced{h.Handler.WithAttrs(attrs)}
}

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
