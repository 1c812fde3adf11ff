package cmd_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"casdelius/cmd/internal/projection"
	roles "casdelius/deploy/nats"
	"casdelius/ingest"
	"casdelius/ingest/casapi"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector"
	"casdelius/projector/delius/deliustest"
	"casdelius/projector/freshness"
	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
	"casdelius/store/storetest"
)

const (
	queueName   = "cas-events"
	deadLetters = "cas-events-dlq"

	patience = 90 * time.Second // for what has to happen
	glance   = 10 * time.Millisecond

	stopLimit = 10 * time.Second // that a service promises to end within
)

// ctx is for what has to be done also while a test is being cleaned up after.
var ctx = context.Background()

func TestMain(m *testing.M) {
	natstest.ServeIfAsked()
	goleak.VerifyTestMain(postgrestest.Main(m, granted))
}

// granted makes the projector's role and its tables in the template of every test's database.
var granted = postgrestest.Granted(postgres.Grants, postgres.Migrate)

// system is every part that the services need around them, over their real protocols,
// and a twin that knows the same world and hears of the same events.
type system struct {
	sqs      *sqstest.Server
	cas      *casapitest.Server
	nats     *natstest.Server
	delius   postgrestest.Delius
	database string // its URL
	log      *jetstream.Log
	twin     *deliustest.Twin
	said     *journal
	progress *progress
	pauses   postgres.Config   // before what is parked is tried again
	watching *freshness.Config // of projectors that are watched; nil: none is

	logOfIngest func(*jetstream.Log) ingest.Log          // nil: the log itself
	ports       func(*postgres.Database) projector.Ports // nil: the database's own
	inside      func(context.Context) context.Context    // that services run in; nil: no more than their own
}

// within is a service that runs in the context that the test has for all of them.
func (s *system) within(run func(context.Context) error) func(context.Context) error {
	if s.inside == nil {
		return run
	}
	return func(ctx context.Context) error { return run(s.inside(ctx)) }
}

// setup starts the parts, but no service, with a Delius where nobody lives yet.
func setup(t *testing.T) *system {
	t.Helper()
	db := postgrestest.New(t)
	return setupOn(t, db.Delius, db.URL)
}

// setupOn is setup with a database that has both schemas.
func setupOn(t *testing.T, delius postgrestest.Delius, url string, nats ...natstest.Options) *system {
	t.Helper()
	if len(nats) == 0 {
		nats = []natstest.Options{{}}
	}
	nats[0].Roles = roles.Roles
	s := &system{
		sqs: sqstest.Start(t), cas: casapitest.Start(t), nats: natstest.Start(t, nats...),
		delius: delius, database: url, said: newJournal(t), progress: newProgress(),
		pauses: postgres.Config{RetryMin: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, LocksTimeout: time.Minute},
	}
	_, err := s.sqs.CreateQueue(deadLetters, sqstest.QueueSettings{})
	require.NoError(t, err)
	_, err = s.sqs.CreateQueue(queueName, sqstest.QueueSettings{DeadLetterQueue: deadLetters, MaxReceiveCount: 10})
	require.NoError(t, err)
	s.makeStreams(t)
	s.log = s.connect(t, "test")
	t.Cleanup(func() { _ = s.log.Close() })
	for _, region := range storetest.Regions() {
		for _, code := range storetest.Staff(region)[2:] { // the stand-in has the first two
			_, err := delius.AddStaff(ctx, code)
			require.NoError(t, err)
		}
	}
	return s
}

// manager is everybody's.
var manager = postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}

// admit adds people to Delius, and makes the twin of what Delius now knows.
func (s *system) admit(t *testing.T, people ...storetest.Person) {
	t.Helper()
	var added []postgrestest.Person
	for _, p := range people {
		added = append(added, postgrestest.Person{CRN: p.CRN, NOMS: p.NOMS, Manager: manager})
	}
	require.NoError(t, s.delius.AddPeople(ctx, added))
	world, err := s.delius.World(ctx)
	require.NoError(t, err)
	s.twin = deliustest.New(world)
}

