package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/cmd/internal/command"
	"casdelius/cmd/internal/service"
	"casdelius/cmd/internal/terminaltest"
	"casdelius/ingest"
	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

const patience = 60 * time.Second

// asProgram makes the test binary be the program itself.
const asProgram = "CASDELIUS_TEST_AS_INGEST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	_ = os.Unsetenv("COLUMNS") // the widths of terminals are the tests'
	goleak.VerifyTestMain(m)
}

// world is what the program talks to.
type world struct {
	sqs  *sqstest.Server
	api  *casapitest.Server
	nats *natstest.Server
	log  *jetstream.Log
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{sqs: sqstest.Start(t), api: casapitest.Start(t), nats: natstest.Start(t)}
	_, err := w.sqs.CreateQueue("cas-dlq", sqstest.QueueSettings{})
	require.NoError(t, err)
	_, err = w.sqs.CreateQueue("cas", sqstest.QueueSettings{DeadLetterQueue: "cas-dlq", MaxReceiveCount: 10})
	require.NoError(t, err)
	w.log, err = jetstream.Connect(t.Context(), jetstream.Config{URL: w.nats.URL(), Replicas: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.log.Close() })
	require.NoError(t, w.log.Ensure(t.Context()))
	return w
}

// tool runs a command against the world and gives its exit code and output.
func (w *world) tool(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	args = append(args, "--nats-url", w.nats.URL(), "--stream-replicas=1", "--messaging-consumer-detail-urls", w.api.URL(), "--log-level=error",
		"--oauth2-token-uri", w.api.TokenURL(), "--oauth2-client-id", casapitest.ClientID, "--oauth2-client-secret-file", secretFile(t))
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	printed.Lines(t, "ingest", args, out.String())
	return code, out.String(), errs.String()
}

// secretFile is one with the client's secret.
func secretFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(casapitest.ClientSecret+"\n"), 0o600))
	return path
}

