//go:build torture

package cmd_test

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	"casdelius/ingest"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/relay"
	"casdelius/projector/relay/relaytest"
	"casdelius/projector/sns"
	"casdelius/projector/sns/snstest"
	"casdelius/store"
	"casdelius/store/failpoint"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
	"casdelius/store/torturetest"
)

// The services, each with the failpoints that are its own.
const ofIngest, ofProjector, ofRelay = "ingest", "projector", "relay"

var pointsOf = map[string][]failpoint.Point{
	ofIngest: {failpoint.Receive, failpoint.Detail, failpoint.Publish, failpoint.PublishAcknowledgement, failpoint.Delete},
	ofProjector: {
		failpoint.InboxCommit, failpoint.Lock, failpoint.Apply, failpoint.Ledger, failpoint.Outbox, failpoint.Commit, failpoint.Ack,
	},
	ofRelay: {failpoint.NoticeSent, failpoint.NoticeAcknowledged},
}

// serviceOf is whose a failpoint is.
func serviceOf(point failpoint.Point) string {
	for service, points := range pointsOf {
		if slices.Contains(points, point) {
			return service
		}
	}
	panic("a failpoint of no service: " + string(point))
}

// faultsOf are the faults of these kinds before and after each point of some services.
func faultsOf(kinds []failpoint.Kind, services ...string) (all []failpoint.Fault) {
	for _, service := range services {
		for _, point := range pointsOf[service] {
			for _, kind := range kinds {
				all = append(all, failpoint.Fault{Point: point, Kind: kind}, failpoint.Fault{Point: point, After: true, Kind: kind})
			}
		}
	}
	return all
}

// moments is how many there are: before and after each point.
const moments = 2 * 14

// TestTortureFailpoints has an error, and the end of a service's context, come before and after
// each thing that the services do, while events come in.
func TestTortureFailpoints(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, 2*moments/4)
	for _, service := range []string{ofIngest, ofProjector, ofRelay} {
		f.launch(service)
	}
	f.meetAll(faultsOf([]failpoint.Kind{failpoint.Error, failpoint.Cancel}, ofIngest, ofProjector, ofRelay), 2*moments, func(fault failpoint.Fault) {
		f.meet(t, fault)
	})
}

// TestTortureFailpointsOfProcesses has programs killed before and after each thing that they do,
// while events come in. What they had in hand others finish.
func TestTortureFailpointsOfProcesses(t *testing.T) {
	t.Parallel()
	for program, services := range map[string][]string{natstest.Ingest: {ofIngest}, natstest.Projector: {ofProjector, ofRelay}} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, moments/4)
			for _, service := range []string{ofIngest, ofProjector, ofRelay} {
				if !slices.Contains(services, service) {
					f.launch(service)
				}
			}
			programs := f.build(t, "-race", "-tags", "torture")
			programs.environment = append(programs.environment, "AWS_ENDPOINT_URL_SNS="+f.sns.URL(), "MESSAGING_PRODUCER_TOPIC="+f.arn)
			faults := faultsOf([]failpoint.Kind{failpoint.Kill}, services...)
			f.meetAll(faults, len(faults), func(fault failpoint.Fault) {
				f.kill(programs, program, fault)
				for _, service := range services {
					f.launch(service)
				}
				f.sqs.Advance(ingest.DefaultConfig().Visibility) // what it had in hand is redelivered
				f.requireConverged(t)
				for _, service := range services {
					f.running[service].stop()
				}
			})
		})
	}
}

// kill runs a program that is killed at a failpoint, while events come in.
func (f *faulty) kill(programs *programs, program string, fault failpoint.Fault) {
	f.t.Helper()
	args := []string{program}
	if program == natstest.Projector {
		args = append(args, "run", "--notice-lease=1s")
	}
	command := programs.command(program, args...)
	command.Env = append(command.Env, failpoint.Variable+"="+fault.String())
	var said bytes.Buffer
	command.Stdout, command.Stderr = f.said, &said
	require.NoError(f.t, command.Start())
	f.raiseSome()
	late := time.AfterFunc(patience, func() { _ = command.Process.Signal(syscall.SIGTERM) })
	defer late.Stop()
	_ = command.Wait()
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(f.t, status.Signaled() && status.Signal() == syscall.SIGKILL, "%s: %s %s", fault, command.ProcessState, &said)
	require.Contains(f.t, said.String(), fault.String())
}

