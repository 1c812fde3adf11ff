package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"golang.org/x/sync/errgroup"
)

type runCommand struct {
	People      int      `default:"200" help:"How many people there are."`
	Rate        *float64 `help:"Messages a second; 0 is as fast as possible. By default 50, with --once 0."`
	Seed        *uint64  `help:"Tells the same story again. By default a random one, which is printed."`
	Once        bool     `help:"End when all is projected: compare every row with an independent reference."`
	Projectors  int      `default:"2" help:"How many projectors run at once."`
	Dir         string   `placeholder:"FOLDER" help:"Folder for streams, database and log, which is kept. By default a temporary one."`
	HTTPAddress string   `name:"http-address" default:"127.0.0.1:0" help:"Where health and metrics are served; port 0 is a free one."`
	Console     string   `name:"console-address" default:"127.0.0.1:0" help:"Where the console is served, for this machine alone; port 0 is a free one."`

	// meddle, in a test, changes Delius between the last projection and the comparison.
	meddle func(context.Context, *system) error
}

// Faults names what makes no sense.
func (c *runCommand) Faults() error {
	var all []error
	if c.People < 1 {
		all = append(all, fmt.Errorf("--people is %d: want at least 1", c.People))
	}
	if c.Projectors < 1 {
		all = append(all, fmt.Errorf("--projectors is %d: want at least 1", c.Projectors))
	}
	if c.Rate != nil && !(*c.Rate >= 0 && *c.Rate <= math.MaxInt32) {
		all = append(all, fmt.Errorf("--rate is %g: want messages a second, 0 for as fast as possible", *c.Rate))
	}
	return errors.Join(all...)
}

// rate is in messages a second, 0 without a limit.
func (c *runCommand) rate() float64 {
	switch {
	case c.Rate != nil:
		return *c.Rate
	case c.Once:
		return 0
	}
	return 50
}

// Run starts everything and lets the story happen. Without --once an interrupt is the
// way to end it.
func (c *runCommand) Run(ctx context.Context, t terminal) error {
	err := c.tell(ctx, t)
	if !c.Once && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// tell tells one story from its beginning.
func (c *runCommand) tell(ctx context.Context, t terminal) (err error) {
	seed := rand.Uint64N(1_000_000)
	if c.Seed != nil {
		seed = *c.Seed
	}
	view := newView(t)
	defer view.close()
	fmt.Fprintf(t.stdout, "sandbox: %d people, seed %d; starting NATS, PostgreSQL, SQS, SNS and the CAS API\n", c.People, seed)
	s, err := start(ctx, parts{dir: c.Dir, httpAddress: c.HTTPAddress, console: c.Console, logs: view.logs()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	story := plan(seed, c.People, s.cas.URL())
	if err := populate(ctx, s.delius, &story.population, story.withheld); err != nil {
		return err
	}
	if err := s.writeEnvironment(); err != nil {
		return err
	}
	fmt.Fprint(t.stdout, s.howToJoin())
	view.stay(s.addresses())
	return c.play(ctx, newStage(s, story), view, t)
}

// play lets the story happen, until it ends (with --once) or ctx does.
func (c *runCommand) play(ctx context.Context, st *stage, view view, t terminal) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return st.system.serve(ctx, c.Projectors, st.observer.committed) })
	group.Go(func() error { return st.record.follow(ctx) })
	group.Go(func() error { return st.post.deliver(ctx, st.story.messages, c.rate()) })
	group.Go(func() error { return st.practitioners.visit(ctx, st.story.visits, st.observer.ready) })
	group.Go(func() error {
		defer stop()
		end, err := st.watch(ctx, view)
		if err != nil {
			return err
		}
		return c.judge(ctx, st, end, view, t)
	})
	return group.Wait()
}

// judge compares what stands in Delius with the reference and reports. Without --once
// it stays until ctx ends.
func (c *runCommand) judge(ctx context.Context, st *stage, end snapshot, view view, t terminal) error {
	if c.meddle != nil {
		if err := c.meddle(ctx, st.system); err != nil {
			return err
		}
	}
	found, err := st.compare(ctx)
	if err != nil {
		return err
	}
	view.close()
	fmt.Fprint(t.stdout, st.report(end, found))
	if !c.Once {
		fmt.Fprintln(t.stdout, "Everything is still there to be looked at. Ctrl-C ends it.")
		<-ctx.Done()
		return ctx.Err()
	}
	if len(found.differences) > 0 {
		return errDiffers
	}
	return nil
}
