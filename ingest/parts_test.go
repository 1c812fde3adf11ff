package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"casdelius/ingest"
	"casdelius/ingest/casapi"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

const (
	queueName   = "cas-events"
	deadLetters = "cas-events-dlq"
	patience    = 60 * time.Second
)

// parts is ingest with everything that it talks to: an SQS endpoint, a CAS API with
// tokens, and NATS, all in this process and over their real protocols.
type parts struct {
	sqs    *sqstest.Server
	api    *casapitest.Server
	nats   *natstest.Server
	log    *jetstream.Log
	queue  *sqs.Queue
	client *casapi.Client
}

// setup starts the parts. The log's messages are made smaller after it was made, where
// maxPayload says so.
func setup(tb testing.TB, maxPayload ...int32) *parts {
	tb.Helper()
	p := setupWaiting(tb, 2*time.Second, 5*time.Second)
	if len(maxPayload) > 0 {
		require.NoError(tb, p.nats.SetMaxPayload(maxPayload[0]))
		require.Eventually(tb, func() bool { return p.log.Ready(tb.Context()) == nil }, patience, 10*time.Millisecond)
	}
	return p
}

// setupWaiting starts the parts with how long an answer of the log and of the API is
// waited for before it counts as an outage.
func setupWaiting(tb testing.TB, log, api time.Duration) *parts {
	tb.Helper()
	p := &parts{sqs: sqstest.Start(tb), api: casapitest.Start(tb), nats: natstest.Start(tb)}
	_, err := p.sqs.CreateQueue(deadLetters, sqstest.QueueSettings{})
	require.NoError(tb, err)
	_, err = p.sqs.CreateQueue(queueName, sqstest.QueueSettings{DeadLetterQueue: deadLetters, MaxReceiveCount: 10})
	require.NoError(tb, err)

	p.log, err = jetstream.Connect(tb.Context(), jetstream.Config{
		URL: p.nats.URL(), MonitorURL: p.nats.MonitorURL(), Replicas: 1, MaxBytes: 8 << 30, Timeout: log,
	}, quiet())
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = p.log.Close() })
	require.NoError(tb, p.log.Ensure(tb.Context()))

	p.queue, err = sqs.New(awssqs.NewFromConfig(p.sqs.AWSConfig()), sqs.Config{Queue: queueName})
	require.NoError(tb, err)
	p.client, err = casapi.New(casapi.Config{
		BaseURLs: []string{p.api.URL()}, TokenURL: p.api.TokenURL(),
		ClientID: casapitest.ClientID, ClientSecret: casapitest.ClientSecret, Timeout: api,
	})
	require.NoError(tb, err)
	tb.Cleanup(p.client.Close)
	return p
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hurried is the configuration of production but for its pauses.
func hurried() ingest.Config {
	cfg := ingest.DefaultConfig()
	cfg.Pauses = ingest.Pauses{First: 20 * time.Millisecond, Most: 200 * time.Millisecond}
	return cfg
}

// start runs a service until the function that it returns is called, or the test ends.
func (p *parts) start(tb testing.TB, cfg ingest.Config) (stop func()) {
	tb.Helper()
	_, stop = p.startWith(tb, cfg, p.client)
	return stop
}

func (p *parts) startWith(tb testing.TB, cfg ingest.Config, details ingest.Details) (service *ingest.Service, stop func()) {
	tb.Helper()
	intake := ingest.NewIntake(details, p.log, quiet(), ingest.NewMetrics(prometheus.NewRegistry()))
	service, err := ingest.New(cfg, p.queue, intake, quiet())
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(tb, err)
		case <-time.After(patience):
			tb.Error("the service did not stop")
		}
	})
	tb.Cleanup(stop)
	return service, stop
}

// sent is an event whose notification is in the queue and whose detail is served.
type sent struct {
	id, url, message string
	referral         store.Referral
	body             []byte
}

// event makes an arrival and serves its detail.
func (p *parts) event() sent {
	id, booking := uuid.New(), uuid.New()
	s := sent{id: id.String(), referral: store.Referral(booking), url: p.api.DetailURL(store.PersonArrived, id.String())}
	s.body = fmt.Appendf(nil, `{"id":%q,"timestamp":"2024-05-01T10:00:00Z","eventType":"accommodation.cas3.person.arrived ",`+
		`"eventDetails":{"personReference":{"crn":"X123456","noms":"A1234BC"},"bookingId":%q,"arrivedAt":"2024-05-01T09:00:00Z","notes":%q}}`,
		s.id, booking, strings.Repeat("He arrived. ", 50))
	p.api.Put(s.url, s.body)
	s.message = notification(store.PersonArrived, s.url, "X123456")
	return s
}

func notification(t store.Type, url, crn string) string {
	event := fmt.Sprintf(`{"eventType":%q,"version":1,"detailUrl":%q,"occurredAt":"2024-05-01T10:00:00+01:00",`+
		`"additionalInformation":{"applicationId":null},"personReference":{"identifiers":[{"type":"CRN","value":%q}]}}`, t, url, crn)
	return sqstest.EnvelopeSNS(event, string(t), uuid.NewString(), time.Now())
}

// send puts n events into the queue.
func (p *parts) send(tb testing.TB, n int) map[string]sent {
	tb.Helper()
	all := make(map[string]sent, n)
	for range n {
		e := p.event()
		p.put(tb, e.message)
		all[e.id] = e
	}
	return all
}

func (p *parts) put(tb testing.TB, message string) {
	tb.Helper()
	_, err := p.sqs.Send(queueName, message, nil)
	require.NoError(tb, err)
}

// stored reads the whole stream, by event id.
func (p *parts) stored(tb testing.TB) map[string]store.Stored {
	tb.Helper()
	events := map[string]store.Stored{}
	info, err := p.log.Info(tb.Context())
	require.NoError(tb, err)
	if info.LastSequence == 0 {
		return events
	}
	for e, err := range p.log.Read(tb.Context(), 0, info.LastSequence) {
		require.NoError(tb, err)
		require.NoError(tb, e.Err)
		events[e.ID] = e
	}
	return events
}

// rejected reads the rejected messages, by body.
func (p *parts) rejected(tb testing.TB) map[string]store.Rejection {
	tb.Helper()
	messages := map[string]store.Rejection{}
	for m, err := range p.log.Rejected(tb.Context()) {
		require.NoError(tb, err)
		require.NoError(tb, m.Err)
		messages[string(m.Body)] = m.Rejection
	}
	return messages
}

// inQueue lists what the queue still holds.
func (p *parts) inQueue(tb testing.TB) []sqstest.Message {
	tb.Helper()
	messages, err := p.sqs.Messages(queueName)
	require.NoError(tb, err)
	return messages
}

// drained waits until the queue is empty, and sees that nothing was dead-lettered.
func (p *parts) drained(tb testing.TB) {
	tb.Helper()
	require.Eventually(tb, func() bool { return len(p.inQueue(tb)) == 0 }, patience, 10*time.Millisecond)
	dead, err := p.sqs.Messages(deadLetters)
	require.NoError(tb, err)
	require.Empty(tb, dead)
}

// drainedInTime is drained for messages that are hidden in between: the queue's clock
// runs ahead whenever nothing is visible.
func (p *parts) drainedInTime(tb testing.TB) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		if depth, err := p.sqs.Depth(queueName); err == nil && depth.Visible == 0 {
			p.sqs.Advance(time.Second)
		}
		return len(p.inQueue(tb)) == 0
	}, patience, 20*time.Millisecond)
	p.drained(tb)
}

func ids[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
