package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// visibilityExtender extends the visibility of the messages in hand for as long as they
// are worked on, so that they are not redelivered meanwhile.
type visibilityExtender struct {
	queue      Queue
	visibility time.Duration
	metrics    *Metrics
	logger     *slog.Logger

	mu   sync.Mutex
	jobs map[*job]struct{}
}

func (e *visibilityExtender) add(j *job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.jobs[j] = struct{}{}
}

// drop ends the extending for j. Once it has returned no extension of j is under way, so
// that none can undo what is settled now.
func (e *visibilityExtender) drop(j *job) {
	e.mu.Lock()
	delete(e.jobs, j)
	e.mu.Unlock()
	j.changing.Lock() // for good
}

// run extends every visibility that began a sixth of it ago or earlier, and looks whenever a third of it has passed, until ctx ends: an extension can
// fail once and is in time all the same.
func (e *visibilityExtender) run(ctx context.Context) {
	tick := time.NewTicker(e.visibility / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			e.extend(ctx, now)
		}
	}
}

func (e *visibilityExtender) extend(ctx context.Context, now time.Time) {
	due := e.due(now)
	for len(due) > 0 {
		n := min(batch, len(due))
		e.extendBatch(ctx, now, due[:n])
		due = due[n:]
	}
}

// due takes the jobs whose visibility is to be extended; each has its changing locked.
func (e *visibilityExtender) due(now time.Time) []*job {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due []*job
	for j := range e.jobs {
		if !j.changing.TryLock() {
			continue
		}
		if now.Sub(j.extended) < e.visibility/6 || now.Add(e.visibility).After(j.expires) {
			j.changing.Unlock()
			continue
		}
		due = append(due, j)
	}
	return due
}

// extendBatch extends one batch. A failure is left to the next round. A message that is
// redelivered does no harm but for its receive count.
func (e *visibilityExtender) extendBatch(ctx context.Context, now time.Time, jobs []*job) {
	messages := make([]Message, 0, len(jobs))
	for _, j := range jobs {
		messages = append(messages, j.Message)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	err := e.queue.SetVisibility(ctx, messages, e.visibility)
	if err != nil {
		e.metrics.queueFailures.WithLabelValues("extend").Inc()
		e.logger.WarnContext(ctx, "the visibility of messages in hand was not extended: they may be redelivered", "messages", len(messages), "error", err)
	}
	for _, j := range jobs {
		if err == nil {
			j.extended = now
		}
		j.changing.Unlock()
	}
}
