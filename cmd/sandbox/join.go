package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/ingest/sqs/sqstest"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/jetstream/natstest"
)

// variables are all that the operator's commands of both programs need, and those of AWS's own tool.
func (s *system) variables() [][2]string {
	return [][2]string{
		{"DELIUS_DATABASE_URL", postgrestest.AsRole(s.database)},
		{"NATS_URL", s.nats.URLAs(natstest.Operator)},
		{"NATS_INBOX_PREFIX", natstest.InboxOf(natstest.Operator)},
		{"NATS_MONITOR_URL", s.nats.MonitorURL()},
		{"STREAM_REPLICAS", "1"},
		{"MESSAGING_CONSUMER_QUEUE", s.sqs.URL() + "/" + sqstest.Account + "/" + queueName},
		{"MESSAGING_CONSUMER_DETAIL_URLS", s.casURL},
		{"OAUTH2_TOKEN_URI", s.casURL + casapitest.TokenPath},
		{"OAUTH2_CLIENT_ID", casapitest.ClientID},
		{"OAUTH2_CLIENT_SECRET", casapitest.ClientSecret},
		{"MESSAGING_PRODUCER_TOPIC", s.topic},
		{"AWS_ENDPOINT_URL_SQS", s.sqs.URL()},
		{"AWS_ENDPOINT_URL_SNS", s.sns.URL()},
		{"AWS_REGION", sqstest.Region},
		{"AWS_DEFAULT_REGION", sqstest.Region}, // which the aws command reads
		{"AWS_ACCESS_KEY_ID", "sandbox"},
		{"AWS_SECRET_ACCESS_KEY", "sandbox"},
	}
}

// environment is the file that sets them.
func (s *system) environment() string { return filepath.Join(s.dir, "env") }

// exports sets the variables in a shell.
func (s *system) exports() string {
	var b strings.Builder
	for _, v := range s.variables() {
		fmt.Fprintf(&b, "export %s='%s'\n", v[0], v[1])
	}
	return b.String()
}

// writeEnvironment writes the file: another terminal takes the variables from there.
func (s *system) writeEnvironment() error {
	if err := os.WriteFile(s.environment(), []byte(s.exports()), 0o600); err != nil {
		return fmt.Errorf("write the variables for other commands: %w", err)
	}
	return nil
}

// building makes the programs whose commands are to be tried.
const building = "make build, or go build -o bin/ ./cmd/projector ./cmd/ingest"

// howToJoin says where the parts are, how to look at them, and what to set for other commands.
func (s *system) howToJoin() string {
	return fmt.Sprintf(`
The console: %[1]s
To look inside while it runs:
  psql '%[2]s'
  nats -s %[3]s --inbox-prefix=%[4]s stream ls
  curl %[5]s/health     curl %[5]s/metrics
  the log of every part: %[6]s
For the commands of projector and ingest, and for aws, these are in %[7]s:
%[8]s
To build the programs: %[9]s. Then, in another terminal:
  . %[7]s
  bin/projector status
  bin/projector parked
  bin/ingest rejected list
  aws sqs get-queue-attributes --queue-url $MESSAGING_CONSUMER_QUEUE --attribute-names All

`, s.consoleURL(), s.database, s.nats.URLAs(natstest.Administrator), natstest.InboxOf(natstest.Administrator), s.healthURL(), s.logFile.Name(),
		s.environment(), s.exports(), building)
}

// addresses are what of that stays on a terminal.
func (s *system) addresses() []string {
	return []string{
		"  console     " + s.consoleURL(),
		"  health      " + s.healthURL() + "/health   /metrics",
		"  log         " + s.logFile.Name(),
		"  commands    . " + s.environment(),
		"              make build; bin/projector status",
	}
}

func (s *system) consoleURL() string { return "http://" + s.console.Address() }

func (s *system) healthURL() string { return "http://" + s.health.Address() }
