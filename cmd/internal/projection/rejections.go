package projection

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"casdelius/projector/console"
	"casdelius/store/jetstream"
)

// rejectionsKept is for how long the list of rejected messages is shown as it was: to make it the
// whole stream of them is read.
const rejectionsKept = 10 * time.Second

// Rejections tells the console what ingest has rejected. It connects to the log when it is first
// asked.
type Rejections struct {
	Connect func(ctx context.Context) (*jetstream.Log, error)

	mu     sync.Mutex
	log    *jetstream.Log
	listed time.Time
	list   []console.Rejected
}

// Newest implements console.Rejections.
func (r *Rejections) Newest(ctx context.Context, limit int) ([]console.Rejected, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.listed) > rejectionsKept {
		log, err := r.connected(ctx)
		if err != nil {
			return nil, 0, err
		}
		var list []console.Rejected
		for m, err := range log.Rejected(ctx) {
			switch {
			case errors.Is(err, jetstream.ErrNotFound): // nothing was ever rejected
			case err != nil:
				return nil, 0, translate(err)
			case m.Mark == nil:
				m.Body, m.Answer = nil, nil
				list = append(list, rejected(m))
			}
		}
		slices.Reverse(list)
		r.list, r.listed = list, time.Now()
	}
	return r.list[:min(limit, len(r.list))], len(r.list), nil
}

// BySequence implements console.Rejections.
func (r *Rejections) BySequence(ctx context.Context, sequence uint64) (console.Rejected, error) {
	r.mu.Lock()
	log, err := r.connected(ctx)
	r.mu.Unlock()
	if err != nil {
		return console.Rejected{}, err
	}
	m, err := log.RejectedBySequence(ctx, sequence)
	if errors.Is(err, jetstream.ErrNotFound) {
		return console.Rejected{}, console.ErrNoRejection
	}
	return rejected(m), translate(err)
}

// Close ends the connection.
func (r *Rejections) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		return nil
	}
	return r.log.Close()
}

func (r *Rejections) connected(ctx context.Context) (*jetstream.Log, error) {
	if r.log == nil {
		log, err := r.Connect(ctx)
		if err != nil {
			return nil, translate(err)
		}
		r.log = log
	}
	return r.log, nil
}

func rejected(m jetstream.RejectedMessage) console.Rejected {
	return console.Rejected{Rejection: m.Rejection, Sequence: m.Sequence, Stored: m.Stored, Mark: m.Mark, Err: m.Err}
}
