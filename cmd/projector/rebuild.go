package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/projection"
	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/audit"
	"casdelius/projector/inspect"
	"casdelius/projector/postgres"
	"casdelius/store"
	"casdelius/store/jetstream"
)

// selection are the options that select people.
type selection struct {
	CRN      []string `name:"crn" placeholder:"CRN" help:"Only this person; may be given several times."`
	Referral []string `placeholder:"ID" help:"Only the person of this referral: an application's or booking's id; may be given several times."`
	Workers  *int     `placeholder:"N" help:"Chunks of people that are reconciled at once; the default is 2, or 1 with --rate."`
	JSON     bool     `name:"json" help:"Print JSON lines."`
}

// rebuild is the rebuild of whom the options select.
func (w *selection) rebuild() (projector.Rebuild, error) {
	var r projector.Rebuild
	for _, text := range w.CRN {
		crn, err := parseCRN(text)
		if err != nil {
			return r, err
		}
		r.CRNs = append(r.CRNs, crn)
	}
	for _, text := range w.Referral {
		referral, err := store.ParseReferral(text)
		if err != nil {
			return r, command.Misused("--referral %q: %w", text, err)
		}
		r.Referrals = append(r.Referrals, referral)
	}
	if w.Workers != nil && *w.Workers < 1 {
		return r, command.Misused("--workers %d: want 1 or more", *w.Workers)
	}
	r.By = projection.ProcessName()
	return r, nil
}

// workers is how many work: two, if nothing was said.
func (w *selection) workers() int {
	if w.Workers == nil {
		return 2
	}
	return *w.Workers
}

type rebuildCommand struct {
	selection
	DryRun  bool `help:"Show every change instead of making it, as plan does; exit 2 if there are any."`
	Restart bool `help:"Begin anew, also where a rebuild was interrupted."`
	Rate    int  `placeholder:"N" help:"At most so many events a second, with one worker, to leave room for others; 0, the default, is no limit."`

	command.Actor `embed:""`
}

// Help implements kong.HelpProvider.
func (rebuildCommand) Help() string {
	return `Fills the projector's inbox from the stream, then makes what stands in Delius what
the events say: for everyone, or for whom the options select. What people edited is
kept as it always is. The service may run meanwhile.

A rebuild of everyone that was interrupted or killed goes on where it was. One runs
at a time. The rate counts events: first those that are read from the stream, then
those in the histories of the people checked.

Examples:
  projector rebuild --dry-run
  projector rebuild --crn X123456
  projector rebuild --rate 2000
  projector rebuild --restart --workers 4

Exit codes: 0 done, 1 an error (people who could not be rebuilt too), 2 there are
changes (dry run), 130 interrupted.`
}

// Run rebuilds.
func (c *rebuildCommand) Run(ctx context.Context, s *session) error {
	if c.DryRun {
		return (&planCommand{c.selection}).Run(ctx, s)
	}
	r, err := c.rebuild()
	if err != nil {
		return err
	}
	if c.Rate < 0 {
		return command.Misused("--rate %d: want events a second, or 0 for no limit", c.Rate)
	}
	r.Rate, r.Restart = c.Rate, c.Restart
	if c.Rate > 0 && c.Workers != nil && *c.Workers > 1 {
		s.stderr.Sayf("--rate: one worker reconciles, not the %d of --workers: the other processors are left to live events", *c.Workers)
	}
	p, err := s.worker(ctx, c.workers())
	if err != nil {
		return err
	}
	defer p.close()
	meter := newMeter(s.stderr)
	r.Progress = func(p projector.Progress) { meter.report(p) }
	var began *time.Time
	r.Resumed = func(at projector.Bookmark) {
		began = &at.Started
		s.stderr.Sayf("going on with the rebuild that began at %s: %d people are done, up to offender %d",
			command.London(at.Started), at.People, at.Person)
	}
	what := map[string]any{"crns": r.CRNs, "referrals": r.Referrals, "rate": r.Rate, "restart": r.Restart}
	if err := record(ctx, p.db, &c.Actor, audit.Rebuilt, what, "begun"); err != nil {
		return err
	}
	tally, err := p.Rebuild(ctx, r)
	meter.Close()
	if recorded := record(ctx, p.db, &c.Actor, audit.Rebuilt, what, ended(ctx, err, fmt.Sprintf("%s checked, %s changed: %s written", inspect.Count(tally.People, "person"), inspect.Number(tally.Changed), inspect.Count(tally.Rows, "row")))); err == nil {
		err = recorded
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		if len(c.CRN)+len(c.Referral) == 0 {
			s.stderr.Sayf("paused: %s. `projector rebuild` goes on from here; with --restart it begins anew.", meter.reached())
		} else {
			s.stderr.Sayf("interrupted: the same command does the rest.")
		}
		return command.Outcome(service.ExitInterrupted)
	}
	if err != nil {
		return err
	}
	return c.report(s, &tally, began)
}

