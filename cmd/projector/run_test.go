package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/projector/postgres"
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
		"notices":      "projector notices --crn X123456",
		"migrate":      "projector migrate --notices=on",
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
		"set DELIUS_DATABASE_URL, such as postgres://":        {"run", "--http-address", "127.0.0.1:0"},
		"no database is given: set DELIUS_DATABASE_URL":       {"migrate"},
		"no database is given: set DELIUS_DATABASE_URL, such": {"conflicts"},
		"--workers is 0":                                           {"run", "--workers", "0"},
		"--search is -5m0s":                                        {"run", "--search=-5m"},
		"--notice-lease is 10ms":                                   {"run", "--notice-lease=10ms"},
		`--notices is "maybe"`:                                     {"migrate", "--notices=maybe"},
		`MESSAGING_PRODUCER_TOPIC is "here"`:                       {"run", "--messaging-producer-topic=here"},
		"STREAM_REPLICAS is 0":                                     {"plan", "--stream-replicas", "0"},
		"STREAM_REPLICAS is 2":                                     {"plan", "--stream-replicas", "2"},
		"STREAM_MAX_BYTES is 0":                                    {"plan", "--stream-max-bytes", "0"},
		`NATS_URL holds "http://x"`:                                {"plan", "--nats-url", "http://x"},
		`NATS_MONITOR_URL holds "nats://x"`:                        {"plan", "--nats-monitor-url", "nats://x"},
		`LOG_FORMAT is "xml"`:                                      {"run", "--log-format", "xml"},
		"DELIUS_DATABASE_URL is no database URL: want postgres://": {"migrate", "--delius-database-url", "postgres://user@:::"},
	} {
		code, _, stderr := tool(t, args...)
		require.Equal(t, 1, code, says)
		require.Contains(t, stderr, "projector: ")
		require.Contains(t, stderr, says)
	}
}

func TestAllThatIsWrongIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	code, _, stderr := tool(t, "run", "--workers=-1", "--search", "0s", "--log-level", "loud", "--stream-replicas", "4", "--nats-url", "x", "--http-address", "8080")
	require.Equal(t, 1, code)
	for _, says := range []string{"DELIUS_DATABASE_URL", "--workers is -1", "--search is 0s", `LOG_LEVEL is "loud"`, "STREAM_REPLICAS is 4", "NATS_URL", `HTTP_ADDRESS is "8080"`} {
		require.Contains(t, stderr, "projector: ", says)
		require.Contains(t, stderr, says)
	}
}

func TestABlankSelectionActsOnNobody(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, blank := range []string{"", " ", "\t"} {
		for _, args := range [][]string{
			{"rebuild", "--crn"},
			{"rebuild", "--referral"},
			{"rebuild", "--rate"},
			{"rebuild", "--workers"},
			{"rebuild", "--dry-run", "--crn"},
			{"plan", "--crn"},
			{"plan", "--referral"},
			{"verify", "--crn"},
			{"verify", "--repair", "--crn"},
			{"parked", "--crn"},
			{"parked", "--cause"},
			{"parked", "list", "--crn"},
			{"parked", "list", "--cause"},
			{"parked", "retry", "--crn"},
			{"parked", "retry", "--cause"},
			{"conflicts", "--crn"},
			{"notices", "--crn"},
			{"migrate", "--notices"},
			{"conflicts", "--since"},
			{"history"},
			{"history", "X000001", "--as-of"},
			{"history", "X000001", "--explain"},
		} {
			code, stdout, stderr := w.tool(append(args, blank)...)
			require.Equal(t, 1, code, "%q %q: %s", args, blank, stdout)
			require.Contains(t, stderr, fmt.Sprintf("%q", blank), "%q", args)
			if flag := args[len(args)-1]; strings.HasPrefix(flag, "--") {
				require.Contains(t, stderr, "projector: "+flag, "%q", args)
			}
		}
	}
}

func TestValuesThatCannotBeReadAreWrongUsage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for says, args := range map[string][]string{
		`--crn: "X12345" is no CRN`:        {"plan", "--crn", "X12345"},
		`--crn: "X1" is no CRN`:            {"verify", "--crn", "X1"},
		`--crn: "nobody" is no CRN`:        {"parked", "--crn", "nobody"},
		`--crn: " X000001" is no CRN`:      {"rebuild", "--crn", " X000001"},
		`--crn: "X00000 1" is no CRN`:      {"conflicts", "--crn", "X00000 1"},
		`--referral "1"`:                   {"rebuild", "--referral", "1"},
		"--rate -1":                        {"rebuild", "--rate=-1"},
		"--workers 0":                      {"plan", "--workers", "0"},
		"--since -24h is in the future":    {"conflicts", "--since=-24h"},
		`--since: "soon" is no time`:       {"conflicts", "--since", "soon"},
		`--cause: "none"`:                  {"parked", "--cause", "none"},
		`"X00001" is neither a CRN`:        {"history", "X00001"},
		`--as-of: "2026-13-01" is no time`: {"history", "X000001", "--as-of", "2026-13-01"},
	} {
		code, _, stderr := w.tool(args...)
		require.Equal(t, 1, code, says)
		require.Contains(t, stderr, says)
	}
}

