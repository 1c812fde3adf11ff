package projection

import (
	"context"
	"errors"
	"slices"
	"sync"

	"casdelius/projector/console"
	"casdelius/store/jetstream"
)

// Rejections tells the console what ingest has rejected. It connects to the log when it is first
// asked.
type Rejections struct {
	Connect func(ctx context.Context) (*jetstream.Log, error)

	mu   sync.Mutex
	log  *jetstream.Log
	open *jetstream.OpenRejected
}

// Newest implements console.Rejections.
func (r *Rejections) Newest(ctx context.Context, limit int) ([]console.Rejected, int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.connected(ctx); err != nil {
		return nil, 0, err
	}
	all, err := r.open.List(ctx)
	if errors.Is(err, jetstream.ErrNotFound) {
		return nil, 0, nil // nothing was ever rejected
	}
	if err != nil {
		return nil, 0, translate(err)
	}
	var list []console.Rejected
	for _, m := range all[max(len(all)-limit, 0):] {
		list = append(list, rejected(m))
	}
	slices.Reverse(list)
	return list, len(all), nil
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
		r.log, r.open = log, log.OpenRejected()
	}
	return r.log, nil
}

func rejected(m jetstream.RejectedMessage) console.Rejected {
	return console.Rejected{Rejection: m.Rejection, Sequence: m.Sequence, Stored: m.Stored, Mark: m.Mark, Err: m.Err}
}
