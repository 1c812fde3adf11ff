package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/rejected"
	"casdelius/ingest"
	"casdelius/store"
	"casdelius/store/jetstream"
)

type listCommand struct {
	Reason string `help:"Only those with this reason."`
	All    bool   `help:"Also those that were replayed or dismissed since."`
	JSON   bool   `name:"json" help:"One JSON object a line."`

	command.Layout `embed:""`
}

type showCommand struct {
	Sequence uint64 `arg:"" name:"seq" help:"Its number in the list."`
	JSON     bool   `name:"json" help:"As one JSON object."`
}

type dismissCommand struct {
	Sequences []uint64 `arg:"" name:"seq" help:"Numbers in the list."`

	command.Actor `embed:""`
}

type replayCommand struct {
	command.Actor `embed:""`

	Sequences []uint64 `arg:"" optional:"" name:"seq" xor:"which" help:"Numbers in the list."`
	Reason    string   `xor:"which" help:"All that have this reason."`
	All       bool     `xor:"which" help:"All."`
}

// rejectedMessage is a rejected message for machines.
type rejectedMessage struct {
	Sequence  uint64       `json:"sequence"`
	Stored    time.Time    `json:"stored"`
	Reason    store.Reason `json:"reason"`
	Problem   string       `json:"problem"`
	Message   string       `json:"messageId"`
	Receives  int          `json:"receiveCount"`
	Replayed  bool         `json:"replayed"`
	Dismissed bool         `json:"dismissed"`
	By        string       `json:"by,omitempty"`  // who did that
	Why       string       `json:"why,omitempty"` // likewise
	Body      string       `json:"body,omitempty"`
	Answer    string       `json:"answer,omitempty"` // what came instead of the detail
}

func forMachines(m jetstream.RejectedMessage) rejectedMessage {
	r := rejectedMessage{
		Sequence: m.Sequence, Stored: m.Stored, Reason: m.Reason, Problem: m.Problem, Message: m.MessageID, Receives: m.ReceiveCount,
		Body: string(m.Body), Answer: string(m.Answer),
	}
	if m.Mark != nil {
		r.Replayed, r.Dismissed, r.By, r.Why = !m.Mark.Dismissed, m.Mark.Dismissed, m.Mark.Who, m.Mark.Why
	}
	return r
}

// Suggest implements command.Suggester.
func (listCommand) Suggest() map[string][]string { return map[string][]string{"reason": reasons()} }

// Suggest implements command.Suggester.
func (replayCommand) Suggest() map[string][]string { return map[string][]string{"reason": reasons()} }

func reasons() (names []string) {
	for _, r := range store.Reasons() {
		names = append(names, string(r))
	}
	return names
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
		table = command.NewTable(s.stdout, c.Layout, command.Column{Name: "SEQ"}, command.Column{Name: "STORED"}, command.Column{Name: "REASON"},
			command.Column{Name: "RECEIVES", Extra: true}, command.Column{Name: "DONE"}, command.Column{Name: "PROBLEM", Wraps: true})
	}
	err = s.withLog(ctx, func(log *jetstream.Log) error {
		for m, err := range log.Rejected(ctx) {
			switch {
			case err != nil:
				return err
			case m.Err != nil:
				s.logger.ErrorContext(ctx, "a rejected message cannot be read", "error", m.Err)
			case m.Mark != nil && !c.All, !matches(m):
			case c.JSON:
				brief := forMachines(m)
				brief.Body, brief.Answer = "", ""
				_ = lines.Encode(brief)
			default:
				table.Row(m.Sequence, command.London(m.Stored), m.Reason, m.ReceiveCount, rejected.Marked(m.Mark), m.Problem)
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
			return sought(err)
		}
		if c.JSON {
			return json.NewEncoder(s.stdout).Encode(forMachines(m))
		}
		page := command.NewPage(s.stdout)
		for _, field := range [][2]string{
			{"sequence", strconv.FormatUint(m.Sequence, 10)},
			{"stored", command.LondonSeconds(m.Stored)},
			{"reason", string(m.Reason)},
			{"problem", m.Problem},
			{"message", m.MessageID},
			{"receives", strconv.Itoa(m.ReceiveCount)},
			{"done", rejected.Marked(m.Mark)},
		} {
			page.Line(command.Plain, fmt.Sprintf("%-10s", field[0]), field[1])
		}
		if err := page.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "\n%s\n", m.Body)
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
		return command.Misused("say which to replay: numbers of the list, --reason, or --all")
	}
	return s.withStreams(ctx, func(log *jetstream.Log) error {
		messages, err := c.choose(ctx, log)
		if err != nil {
			return err
		}
		return s.withIntake(ctx, log, func(intake *ingest.Intake) error {
			failed := 0
			for _, m := range messages {
				if err := s.messages(log).Replay(ctx, intake, m, store.Mark{Who: c.Who(), Why: c.Why}); err != nil {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					failed++
					s.stderr.Sayf("%d: %v", m.Sequence, err)
				}
			}
			s.stdout.Sayf("%d replayed, %d failed", len(messages)-failed, failed)
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
				return nil, sought(err)
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
		if m.Mark == nil && m.Err == nil && matches(m) {
			chosen = append(chosen, m)
		}
	}
	return chosen, nil
}

// Run marks rejected messages as of no use to anybody.
func (c *dismissCommand) Run(ctx context.Context, s *session) error {
	if c.Why == "" {
		return command.Misused("say why they are of no use to anybody: --why")
	}
	return s.withStreams(ctx, func(log *jetstream.Log) error {
		for _, sequence := range c.Sequences {
			if err := s.messages(log).Dismiss(ctx, sequence, store.Mark{Who: c.Who(), Why: c.Why}); err != nil {
				return sought(err)
			}
		}
		s.stdout.Sayf("%d dismissed", len(c.Sequences))
		return nil
	})
}

// sought says of a number that is none of the list's where to find those.
func sought(err error) error {
	if errors.Is(err, jetstream.ErrNotFound) {
		return fmt.Errorf("%w: `ingest rejected list --all` shows the numbers", err)
	}
	return err
}

// messages are the rejected messages of a log.
func (s *session) messages(log *jetstream.Log) rejected.Messages {
	return rejected.Messages{Log: log, Logger: s.logger}
}

// withReason matches messages of one reason; "" matches all.
func withReason(text string) (func(jetstream.RejectedMessage) bool, error) {
	if text == "" {
		return func(jetstream.RejectedMessage) bool { return true }, nil
	}
	reason, err := store.ParseReason(text)
	if err != nil {
		return nil, command.Misused("--reason: %w", err)
	}
	return func(m jetstream.RejectedMessage) bool { return m.Reason == reason }, nil
}