func TestOutputThatIsNotWrittenIsAnError(t *testing.T) {
	t.Parallel()
	w := setup(t)
	nats, _ := stream(t, someEvents())
	w.put(someEvents()...)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = full.Close() })
	for _, args := range [][]string{
		{"conflicts"},
		{"parked"},
		{"migrate"},
		{"parked", "retry", "--all"},
		{"history", "X000001"},
		{"history", "X000001", "--json"},
		{"history", "X000001", "--as-of", "2024-06-01"},
		{"plan"},
		{"plan", "--json"},
		{"rebuild"},
		{"verify"},
		{"--help"},
		{"--version"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), append(args, "--delius-database-url", w.delius.URL, "--nats-url", nats, "--stream-replicas=1"), full, &stderr)
		require.Equal(t, 1, code, "%q", args)
		require.Contains(t, stderr.String(), "no space left on device", "%q", args)
	}
}

func TestADatabaseThatIsNotSetUpIsNamedWithWhatToRun(t *testing.T) {
	t.Parallel()
	delius := postgrestest.New(t)
	config := delius.Pool.Config().ConnConfig
	place := fmt.Sprintf("database %s at %s:%d (DELIUS_DATABASE_URL)", config.Database, config.Host, config.Port)
	for _, step := range []struct{ do, says string }{
		{"update projection.schema_version set version = 1", fmt.Sprintf("has schema projection at version 1, and this program needs %d: run `projector migrate` first", postgres.NeededVersion())},
		{"drop schema projection cascade", "has no schema projection: run `projector migrate` first"},
		{"drop schema delius cascade", "has no schema delius"},
	} {
		_, err := delius.Pool.Exec(ctx, step.do)
		require.NoError(t, err)
		for _, args := range [][]string{{"run", "--http-address", "127.0.0.1:0", "--log-level", "error"}, {"conflicts"}, {"plan"}, {"rebuild"}, {"verify"}, {"history", "X000001"}} {
			code, _, stderr := tool(t, append(args, "--delius-database-url", delius.URL)...)
			require.Equal(t, 1, code, args)
			require.Contains(t, stderr, "projector: "+place, args)
			require.Contains(t, stderr, step.says, args)
			require.NotContains(t, stderr, config.Password)
		}
	}
	code, _, stderr := tool(t, "conflicts", "--delius-database-url", "postgres://someone@127.0.0.1:1/elsewhere")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "database elsewhere at 127.0.0.1:1 (DELIUS_DATABASE_URL)")
	require.NotContains(t, stderr, "secret")
}

func TestRunSaysAtOnceThatOneServerCannotReplicate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	nats := natstest.Start(t).URL()
	code, _, stderr := w.tool("run", "--http-address", "127.0.0.1:0", "--nats-url", nats)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "STREAM_REPLICAS: have 3, but no cluster")
	require.Contains(t, stderr, nats)
}

func TestRunWaitsForNATS(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr bytes.Buffer
	stdout := writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "NATS cannot be used yet") && strings.Contains(string(p), "nats://127.0.0.1:1 (NATS_URL)") {
			cancel()
		}
		return len(p), nil
	})
	code := run(ctx, []string{"run", "--http-address", "127.0.0.1:0", "--nats-url", "nats://127.0.0.1:1", "--delius-database-url", w.delius.URL}, stdout, &stderr)
	require.Zero(t, code, stderr.String())
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestReadinessLooksAtTheSchema(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ready := func() int {
		answer, err := http.Get("http://" + s.address + "/health/readiness")
		require.NoError(t, err)
		defer answer.Body.Close()
		return answer.StatusCode
	}
	require.Eventually(t, func() bool { return ready() == http.StatusOK }, patience, 20*time.Millisecond)
	_, err := s.delius.Pool.Exec(ctx, "update projection.schema_version set version = 1")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, ready())
	require.Zero(t, s.stop())
}