// faulty is a system whose services meet faults, with somebody who hears the notices.
type faulty struct {
	*system
	t       *testing.T
	chance  *rand.Rand
	faults  *failpoint.Faults
	running map[string]*instance
	db      *postgres.Database
	sns     *snstest.Server
	arn     string
	direct  string // the database's URL where the projectors' own leads elsewhere
	heard   *relaytest.Subscriber

	histories []storetest.History // whose events are still to come
	arrivals  int                 // of someone
	topicOf   func(relay.Topic) relay.Topic
}

// newFaulty starts the parts, but no service, with so many people and someone.
func newFaulty(t *testing.T, people int) *faulty {
	t.Helper()
	f := &faulty{
		system: setup(t), t: t, chance: torturetest.Random(t), faults: &failpoint.Faults{}, running: map[string]*instance{}, sns: snstest.Start(t), heard: &relaytest.Subscriber{},
		topicOf: func(topic relay.Topic) relay.Topic { return topic },
	}
	f.histories = f.generate(t, storetest.Options{Seed: f.chance.Uint64N(1 << 32), People: people})
	f.admit(t, someone)
	require.NoError(t, f.delius.RecordAddressChanges(ctx))
	_, err := outbox.Keep(ctx, f.delius.Pool, true)
	require.NoError(t, err)
	f.db, err = postgres.New(ctx, f.delius.Pool, postgres.Config{})
	require.NoError(t, err)
	f.arn = f.sns.CreateTopic("events")
	f.sns.Subscribe(f.arn, func(m snstest.Message) { f.heard.Hear(m) })
	f.inside = func(ctx context.Context) context.Context {
		ctx, _ = f.faults.Within(ctx) // ended with the service's own
		return ctx
	}
	return f
}

// launch starts a service, whose stop leaves little time.
func (f *faulty) launch(service string) {
	f.t.Helper()
	const grace = 20 * time.Millisecond
	switch service {
	case ofIngest:
		f.running[service] = f.ingest(f.t, func(c *ingest.Config) { c.Stop, c.Visibility = 10*grace, time.Second })
	case ofProjector:
		f.running[service] = f.project(f.t, func(c *projector.Config) { c.Grace, c.Batch = grace, 5 })
	case ofRelay:
		pool, err := projection.Delius(cmp.Or(f.direct, f.database)).Connect(ctx, 1)
		require.NoError(f.t, err)
		db, err := postgres.New(ctx, pool, f.pauses)
		require.NoError(f.t, err)
		topic, err := sns.New(awssns.NewFromConfig(f.sns.AWSConfig()), f.arn)
		require.NoError(f.t, err)
		r := relay.New(db.Outbox, f.topicOf(topic), relay.Config{
			Holder: uuid.NewString(), Lease: time.Second, Poll: grace, Pause: grace, Most: 10 * grace, Grace: grace, Logger: f.said.logger(service),
		})
		f.running[service] = start(f.t, service, f.within(r.Run), pool.Close)
	}
}

// meetAll has faults come in any order, so many at most in the whole torture.
func (f *faulty) meetAll(faults []failpoint.Fault, most int, meet func(failpoint.Fault)) {
	f.t.Helper()
	f.chance.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	met := map[failpoint.Kind]int{}
	for _, fault := range faults[:torturetest.Part(f.t, min(most, len(faults)))] {
		meet(fault)
		met[fault.Kind]++
	}
	for kind, n := range met {
		torturetest.Figure(f.t, "faults at failpoints, "+string(kind), n)
	}
}

// meet has a fault come while events come in, starts the service again where that has ended it,
// and holds that all is as it has to be.
func (f *faulty) meet(tb testing.TB, fault failpoint.Fault) {
	tb.Helper()
	hit := f.faults.Arm(fault)
	f.raiseSome()
	select {
	case <-hit:
	case <-time.After(patience):
		tb.Fatalf("%s: nothing comes there", fault)
	}
	if fault.Kind == failpoint.Cancel {
		service := serviceOf(fault.Point)
		f.running[service].stop()
		f.launch(service)
		f.sqs.Advance(time.Second) // what it had in hand is redelivered
	}
	f.requireConverged(tb)
}

// raiseSome raises an event that passes every point, and now and then those of one more person,
// in any order.
func (f *faulty) raiseSome() {
	f.t.Helper()
	f.arrivals++
	day := time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, f.arrivals).Format(time.RFC3339)
	place := []says{hopeStreet, canalRoad}[f.arrivals%2]
	f.raise(f.t, f.event(f.t, store.PersonArrived, newReferral(), day, arrival(day, place, "Came")))
	if len(f.histories) > 0 && f.arrivals%4 == 0 {
		f.raise(f.t, shuffled(f.chance, f.histories[:1])...)
		f.histories = f.histories[1:]
	}
}

