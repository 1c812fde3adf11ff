package cmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The keys of Grafana's dashboard model that ours uses. A misspelt one would be ignored there.
type (
	dashboard struct {
		UID, Title, Description, Timezone, Refresh string
		Tags                                       []string
		SchemaVersion, Version                     int
		Editable                                   bool
		Time                                       struct{ From, To string }
		Templating                                 struct{ List []variable }
		Annotations                                struct{ List []struct{} }
		Links                                      []struct{}
		Panels                                     []panel
	}
	variable struct {
		Name, Label, Type, AllValue string
		Datasource                  *source
		Query                       any
		Refresh                     int
		IncludeAll, Multi           bool
		Current                     struct{ Text, Value string }
	}
	source struct{ Type, UID string }
	panel  struct {
		ID                       int
		Type, Title, Description string
		Collapsed                bool
		Panels                   []struct{}
		Datasource               *source
		GridPos                  struct{ H, W, X, Y int }
		FieldConfig              struct {
			Defaults struct {
				Unit       string
				Min        float64
				Thresholds struct {
					Mode  string
					Steps []struct {
						Color string
						Value *float64
					}
				}
			}
			Overrides []struct{}
		}
		Options json.RawMessage // of the panel's type
		Targets []struct {
			RefID, Expr, LegendFormat string
			Datasource                source
		}
	}
)

// Catches a key that Grafana does not know, panels that lie over one another, a query that is no
// PromQL, and a legend by a label that the query has summed away. That every metric is there is
// held by TestEveryMetricThatIsNamedIsThere.
func TestTheDashboardCanBeShown(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../deploy/grafana/casdelius.json")
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var d dashboard
	require.NoError(t, decoder.Decode(&d))
	require.NotEmpty(t, d.UID)

	ids, taken, expressions := map[int]bool{}, map[[2]int]string{}, []map[string]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "panel %d twice", p.ID)
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], "%s lies over it", p.Title)
				require.Less(t, at[0], 24, p.Title)
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Contains(t, []string{"timeseries", "stat"}, p.Type)
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.Contains(t, target.Expr, `namespace=~"$namespace"`, p.Title)
			for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				require.Regexp(t, `by \([^)]*\b`+label[1]+`\b`, target.Expr, p.Title)
			}
			expressions = append(expressions, map[string]string{"record": fmt.Sprintf("panel:%d:%s", p.ID, target.RefID), "expr": target.Expr})
		}
	}
	require.NoError(t, checkExpressions(t, expressions))
	require.Error(t, checkExpressions(t, []map[string]string{{"record": "bad", "expr": "sum(rate(x))"}}), "the check sees what is no PromQL")
}

// checkExpressions has promtool's parser read them.
func checkExpressions(t *testing.T, expressions []map[string]string) error {
	t.Helper()
	binary, err := exec.Command("../.ci/promtool").Output()
	require.NoError(t, err)
	rules, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": expressions}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, rules, 0o600))
	said, err := exec.Command(strings.TrimSpace(string(binary)), "check", "rules", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}
