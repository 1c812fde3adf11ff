// Package cmd holds the test of compose.yaml, which starts the programs below it.
package cmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"casdelius/ingest/casapi/casapitest"
	"casdelius/store"
)

// The environment that the programs read.
var (
	common = []string{
		"NATS_URL", "NATS_INBOX_PREFIX", "NATS_CREDS", "NATS_CA", "NATS_MONITOR_URL", "STREAM_REPLICAS", "STREAM_MAX_BYTES",
		"HTTP_ADDRESS", "LOG_LEVEL", "LOG_FORMAT",
	}
	ingestOnly = []string{
		"MESSAGING_CONSUMER_QUEUE", "MESSAGING_CONSUMER_DETAIL_URLS",
		"OAUTH2_TOKEN_URI", "OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET",
		"AWS_REGION", "AWS_ENDPOINT_URL_SQS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	}
	projectorOnly = []string{
		"DELIUS_DATABASE_URL", "MESSAGING_PRODUCER_TOPIC", "AWS_ENDPOINT_URL_SNS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	}
)

const fourteenDays = 14 * 24 * 60 * 60 // in seconds, the longest that SQS keeps a message

// load reads compose.yaml as Compose does, with nothing of this machine's environment
// but what environment gives.
func load(t *testing.T, environment ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join("..", "compose.yaml")}, cli.WithEnv(environment))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func natsServers(project *types.Project) []types.ServiceConfig {
	var servers []types.ServiceConfig
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		if strings.HasPrefix(project.Services[name].Image, "nats:") {
			servers = append(servers, project.Services[name])
		}
	}
	return servers
}

func TestThreeNATSServersKeepEveryEvent(t *testing.T) {
	t.Parallel()
	project := load(t)
	servers := natsServers(project)
	require.Len(t, servers, 3)

	var volumes []string
	for _, s := range servers {
		var major, minor, patch int
		_, err := fmt.Sscanf(s.Image, "nats:%d.%d.%d", &major, &minor, &patch)
		require.NoError(t, err, "image %s", s.Image)
		require.GreaterOrEqual(t, slices.Compare([]int{major, minor, patch}, []int{2, 15, 2}), 0, "image %s is older than 2.15.2", s.Image)

		options := natsOptions(t, project, s)
		require.True(t, options.JetStream)
		require.True(t, options.SyncAlways, "an acknowledged event must be on disk")
		require.EqualValues(t, 8<<20, options.MaxPayload)
		require.Equal(t, s.Name, options.ServerName)
		require.NotEmpty(t, options.Cluster.Name)
		passwords := map[string]string{}
		for _, user := range options.Users {
			passwords[user.Username] = user.Password
			require.NotNil(t, user.Permissions, user.Username)
		}
		require.Equal(t, map[string]string{"ingest": "ingest", "projector": "projector", "operator": "operator", "console": "console", "administrator": "administrator"}, passwords)
		var routes []string
		for _, route := range options.Routes {
			routes = append(routes, route.Hostname())
		}
		require.Equal(t, []string{"nats-1", "nats-2", "nats-3"}, routes)

		store := slices.IndexFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == options.StoreDir })
		require.NotEqual(t, -1, store, "%s has no volume at %s", s.Name, options.StoreDir)
		volumes = append(volumes, s.Volumes[store].Source)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(volumes))), 3, "each server needs a volume of its own")
}

// natsOptions reads a server's command line and the configuration it names, with the
// server's own parser.
func natsOptions(t *testing.T, project *types.Project, s types.ServiceConfig) *server.Options {
	t.Helper()
	config := slices.Index(s.Command, "--config")
	name := slices.Index(s.Command, "--name")
	require.NotEqual(t, -1, config, "command %v", s.Command)
	require.NotEqual(t, -1, name, "command %v", s.Command)
	path := filepath.Join(t.TempDir(), "nats.conf")
	const include = "include ./roles.conf\n"
	text := mounted(t, project, s, s.Command[config+1])
	require.Contains(t, text, include)
	text = strings.Replace(text, include, mounted(t, project, s, filepath.Join(filepath.Dir(s.Command[config+1]), "roles.conf")), 1)
	for variable, value := range s.Environment { // of the server, and not of this process
		text = fmt.Sprintf("%s: %q\n%s", variable, *value, text)
	}
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	options, err := server.ProcessConfigFile(path)
	require.NoError(t, err)
	options.ServerName = s.Command[name+1]
	return options
}

