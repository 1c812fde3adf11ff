package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"casdelius/store"
)

// askGroup is the queue group of those who answer: one of them does.
const askGroup = "ingest"

// longestAnswer is how long an answer may take: a replay fetches a detail.
const longestAnswer = 30 * time.Second

// Ask has ingest do something about a rejected message. The error is [ErrUnavailable] where no
// answer comes: it may be done all the same, and may be asked for again.
func (l *Log) Ask(ctx context.Context, ask store.RejectedAsk) (store.RejectedAnswer, error) {
	var answer store.RejectedAnswer
	doing := fmt.Sprintf("ask ingest about rejected message %d", ask.Sequence)
	data, err := json.Marshal(&ask)
	if err != nil {
		return answer, fmt.Errorf("%s: %w", doing, err)
	}
	limited, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	msg, err := l.conn.RequestWithContext(limited, store.AskSubject, data)
	if err != nil {
		if errors.Is(err, nats.ErrNoResponders) {
			err = errors.New("no ingest listens")
		}
		return answer, fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return answer, fmt.Errorf("%s: reading the answer: %w", doing, err)
	}
	return answer, nil
}

// Answer answers what is asked, one after the other, until ctx ends.
func (l *Log) Answer(ctx context.Context, answer func(context.Context, store.RejectedAsk) store.RejectedAnswer) error {
	asked, err := l.conn.QueueSubscribeSync(store.AskSubject, askGroup)
	if err != nil {
		return translate("listen for what is asked of rejected messages", err)
	}
	defer func() { _ = asked.Unsubscribe() }() // the connection may be closed
	for {
		msg, err := asked.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return translate("listen for what is asked of rejected messages", err)
		}
		var ask store.RejectedAsk
		is := store.RejectedAnswer{Outcome: "the question could not be read"}
		if json.Unmarshal(msg.Data, &ask) == nil {
			is = answer(ctx, ask)
		}
		data, err := json.Marshal(&is)
		if err == nil {
			err = msg.Respond(data)
		}
		if err != nil {
			l.logger.WarnContext(ctx, "an answer about a rejected message could not be sent: it is asked again", "rejected", ask.Sequence, "error", err)
		}
	}
}
