package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"casdelius/cmd/internal/service"
	"casdelius/projector/freshness"
	"casdelius/projector/relay"
	"casdelius/projector/requests"
	"casdelius/projector/verify"
)

// rule is an alert rule, with the keys that it may have.
type rule struct {
	Alert       string                              `yaml:"alert"`
	Expr        string                              `yaml:"expr"`
	For         string                              `yaml:"for,omitempty"`
	Labels      struct{ Severity string }           `yaml:"labels"`
	Annotations struct{ Condition, Summary string } `yaml:"annotations"`
}

type ruleFile struct {
	Groups []*struct {
		Name  string  `yaml:"name"`
		Rules []*rule `yaml:"rules"`
	} `yaml:"groups"`
}

// loadRules reads the rules of Prometheus, refusing any key that is not known.
func loadRules(t *testing.T) (file ruleFile, all []*rule) {
	t.Helper()
	data, err := os.ReadFile("../deploy/prometheus/rules.yaml")
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return file, all
}

var afterMinutes = regexp.MustCompile(`(?:for |^)(\d+) min\b`)

// Catches an alert of the docs without a rule, a rule that the docs know nothing of, and one with
// another limit or another time than the docs say.
func TestEveryAlertOfTheDocsHasItsRule(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(docs), "\n## Alerts\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]string{} // conditions by the whole row
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) < 3 || strings.TrimSpace(cells[1]) == "Metric" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		plain := func(cell string) string {
			return strings.TrimSpace(strings.NewReplacer("`", "", "\x00", "|").Replace(cell))
		}
		rows[plain(cells[1])+" "+plain(cells[2])] = plain(cells[2])
	}
	require.Greater(t, len(rows), 30)

	_, rules := loadRules(t)
	ruled := map[string]bool{}
	for _, r := range rules {
		said, known := rows[r.Annotations.Condition]
		require.True(t, known, "%s: the docs have no row %q", r.Alert, r.Annotations.Condition)
		require.False(t, ruled[r.Annotations.Condition], "two rules for %s", r.Annotations.Condition)
		ruled[r.Annotations.Condition] = true
		require.Contains(t, []string{"page", "ticket"}, r.Labels.Severity, r.Alert)
		require.NotEmpty(t, r.Annotations.Summary, r.Alert)
		want := ""
		if minutes := afterMinutes.FindStringSubmatch(strings.TrimPrefix(said, "1 ")); minutes != nil {
			want = minutes[1] + "m"
		}
		require.Equal(t, want, r.For, "%s: %s", r.Alert, said)
		if limit := regexp.MustCompile(`^(?:sum )?(> \d+)(?:$|,| for| after)`).FindStringSubmatch(said); limit != nil && !strings.HasPrefix(r.Annotations.Condition, "SQS") {
			require.True(t, strings.HasSuffix(r.Expr, limit[1]), "%s: %s, but %s", r.Alert, said, r.Expr)
		}
	}
	for row := range rows {
		require.True(t, ruled[row], "deploy/prometheus/rules.yaml has no rule for the row %q", row)
	}
}

// promtool runs the tests of rules on a file of rules, and gives what it says.
func promtool(t *testing.T, rules []byte) (string, error) {
	t.Helper()
	binary, err := exec.Command("../.ci/promtool").Output()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), rules, 0o600))
	args := []string{"test", "rules"}
	for _, name := range []string{"rules_test.yaml", "rules_days_test.yaml"} {
		tests, err := os.ReadFile(filepath.Join("../deploy/prometheus", name))
		require.NoError(t, err)
		args = append(args, filepath.Join(dir, name))
		require.NoError(t, os.WriteFile(args[len(args)-1], tests, 0o600))
	}
	said, err := exec.Command(strings.TrimSpace(string(binary)), args...).CombinedOutput()
	return string(said), err
}

// Each alert fires on its condition and not before. That its test sees both is shown by variants in
// which every rule is wrong: each has to be named.
func TestEveryAlertFiresOnItsConditionAndNotBefore(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("../deploy/prometheus/rules.yaml")
	require.NoError(t, err)
	said, err := promtool(t, good)
	require.NoError(t, err, said)

	for name, spoil := range map[string]func(*rule) bool{
		"never fires":     func(r *rule) bool { r.Expr = "vector(0) > 1"; return true },
		"always fires":    func(r *rule) bool { r.Expr, r.For = "vector(1)", ""; return true },
		"fires too early": func(r *rule) bool { wait := r.For != ""; r.For = ""; return wait },
		"a limit too high": func(r *rule) bool {
			before := r.Expr
			r.Expr = limit.ReplaceAllString(r.Expr, "${1}123456789")
			return r.Expr != before
		},
	} {
		file, all := loadRules(t)
		var spoilt []string
		for _, r := range all {
			if spoil(r) {
				spoilt = append(spoilt, r.Alert)
			}
		}
		require.NotEmpty(t, spoilt)
		bad, err := yaml.Marshal(file)
		require.NoError(t, err)
		said, err := promtool(t, bad)
		require.Error(t, err, name)
		for _, alert := range spoilt {
			require.Contains(t, said, "name: "+alert+",", "no test sees that %s %s", alert, name)
		}
	}
}

var (
	limit      = regexp.MustCompile(`(> )\d+$`)
	metricName = regexp.MustCompile(`\b(?:projector|ingest)_[a-z0-9_]+\b`)
	fqName     = regexp.MustCompile(`fqName: "([^"]+)"`)
)

// metricsOf are the names of all metrics that are registered, those without a sample too.
func metricsOf(t *testing.T, registries ...*prometheus.Registry) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, registry := range registries {
		descriptions := make(chan *prometheus.Desc, 1000)
		registry.Describe(descriptions)
		close(descriptions)
		for d := range descriptions {
			names[fqName.FindStringSubmatch(d.String())[1]] = true
		}
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, family := range families {
			names[family.GetName()] = true
		}
	}
	return names
}

// Catches a metric that is renamed, or only meant, in what people look at: the docs, the rules and
// the dashboard.
func TestEveryMetricThatIsNamedIsThere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.watching = &freshness.Config{}
	ingest, projector := s.run(t)
	relay.New(nil, nil, relay.Config{Holder: "test", Registry: projector.registry})
	requests.New(requests.Ports{}, requests.Config{Registry: projector.registry})
	(&verify.Schedule{}).Register(projector.registry)
	eventually(t, "the backlog is measured", func() bool { return projector.gauge(t, "projector_measured_timestamp_seconds") > 0 })
	names := metricsOf(t, ingest.registry, projector.registry, service.Registry())
	require.Greater(t, len(names), 40)

	var looked int
	for _, pattern := range []string{"../README.md", "../docs/*.md", "../docs/decisions/*.md", "../deploy/prometheus/rules.yaml", "../deploy/grafana/*.json"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, name := range metricName.FindAllString(string(text), -1) {
				looked++
				base := name
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					base = strings.TrimSuffix(base, suffix)
				}
				require.True(t, names[name] || names[base], "%s names %s, which is not registered", file, name)
			}
		}
	}
	require.Greater(t, looked, 60)
	require.True(t, names["process_start_time_seconds"], "the rules need it")
}