// mounted is the content of the config that a service finds at a path.
func mounted(t *testing.T, project *types.Project, s types.ServiceConfig, path string) string {
	t.Helper()
	at := slices.IndexFunc(s.Configs, func(c types.ServiceConfigObjConfig) bool { return c.Target == path })
	require.NotEqual(t, -1, at, "%s has no config at %s", s.Name, path)
	config := project.Configs[s.Configs[at].Source]
	if config.File == "" {
		return config.Content
	}
	text, err := os.ReadFile(config.File)
	require.NoError(t, err)
	return string(text)
}

// queues is the part of the emulator's set-up that matters here.
type queues struct {
	Region string
	Queues []struct {
		Name       string
		Attributes map[string]string
	}
	Topics        []struct{ Name string }
	Subscriptions []struct {
		Topic, Queue string
		Attributes   map[string]string
	}
}

func loadQueues(t *testing.T, project *types.Project) queues {
	t.Helper()
	emulator := project.Services["sqs"]
	var q queues
	require.NoError(t, json.Unmarshal([]byte(mounted(t, project, emulator, *emulator.Environment["FAUXQS_INIT"])), &q))
	require.Equal(t, q.Region, *project.Services["ingest"].Environment["AWS_REGION"])
	return q
}

func TestQueueKeepsAMessageForAsLongAsItCan(t *testing.T) {
	t.Parallel()
	project := load(t)
	q := loadQueues(t, project)
	attributes := map[string]map[string]string{}
	for _, queue := range q.Queues {
		attributes[queue.Name] = queue.Attributes
		require.Equal(t, strconv.Itoa(fourteenDays), queue.Attributes["MessageRetentionPeriod"], "queue %s", queue.Name)
	}
	require.Len(t, attributes, 2)

	main := *project.Services["ingest"].Environment["MESSAGING_CONSUMER_QUEUE"]
	var redrive struct {
		DeadLetterTargetArn string
		MaxReceiveCount     int `json:",string"`
	}
	require.NoError(t, json.Unmarshal([]byte(attributes[main]["RedrivePolicy"]), &redrive))
	require.GreaterOrEqual(t, redrive.MaxReceiveCount, 10)
	dead, ok := strings.CutPrefix(redrive.DeadLetterTargetArn, "arn:aws:sqs:"+q.Region+":000000000000:")
	require.True(t, ok, redrive.DeadLetterTargetArn)
	require.NotEqual(t, main, dead)
	require.Contains(t, attributes, dead)
	require.NotContains(t, attributes[dead], "RedrivePolicy")
}

func TestSubscriptionLetsThroughExactlyTheKnownTypes(t *testing.T) {
	t.Parallel()
	project := load(t)
	q := loadQueues(t, project)
	require.Len(t, q.Topics, 1)
	require.Len(t, q.Subscriptions, 1)
	subscription := q.Subscriptions[0]
	require.Equal(t, q.Topics[0].Name, subscription.Topic)
	require.Equal(t, *project.Services["ingest"].Environment["MESSAGING_CONSUMER_QUEUE"], subscription.Queue)
	require.Equal(t, "MessageAttributes", subscription.Attributes["FilterPolicyScope"])
	require.NotContains(t, subscription.Attributes, "RawMessageDelivery", "the envelope carries the message's id")

	var policy, want map[string][]string
	require.NoError(t, json.Unmarshal([]byte(subscription.Attributes["FilterPolicy"]), &policy))
	want = map[string][]string{}
	for _, typ := range store.Types() {
		want["eventType"] = append(want["eventType"], string(typ))
	}
	for _, typ := range store.PersonTypes() {
		want["eventType"] = append(want["eventType"], string(typ))
	}
	require.Equal(t, want, policy)
}

// Notices are kept, and there is a topic that takes them. It catches a topic of another name: SNS
// would refuse every notice, and the projector would be ready all the same.
func TestNoticesAreKeptAndHaveATopic(t *testing.T) {
	t.Parallel()
	project := load(t)
	q := loadQueues(t, project)
	require.Contains(t, project.Services["migrate"].Command, "--notices=on")
	require.Equal(t, "arn:aws:sns:"+q.Region+":000000000000:"+q.Topics[0].Name, *project.Services["projector"].Environment["MESSAGING_PRODUCER_TOPIC"])
}

