// Package rejected replays and dismisses rejected messages, for the commands of ingest and for
// whoever asks it to.
package rejected

import (
	"context"
	"log/slog"

	"casdelius/cmd/internal/command"
	"casdelius/ingest"
	"casdelius/store"
	"casdelius/store/jetstream"
)

// Messages are the rejected messages of a log.
type Messages struct {
	Log    *jetstream.Log
	Logger *slog.Logger
}

// Replay takes a message the way that messages from the queue take, and marks it once its event
// is stored.
func (r Messages) Replay(ctx context.Context, intake *ingest.Intake, m jetstream.RejectedMessage, mark store.Mark) error {
	if m.Err != nil {
		return m.Err
	}
	key, ack, err := intake.Store(ctx, m.Body, nil)
	if err != nil {
		return err
	}
	r.Logger.InfoContext(ctx, "a rejected message was replayed", "rejected", m.Sequence, "event", key.String(), "sequence", ack.Sequence, "duplicate", ack.Duplicate, "who", mark.Who, "why", mark.Why)
	return r.Log.Mark(ctx, m.Sequence, mark)
}

// Dismiss marks a message as of no use to anybody.
func (r Messages) Dismiss(ctx context.Context, sequence uint64, mark store.Mark) error {
	mark.Dismissed = true
	if err := r.Log.Mark(ctx, sequence, mark); err != nil {
		return err
	}
	r.Logger.InfoContext(ctx, "a rejected message was dismissed", "rejected", sequence, "who", mark.Who, "why", mark.Why)
	return nil
}

// Marked is what somebody made of a message.
func Marked(mark *store.Mark) string {
	what := "replayed"
	switch {
	case mark == nil:
		return "no"
	case mark.Dismissed:
		what = "dismissed"
	}
	if mark.Who == "" {
		return what
	}
	return what + " by " + command.Line(mark.Who)
}

// Answer does what is asked for through the log, until ctx ends. Where this user of NATS may not
// listen it says so, and nothing else stops.
func (r Messages) Answer(ctx context.Context, intake *ingest.Intake) error {
	err := r.Log.Answer(ctx, func(ctx context.Context, ask store.RejectedAsk) store.RejectedAnswer {
		return r.answer(ctx, intake, ask)
	})
	if err != nil {
		r.Logger.WarnContext(ctx, "nothing can be asked about rejected messages: see the rights of this user of NATS", "error", err)
	}
	return nil
}

// answer does what is asked for. What is done already is not done once more.
func (r Messages) answer(ctx context.Context, intake *ingest.Intake, ask store.RejectedAsk) store.RejectedAnswer {
	m, err := r.Log.RejectedBySequence(ctx, ask.Sequence)
	mark := store.Mark{Who: ask.Who, Why: ask.Why}
	switch {
	case err != nil:
	case m.Mark != nil:
		return store.RejectedAnswer{Done: m.Mark.Dismissed == ask.Dismiss, Outcome: "it is " + Marked(m.Mark) + " already"}
	case ask.Dismiss:
		err = r.Dismiss(ctx, ask.Sequence, mark)
	default:
		err = r.Replay(ctx, intake, m, mark)
	}
	switch {
	case err != nil:
		return store.RejectedAnswer{Outcome: err.Error()}
	case ask.Dismiss:
		return store.RejectedAnswer{Done: true, Outcome: "dismissed"}
	}
	return store.RejectedAnswer{Done: true, Outcome: "replayed: the event is in the stream"}
}