// requireConverged holds that, once nothing is on its way any more, nothing is lost and nothing
// doubled, and that what was told is what was committed.
func (f *faulty) requireConverged(tb testing.TB) {
	tb.Helper()
	f.requireTwin(tb)
	f.requireAuditedOnce(tb)
	eventually(tb, "all notices are sent", func() bool {
		backlog, err := f.db.Outbox.Backlog(ctx)
		return err == nil && backlog.Waiting == 0
	})
	changes, err := f.delius.AddressChanges(ctx)
	require.NoError(tb, err)
	require.NotEmpty(tb, changes)
	require.Empty(tb, f.heard.Differences(changes), "what was told is not what was committed")
}

// requireAuditedOnce holds that each contact that was inserted or changed was written down once,
// as it must be where nobody else writes.
func (s *system) requireAuditedOnce(tb testing.TB) {
	tb.Helper()
	contacts, err := s.delius.Contacts(ctx)
	require.NoError(tb, err)
	changes := 0
	for _, c := range contacts {
		changes += int(c.RowVersion)
	}
	interactions, err := s.delius.Interactions(ctx)
	require.NoError(tb, err)
	count := map[string]int{"CLBI003": 0, "CLBI007": 0}
	for _, i := range interactions {
		count[i.Code]++
	}
	require.Equal(tb, map[string]int{"CLBI003": len(contacts), "CLBI007": changes}, count, "a write is not audited once")
}

// TestTortureControlFailpoints has three broken variants meet a fault each.
func TestTortureControlFailpoints(t *testing.T) {
	t.Parallel()
	for name, variant := range map[string]struct {
		breaks func(*faulty)
		meets  failpoint.Fault
		says   string
	}{
		"deleted before the acknowledgement": {
			func(f *faulty) {
				f.logOfIngest = func(log *jetstream.Log) ingest.Log { return credulous{Log: log} }
			},
			failpoint.Fault{Point: failpoint.Publish, Kind: failpoint.Error},
			"a row is not as the events say",
		},
		"marks cleared in a transaction of their own": {
			func(f *faulty) {
				f.ports = func(db *postgres.Database) projector.Ports {
					ports := db.Ports()
					ports.Steps = hastySteps{ports.Steps, f.system}
					return ports
				}
			},
			failpoint.Fault{Point: failpoint.Commit, Kind: failpoint.Cancel},
			"a row is not as the events say",
		},
		"acknowledged before it is sent": {
			func(f *faulty) { f.topicOf = func(topic relay.Topic) relay.Topic { return credulousTopic{topic} } },
			failpoint.Fault{Point: failpoint.NoticeSent, Kind: failpoint.Error},
			"what was told is not what was committed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, 1)
			f.histories = nil // the fault meets the one event that there is
			variant.breaks(f)
			for _, service := range []string{ofIngest, ofProjector, ofRelay} {
				f.launch(service)
			}
			torturetest.RequireCaught(t, variant.says, func(tb testing.TB) { f.meet(tb, variant.meets) })
		})
	}
}

// hastySteps are steps that note that they are done before they are.
type hastySteps struct {
	projector.Steps
	*system
}

func (s hastySteps) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	if len(selection.Messages) > 0 { // its marks are to be seen by others
		db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
		if err == nil {
			err = db.Put(ctx, selection.Messages)
		}
		if err != nil {
			return nil, err
		}
		selection.Messages = nil
	}
	step, err := s.Steps.Begin(ctx, selection)
	return hastyStep{step, s.system}, err
}

type hastyStep struct {
	projector.Step
	*system
}

func (s hastyStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	for i := range decisions {
		sequences := []int64{}
		for _, fresh := range decisions[i].Applied {
			sequences = append(sequences, int64(fresh.Sequence))
		}
		_, err := s.delius.Pool.Exec(ctx, `
			with done as (delete from projection.due where mark = any ($1))
			insert into projection.applied (sequence, applied) select unnest($2::bigint[]), now() on conflict do nothing`, decisions[i].Person.Marks, sequences)
		if err != nil {
			return projector.Applied{}, err
		}
	}
	return s.Step.Apply(ctx, decisions, now)
}

// credulousTopic takes whatever answer for an acceptance.
type credulousTopic struct{ relay.Topic }

func (c credulousTopic) Publish(ctx context.Context, messages []relay.Message) ([]error, error) {
	results, err := c.Topic.Publish(ctx, messages)
	if err != nil {
		results, err = make([]error, len(messages)), nil
	}
	return results, err
}
