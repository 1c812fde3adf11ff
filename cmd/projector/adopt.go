package main

import (
	"context"
	"encoding/json"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector/audit"
	"casdelius/projector/inspect"
	"casdelius/projector/verify"
)

type adoptCommand struct {
	Accept bool `help:"Do it. Without this it only says what would be done."`
	JSON   bool `name:"json" help:"Print one JSON object."`

	command.Actor `embed:""`
}

// Help implements kong.HelpProvider.
func (adoptCommand) Help() string {
	return `Makes a stream that was restored from a backup the one that the inbox is filled from. Services refuse to run on it before, because another stream might say anything.

It compares the two, message by message, up to where they part. What the stream has beyond that is read into the inbox by the next projector run or rebuild. Events that only the inbox has, of after the backup, are appended to the stream: this needs a user of NATS who may do that. Sequences of which the inbox keeps no event, duplicates and person events, are left behind: those lose nothing.

Stop ingest and every projector before, and start them afterwards.

Examples:
  projector adopt-stream
  projector adopt-stream --accept

Exit codes: 0 done, or nothing to do; 2 something to do; 1 an error, another stream altogether too; 130 interrupted.`
}

// Run adopts the stream, or says what that would do.
func (c *adoptCommand) Run(ctx context.Context, s *session) error {
	w, err := s.worker(ctx, 1)
	if err != nil {
		return err
	}
	defer w.close()
	meter := newMeter(s.stderr)
	a, err := verify.CompareForAdoption(ctx, verify.Ports{Log: w.log, Inbox: w.db.Inbox}, w.db.Inbox, meter.report)
	if err == nil && c.Accept && !a.Same() {
		err = a.Adopt(ctx, w.db.Inbox, w.log, meter.report)
		if recorded := record(ctx, w.db, &c.Actor, audit.Adopted, map[string]any{"created": a.Is.Created, "appended": a.Events, "left": a.Others}, ended(ctx, err, "adopted")); err == nil {
			err = recorded
		}
	}
	meter.Close()
	if err != nil {
		return err
	}
	if err := c.show(s, &a); err != nil {
		return err
	}
	if !c.Accept && !a.Same() {
		return command.Outcome(service.ExitChanges)
	}
	return nil
}

// adoption is what the command found, for machines.
type adoption struct {
	Was        time.Time `json:"was"`        // when the stream of the inbox was created
	Is         time.Time `json:"is"`         // when this one was
	InboxLast  uint64    `json:"inboxLast"`  // sequence
	StreamLast uint64    `json:"streamLast"` // likewise
	Common     uint64    `json:"common"`     // up to which both say the same
	Append     int       `json:"append"`     // events that only the inbox has
	Leave      int       `json:"leave"`      // other messages that only the inbox has
	Same       bool      `json:"same"`       // it is the inbox's stream already
	Adopted    bool      `json:"adopted"`
}

func (c *adoptCommand) show(s *session, a *verify.Adoption) error {
	if c.JSON {
		return json.NewEncoder(s.stdout).Encode(adoption{
			a.Was.Created, a.Is.Created, a.Was.LastSequence, a.Is.LastSequence,
			a.Common, a.Events, a.Others, a.Same(), c.Accept && !a.Same(),
		})
	}
	if a.Same() {
		s.stdout.Sayf("the inbox was filled from this stream: there is nothing to adopt")
		return nil
	}
	s.stdout.Sayf("the inbox was filled from a stream created at %s, and has messages up to %d", command.LondonSeconds(a.Was.Created), a.Was.LastSequence)
	s.stdout.Sayf("this stream was created at %s, and has messages up to %d", command.LondonSeconds(a.Is.Created), a.Is.LastSequence)
	s.stdout.Sayf("they say the same up to message %d", a.Common)
	would := "would be "
	if c.Accept {
		would = ""
	}
	if a.Events > 0 {
		s.stdout.Sayf("%s that only the inbox has %sappended to the stream", inspect.Count(a.Events, "event"), would)
	}
	if a.Others > 0 {
		s.stdout.Sayf("%s without an event %sleft behind", inspect.Count(a.Others, "sequence"), would)
	}
	end := "nothing was changed: with --accept this stream becomes the inbox's"
	if c.Accept {
		end = "this stream is the inbox's now: start ingest and the projectors"
	}
	s.stdout.Sayf("%s", end)
	return nil
}
