// Package trace connects the trace of a step with those of the events that it is over.
package trace

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"casdelius/store"
)

// maxLinks bounds the traces that one step names.
const maxLinks = 100

// Links names the traces that events came with, from their queue message on.
func Links(events []store.Stored) []trace.Link {
	var out []trace.Link
	for i := range events {
		header := events[i].Header["traceparent"]
		if len(header) == 0 || len(out) == maxLinks {
			continue
		}
		carrier := propagation.MapCarrier{"traceparent": header[0]}
		ctx := otel.GetTextMapPropagator().Extract(context.Background(), carrier)
		if span := trace.SpanContextFromContext(ctx); span.IsValid() {
			out = append(out, trace.Link{SpanContext: span})
		}
	}
	return out
}

// Span starts the span of a step over people of many events, each with a trace of its
// own: the step is a new trace that links to theirs.
func Span(ctx context.Context, links []trace.Link, referrals int) (context.Context, trace.Span) {
	return otel.Tracer("casdelius/projector").Start(ctx, "reconcile",
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links[:min(len(links), maxLinks)]...),
		trace.WithAttributes(attribute.Int("referrals", referrals)))
}
