package ingest

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// lifetimes are the contexts under which messages are worked on, each ending later than
// the one before. They travel together, because a message needs each for another thing.
type lifetimes struct {
	begin  context.Context // ends when a stop begins: nothing is begun any more
	finish context.Context // ends half of Config.Stop later: attempts under way are cut off
	settle context.Context // ends with Config.Stop: queue and log are told nothing any more
}

// newLifetimes makes lifetimes of which the first ends with ctx. The function that comes
// with them ends the others.
func newLifetimes(ctx context.Context, stop time.Duration) (lifetimes, context.CancelFunc) {
	finish, endFinish := outlive(ctx, stop/2)
	settle, endSettle := outlive(ctx, stop)
	return lifetimes{ctx, finish, settle}, func() {
		endFinish()
		endSettle()
	}
}

// in gives lifetimes whose contexts carry a span.
func (l lifetimes) in(span trace.Span) lifetimes {
	return lifetimes{
		trace.ContextWithSpan(l.begin, span),
		trace.ContextWithSpan(l.finish, span),
		trace.ContextWithSpan(l.settle, span),
	}
}

// stopping says whether a stop has begun.
func (l lifetimes) stopping() bool { return l.begin.Err() != nil }

// outlive gives a context that ends d after ctx has.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		sleep(longer, d)
		end()
	})
	return longer, func() {
		forget()
		end()
	}
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