// connect connects as the role of that name, a command or the test as an operator.
func (s *system) connect(t *testing.T, name string) *jetstream.Log {
	t.Helper()
	role := name
	if !slices.Contains(natstest.Roles(), name) {
		role = natstest.Operator
	}
	log, err := jetstream.Connect(ctx, jetstream.Config{
		URL: s.nats.URLAs(role), Inbox: natstest.InboxOf(role), MonitorURL: s.nats.MonitorURL(), Name: name, Replicas: 1,
		Timeout: 5 * time.Second, AckWait: 5 * time.Second, Linger: 50 * time.Millisecond,
	}, s.said.logger(name))
	require.NoError(t, err)
	return log
}

// makeStreams makes them as the one who may.
func (s *system) makeStreams(t *testing.T) {
	t.Helper()
	administrator := s.connect(t, natstest.Administrator)
	eventually(t, "the streams are made", func() bool { return administrator.Ensure(ctx) == nil })
	require.NoError(t, administrator.Close())
}

// dial connects as a role, to do what no part of ours does.
func dial(t *testing.T, server *natstest.Server, role string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(server.URLAs(role), nats.CustomInboxPrefix(natstest.InboxOf(role)))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// instance is a service that runs.
type instance struct {
	registry *prometheus.Registry
	ready    func(context.Context) error
	monitor  *freshness.Monitor // nil if it is not watched

	publishing func(context.Context) error // of ingest
	stop       func()                      // as SIGTERM does; a second call does nothing
}

// start runs a service until it is stopped, or the test ends.
func start(t *testing.T, name string, service func(context.Context) error, closing ...func()) *instance {
	t.Helper()
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- service(running) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(stopLimit):
			t.Errorf("%s did not stop within %s", name, stopLimit)
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, f := range closing {
			f()
		}
	})
	t.Cleanup(stop)
	return &instance{stop: stop}
}

// ingest starts the service ingest as its program does, but with short pauses.
func (s *system) ingest(t *testing.T, change ...func(*ingest.Config)) *instance {
	t.Helper()
	return s.ingestFrom(t, s.sqs.AWSConfig(), change...)
}

// ingestFrom starts it on the queue of another endpoint.
func (s *system) ingestFrom(t *testing.T, endpoint aws.Config, change ...func(*ingest.Config)) *instance {
	t.Helper()
	queue, err := sqs.New(awssqs.NewFromConfig(endpoint), sqs.Config{Queue: queueName})
	require.NoError(t, err)
	details := s.details(t)
	log := s.connect(t, "ingest")
	registry := prometheus.NewRegistry()
	config := ingest.DefaultConfig()
	config.Pauses = ingest.Pauses{First: 20 * time.Millisecond, Most: 200 * time.Millisecond}
	config.Visibility = 5 * time.Second
	for _, f := range change {
		f(&config)
	}
	var to ingest.Log = log
	if s.logOfIngest != nil {
		to = s.logOfIngest(log)
	}
	intake := ingest.NewIntake(details, to, s.said.logger("ingest"), ingest.NewMetrics(registry))
	service, err := ingest.New(config, queue, intake, s.said.logger("ingest"))
	require.NoError(t, err)
	i := start(t, "ingest", s.within(service.Run), func() { _ = log.Close() }, details.Close)
	i.registry, i.ready, i.publishing = registry, service.Ready, service.Publishing
	return i
}

func (s *system) details(t *testing.T) *casapi.Client {
	t.Helper()
	client, err := casapi.New(casapi.Config{
		BaseURLs: []string{s.cas.URL()}, TokenURL: s.cas.TokenURL(),
		ClientID: casapitest.ClientID, ClientSecret: casapitest.ClientSecret, Timeout: 5 * time.Second,
	})
	require.NoError(t, err)
	return client
}