func TestMigrateSaysWhatItDid(t *testing.T) {
	t.Parallel()
	delius := postgrestest.New(t)
	_, err := delius.Pool.Exec(ctx, "drop schema projection cascade")
	require.NoError(t, err)
	code, _, stderr := tool(t, "conflicts", "--delius-database-url", delius.URL)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "run `projector migrate` first")

	// The role may make no schema: where there is none it says so, and needs it for nothing else.
	code, _, stderr = tool(t, "migrate", "--delius-database-url", delius.URL)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "permission denied for database")
	require.Contains(t, stderr, "run what `projector grants --role ROLE` prints")
	code, grants, stderr := tool(t, "grants", "--role", postgrestest.Role)
	require.Zero(t, code, stderr)
	_, err = delius.Pool.Exec(ctx, grants)
	require.NoError(t, err)

	for _, says := range []string{
		fmt.Sprintf("schema projection was made, at version %d; Delius's own tables were not touched\n", postgres.NeededVersion()),
		fmt.Sprintf("schema projection is at version %d already: nothing was done\n", postgres.NeededVersion()),
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
	said    written
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
	return startOn(t, w, w.delius.URL, events, args...)
}

// startOn starts it on a world with the URL of its database.
func startOn(t *testing.T, w *world, database string, events []store.Event, args ...string) *process {
	t.Helper()
	nats, log := stream(t, events)
	return startBeside(t, w, database, nats, log, args...)
}

// startBeside starts it on a stream that others may follow as well.
func startBeside(t *testing.T, w *world, database, nats string, log *jetstream.Log, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	s := &process{world: w, log: log, read: make(chan struct{}), cmd: exec.Command(self, append([]string{"run"}, args...)...)}
	s.cmd.Env = append(os.Environ(), asProgram+"=1", "DELIUS_DATABASE_URL="+database, "NATS_URL="+nats,
		"STREAM_REPLICAS=1", "HTTP_ADDRESS=127.0.0.1:0", "LOG_FORMAT=json")
	s.cmd.Env = append(s.cmd.Env, w.environment...)
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
		_, _ = io.Copy(&s.said, stdout)
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

// A role that may not write keeps every event due. Health says what to grant, and when it is
// granted the service goes on by itself.
func TestHealthNamesTheRightsThatTheRoleLacks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	exec := func(query string) {
		t.Helper()
		_, err := w.delius.Pool.Exec(ctx, query)
		require.NoError(t, err, query)
	}
	address, err := url.Parse(w.delius.URL)
	require.NoError(t, err)
	role := "poor_" + address.Path[1:]
	exec("create role " + role + " login password 'poor'")
	t.Cleanup(func() {
		exec("drop owned by " + role)
		exec("drop role " + role)
	})
	exec("grant usage on schema delius, projection to " + role)
	exec("grant select on all tables in schema delius to " + role)
	exec("grant all on all tables in schema projection to " + role)
	exec("grant all on all sequences in schema projection, delius to " + role)
	exec("grant insert on delius.offender_address, delius.audited_interaction to " + role)
	exec("grant update on delius.offender, delius.contact, delius.offender_address to " + role)
	address.User = url.UserPassword(role, "poor")

	s := startOn(t, w, address.String(), someEvents())
	health := func(path string) (int, string) {
		answer, err := http.Get("http://" + s.address + path)
		if err != nil {
			return 0, ""
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	code, text := health("/health")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, text, "GRANT INSERT ON delius.contact TO "+role)
	require.NotContains(t, text, "GRANT SELECT")
	require.Eventually(t, func() bool {
		code, text := health("/health/readiness")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "permission denied for table contact")
	}, patience, 20*time.Millisecond, "every step is denied")

	exec("GRANT INSERT ON delius.contact TO " + role)
	s.metric(`changes_total{kind="insert-address"} 1$`)
	require.Eventually(t, func() bool {
		code, _ := health("/health")
		return code == http.StatusOK
	}, patience, 20*time.Millisecond)
	require.Zero(t, s.stop())
}

func TestRunOnHoldWritesNothingAndEveryoneStaysDue(t *testing.T) {
	t.Parallel()
	s := start(t, someEvents(), "--hold")
	s.metric("hold_planned_changes_total [1-9]")
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
	for _, table := range []string{"contact", "address", "address_term", "applied", "parked", "conflict"} {
		require.Zero(t, s.rows(table), table)
	}
}

// rows counts those of one of the projector's tables.
func (w *world) rows(table string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.delius.Pool.QueryRow(ctx, "select count(*) from projection."+table).Scan(&n))
	return n
}
