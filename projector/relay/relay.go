// Package relay tells others of address rows that were inserted or changed.
//
// # Who is authoritative
//
// The outbox is. A notice is kept in it by the transaction that writes the row, so it is there
// exactly if the row was written, and it stays until the topic has accepted it. A relay has
// nothing of its own that could be lost with its process.
//
// # From a row to a message
//
//	row and notice, one transaction → taken with a lease → published → settled
//
// A relay works in rounds. It takes notices with a lease, publishes them, ten in one call and
// several calls at once, and settles them all: what the topic has accepted is sent, the rest
// waits for its next try. Taking and settling are transactions of their own; none is open during
// a call. A round is ten calls, so that the database, which others need more, is asked a fifth as
// often as the topic.
//
// # Order
//
// The notices of one person have numbers in the order of the commits. Only the first of them
// that waits can be taken, so the second is published when the first is known to have been
// accepted. The same holds for the notices of one address row, should the row move to another
// person. What is accepted for the first time is in order therefore; a duplicate may come late.
//
// # What can go wrong
//
//   - The topic refuses one notice: that one is tried again with growing pauses, alone in its
//     call, and its person's later ones wait. Nobody else's do.
//   - Calls fail as a whole: what the round has not sent yet is given back, and nothing more is
//     sent but one call after each pause, and the pauses grow, until a notice is accepted.
//   - It is not known what came of a call: its notices are sent again. So each notice is sent at
//     least once.
//   - A relay is killed, or hangs: its leases end by themselves, and another relay, or the same,
//     takes the notices. Whoever had them can settle nothing any more. A call ends well before
//     its lease does.
//   - The database fails: what was accepted is settled while the lease lasts, and is sent again
//     after that.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"casdelius/projector/retry"
)

// Outbox is where notices are kept.
type Outbox interface {
	// Take leases notices to a holder for a time: at most so many, of different people and of
	// different address rows, each the first that waits of its person and of its row. One that
	// failed before comes alone.
	Take(ctx context.Context, holder string, length time.Duration, limit int) (Lease, error)
	// Settle writes what came of notices whose lease has not ended, and says of how many.
	Settle(ctx context.Context, lease *Lease, outcomes []Outcome) (int, error)
	// Forget deletes notices that were sent before an age, at most so many, and says how many.
	Forget(ctx context.Context, age time.Duration, limit int) (int, error)
	Backlog(ctx context.Context) (Backlog, error)
}

// Topic takes messages.
type Topic interface {
	// Publish publishes at most ten messages and says what came of each. An error is one of the
	// call as a whole: what came of the messages is then not known.
	Publish(ctx context.Context, messages []Message) ([]error, error)
}

// ErrUnavailable marks an error of a topic that has nothing to do with the message.
var ErrUnavailable = errors.New("unavailable")

// Lease is what was taken by a holder, until when.
type Lease struct {
	Holder  string
	End     time.Time // by the database's clock
	Notices []Notice
}

// Outcome is what came of a notice.
type Outcome struct {
	Number   int64
	Failure  string        // "" where it was accepted, or given back
	Pause    time.Duration // before the next try
	GaveBack bool          // it was not sent: this was no try
}

// Backlog is what waits.
type Backlog struct {
	Kept    bool // whether notices are kept at present
	Waiting int
	Oldest  time.Time // zero if none waits
}

// Config says how a relay runs. A zero duration or number is its default.
type Config struct {
	Holder string        // names the process, and no other one
	Calls  int           // to the topic at once; default 2: live projection needs the machine, too
	Lease  time.Duration // default 30 s; a call is given half of it
	Poll   time.Duration // between looks for what other processes have kept; default 1 s
	Pause  time.Duration // before what failed is tried again, doubling each time; default 1 s
	Most   time.Duration // the longest pause; default 5 min
	Keep   time.Duration // how long it is kept what was sent; default 7 days
	Tidy   time.Duration // between deletions of what was kept for longer; default 1 min
	Grace  time.Duration // to finish what is in hand when told to stop; default 8 s

	Logger   *slog.Logger          // default: slog.Default()
	Registry prometheus.Registerer // default: one of its own
	Now      func() time.Time      // default: time.Now
}

// batch is how many messages SNS takes in one call, round how many notices are taken at once.
const (
	batch = 10
	round = 10 * batch
)

