package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
)

type historyCommand struct {
	Who     string `arg:"" name:"crn|referral" help:"A CRN, for all of a person's referrals, or the UUID of one referral."`
	AsOf    string `xor:"what" placeholder:"TIME" help:"Show the contacts and addresses that the events emitted up to then make: 2026-03-01T12:00:00Z, a local time of London without a zone, or a date for all of that day."`
	Explain string `xor:"what" placeholder:"URN" help:"Show which event each field of the contact comes from, and where its row stands differently."`
	JSON    bool   `name:"json" help:"One JSON object a line."`
}

// Help implements kong.HelpProvider.
func (historyCommand) Help() string {
	return `What an event changed is derived from the events up to it, in the order in which CAS emitted them: no log of changes is kept.

Examples:
  projector history X123456
  projector history 2f1d0c5e-6f0f-4a5c-9d0a-3b8a5d0f7c11 --as-of 2026-03-01
  projector history X123456 --explain urn:hmpps:cas3:person-arrived:2f1d0c5e-6f0f-4a5c-9d0a-3b8a5d0f7c11`
}

// historyView prints what was asked about a history.
type historyView struct {
	*inspect.View
	users map[int64]string // who changed rows, by their numbers
}

// Run tells a person's, or a referral's, history.
func (c *historyCommand) Run(ctx context.Context, s *session) error {
	var upTo time.Time
	if c.AsOf != "" {
		var err error
		if upTo, err = parseMoment("--as-of", c.AsOf, endOfDay); err != nil {
			return err
		}
	}
	crn, referral, err := parseWho(c.Who)
	if err != nil {
		return err
	}
	return s.withDatabase(ctx, func(db *postgres.Database) error {
		h := historyView{View: &inspect.View{Who: "referral " + referral.String(), Only: &referral}}
		if crn != "" {
			h = historyView{View: &inspect.View{Who: string(crn)}}
			h.History, err = db.PersonHistory(ctx, crn)
		} else {
			h.History, err = db.ReferralHistory(ctx, referral)
		}
		if err == nil && c.Explain != "" {
			h.users, err = db.Pages.Users(ctx, h.Users())
		}
		if err == nil {
			err = c.show(s, h, upTo)
		}
		if err == nil && len(h.Unseen) > 0 {
			return fmt.Errorf("%s could not be looked at; what they say is left out", inspect.Count(len(h.Unseen), "referral"))
		}
		return err
	})
}

// show shows what was asked for, and first who fails.
func (c *historyCommand) show(s *session, h historyView, upTo time.Time) error {
	out := s.stdout
	if c.JSON {
		out = s.stderr
	}
	page := command.NewPage(out)
	for _, f := range h.Failing {
		next := nextTry(f.NextTry, time.Now())
		page.Printf(command.Red, "failing  referral %s since %s, %s, next %s: %s", f.Referral, command.LondonSeconds(f.Since), inspect.Count(f.Tries, "try"), next, f.Problem)
	}
	for _, f := range h.Unseen {
		page.Printf(command.Red, "unseen   referral %s: %s", f.Referral, f.Problem)
	}
	if err := page.Flush(); err != nil {
		return err
	}
	switch {
	case len(h.Events) == 0:
		return nil
	case c.AsOf != "":
		return c.asOf(s, h, upTo)
	case c.Explain != "":
		return c.explain(s, h)
	}
	return c.timeline(s, h)
}

func (c *historyCommand) timeline(s *session, h historyView) error {
	if !c.JSON {
		return s.page(h.writeTimeline)
	}
	lines := json.NewEncoder(s.stdout)
	recorded := h.Recorded()
	for _, m := range h.Moments() {
		if err := lines.Encode(inspect.MomentLine(&m, recorded[m.Event.Key()])); err != nil {
			return err
		}
	}
	return nil
}

func (c *historyCommand) asOf(s *session, h historyView, upTo time.Time) error {
	made := h.MadeUpTo(upTo)
	if !c.JSON {
		return s.page(func(p *command.Page) { h.writeAsOf(p, made, upTo) })
	}
	return writeLines(s.stdout, len(made), func(i int) any { return inspect.MadeLine(made[i], upTo) })
}

func (c *historyCommand) explain(s *session, h historyView) error {
	explained := h.Explain(c.Explain)
	if len(explained) == 0 {
		return fmt.Errorf("no usable event of %s makes a contact %q: `projector history %s` shows what they make", h.Who, c.Explain, c.Who)
	}
	if !c.JSON {
		return s.page(func(p *command.Page) { h.writeExplained(p, explained) })
	}
	return writeLines(s.stdout, len(explained), func(i int) any { return h.Explained(&explained[i], h.users) })
}