// program starts the service as a process of its own.
func (w *world) program(t *testing.T, address string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asProgram+"=1",
		"MESSAGING_CONSUMER_QUEUE=cas", "MESSAGING_CONSUMER_DETAIL_URLS="+w.api.URL(),
		"OAUTH2_TOKEN_URI="+w.api.TokenURL(), "OAUTH2_CLIENT_ID="+casapitest.ClientID, "OAUTH2_CLIENT_SECRET="+casapitest.ClientSecret,
		"NATS_URL="+w.nats.URL(), "NATS_MONITOR_URL="+w.nats.MonitorURL(), "STREAM_REPLICAS=1", "HTTP_ADDRESS="+address, "CANARY_INTERVAL=0",
		"AWS_REGION="+sqstest.Region, "AWS_ENDPOINT_URL_SQS="+w.sqs.URL(), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// event serves the detail of an arrival and gives its notification.
func (w *world) event() (id, notification string) {
	id = uuid.NewString()
	url := w.api.DetailURL(store.PersonArrived, id)
	w.api.Put(url, fmt.Appendf(nil, `{"id":%q,"timestamp":"2024-05-01T10:00:00Z","eventDetails":{"bookingId":%q}}`, id, uuid.NewString()))
	return id, sqstest.EnvelopeSNS(fmt.Sprintf(
		`{"eventType":%q,"version":1,"detailUrl":%q,"personReference":{"identifiers":[{"type":"CRN","value":"X123456"}]}}`,
		store.PersonArrived, url), string(store.PersonArrived), uuid.NewString(), time.Now())
}

func (w *world) stored(t *testing.T) map[string]bool {
	t.Helper()
	info, err := w.log.Info(t.Context())
	require.NoError(t, err)
	found := map[string]bool{}
	if info.LastSequence == 0 {
		return found
	}
	for e, err := range w.log.Read(t.Context(), 0, info.LastSequence) {
		require.NoError(t, err)
		require.NoError(t, e.Err)
		found[e.ID] = true
	}
	return found
}

// freeAddress is an address that nobody listens at just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	api, err := casapitest.Run("127.0.0.1:0")
	require.NoError(t, err)
	api.Close()
	return strings.TrimPrefix(api.URL(), "http://")
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestTheServiceStopsAtSIGTERMUnderLoadAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const events = 1000
	sent := map[string]string{}
	for range events {
		id, message := w.event()
		sent[message] = id
		_, err := w.sqs.Send("cas", message, nil)
		require.NoError(t, err)
	}
	address := freeAddress(t)
	program := w.program(t, address)
	require.Eventually(t, func() bool { return w.sqs.Calls("DeleteMessageBatch") > 20 }, patience, time.Millisecond)
	for path, want := range map[string]string{
		"/health": `"circuitBreaker":{"status":"UP"}`, "/health/readiness": `"nats":{"status":"UP"}`,
		"/health/liveness": `{"status":"UP"}`, "/info": `"name":"ingest"`, "/metrics": `ingest_messages_total{outcome="appended"}`,
	} {
		body := ""
		require.Eventually(t, func() bool { // a part may be late under load, which is then said
			code, text := get(t, "http://"+address+path)
			body = text
			return code == http.StatusOK
		}, patience, 10*time.Millisecond, path)
		require.Contains(t, body, want)
	}
	_, body := get(t, "http://"+address+"/health")
	for _, detail := range []string{"queueName", "messagesOnQueue", "messagesInFlight", "dlqName", "messagesOnDlq", "dlqStatus"} {
		require.Contains(t, body, `"`+detail+`":"`)
	}
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	require.NoError(t, program.Wait(), "exit code 0")

	stored := w.stored(t)
	queued, err := w.sqs.Messages("cas")
	require.NoError(t, err)
	for _, m := range queued {
		stored[sent[m.Body]] = true
	}
	require.Len(t, stored, events)

	w.sqs.Advance(3 * time.Minute)
	program = w.program(t, address)
	require.Eventually(t, func() bool { // nothing may have been left, and it has to run to be interrupted
		left, err := w.sqs.Messages("cas")
		require.NoError(t, err)
		code, _ := get(t, "http://"+address+"/health/readiness")
		return len(left) == 0 && code == http.StatusOK
	}, patience, 10*time.Millisecond)
	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.NoError(t, program.Wait())
	require.Len(t, w.stored(t), events)
}

func TestTheServiceWaitsForALogThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.nats.Stop()
	id, message := w.event()
	_, err := w.sqs.Send("cas", message, nil)
	require.NoError(t, err)
	address := freeAddress(t)
	program := w.program(t, address)
	require.Eventually(t, func() bool {
		code, _ := get(t, "http://"+address+"/health/liveness")
		return code == http.StatusOK
	}, patience, 10*time.Millisecond)
	code, body := get(t, "http://"+address+"/health/readiness")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "starting")

	require.NoError(t, w.nats.Restart())
	require.Eventually(t, func() bool {
		code, _ := get(t, "http://"+address+"/health/readiness")
		return code == http.StatusOK
	}, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		left, err := w.sqs.Messages("cas")
		require.NoError(t, err)
		return len(left) == 0
	}, patience, 10*time.Millisecond)
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	require.NoError(t, program.Wait())
	require.Eventually(t, func() bool { return w.log.Ready(t.Context()) == nil }, patience, 10*time.Millisecond)
	require.Equal(t, map[string]bool{id: true}, w.stored(t))
}