func TestServicesAreGivenOnlyWhatTheyRead(t *testing.T) {
	t.Parallel()
	project := load(t, "OAUTH2_TOKEN_URI=http://auth.example/token", "OAUTH2_CLIENT_ID=id", "OAUTH2_CLIENT_SECRET=secret")
	for name, accepted := range map[string][]string{
		"ingest":    append(slices.Clone(common), ingestOnly...),
		"projector": append(slices.Clone(common), projectorOnly...),
		"migrate":   append(slices.Clone(common), projectorOnly...),
		"streams":   common,
		"console":   append(slices.Clone(common), "DELIUS_DATABASE_URL", "CONSOLE_ADDRESS"),
		"delius":    {"DELIUS_DATABASE_URL"},
		"cas":       {"HTTP_ADDRESS", "DELIUS_DATABASE_URL", "MESSAGING_PRODUCER_TOPIC", "AWS_ENDPOINT_URL_SNS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
	} {
		given := project.Services[name].Environment
		require.Subset(t, accepted, slices.Collect(maps.Keys(given)), "service %s", name)
	}
	for _, name := range []string{"ingest", "projector"} {
		environment := project.Services[name].Environment
		require.Equal(t, "3", *environment["STREAM_REPLICAS"])
		user := "nats://" + name + ":" + name + "@"
		require.Equal(t, user+"nats-1:4222,"+user+"nats-2:4222,"+user+"nats-3:4222", *environment["NATS_URL"])
		require.Equal(t, "_INBOX_"+name, *environment["NATS_INBOX_PREFIX"], "answers come where the role may listen")
		require.Equal(t, "http://nats-1:8222,http://nats-2:8222,http://nats-3:8222", *environment["NATS_MONITOR_URL"],
			"every server is asked how it syncs")
	}
	require.Equal(t, "http://auth.example/token", *project.Services["ingest"].Environment["OAUTH2_TOKEN_URI"])
}

// Catches a stand-in for CAS that ingest does not find, or has no token for: every event would wait
// for its detail.
func TestDetailsComeFromTheStandInForCASUnlessTheShellNamesAnother(t *testing.T) {
	t.Parallel()
	project := load(t)
	cas, environment := project.Services["cas"], project.Services["ingest"].Environment
	base := cas.Command[slices.Index(cas.Command, "--base-url")+1]
	require.Equal(t, "http://"+cas.Name+":8089", base)
	require.Equal(t, base, *environment["MESSAGING_CONSUMER_DETAIL_URLS"])
	require.Equal(t, base+casapitest.TokenPath, *environment["OAUTH2_TOKEN_URI"])
	require.Equal(t, casapitest.ClientID, *environment["OAUTH2_CLIENT_ID"])
	require.Equal(t, casapitest.ClientSecret, *environment["OAUTH2_CLIENT_SECRET"])
	require.Equal(t, cas.Environment["MESSAGING_PRODUCER_TOPIC"], project.Services["projector"].Environment["MESSAGING_PRODUCER_TOPIC"])

	own := load(t, "MESSAGING_CONSUMER_DETAIL_URLS=https://cas.example", "OAUTH2_TOKEN_URI=").Services["ingest"].Environment
	require.Equal(t, "https://cas.example", *own["MESSAGING_CONSUMER_DETAIL_URLS"])
	require.Empty(t, *own["OAUTH2_TOKEN_URI"], "no token is sent")
}

// Catches a health check that needs what is not in the image, and one of another program.
func TestServicesAskThemselvesWhetherTheyAreReady(t *testing.T) {
	t.Parallel()
	project := load(t)
	for service, program := range map[string]string{"ingest": "ingest", "projector": "projector", "cas": "sandbox"} {
		check := project.Services[service].HealthCheck
		require.NotNil(t, check, "service %s", service)
		require.Equal(t, types.HealthCheckTest{"CMD", "/" + program, "healthcheck"}, check.Test, "service %s", service)
		require.Equal(t, ":8080", *project.Services[service].Environment["HTTP_ADDRESS"])
	}
}

// Catches a version that no test runs on: tests take what the machine has, 15 on Debian 12.
func TestPostgreSQLIsTheOldestThatIsSupported(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join("..", "docs", "deploy.md"))
	require.NoError(t, err)
	image := load(t).Services["postgres"].Image
	require.Equal(t, "postgres:15-alpine", image)
	require.Contains(t, string(docs), "**PostgreSQL** 15 or later")
}