// project starts a projector as its program does, but with short pauses, on
// connections of its own and the durable consumer that all of them share.
func (s *system) project(t *testing.T, change ...func(*projector.Config)) *instance {
	t.Helper()
	config := projector.Config{
		Sweep: 20 * time.Millisecond, Search: 200 * time.Millisecond, Retry: 5 * time.Millisecond,
		Logger: s.said.logger("projector"), Committed: s.progress.committed,
	}
	registry := prometheus.NewRegistry()
	config.Registry, config.Received = registry, freshness.NewCanaries(registry, time.Now).Committed
	for _, f := range change {
		f(&config)
	}
	pool, err := projection.Delius(s.database).Connect(ctx, 2)
	require.NoError(t, err)
	db, err := postgres.New(ctx, pool, s.pauses)
	require.NoError(t, err)
	log := s.connect(t, "projector")
	ports := db.Ports()
	if s.ports != nil {
		ports = s.ports(db)
	}
	p, err := projector.New(projection.NewLog(log), ports, config)
	require.NoError(t, err)
	run, monitor, closing := p.Run, (*freshness.Monitor)(nil), []func(){func() { _ = log.Close() }, pool.Close}
	if s.watching != nil {
		watching := *s.watching
		watching.Hold, watching.Logger, watching.Registry = config.Hold, config.Logger, config.Registry
		var stop func()
		monitor, stop, err = projection.Watch(ctx, pool, projection.NewLog(log), p, watching)
		require.NoError(t, err)
		closing = append(closing, stop)
		run = func(ctx context.Context) error {
			group, running := errgroup.WithContext(ctx)
			group.Go(func() error { return p.Run(running) })
			group.Go(func() error { return monitor.Run(running) })
			return group.Wait()
		}
	}
	i := start(t, "projector", s.within(run), closing...)
	i.registry, i.ready, i.monitor = config.Registry.(*prometheus.Registry), db.Ready, monitor
	return i
}

// run starts one of each service.
func (s *system) run(t *testing.T) (ingest, projector *instance) {
	t.Helper()
	return s.ingest(t), s.project(t)
}

// counted is the value of a counter, of the one with this label value if it has labels.
func (i *instance) counted(t *testing.T, name, label string) int {
	t.Helper()
	families, err := i.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if label == "" || metric.GetLabel()[0].GetValue() == label {
				return int(metric.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, patience, glance, "waiting until %s", what)
}

// settle waits until everything that was raised is in the stream, and everything in
// the stream is projected or parked.
func (s *system) settle(t testing.TB) {
	t.Helper()
	why := ""
	if !waitFor(func() bool { why = s.unsettled(t); return why == "" }) {
		t.Fatalf("it does not settle: %s", why)
	}
}

// waitFor waits until a condition holds, for as long as patience lasts.
func waitFor(holds func() bool) bool {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if holds() {
			return true
		}
	}
	return false
}

// unsettled says what is still on its way. It looks at the parts in the order in which
// an event passes them: what has left one is then seen in the next.
func (s *system) unsettled(t testing.TB) string {
	t.Helper()
	depth, err := s.sqs.Depth(queueName)
	if err != nil || depth != (sqstest.Depth{}) {
		return fmt.Sprintf("the queue holds %+v %v", depth, err)
	}
	info, err := s.log.Info(ctx)
	if err != nil {
		return fmt.Sprintf("the stream: %v", err)
	}
	db, err := postgres.New(ctx, s.delius.Pool, postgres.Config{})
	if err != nil {
		return fmt.Sprintf("the database: %v", err)
	}
	gaps, err := db.Missing(ctx, info.LastSequence)
	if err != nil || len(gaps) > 0 {
		return fmt.Sprintf("the inbox lacks %v %v", gaps, err)
	}
	backlog, err := db.Backlog(ctx)
	if err != nil || backlog.Due > 0 {
		return fmt.Sprintf("%d referrals are due %v", backlog.Due, err)
	}
	return ""
}
