package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/projector/postgres"
	"casdelius/store"
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

// historyView is a history and what was asked about it.
type historyView struct {
	projector.History
	who  string
	only *store.Referral // nil for all
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
		h := historyView{who: "referral " + referral.String(), only: &referral}
		if crn != "" {
			h = historyView{who: string(crn)}
			h.History, err = db.PersonHistory(ctx, crn)
		} else {
			h.History, err = db.ReferralHistory(ctx, referral)
		}
		switch {
		case err != nil:
			return err
		case c.AsOf != "":
			return c.asOf(s, &h, upTo)
		case c.Explain != "":
			return c.explain(s, &h)
		}
		return c.timeline(s, &h)
	})
}

// about says whether an item is among what was asked for.
func (h *historyView) about(i delius.Item) bool { return h.only == nil || i.Referral == *h.only }

// moments are the events that were asked for, and those that changed something of it.
func (h *historyView) moments() []delius.Moment {
	var all []delius.Moment
	for _, m := range delius.Timeline(h.Timeless()) {
		if h.only != nil && m.Event.Referral != *h.only {
			m.Effects = slices.DeleteFunc(m.Effects, func(e delius.Effect) bool { return !h.about(e.Item) })
			if len(m.Effects) == 0 {
				continue
			}
		}
		all = append(all, m)
	}
	return all
}

// recorded are the events by their identity.
func (h *historyView) recorded() map[store.Key]projector.Recorded {
	all := map[store.Key]projector.Recorded{}
	for _, e := range h.Events {
		all[e.Key()] = e
	}
	return all
}

func (c *historyCommand) timeline(s *session, h *historyView) error {
	if !c.JSON {
		h.writeTimeline(s.stdout)
		return nil
	}
	lines := json.NewEncoder(s.stdout)
	recorded := h.recorded()
	for _, m := range h.moments() {
		if err := lines.Encode(momentLine(&m, recorded[m.Event.Key()])); err != nil {
			return err
		}
	}
	return nil
}

func (c *historyCommand) asOf(s *session, h *historyView, upTo time.Time) error {
	events := slices.DeleteFunc(h.Timeless(), func(e *delius.Event) bool { return e.Emitted.After(upTo) })
	desired := delius.Fold(events)
	made := slices.DeleteFunc(desired.Made(), func(m delius.Made) bool { return !h.about(m.Item) })
	if !c.JSON {
		h.writeAsOf(s.stdout, made, upTo)
		return nil
	}
	lines := json.NewEncoder(s.stdout)
	for _, m := range made {
		if err := lines.Encode(madeLine(m, upTo)); err != nil {
			return err
		}
	}
	return nil
}

func (c *historyCommand) explain(s *session, h *historyView) error {
	explained := delius.Explain(c.Explain, delius.Fold(h.Timeless()), h.Case, h.Outcome)
	if len(explained) == 0 {
		return fmt.Errorf("no usable event of %s makes a contact %q: `projector history %s` shows what they make", h.who, c.Explain, c.Who)
	}
	if !c.JSON {
		h.writeExplained(s.stdout, explained)
		return nil
	}
	lines := json.NewEncoder(s.stdout)
	for i := range explained {
		if err := lines.Encode(h.explainedLine(&explained[i])); err != nil {
			return err
		}
	}
	return nil
}

// conflictsOf are the conflicts that were recorded of an item.
func (h *historyView) conflictsOf(e *delius.Explained) []projector.Conflict {
	return slices.DeleteFunc(slices.Clone(h.Conflicts), func(c projector.Conflict) bool {
		return c.URN != e.URN || e.URN == "" && c.AddressID != e.RowID
	})
}

// parkedOf is why an item is left out now; nil if it is not.
func (h *historyView) parkedOf(i delius.Item) *delius.Parked {
	at := slices.IndexFunc(h.Outcome.Parked, func(p delius.Parked) bool {
		return p.Cause.Retried() && p.Referral == i.Referral && p.Address == (i.URN == "") && (p.Address || p.URN == i.URN)
	})
	if at < 0 {
		return nil
	}
	return &h.Outcome.Parked[at]
}