// Catches a console that is reached from nowhere: without a sign-in it serves the loopback interface
// alone, which in a network of its own is the container's.
func TestTheConsoleServesThisMachineAlone(t *testing.T) {
	t.Parallel()
	project := load(t, "CONSOLE_PORT=20001", "POSTGRES_PORT=20002", "NATS_PORT=20003", "NATS_CONSOLE_PASSWORD=secret")
	console := project.Services["console"]
	require.Equal(t, "host", console.NetworkMode)
	require.Empty(t, console.Ports, "Docker ignores them there")
	require.Equal(t, types.ShellCommand{"console"}, console.Command)
	require.Equal(t, "127.0.0.1:20001", *console.Environment["CONSOLE_ADDRESS"])
	require.Equal(t, "127.0.0.1:20001", *console.Environment["HTTP_ADDRESS"], "the health check asks the console")
	require.Equal(t, types.HealthCheckTest{"CMD", "/projector", "healthcheck"}, console.HealthCheck.Test)

	// It finds the others by ports that are published, and reads by a session that cannot write.
	published := map[string]string{}
	for _, name := range []string{"postgres", "nats-1"} {
		for _, port := range project.Services[name].Ports {
			published[port.Published] = name
		}
	}
	database, err := url.Parse(*console.Environment["DELIUS_DATABASE_URL"])
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", database.Hostname())
	require.Equal(t, "postgres", published[database.Port()])
	require.Equal(t, "on", database.Query().Get("default_transaction_read_only"))
	log, err := url.Parse(*console.Environment["NATS_URL"])
	require.NoError(t, err)
	require.Equal(t, "console:secret@127.0.0.1", log.User.String()+"@"+log.Hostname())
	require.Equal(t, "nats-1", published[log.Port()])
	require.Equal(t, "_INBOX_console", *console.Environment["NATS_INBOX_PREFIX"])
}

// Catches a port that cannot be set, so that a machine with a PostgreSQL of its own cannot run it.
func TestEveryPortCanBeSet(t *testing.T) {
	t.Parallel()
	names := []string{"NATS_PORT", "NATS_MONITOR_PORT", "SQS_PORT", "POSTGRES_PORT", "INGEST_PORT", "PROJECTOR_PORT", "CAS_PORT"}
	var environment, want, have []string
	for i, name := range names {
		port := strconv.Itoa(20000 + i)
		environment, want = append(environment, name+"="+port), append(want, port)
	}
	for _, s := range load(t, environment...).Services {
		for _, port := range s.Ports {
			have = append(have, port.Published)
		}
	}
	require.ElementsMatch(t, want, have)
}

func TestServicesWaitForWhatTheyNeed(t *testing.T) {
	t.Parallel()
	project := load(t)
	for name, want := range map[string]map[string]string{
		"delius":  {"postgres": types.ServiceConditionHealthy},
		"cas":     {"sqs": types.ServiceConditionHealthy, "delius": types.ServiceConditionCompletedSuccessfully},
		"migrate": {"postgres": types.ServiceConditionHealthy},
		"streams": {"nats-1": types.ServiceConditionHealthy, "nats-2": types.ServiceConditionHealthy, "nats-3": types.ServiceConditionHealthy},
		"console": {
			"nats-1":  types.ServiceConditionHealthy,
			"streams": types.ServiceConditionCompletedSuccessfully,
			"delius":  types.ServiceConditionCompletedSuccessfully,
			"migrate": types.ServiceConditionCompletedSuccessfully,
		},
		"ingest": {
			"nats-1": types.ServiceConditionHealthy, "nats-2": types.ServiceConditionHealthy, "nats-3": types.ServiceConditionHealthy,
			"sqs":     types.ServiceConditionHealthy,
			"streams": types.ServiceConditionCompletedSuccessfully,
		},
		"projector": {
			"nats-1": types.ServiceConditionHealthy, "nats-2": types.ServiceConditionHealthy, "nats-3": types.ServiceConditionHealthy,
			"sqs":     types.ServiceConditionHealthy,
			"streams": types.ServiceConditionCompletedSuccessfully,
			"delius":  types.ServiceConditionCompletedSuccessfully,
			"migrate": types.ServiceConditionCompletedSuccessfully,
		},
	} {
		got := map[string]string{}
		for needed, dependency := range project.Services[name].DependsOn {
			got[needed] = dependency.Condition
		}
		require.Equal(t, want, got, "service %s", name)
	}
}

func TestEveryProgramIsBuilt(t *testing.T) {
	t.Parallel()
	project := load(t)
	for service, program := range map[string]string{"ingest": "ingest", "streams": "ingest", "projector": "projector", "migrate": "projector", "console": "projector", "delius": "sandbox", "cas": "sandbox"} {
		build := project.Services[service].Build
		require.NotNil(t, build, "service %s", service)
		require.Equal(t, program, build.Target, "service %s", service)
		require.Contains(t, build.DockerfileInline, "./cmd/"+program)
		require.Contains(t, build.DockerfileInline, "AS "+program+"\n")
	}
}

func TestOnlyThisMachineReachesThePorts(t *testing.T) {
	t.Parallel()
	for _, s := range load(t).Services {
		require.Equal(t, s.Name == "console", s.NetworkMode == "host", "service %s: its ports would be the machine's own", s.Name)
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "service %s, port %s", s.Name, port.Published)
		}
	}
}