func (c *Config) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.Lease, 30 * time.Second},
		{&c.Poll, time.Second},
		{&c.Pause, time.Second},
		{&c.Most, 5 * time.Minute},
		{&c.Keep, 7 * 24 * time.Hour},
		{&c.Tidy, time.Minute},
		{&c.Grace, 8 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if c.Calls == 0 {
		c.Calls = 2
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Relay sends what is kept in an outbox.
type Relay struct {
	outbox  Outbox
	topic   Topic
	config  Config
	metrics *metrics
	wake    chan struct{} // holds a token when there is reason to look at once
	failed  atomic.Int32  // rounds in which a call failed as a whole, one after the other
}

// New makes a relay. Without a topic it sends nothing, and only tells what waits.
func New(outbox Outbox, topic Topic, config Config) *Relay {
	config.setDefaults()
	return &Relay{outbox: outbox, topic: topic, config: config, metrics: newMetrics(config.Registry), wake: make(chan struct{}, 1)}
}

// Wake says that notices were kept.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Ready is nil unless notices are kept that nobody can send.
func (r *Relay) Ready(ctx context.Context) error {
	if r.topic != nil {
		return nil
	}
	backlog, err := r.outbox.Backlog(ctx)
	if err == nil && backlog.Kept {
		err = fmt.Errorf("notices of address rows are kept (%d wait) and there is no topic to send them to: set MESSAGING_PRODUCER_TOPIC, or run `projector migrate --notices=off`", backlog.Waiting)
	}
	return err
}

// Run sends until the context ends. When told to stop it finishes what is in hand.
func (r *Relay) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(r.config.Grace, cancel) })
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return r.every(ctx, 5*r.config.Poll, r.measure) })
	group.Go(func() error { return r.every(ctx, r.config.Tidy, r.tidy) })
	if r.topic != nil {
		group.Go(func() error { return r.send(ctx, work) })
	}
	return group.Wait()
}

// every does something at once and then on a schedule, until the context ends.
func (r *Relay) every(ctx context.Context, pause time.Duration, do func(context.Context)) error {
	for {
		do(ctx)
		if retry.Pause(ctx, pause) != nil {
			return nil
		}
	}
}

// measure refreshes the gauges.
func (r *Relay) measure(ctx context.Context) {
	backlog, err := r.outbox.Backlog(ctx)
	switch {
	case err == nil:
		r.metrics.backlog(backlog, r.config.Now())
	case ctx.Err() == nil:
		r.config.Logger.WarnContext(ctx, "the notices that wait could not be counted", "error", err)
	}
}

// tidied is how many notices one deletion takes: few, so that nobody waits for it.
const tidied = 1000

// tidy deletes what was sent long ago.
func (r *Relay) tidy(ctx context.Context) {
	for {
		n, err := r.outbox.Forget(ctx, r.config.Keep, tidied)
		if err != nil && ctx.Err() == nil {
			r.config.Logger.WarnContext(ctx, "notices that were sent long ago could not be deleted: the next try is soon", "error", err)
		}
		if err != nil || n < tidied {
			return
		}
	}
}

// send takes, publishes and settles until ctx ends. While calls fail it makes one at a time.
func (r *Relay) send(ctx, work context.Context) error {
	for unread, rested := 0, 0; ctx.Err() == nil; {
		failed := r.failing()
		if failed != rested {
			if rested = failed; failed > 0 && retry.Pause(ctx, r.pause(failed-1)) != nil {
				return nil
			}
		}
		limit := round
		if failed > 0 {
			limit = batch
		}
		began := time.Now()
		lease, err := r.outbox.Take(work, r.config.Holder, r.config.Lease, limit)
		if err != nil {
			r.config.Logger.WarnContext(ctx, "notices could not be taken: the next try follows", "error", err)
			if retry.Pause(ctx, r.pause(unread)) != nil {
				return nil
			}
			unread++
			continue
		}
		unread = 0
		if len(lease.Notices) > 0 {
			r.settle(work, &lease, began, r.publish(ctx, work, lease.Notices, began))
			r.Wake() // the next of these people can be taken
		}
		if len(lease.Notices) < limit {
			r.idle(ctx)
		}
	}
	return nil
}

// together is the least time between looks for notices while there are few: what comes in it
// goes together, and the database is not asked after every commit.
const together = 50 * time.Millisecond

// idle waits until something may have been kept, or can be taken that was not before.
func (r *Relay) idle(ctx context.Context) {
	if retry.Pause(ctx, min(together, r.config.Poll)) != nil {
		return
	}
	timer := time.NewTimer(r.config.Poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer.C:
	}
}

