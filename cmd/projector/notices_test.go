package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/inspect"
	"casdelius/projector/postgres/outbox"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/projector/relay/relaytest"
	"casdelius/projector/sns/snstest"
	"casdelius/store"
	"casdelius/store/storetest"
)

// toldOf lets a world's processes publish to a topic of its own, which is made.
func toldOf(t *testing.T, w *world) (server *snstest.Server, arn string) {
	t.Helper()
	_, err := outbox.Keep(ctx, w.delius.Pool, true)
	require.NoError(t, err)
	server = snstest.Start(t)
	w.environment = append(w.environment, "AWS_ENDPOINT_URL_SNS="+server.URL(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/none", "AWS_SHARED_CREDENTIALS_FILE=/none")
	return server, server.CreateTopic("events")
}

// notices lists notices.
func (w *world) notices(args ...string) (list []inspect.NoticeLine) {
	w.t.Helper()
	code, stdout, stderr := w.tool(append([]string{"notices", "--json"}, args...)...)
	require.Zero(w.t, code, stderr)
	for d := json.NewDecoder(strings.NewReader(stdout)); d.More(); {
		var line inspect.NoticeLine
		require.NoError(w.t, d.Decode(&line))
		list = append(list, line)
	}
	return list
}

func TestNoticesAreListedWithWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, stdout, _ := w.tool("notices")
	require.Equal(t, "no notices\n", stdout)
	_, err := outbox.Keep(ctx, w.delius.Pool, true)
	require.NoError(t, err)
	w.now = time.Now().Add(-2*time.Hour).AddDate(0, 0, -1)
	w.put(someEvents()...)
	w.look()
	w.now = time.Now().Add(-time.Hour).AddDate(0, 0, -1)
	w.put(raised(store.PersonDeparted, 1, "left", "2024-03-30T13:00:00Z", `"departedAt":"2024-03-30T12:00:00Z",`+recorded))
	w.look()

	all := w.notices()
	require.Len(t, all, 2)
	require.Equal(t, []any{store.CRN("X000001"), "created", "Main Address", inspect.Waiting}, []any{all[0].CRN, all[0].Kind, all[0].Status, all[0].State})
	require.Equal(t, []any{"updated", "Previous Address", inspect.Behind, all[0].Number}, []any{all[1].Kind, all[1].Status, all[1].State, all[1].After})
	require.InDelta(t, 7200, all[0].Age, 60)
	require.Contains(t, all[0].Cause, "status: nothing stands there yet")
	require.Equal(t, "status: the person departed", all[1].Cause)

	lease, err := w.db.Outbox.Take(ctx, "me", time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, lease.Notices, 1)
	require.Equal(t, []any{inspect.InFlight, "me"}, []any{w.notices()[0].State, w.notices()[0].Holder})
	w.exec("update projection.outbox set lease_end = '-infinity', tries = 3, error = 'refused', next_try = now() + interval '1 hour' where number = 1")
	code, stdout, stderr := w.tool("notices")
	require.Zero(t, code, stderr)
	for _, want := range []string{"failed", "refused", "in 59m", "behind", "after 1", "2h 0m", "\n2 wait to be sent\n"} {
		require.Contains(t, stdout, want)
	}
	w.exec("update projection.outbox set sent = now() where number = 1")
	require.Len(t, w.notices(), 1)
	of := w.notices("--crn", "x000001")
	require.Len(t, of, 2, "what was sent is listed of a person")
	require.Equal(t, inspect.Sent, of[0].State)
	require.NotZero(t, of[0].SentAt)
	require.Empty(t, w.notices("--crn", "X000002"))
}

func (w *world) exec(query string) {
	w.t.Helper()
	_, err := w.delius.Pool.Exec(ctx, query)
	require.NoError(w.t, err, query)
}

func TestMigrateTurnsNoticesOnAndOffAndLeavesThemOtherwise(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, step := range []struct {
		args, says string
		kept       bool
	}{
		{"", "", false},
		{"--notices=on", "are kept from now on", true},
		{"--notices=on", "were on already", true},
		{"", "", true},
		{"--notices=off", "are not kept any more", false},
	} {
		code, stdout, stderr := w.tool(append([]string{"migrate"}, strings.Fields(step.args)...)...)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, step.says)
		kept, err := outbox.Kept(ctx, w.delius.Pool)
		require.NoError(t, err)
		require.Equal(t, step.kept, kept)
	}
}

