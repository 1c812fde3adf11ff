package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/ingest"
	"casdelius/store"
	"casdelius/store/jetstream"
)

type listCommand struct {
	Reason string `help:"Only those with this reason."`
	All    bool   `help:"Also those that were replayed since."`
	JSON   bool   `name:"json" help:"One JSON object a line."`
}

type showCommand struct {
	Sequence uint64 `arg:"" name:"seq" help:"Its number in the list."`
	JSON     bool   `name:"json" help:"As one JSON object."`
}

type replayCommand struct {
	Sequences []uint64 `arg:"" optional:"" name:"seq" xor:"which" help:"Numbers in the list."`
	Reason    string   `xor:"which" help:"All that have this reason."`
	All       bool     `xor:"which" help:"All."`
}

// rejectedMessage is a rejected message for machines.
type rejectedMessage struct {
	Sequence uint64       `json:"sequence"`
	Stored   time.Time    `json:"stored"`
	Reason   store.Reason `json:"reason"`
	Problem  string       `json:"problem"`
	Message  string       `json:"messageId"`
	Receives int          `json:"receiveCount"`
	Replayed bool         `json:"replayed"`
	Body     string       `json:"body,omitempty"`
	Answer   string       `json:"answer,omitempty"` // what came instead of the detail
}

func forMachines(m jetstream.RejectedMessage) rejectedMessage {
	return rejectedMessage{m.Sequence, m.Stored, m.Reason, m.Problem, m.MessageID, m.ReceiveCount, m.Replayed, string(m.Body), string(m.Answer)}
}

// Run lists the rejected messages in the order in which they were stored.
func (c *listCommand) Run(ctx context.Context, s *session) error {
	matches, err := withReason(c.Reason)
	if err != nil {
		return err
	}
	var table *command.Table
	lines := json.NewEncoder(s.stdout)
	if !c.JSON {
		table = command.NewTable(s.stdout, "SEQ", "STORED", "REASON", "RECEIVES", "REPLAYED", "PROBLEM")
	}
	err = s.withLog(ctx, func(log *jetstream.Log) error {
		for m, err := range log.Rejected(ctx) {
			switch {
			case err != nil:
				return err
			case m.Err != nil:
				s.logger.ErrorContext(ctx, "a rejected message cannot be read", "error", m.Err)
			case m.Replayed && !c.All, !matches(m):
			case c.JSON:
				brief := forMachines(m)
				brief.Body, brief.Answer = "", ""
				_ = lines.Encode(brief)
			default:
				table.Row(m.Sequence, m.Stored.Format(time.RFC3339), m.Reason, m.ReceiveCount, m.Replayed, m.Problem)
			}
		}
		return nil
	})
	return errors.Join(err, table.Flush())
}

// Run shows one rejected message, its body last and as it came, and then, where that is
// why, the beginning of what the CAS API answered instead of the detail.
func (c *showCommand) Run(ctx context.Context, s *session) error {
	return s.withLog(ctx, func(log *jetstream.Log) error {
		m, err := log.RejectedBySequence(ctx, c.Sequence)
		if err == nil {
			err = m.Err
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(s.stdout).Encode(forMachines(m))
		}
		fmt.Fprintf(s.stdout, "sequence  %d\nstored    %s\nreason    %s\nproblem   %s\nmessage   %s\nreceives  %d\nreplayed  %t\n\n%s\n",
			m.Sequence, m.Stored.Format(time.RFC3339), m.Reason, command.Line(m.Problem), command.Line(m.MessageID), m.ReceiveCount, m.Replayed, m.Body)
		if len(m.Answer) > 0 {
			fmt.Fprintf(s.stdout, "\nThe CAS API answered, instead of a detail:\n\n%s\n", m.Answer)
		}
		return nil
	})
}

// Run takes rejected messages the way that messages from the queue take. One that is
// stored is marked as replayed; one that is not stays in the list and makes the
// command fail in the end.
func (c *replayCommand) Run(ctx context.Context, s *session) error {
	if len(c.Sequences) == 0 && c.Reason == "" && !c.All {
		return errors.New("say which to replay: numbers of the list, --reason, or --all")
	}
	return s.withStreams(ctx, func(log *jetstream.Log) error {
		messages, err := c.choose(ctx, log)
		if err != nil {
			return err
		}
		return s.withIntake(ctx, log, func(intake *ingest.Intake) error {
			failed := 0
			for _, m := range messages {
				if err := s.replay(ctx, log, intake, m); err != nil {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					failed++
					fmt.Fprintf(s.stderr, "%d: %v\n", m.Sequence, err)
				}
			}
			fmt.Fprintf(s.stdout, "%d replayed, %d failed\n", len(messages)-failed, failed)
			if failed > 0 {
				return fmt.Errorf("%d messages could not be replayed, see above; they stay in the list", failed)
			}
			return nil
		})
	})
}

// choose reads the messages to replay.
func (c *replayCommand) choose(ctx context.Context, log *jetstream.Log) ([]jetstream.RejectedMessage, error) {
	var chosen []jetstream.RejectedMessage
	if len(c.Sequences) > 0 {
		for _, sequence := range c.Sequences {
			m, err := log.RejectedBySequence(ctx, sequence)
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, m)
		}
		return chosen, nil
	}
	matches, err := withReason(c.Reason)
	if err != nil {
		return nil, err
	}
	for m, err := range log.Rejected(ctx) {
		if err != nil {
			return nil, err
		}
		if !m.Replayed && m.Err == nil && matches(m) {
			chosen = append(chosen, m)
		}
	}
	return chosen, nil
}

func (s *session) replay(ctx context.Context, log *jetstream.Log, intake *ingest.Intake, m jetstream.RejectedMessage) error {
	if m.Err != nil {
		return m.Err
	}
	key, ack, err := intake.Store(ctx, m.Body, nil)
	if err != nil {
		return err
	}
	s.logger.InfoContext(ctx, "a rejected message was replayed", "rejected", m.Sequence, "event", key.String(), "sequence", ack.Sequence, "duplicate", ack.Duplicate)
	return log.MarkReplayed(ctx, m.Sequence)
}

// withReason matches messages of one reason; "" matches all.
func withReason(text string) (func(jetstream.RejectedMessage) bool, error) {
	if text == "" {
		return func(jetstream.RejectedMessage) bool { return true }, nil
	}
	reason, err := store.ParseReason(text)
	if err != nil {
		return nil, err
	}
	return func(m jetstream.RejectedMessage) bool { return m.Reason == reason }, nil
}