func TestRejectedMessagesAreListedShownAndReplayed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id, message := w.event()
	later, garbled := w.event()
	page := w.api.DetailURL(store.PersonArrived, later)
	w.api.Fail(page, casapitest.Fault{Body: []byte("<html>Back soon")})
	for i, r := range []store.Rejection{
		{Reason: store.DetailNotFound, Problem: "404 until the end", MessageID: "first", ReceiveCount: 10, Body: []byte(message)},
		{Reason: store.Malformed, Problem: "not JSON", MessageID: "second", ReceiveCount: 1, Body: []byte("nonsense")},
		{Reason: store.DetailInvalid, Problem: "no detail", MessageID: "third", ReceiveCount: 10, Body: []byte(garbled), Answer: []byte("<html>Back soon")},
	} {
		require.NoError(t, w.log.Reject(t.Context(), r), i)
	}

	code, stdout, stderr := w.tool(t, "rejected", "list")
	require.Zero(t, code, stderr)
	require.Equal(t, 4, strings.Count(stdout, "\n"))
	require.Contains(t, stdout, "404 until the end")
	require.NotContains(t, stdout, "<html>")

	_, stdout, _ = w.tool(t, "rejected", "show", "3")
	require.Contains(t, stdout, "\n\n"+garbled+"\n\nThe CAS API answered, instead of a detail:\n\n<html>Back soon\n")
	_, stdout, _ = w.tool(t, "rejected", "show", "--json", "3")
	var shown rejectedMessage
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Equal(t, "<html>Back soon", shown.Answer)
	require.Equal(t, garbled, shown.Body)

	code, stdout, _ = w.tool(t, "rejected", "list", "--json", "--reason=malformed")
	require.Zero(t, code)
	var line rejectedMessage
	require.NoError(t, json.Unmarshal([]byte(stdout), &line))
	require.Equal(t, "second", line.Message)

	code, stdout, _ = w.tool(t, "rejected", "show", fmt.Sprint(line.Sequence))
	require.Zero(t, code)
	require.Contains(t, stdout, "\n\nnonsense\n")

	code, stdout, stderr = w.tool(t, "rejected", "replay", "--all")
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stdout, "1 replayed, 2 failed")
	require.Contains(t, stderr, "3: the CAS API answered 200")
	require.Contains(t, stderr, fmt.Sprintf("%d: malformed", line.Sequence))
	require.Equal(t, map[string]bool{id: true}, w.stored(t))

	code, stdout, _ = w.tool(t, "rejected", "list")
	require.Zero(t, code)
	require.NotContains(t, stdout, "404", "what was replayed is hidden")
	w.api.Fail(page, casapitest.Fault{})
	code, _, stderr = w.tool(t, "rejected", "replay", "3")
	require.Zero(t, code, stderr)
	require.Equal(t, map[string]bool{id: true, later: true}, w.stored(t))
	_, stdout, _ = w.tool(t, "rejected", "list", "--all")
	require.Contains(t, stdout, "404")

	code, _, stderr = w.tool(t, "rejected", "dismiss", fmt.Sprint(line.Sequence))
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stderr, "--why")
	code, _, stderr = w.tool(t, "rejected", "dismiss", fmt.Sprint(line.Sequence), "--why", "nonsense", "--as", "jane.smith")
	require.Zero(t, code, stderr)
	_, stdout, _ = w.tool(t, "rejected", "list")
	require.Equal(t, 1, strings.Count(stdout, "\n"), "what was dismissed is hidden")
	_, stdout, _ = w.tool(t, "rejected", "list", "--all")
	require.Contains(t, stdout, "dismissed by jane.smith")

	code, _, stderr = w.tool(t, "rejected", "show", "99")
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stderr, "99")
	// Catches the numbers of the server's interface in what is told to a person.
	for _, args := range [][]string{{"show", "99"}, {"replay", "99"}, {"dismiss", "99", "--why", "nonsense"}} {
		code, _, stderr = w.tool(t, append([]string{"rejected"}, args...)...)
		require.Equal(t, service.ExitError, code)
		require.Equal(t, "ingest: look up rejected message 99: not in the stream: message not found: `ingest rejected list --all` shows the numbers\n", stderr)
	}
}

