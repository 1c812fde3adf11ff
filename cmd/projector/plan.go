package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/delius"
	"casdelius/store"
)

type planCommand struct{ selection }

// Help implements kong.HelpProvider.
func (planCommand) Help() string {
	return `Shows, person by person, every field of every row that would be written if everyone,
or whom the options select, were rebuilt now: from what, to what, why, and because of
which events. Values of people's that the events would replace are marked as conflicts.
Adopted rows that differ from their events, with what stands and what the events say,
and what is parked are listed as well: neither is a change.

Nothing in Delius or the ledger is written; the inbox is filled from the stream.

Examples:
  projector plan
  projector plan --crn X123456 --crn X234567
  projector plan --json | jq 'select(.conflict)'

Exit codes: 0 nothing to change, 2 there are changes, 1 an error, 130 interrupted.`
}

// Run plans.
func (c *planCommand) Run(ctx context.Context, s *session) error {
	r, err := c.rebuild()
	if err != nil {
		return err
	}
	p, closeAll, err := s.projector(ctx, c.Workers)
	if err != nil {
		return err
	}
	defer closeAll()
	meter := newMeter(s.stderr)
	out := bufio.NewWriter(s.stdout)
	r.DryRun = true
	r.Planned = func(d projector.Decision) error { return c.show(out, rowsOf(&d)) }
	r.Progress = func(p projector.Progress) { meter.report(p) }
	tally, err := p.Rebuild(ctx, r)
	meter.close()
	if err == nil {
		err = c.total(out, &tally)
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	switch {
	case err != nil:
		return err
	case len(tally.Failed) > 0:
		return fmt.Errorf("%d referrals could not be planned, %s the first; the log says why", len(tally.Failed), tally.Failed[0])
	case tally.Rows > 0:
		return command.Outcome(service.ExitChanges)
	}
	return nil
}

// show prints the rows of one person.
func (c *planCommand) show(out io.Writer, rows []row) error {
	if !c.JSON {
		return printPerson(out, rows)
	}
	lines := json.NewEncoder(out)
	for i := range rows {
		if err := lines.Encode(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *planCommand) total(out io.Writer, t *projector.Tally) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(totalOf(t))
	}
	_, err := fmt.Fprintf(out, "%d people checked, %d with changes: %d fields of %d rows. %s\n", t.People, t.Changed, t.Fields, t.Rows, asides(t))
	return err
}

// row is one line of a plan: a field that would be written, or what else there is to
// know about a person.
type row struct {
	What     string  `json:"what"` // kind of change or notice, "parked" or "lost"
	CRN      string  `json:"crn,omitempty"`
	URN      string  `json:"urn,omitempty"`
	Referral string  `json:"referral,omitempty"`
	Contact  int64   `json:"contactId,omitempty"`
	Address  int64   `json:"addressId,omitempty"`
	Field    string  `json:"field,omitempty"`
	From     string  `json:"from"`
	To       string  `json:"to"`
	Why      string  `json:"why"`
	Cause    string  `json:"cause,omitempty"`
	Conflict bool    `json:"conflict"`
	Events   []event `json:"events,omitempty"`
}

type event struct {
	Type     store.Type `json:"type"`
	Referral string     `json:"referral"`
	ID       string     `json:"id"`
}

func eventsOf(keys []store.Key) []event {
	events := make([]event, len(keys))
	for i, k := range keys {
		events[i] = event{k.Type, k.Referral.String(), k.ID}
	}
	return events
}

// total is the last line of a plan or rebuild.
type total struct {
	What           string `json:"what"`
	People         int    `json:"people"`
	Changed        int    `json:"peopleChanged"`
	Rows           int    `json:"rows"`
	Fields         int    `json:"fields"`
	Conflicts      int    `json:"conflicts"`
	AdoptedDiffers int    `json:"adoptedDiffers"`
	Parked         int    `json:"parked"`
	Left           int    `json:"leftDue"`
	Lost           int    `json:"peopleLackingEvents"`
	Failed         int    `json:"failed"`
}

func totalOf(t *projector.Tally) total {
	return total{"total", t.People, t.Changed, t.Rows, t.Fields, t.Conflicts, t.AdoptedDiffers, t.Parked, t.Left, t.Lost, len(t.Failed)}
}

// rowsOf are the rows of one person's plan.
func rowsOf(d *projector.Decision) (rows []row) {
	for _, change := range d.Outcome.Changes {
		rows = append(rows, fieldsOf(d.Person.CRN, change)...)
	}
	for _, n := range d.Outcome.Observations {
		of := row{What: noticeNames[n.Kind], CRN: d.Person.CRN, URN: n.URN, Address: n.AddressID, Why: n.Text}
		if len(n.Fields) == 0 {
			rows = append(rows, of)
		}
		for _, f := range n.Fields {
			rows = append(rows, of.with(f))
		}
	}
	for _, p := range d.Outcome.Parked {
		what := "parked"
		if p.Address {
			what = "parked-address"
		}
		rows = append(rows, row{
			What: what, CRN: d.Person.CRN, URN: p.URN, Referral: p.Referral.String(), Cause: string(p.Cause), Why: p.Problem, Events: eventsOf(p.Events),
		})
	}
	for _, lost := range d.Outcome.Lost {
		rows = append(rows, row{What: "lost", CRN: d.Person.CRN, Why: "the history lacks events that were applied once: " + lost})
	}
	return rows
}

var noticeNames = map[delius.ObservationKind]string{
	delius.ContactAlreadyExists: "contact-already-exists",
	delius.StaffNotInTeam:       "staff-not-in-team",
	delius.AdoptedDiffers:       "adopted-differs",
}

// with is the row for one field.
func (r row) with(f delius.Field) row {
	r.Field, r.From, r.To, r.Why, r.Conflict, r.Events = f.Name, f.From, f.To, f.Reason, f.Conflict, eventsOf(f.Events)
	return r
}

// fieldsOf are the rows of one change.
func fieldsOf(crn string, change delius.Change) []row {
	of := row{CRN: crn}
	switch c := change.(type) {
	case *delius.InsertContact:
		of.What, of.URN, of.Referral = "insert-contact", c.Row.URN, c.Applied.Referral.String()
	case *delius.UpdateContact:
		of.What, of.URN, of.Contact = "update-contact", c.Row.URN, c.Row.ID
	case *delius.InsertAddress:
		of.What, of.Referral = "insert-address", c.Applied.Booking.String()
	case *delius.UpdateAddress:
		of.What, of.Address = "update-address", c.Row.ID
	}
	rows := make([]row, 0, len(change.Why()))
	for _, f := range change.Why() {
		rows = append(rows, of.with(f))
	}
	return rows
}
