package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/relay"
	"casdelius/projector/sns"
)

// pollPause is how often it is looked whether something has come to pass in Delius, or whether
// SNS answers again.
const pollPause = time.Second

// casCommand is CAS beside services that run elsewhere, such as in containers of their own.
type casCommand struct {
	DatabaseURL string       `name:"database-url" env:"DELIUS_DATABASE_URL" required:"" help:"The database of the stand-in Delius, postgres://user:password@host:5432/database."`
	Topic       string       `env:"MESSAGING_PRODUCER_TOPIC" required:"" placeholder:"ARN" help:"ARN of the topic that events are published to."`
	Address     string       `default:":8089" help:"Where details and tokens are served."`
	BaseURL     string       `name:"base-url" default:"http://127.0.0.1:8089" help:"How ingest reaches that address."`
	People      int          `default:"200" help:"How many people there are."`
	Rate        float64      `default:"5" help:"Messages a second; 0 is as fast as possible."`
	Seed        uint64       `default:"1" help:"Tells the same story again."`
	HTTP        command.HTTP `embed:"" prefix:"http-"`
}

// Help implements kong.HelpProvider.
func (casCommand) Help() string {
	return `Adds made-up people to the stand-in Delius, publishes what CAS and Delius raise of them, serves the details, and edits some rows as practitioners do. A member of staff whom Delius does not know at first joins once two thirds are told, so that contacts are parked and heal. Ingest needs the base URL, the token endpoint ` + casapitest.TokenPath + ` below it, the client ` + casapitest.ClientID + ` and its secret ` + casapitest.ClientSecret + `.

When all is told it goes on serving details. Started again, it tells the same story again, which changes nothing, and edits nothing a second time. The AWS SDK reads its own variables: AWS_ENDPOINT_URL_SNS, credentials.`
}

// Faults names what makes no sense.
func (c *casCommand) Faults() error {
	var all []error
	if c.People < 1 {
		all = append(all, fmt.Errorf("--people is %d: want at least 1", c.People))
	}
	if !(c.Rate >= 0 && c.Rate <= math.MaxInt32) {
		all = append(all, fmt.Errorf("--rate is %g: want messages a second, 0 for as fast as possible", c.Rate))
	}
	return errors.Join(append(all, sns.Validate(c.Topic), c.HTTP.Faults())...)
}

// Run tells the story, and serves its details until ctx ends.
func (c *casCommand) Run(ctx context.Context, t terminal) error {
	err := c.serve(ctx, t)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // it is the way to end it
	}
	return err
}

func (c *casCommand) serve(ctx context.Context, t terminal) error {
	logger := slog.New(slog.NewTextHandler(t.stderr, nil))
	health, err := service.Serve("cas", c.HTTP.At(), service.Registry(), logger, service.Limits{})
	if err != nil {
		return err
	}
	defer health.Close()
	config, err := pgxpool.ParseConfig(c.DatabaseURL)
	if err != nil {
		return errors.New("the database URL cannot be read: want postgres://user:password@host:5432/database") // it may hold a password
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open database %s: %w", config.ConnConfig.Database, err)
	}
	defer pool.Close()
	delius := postgrestest.Delius{Pool: pool}
	topic, err := sns.Open(ctx, c.Topic)
	if err != nil {
		return err
	}
	api, err := casapitest.Run(c.Address)
	if err != nil {
		return err
	}
	defer api.Close()

	story := plan(c.Seed, c.People, c.BaseURL)
	told, err := populated(ctx, delius, story)
	if err != nil {
		return err
	}
	if told {
		story.leaveDelius()
		fmt.Fprintf(t.stdout, "The people of seed %d are in Delius already: their story is told again, and changes nothing.\n", c.Seed)
	} else if err := populate(ctx, delius, &story.population, story.withheld); err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return pool.Ping(ctx) }
	health.Started(service.Check{Name: "database", Serving: true, Run: ready})
	fmt.Fprintf(t.stdout, "%d people; %d messages to %s, %g a second (0: as fast as possible); details at %s, of %s\n",
		len(story.people), len(story.messages)+len(story.visits), c.Topic, c.Rate, c.Address, c.BaseURL)
	return c.tell(ctx, story, &post{cas: api, publish: publishTo(topic, logger), delius: delius}, t)
}

// tell publishes everything, and then stays.
func (c *casCommand) tell(running context.Context, story *story, p *post, t terminal) error {
	group, ctx := errgroup.WithContext(running)
	practitioners := &practitioners{delius: p.delius, post: p}
	group.Go(func() error { return p.deliver(ctx, story.messages, c.Rate) })
	group.Go(func() error {
		return practitioners.visit(ctx, story.visits, func(v *visit) <-chan struct{} { return practitioners.appears(ctx, v) })
	})
	group.Go(func() error {
		if story.withheld.Staff == "" {
			return nil
		}
		err := waitUntil(ctx, func() bool { return p.sent.Load()*3 >= int64(len(story.messages))*2 })
		if err != nil {
			return err
		}
		return hire(ctx, p.delius, story.withheld)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprintln(t.stdout, "Everything is told. The details are served until this ends.")
	<-running.Done()
	return running.Err()
}

// populated says whether the people of a story are in Delius already.
func populated(ctx context.Context, d postgrestest.Delius, s *story) (there bool, err error) {
	err = d.Pool.QueryRow(ctx, "select exists (select from delius.offender where crn = $1)", string(s.people[0].CRN)).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for the story's people in Delius, which sandbox delius makes: %w", err)
	}
	return there, nil
}

// leaveDelius takes out of a story what was done in Delius when it was told first.
func (s *story) leaveDelius() {
	for _, v := range s.visits {
		v.row = row{}
	}
	for i := range s.messages {
		if then := s.messages[i].then; then != nil {
			then.made = true
		}
	}
	s.withheld = postgrestest.Officer{}
}

// appears is closed once the row of a visit stands in Delius.
func (p *practitioners) appears(ctx context.Context, v *visit) <-chan struct{} {
	there := make(chan struct{})
	go func() {
		err := waitUntil(ctx, func() bool {
			if v.row == (row{}) {
				return true
			}
			_, err := p.findRow(ctx, v)
			return err == nil
		})
		if err == nil {
			close(there)
		}
	}()
	return there
}

// publishTo publishes to a topic. While SNS does not take an event it is tried again.
func publishTo(topic *sns.Topic, logger *slog.Logger) func(context.Context, event) error {
	var id atomic.Uint64
	return func(ctx context.Context, e event) error {
		message := relay.Message{ID: fmt.Sprint(id.Add(1)), EventType: e.typ, Body: e.body}
		return waitUntil(ctx, func() bool {
			results, err := topic.Publish(ctx, []relay.Message{message})
			if err == nil {
				err = results[0]
			}
			if err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "SNS has not taken an event, which is tried again", "error", err)
			}
			return err == nil
		})
	}
}

// waitUntil looks until something is so, or ctx ends.
func waitUntil(ctx context.Context, so func() bool) error {
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}