func TestLookingForRejectedMessagesMakesNoStream(t *testing.T) {
	t.Parallel()
	w := &world{api: casapitest.Start(t), nats: natstest.Start(t)}
	for _, args := range [][]string{{"rejected", "list"}, {"rejected", "list", "--json"}, {"rejected", "show", "1"}} {
		code, _, stderr := w.tool(t, args...)
		require.Equal(t, service.ExitError, code)
		require.Contains(t, stderr, "there is no stream CAS_REJECTED")
	}
	log, err := jetstream.Connect(t.Context(), jetstream.Config{URL: w.nats.URL(), Replicas: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	require.ErrorContains(t, log.Ready(t.Context()), "stream not found")
}

func TestFilesAreImportedAndBadLinesNamed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, one := w.event()
	second, two := w.event()
	folder := t.TempDir()
	good, bad := filepath.Join(folder, "good.jsonl"), filepath.Join(folder, "bad.jsonl")
	require.NoError(t, os.WriteFile(good, []byte(one+"\n"), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("\nnonsense\n"+two), 0o600))

	code, stdout, stderr := w.tool(t, "import", good)
	require.Zero(t, code, stderr)
	require.Equal(t, "1 stored, 0 stored before, 0 failed\n", stdout)

	code, stdout, stderr = w.tool(t, "import", good, bad)
	require.Equal(t, service.ExitError, code)
	require.Equal(t, "1 stored, 1 stored before, 1 failed\n", stdout)
	require.Contains(t, stderr, bad+":2: malformed")
	require.Equal(t, map[string]bool{first: true, second: true}, w.stored(t))

	code, _, stderr = w.tool(t, "import", filepath.Join(folder, "none"))
	require.Equal(t, service.ExitError, code)
	require.Contains(t, stderr, "none: no such file")
}

func TestAnImportOnATerminalShowsHowFarItIsAndNoLineForEachEvent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	var lines strings.Builder
	for range 50 {
		_, message := w.event()
		lines.WriteString(message + "\n")
	}
	lines.WriteString("nonsense\n")
	require.NoError(t, os.WriteFile(file, []byte(lines.String()), 0o600))

	terminal := terminaltest.New(t, 100, 24)
	s := &session{cli: &cli{Log: command.Log{Level: "debug", Format: "text"}}, stderr: command.NewOutput(terminal.File), registry: prometheus.NewRegistry()}
	s.CAS.DetailURLs = []string{w.api.URL()}
	s.CAS.TokenURI, s.CAS.ClientID, s.CAS.ClientSecret = w.api.TokenURL(), casapitest.ClientID, casapitest.ClientSecret
	require.NoError(t, s.quieten())
	require.NoError(t, s.withIntake(t.Context(), w.log, func(intake *ingest.Intake) error {
		var total tally
		shown := newMeter(s.stderr, sizeOf([]string{file}), &total)
		im := &ingest.Importer{Intake: intake, InFlight: 16, Tries: 1}
		err := importFile(t.Context(), im, file, &total, shown)
		shown.Close()
		return err
	}))
	screen := terminal.Close()
	require.Regexp(t, `importing: (\S+ kB) of \S+ kB, .* a second, 50 stored, 0 stored before, 1 failed\s+$`, screen)
	require.Contains(t, screen, file+":51: malformed")
	require.NotContains(t, screen, "NotificationReceived")
	require.Len(t, w.stored(t), 50)

	require.EqualValues(t, lines.Len(), sizeOf([]string{file}))
	require.EqualValues(t, -1, sizeOf([]string{file, "-"}))
}

func TestAQueueThatLosesEventsIsRefused(t *testing.T) {
	w := setup(t)
	_, err := w.sqs.CreateQueue("brief", sqstest.QueueSettings{Retention: time.Minute, Visibility: time.Second})
	require.NoError(t, err)
	for name, value := range map[string]string{
		"AWS_REGION": sqstest.Region, "AWS_ENDPOINT_URL_SQS": w.sqs.URL(), "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
	} {
		t.Setenv(name, value)
	}
	code, stdout, stderr := w.tool(t, "run", "--messaging-consumer-queue=brief", "--http-address=127.0.0.1:0")
	require.Equal(t, service.ExitError, code, stdout)
	require.Contains(t, stderr, "MESSAGING_CONSUMER_QUEUE is brief: the queue keeps a message for 1m0s only")
	require.Contains(t, stderr, "1209600")
}

