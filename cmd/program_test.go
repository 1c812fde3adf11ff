package cmd_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/store/jetstream/natstest"
)

// programs are the services as programs, and the environment that they run in. Each connects to
// NATS as a role.
type programs struct {
	natsAs      func(role string) string // its URL
	folder      string
	environment []string
}

// build makes the programs for a system as it is by now, with flags of go build.
func (s *system) build(t *testing.T, flags ...string) *programs {
	t.Helper()
	p := &programs{natsAs: s.nats.URLAs, folder: t.TempDir()}
	arguments := slices.Concat([]string{"build"}, flags, []string{"-o", p.folder, "casdelius/cmd/ingest", "casdelius/cmd/projector"})
	said, err := exec.Command("go", arguments...).CombinedOutput()
	require.NoError(t, err, string(said))
	p.environment = append(os.Environ(), "HTTP_ADDRESS=127.0.0.1:0", "CANARY_INTERVAL=0",
		"NATS_MONITOR_URL="+s.nats.MonitorURL(), "STREAM_REPLICAS=1", "DELIUS_DATABASE_URL="+s.database,
		"AWS_REGION="+sqstest.Region, "AWS_ENDPOINT_URL_SQS="+s.sqs.URL(), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_EC2_METADATA_DISABLED=true",
		"MESSAGING_CONSUMER_QUEUE="+queueName, "MESSAGING_CONSUMER_DETAIL_URLS="+s.cas.URL(), "OAUTH2_TOKEN_URI="+s.cas.TokenURL(),
		"OAUTH2_CLIENT_ID="+casapitest.ClientID, "OAUTH2_CLIENT_SECRET="+casapitest.ClientSecret)
	return p
}

// command is a program with its arguments, as a role.
func (p *programs) command(role string, args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(p.folder, args[0]), args[1:]...)
	command.Env = append(slices.Clone(p.environment), "NATS_URL="+p.natsAs(role), "NATS_INBOX_PREFIX="+natstest.InboxOf(role))
	return command
}

// output is what a command prints.
func (p *programs) output(t *testing.T, args ...string) string {
	t.Helper()
	said, err := p.command(natstest.Operator, args...).CombinedOutput()
	require.NoError(t, err, string(said))
	return string(said)
}

// program is one that runs as a service.
type program struct {
	name, address string
	log           *journal
	command       *exec.Cmd
}

// start starts the program of a role and waits until it has started.
func (p *programs) start(t *testing.T, role string, args ...string) *program {
	t.Helper()
	r := &program{name: role, log: newJournal(t), command: p.command(role, append([]string{role}, args...)...)}
	r.command.Stdout, r.command.Stderr = r.log, r.log
	require.NoError(t, r.command.Start())
	t.Cleanup(r.kill)
	started := regexp.MustCompile(`"msg":"started".*"http":"([^"]+)"`)
	eventually(t, role+" has started", func() bool {
		found := started.FindStringSubmatch(r.log.text())
		if found != nil {
			r.address = found[1]
		}
		return found != nil
	})
	return r
}

func (r *program) get(t *testing.T, path string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + r.address + path)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

// stop ends it as SIGTERM does.
func (r *program) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.command.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.command.Wait(), "exit code 0")
}

// kill ends it as kill -9 does, and returns when it is gone. One that is gone is left alone.
func (r *program) kill() {
	_ = r.command.Process.Kill() // it may have ended by itself
	_ = r.command.Wait()         // that it was killed
}

// signal sends it a signal.
func (r *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, r.command.Process.Signal(s))
}

// metric is the value of a metric without labels.
func (r *program) metric(t *testing.T, name string) float64 {
	t.Helper()
	for line := range strings.Lines(r.get(t, "/metrics")) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(t, err)
			return number
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}