// get asks a process.
func (s *process) get(path string) (code int, body string) {
	answer, err := http.Get("http://" + s.address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// Notices that are kept and that nobody can send make a projector unready, which says why. With
// a topic they are sent as soon as they are kept, and health shows who listens.
func TestRunSendsNoticesAndSaysIfItCannot(t *testing.T) {
	t.Parallel()
	w := setup(t)
	server, arn := toldOf(t, w)
	nats, log := stream(t, someEvents())
	s := startBeside(t, w, w.delius.URL, nats, log)
	s.metric("notices_waiting 1$")
	code, text := s.get("/health/readiness")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, text, "set MESSAGING_PRODUCER_TOPIC")
	s.metric("notices_sent_total 0$")
	require.Zero(t, s.stop())

	heard := &relaytest.Subscriber{}
	server.Subscribe(arn, func(m snstest.Message) { heard.Hear(m) })
	s = startBeside(t, w, w.delius.URL, nats, log, "--messaging-producer-topic", arn)
	s.metric("notices_sent_total 1$")
	s.metric("notice_failures_total 0$")
	require.Equal(t, "created", heard.Received()[0].Kind)
	code, text = s.get("/health")
	require.Equal(t, http.StatusOK, code, text)
	require.Contains(t, text, `"topic":{"status":"UP","details":{"subscriptionsConfirmed":"1","subscriptionsPending":"0","topicArn":"`+arn+`"}}`)
	server.FailCalls(snstest.Always, http.StatusForbidden, "AuthorizationError")
	code, text = s.get("/health")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, text, "sns:GetTopicAttributes")
	code, _ = s.get("/health/readiness")
	require.Equal(t, http.StatusOK, code, "events go on without SNS")
	require.Zero(t, s.stop())
}

// Two projectors are killed at random while they write and send, and SNS fails for a while: what
// a subscriber hears is exactly what was committed, in order for each person. It catches a notice
// that is kept only in the process, one that is settled before it was accepted, a lease without
// an end, and a relay that starts where another one was.
func TestProjectorsThatAreKilledLoseAndInventNoNotice(t *testing.T) {
	t.Parallel()
	const rounds = 20
	seed := rand.Uint64N(1_000_000)
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1))
	w := setup(t)
	require.NoError(t, w.delius.RecordAddressChanges(ctx))
	server, arn := toldOf(t, w)
	heard := &relaytest.Subscriber{}
	var accepted atomic.Int64
	server.Subscribe(arn, func(m snstest.Message) {
		heard.Hear(m)
		accepted.Add(1)
	})
	var events []store.Event
	var people []postgrestest.Person
	for h := range storetest.Generate(storetest.Options{Seed: seed, People: 160}) {
		if h.Person.CRN > "X000002" { // these are there
			people = append(people, postgrestest.Person{CRN: h.Person.CRN, NOMS: h.Person.NOMS, Manager: postgrestest.Officer{Provider: "N03", Team: "N03T01", Staff: "N03A001"}})
		}
		for _, e := range h.Events {
			events = append(events, e.Event)
		}
	}
	require.NoError(t, w.delius.AddPeople(ctx, people))
	chance.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	nats, log := stream(t, nil)
	launch := func() *process {
		return startBeside(t, w, w.delius.URL, nats, log, "--messaging-producer-topic", arn, "--notice-lease=1s", "--search=1s")
	}
	both := []*process{launch(), launch()}
	for round := range rounds {
		switch round {
		case 7:
			server.FailCalls(snstest.Always, http.StatusServiceUnavailable, "ServiceUnavailable")
		case 10:
			server.Heal()
		case 12:
			server.DropAnswers(20) // accepted, and nobody knows
		}
		for i := range events[round*len(events)/rounds : (round+1)*len(events)/rounds] {
			_, err := log.Append(ctx, &events[round*len(events)/rounds+i])
			require.NoError(t, err)
		}
		before, more := accepted.Load(), chance.Int64N(12)
		if round < 7 || round >= 12 { // so many more, or all that there are
			require.Eventually(t, func() bool { return accepted.Load() > before+more || w.allTold((round+1)*len(events)/rounds) }, patience, 5*time.Millisecond, "round %d", round)
		}
		which := chance.IntN(2)
		both[which].kill()
		both[which] = launch()
	}
	require.Eventually(t, func() bool { return w.allTold(len(events)) }, patience, 10*time.Millisecond)
	changes, err := w.delius.AddressChanges(ctx)
	require.NoError(t, err)
	require.Empty(t, heard.Differences(changes))
	require.Greater(t, len(changes), 100)
	fmt.Fprintf(t.Output(), "%d changes in %d messages\n", len(changes), heard.Messages())
	for _, s := range both {
		require.Zero(t, s.stop())
	}
}

// allTold says whether so many events are in the inbox, nobody is due and no notice waits.
func (w *world) allTold(events int) bool {
	backlog, err := w.db.Outbox.Backlog(ctx)
	return err == nil && backlog.Waiting == 0 && w.rows("event") == events && len(w.due()) == 0
}

// kill ends the process at once.
func (s *process) kill() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Kill())
	<-s.read
	_ = s.cmd.Wait() // it was killed
}