func TestWrongUsageIsExplained(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"unknown flag --nonsense":        {"--nonsense"},
		"unexpected argument nonsense":   {"nonsense"},
		"log level":                      {"--log-level=loud"},
		"log format":                     {"--log-format=xml"},
		"MESSAGING_CONSUMER_QUEUE":       {"--messaging-consumer-detail-urls=https://cas.example"},
		"MESSAGING_CONSUMER_DETAIL_URLS": {"run", "--messaging-consumer-queue=cas"},
		`DETAIL_URLS has "cas.example"`:  {"--messaging-consumer-queue=cas", "--messaging-consumer-detail-urls=cas.example", "--nats-url=nats://127.0.0.1:1"},
		"say which to replay":            {"rejected", "replay"},
		"--reason and --all":             {"rejected", "replay", "--reason=no-person", "--all"},
		"is none of":                     {"rejected", "list", "--reason=x"},
		"STREAM_REPLICAS is 2":           {"rejected", "list", "--stream-replicas=2"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, service.ExitError, run(t.Context(), args, &stdout, &stderr), "%v", args)
		require.Contains(t, stderr.String(), want)
	}
	var stdout, stderr bytes.Buffer
	require.Equal(t, service.ExitError, run(t.Context(), []string{
		"--http-address=8080", "--oauth2-token-uri=auth", "--log-level=loud", "--stream-replicas=2", "--nats-url=http://x",
	}, &stdout, &stderr))
	for _, variable := range []string{
		`LOG_LEVEL is "loud"`, "STREAM_REPLICAS is 2", "NATS_URL", "MESSAGING_CONSUMER_QUEUE", "AWS_REGION", "MESSAGING_CONSUMER_DETAIL_URLS", `OAUTH2_TOKEN_URI is "auth"`, "OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET", `HTTP_ADDRESS is "8080"`,
	} {
		require.Equal(t, 1, strings.Count(stderr.String(), variable), "all faults are named at once, each once: %s in %s", variable, &stderr)
	}
	stderr.Reset()
	secrets := []string{"--messaging-consumer-queue=https://me:hidden@sqs/1/q", "--messaging-consumer-detail-urls=https://me:hidden@cas", "--oauth2-token-uri=https://me:hidden@auth", "--oauth2-client-secret=hidden", "--nats-url=http://me:hidden@nats"}
	require.Equal(t, service.ExitError, run(t.Context(), secrets, &stdout, &stderr))
	require.NotContains(t, stderr.String(), "hidden")
	for _, variable := range []string{"MESSAGING_CONSUMER_QUEUE", "set MESSAGING_CONSUMER_DETAIL_URLS instead", "set OAUTH2_TOKEN_URI instead", "OAUTH2_CLIENT_ID", "set OAUTH2_CLIENT_SECRET instead", "set NATS_URL instead"} {
		require.Contains(t, stderr.String(), variable)
	}
	stdout.Reset()
	require.Zero(t, run(t.Context(), []string{"--help"}, &stdout, &stderr))
	require.Contains(t, stdout.String(), "STREAM_MAX_BYTES")
}

func TestWeakSettingsEndTheServiceWhateverElseCannotBeChecked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	nobody := "http://" + freeAddress(t)
	s := &session{cli: &cli{}, logger: slog.New(slog.DiscardHandler)}
	s.NATS.URL, s.NATS.MonitorURL, s.Stream.Replicas = w.nats.URL(), nobody, 3
	log, err := s.awaitLog(t.Context(), nil)
	require.Nil(t, log)
	require.ErrorContains(t, err, "num_replicas: have 1")
	require.ErrorContains(t, err, nobody)
}

func TestAnInterruptedImportSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"import", "x", "--nats-url", w.nats.URL(), "--stream-replicas=1"}, &stdout, &stderr)
	require.Equal(t, service.ExitInterrupted, code, stderr.String())
	require.Contains(t, stderr.String(), "interrupted")
}
