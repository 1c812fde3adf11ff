package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// keeper keeps the messages in hand hidden from other receivers for as long as they
// are worked on.
type keeper struct {
	queue      Queue
	visibility time.Duration
	metrics    *Metrics
	logger     *slog.Logger

	mu   sync.Mutex
	jobs map[*job]struct{}
}

func (k *keeper) add(j *job) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.jobs[j] = struct{}{}
}

// drop ends the keeping of j. Once it has returned no extension of j is under way, so
// that none can undo what is settled now.
func (k *keeper) drop(j *job) {
	k.mu.Lock()
	delete(k.jobs, j)
	k.mu.Unlock()
	j.hiding.Lock() // for good
}

// run extends the visibility of everything that was hidden a sixth of it ago or
// earlier, and looks whenever a third of it has passed, until ctx ends: an extension can
// fail once and is in time all the same.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(k.visibility / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			k.extend(ctx, now)
		}
	}
}

func (k *keeper) extend(ctx context.Context, now time.Time) {
	due := k.due(now)
	for len(due) > 0 {
		n := min(batch, len(due))
		k.hide(ctx, now, due[:n])
		due = due[n:]
	}
}

// due takes the jobs that were hidden long ago; each has its hiding locked.
func (k *keeper) due(now time.Time) []*job {
	k.mu.Lock()
	defer k.mu.Unlock()
	var due []*job
	for j := range k.jobs {
		if !j.hiding.TryLock() {
			continue
		}
		if now.Sub(j.hidden) < k.visibility/6 || now.Add(k.visibility).After(j.expires) {
			j.hiding.Unlock()
			continue
		}
		due = append(due, j)
	}
	return due
}

// hide extends one batch. A failure is left to the next round. A message that the queue
// delivers again does no harm but for its delivery count.
func (k *keeper) hide(ctx context.Context, now time.Time, jobs []*job) {
	messages := make([]Message, 0, len(jobs))
	for _, j := range jobs {
		messages = append(messages, j.Message)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	err := k.queue.SetVisibility(ctx, messages, k.visibility)
	if err != nil {
		k.metrics.queueFailures.WithLabelValues("extend").Inc()
		k.logger.WarnContext(ctx, "messages in hand could not be kept hidden", "messages", len(messages), "error", err)
	}
	for _, j := range jobs {
		if err == nil {
			j.hidden = now
		}
		j.hiding.Unlock()
	}
}