func (r *Relay) failing() int { return int(r.failed.Load()) }

// pause is how long is waited after so many failures and one.
func (r *Relay) pause(before int) time.Duration {
	return min(r.config.Pause<<min(before, 20), r.config.Most)
}

// publish sends what was taken at a time, several calls at once, and says what came of each. Of
// what is taken nothing more is sent once ctx ends, a call has failed as a whole, or so much of
// the lease is over that a call might not be before it is.
func (r *Relay) publish(ctx, work context.Context, notices []Notice, began time.Time) []Outcome {
	limited, cancel := context.WithDeadline(work, began.Add(r.config.Lease/2))
	defer cancel()
	failed := r.failing()
	outcomes := make([]Outcome, len(notices))
	var calls errgroup.Group
	calls.SetLimit(r.config.Calls)
	for first := 0; first < len(notices); first += batch {
		calls.Go(func() error {
			some := notices[first:min(first+batch, len(notices))]
			if ctx.Err() != nil || r.failing() > failed || time.Since(began) > r.config.Lease/4 {
				giveBack(some, outcomes[first:])
				return nil
			}
			results, err := r.call(limited, some)
			r.judge(ctx, results, err, failed)
			r.outcomes(ctx, some, results, outcomes[first:])
			return nil
		})
	}
	_ = calls.Wait() // no call returns an error
	return outcomes
}

func giveBack(notices []Notice, outcomes []Outcome) {
	for i := range notices {
		outcomes[i] = Outcome{Number: notices[i].Number, GaveBack: true}
	}
}

// call publishes notices. Where the call fails as a whole, its error is each one's, too.
func (r *Relay) call(ctx context.Context, notices []Notice) ([]error, error) {
	messages := make([]Message, len(notices))
	for i := range notices {
		messages[i] = notices[i].Message()
	}
	results, err := r.topic.Publish(ctx, messages)
	if err != nil {
		results = slices.Repeat([]error{err}, len(messages))
	}
	return results, err
}

// judge notes whether calls fail as a whole, which pauses all of them. Of the calls of one round
// that fail, one counts.
func (r *Relay) judge(ctx context.Context, results []error, err error, failed int) {
	unavailable := 0
	for _, result := range results {
		if errors.Is(result, ErrUnavailable) {
			unavailable++
		}
	}
	if err == nil && unavailable < len(results) {
		r.failed.Store(0)
	} else {
		r.failed.CompareAndSwap(int32(failed), int32(failed)+1) //nolint:gosec // counts failures at seconds' distance
	}
	if err != nil {
		r.config.Logger.WarnContext(ctx, "notices could not be sent: they are tried again", "notices", len(results), "error", err)
	}
}

// outcomes are what to write down of what the topic said.
func (r *Relay) outcomes(ctx context.Context, notices []Notice, results []error, outcomes []Outcome) {
	for i, result := range results {
		n := &notices[i]
		outcomes[i].Number = n.Number
		if result == nil {
			r.metrics.sent.Inc()
			continue
		}
		r.metrics.failures.Inc()
		outcomes[i].Failure, outcomes[i].Pause = result.Error(), r.pause(n.Tries)
		if !errors.Is(result, ErrUnavailable) {
			r.config.Logger.WarnContext(ctx, "a notice was not accepted: it is tried again, and its person's later ones wait for it",
				"notice", n.Number, "crn", n.CRN, "address", n.AddressID, "tries", n.Tries+1, "error", result)
		}
	}
}

// settle writes down what came of notices, for as long as the lease lasts.
func (r *Relay) settle(ctx context.Context, lease *Lease, began time.Time, outcomes []Outcome) {
	ctx, cancel := context.WithDeadline(ctx, began.Add(r.config.Lease))
	defer cancel()
	for attempt := 0; ; attempt++ {
		n, err := r.outbox.Settle(ctx, lease, outcomes)
		if err == nil {
			r.metrics.overtaken.Add(float64(len(outcomes) - n))
			return
		}
		r.config.Logger.WarnContext(ctx, "what came of notices could not be written down: if it cannot be soon, they are sent once more", "notices", len(outcomes), "error", err)
		if retry.Pause(ctx, min(r.config.Pause<<min(attempt, 20), r.config.Lease/4)) != nil {
			return
		}
	}
}
