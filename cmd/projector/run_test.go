package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres/postgrestest"
	"casdelius/store"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

func TestHelpShowsExamples(t *testing.T) {
	t.Parallel()
	for command, example := range map[string]string{
		"":             "projector run --hold",
		"history":      "projector history X123456 --explain urn:",
		"parked":       "projector parked --cause staff-not-found --json",
		"parked retry": "projector parked retry --crn X123456",
		"conflicts":    "projector conflicts --since 24h",
		"plan":         "projector plan --crn X123456",
		"rebuild":      "projector rebuild",
		"verify":       "projector verify --repair",
	} {
		code, stdout, stderr := tool(t, append(strings.Fields(command), "--help")...)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "Usage: projector "+command)
		require.Contains(t, stdout, "Examples:", command)
		require.Contains(t, stdout, example)
	}
}

func TestWrongUsageIsNamed(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"unexpected argument histroy": {"histroy"},
		"unknown flag --hurry":        {"run", "--hurry"},
		"--workers":                   {"run", "--workers", "many"},
		`"loud"`:                      {"run", "--log-level", "loud"},
		"set DELIUS_DATABASE_URL, such as postgres://":             {"run", "--http-address", "127.0.0.1:0"},
		"no database is given: set DELIUS_DATABASE_URL":            {"migrate"},
		"no database is given: set DELIUS_DATABASE_URL, such":      {"conflicts"},
		"DELIUS_DATABASE_URL is no database URL: want postgres://": {"migrate", "--delius-database-url", "postgres://user@:::"},
	} {
		code, _, stderr := tool(t, args...)
		require.Equal(t, 1, code, says)
		require.Contains(t, stderr, "projector: ")
		require.Contains(t, stderr, says)
	}
}

func TestMigrateSaysWhatItDid(t *testing.T) {
	t.Parallel()
	delius := postgrestest.New(t)
	_, err := delius.Pool.Exec(ctx, "drop schema projection cascade")
	require.NoError(t, err)
	code, _, stderr := tool(t, "conflicts", "--delius-database-url", delius.URL)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "run `projector migrate` first")

	for _, says := range []string{
		"schema projection was made, at version 2; Delius's own tables were not touched\n",
		"schema projection is at version 2 already: nothing was done\n",
	} {
		code, stdout, stderr := tool(t, "migrate", "--delius-database-url", delius.URL)
		require.Zero(t, code, stderr)
		require.Equal(t, says, stdout)
	}
	code, stdout, stderr := tool(t, "conflicts", "--delius-database-url", delius.URL)
	require.Zero(t, code, stderr)
	require.Equal(t, "no conflicts\n", stdout)
}

// process is the program as a process of its own, with a stream of its own.
type process struct {
	*world
	cmd     *exec.Cmd
	read    chan struct{} // closed when its output has ended
	log     *jetstream.Log
	address string // of health and metrics
}

// stream is a NATS server whose stream has some events: its URL, and the stream.
func stream(t *testing.T, events []store.Event) (url string, log *jetstream.Log) {
	t.Helper()
	url = natstest.Start(t).URL()
	log, err := jetstream.Connect(t.Context(), jetstream.Config{URL: url, Replicas: 1}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	require.NoError(t, log.Ensure(t.Context()))
	for i := range events {
		_, err := log.Append(t.Context(), &events[i])
		require.NoError(t, err)
	}
	return url, log
}

// start starts `projector run` on the events in the stream.
func start(t *testing.T, events []store.Event, args ...string) *process {
	t.Helper()
	w := setup(t)
	nats, log := stream(t, events)
	self, err := os.Executable()
	require.NoError(t, err)
	s := &process{world: w, log: log, read: make(chan struct{}), cmd: exec.Command(self, append([]string{"run"}, args...)...)}
	s.cmd.Env = append(os.Environ(), asProgram+"=1", "DELIUS_DATABASE_URL="+w.delius.URL, "NATS_URL="+nats,
		"STREAM_REPLICAS=1", "HTTP_ADDRESS=127.0.0.1:0", "LOG_FORMAT=json")
	s.cmd.Stderr = os.Stderr
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	for s.address == "" {
		require.True(t, lines.Scan(), "the service ended before it had started")
		var line struct{ Msg, HTTP string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		s.address = line.HTTP
	}
	go func() {
		defer close(s.read)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	return s
}

// stop tells the process to stop and gives its exit code.
func (s *process) stop() int {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	<-s.read
	_ = s.cmd.Wait() // the exit code is what counts
	return s.cmd.ProcessState.ExitCode()
}

// metric waits until a line of the metrics matches.
func (s *process) metric(pattern string) {
	s.t.Helper()
	line := regexp.MustCompile("(?m)^projector_" + pattern)
	require.Eventually(s.t, func() bool {
		answer, err := http.Get("http://" + s.address + "/metrics")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return err == nil && line.Match(text)
	}, patience, 20*time.Millisecond, pattern)
}

func someEvents() []store.Event {
	return []store.Event{
		raised(store.ReferralSubmitted, 9, "submitted", "2024-03-01T09:00:00Z", ``),
		raised(store.PersonArrived, 1, "arrived", "2024-03-08T13:00:00Z", `"arrivedAt":"2024-03-08T12:00:00Z",`+house+`,`+recorded),
	}
}

func TestRunProjectsUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	s := start(t, someEvents())
	s.metric(`changes_total{kind="insert-address"} 1$`)
	require.Equal(t, "N50A001", s.contact("EAAR").Staff)
	require.NotEmpty(t, s.contact("EARS"))
	require.Zero(t, s.stop())
}

func TestRunOnHoldWritesNothingAndEveryoneStaysDue(t *testing.T) {
	t.Parallel()
	s := start(t, someEvents(), "--hold")
	s.metric("held_changes_total [1-9]")
	late := raised(store.PersonDeparted, 1, "left", "2024-03-30T13:00:00Z", `"departedAt":"2024-03-30T12:00:00Z",`+recorded)
	_, err := s.log.Append(t.Context(), &late)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.rows("event") == 3 }, patience, 20*time.Millisecond)
	s.metric("due_referrals 2$")
	require.Zero(t, s.stop())

	contacts, err := s.delius.Contacts(ctx)
	require.NoError(t, err)
	require.Empty(t, contacts)
	addresses, err := s.delius.Addresses(ctx)
	require.NoError(t, err)
	require.Empty(t, addresses)
	require.ElementsMatch(t, []store.Referral{referral(1), referral(9)}, s.due())
	for _, table := range []string{"contact", "address", "address_memory", "applied", "parked", "conflict"} {
		require.Zero(t, s.rows(table), table)
	}
}

// rows counts those of one of the projector's tables.
func (w *world) rows(table string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.delius.Pool.QueryRow(ctx, "select count(*) from projection."+table).Scan(&n))
	return n
}
