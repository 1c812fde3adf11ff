package projection

import (
	"context"
	"errors"
	"fmt"

	"casdelius/projector"
	"casdelius/projector/requests"
	"casdelius/store"
	"casdelius/store/jetstream"
)

// Rejected asks ingest through the log.
type Rejected struct{ Log *jetstream.Log }

// Ask implements requests.Rejected.
func (r Rejected) Ask(ctx context.Context, ask store.RejectedAsk) (string, error) {
	answer, err := r.Log.Ask(ctx, ask)
	switch {
	case errors.Is(err, jetstream.ErrUnavailable):
		return "", fmt.Errorf("%w: %w", projector.ErrUnavailable, err)
	case err != nil:
		return "", err
	case !answer.Done:
		return "", requests.Refuse("ingest: %s", answer.Outcome)
	}
	return answer.Outcome, nil
}