// report says what the rebuild came to, since it began if it was taken up.
func (c *rebuildCommand) report(s *session, t *projector.Tally, began *time.Time) error {
	if c.JSON {
		if err := json.NewEncoder(s.stdout).Encode(inspect.TotalOf(t)); err != nil {
			return err
		}
	} else {
		since := ""
		if began != nil {
			since = fmt.Sprintf(" since the rebuild began at %s", command.London(*began))
		}
		page := command.NewPage(s.stdout)
		page.Line(command.Bold, "", fmt.Sprintf("%s checked%s, %s changed: %s written. %s", inspect.Count(t.People, "person"), since, inspect.Number(t.Changed),
			inspect.Count(t.Rows, "row"), asides(t)))
		if err := page.Flush(); err != nil {
			return err
		}
	}
	if t.Left > 0 {
		s.stderr.Sayf("%d referrals were deferred and stay due: rows of their people are locked by other transactions. The service reconciles them.", t.Left)
	}
	if t.Lost > 0 {
		s.stderr.Sayf("%d people were left as they are: their history lacks events that were applied once. `projector verify` says which, and with --repair forgets events that the stream has lost.", t.Lost)
	}
	if n := len(t.Failed); n > 0 {
		s.sayFailed(t.Failed)
		return fmt.Errorf("%s could not be rebuilt and stay due; everyone else is done, and the log says why", inspect.Count(n, "referral"))
	}
	if t.Lost > 0 {
		return errors.New("not everyone could be rebuilt")
	}
	return nil
}

// sayFailed says which referrals could not be looked at.
func (s *session) sayFailed(failed []projector.Failure) {
	const most = 50
	for i, f := range failed {
		if i == most {
			s.stderr.Sayf("and %d more", len(failed)-most)
			return
		}
		s.stderr.Sayf("failing  referral %s: %s", f.Referral, f.Problem)
	}
}

// asides lists what is no change, but worth knowing.
func asides(t *projector.Tally) string {
	adopted := inspect.Count(t.AdoptedDiffers, "adopted row") + " that differ"
	if t.AdoptedDiffers == 1 {
		adopted += "s"
	}
	return fmt.Sprintf("%s, %s, %s parked.", inspect.Count(t.Conflicts, "conflict"), adopted, inspect.Number(t.Parked))
}

// worker is a projector for a command that ends by itself, and what it works with.
type worker struct {
	*projector.Projector
	db  *postgres.Database
	log projection.Log

	close func()
}

// worker makes one.
func (s *session) worker(ctx context.Context, workers int) (*worker, error) {
	pool, err := s.connect(ctx, workers)
	if err != nil {
		return nil, err
	}
	db, err := s.source().Open(ctx, pool, postgres.Config{})
	if err != nil {
		pool.Close()
		return nil, err
	}
	log, err := jetstream.Connect(ctx, s.NATS.Config("projector", s.Stream), s.logger)
	if err != nil {
		pool.Close()
		return nil, err
	}
	w := &worker{db: db, log: projection.NewLog(log), close: func() {
		_ = log.Close() // nothing was published
		pool.Close()
	}}
	if w.Projector, err = projector.New(w.log, db.Ports(), projector.Config{Workers: workers, Logger: s.logger}); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}
