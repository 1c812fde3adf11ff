// Package deploy holds what is tested of deploy/ with packages that the programs have no need of.
package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../deploy/helm/casdelius"

// serviceMonitor is what the Prometheus operator is told.
type serviceMonitor struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Selector  meta.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port, Path, Interval string
		} `json:"endpoints"`
	} `json:"spec"`
}

// manifests are what the chart makes, by kind and name.
type manifests struct {
	deployments map[string]*apps.Deployment
	jobs        map[string]*batch.Job
	services    map[string]*core.Service
	budgets     map[string]*policy.PodDisruptionBudget
	policies    map[string]*networking.NetworkPolicy
	monitors    map[string]*serviceMonitor
}

// render renders the chart with values of its own changed.
func render(t *testing.T, changed map[string]any) []string {
	t.Helper()
	chart, err := loader.LoadDir(chartDir)
	require.NoError(t, err)
	values, err := chartutil.ToRenderValues(chart, changed, chartutil.ReleaseOptions{Name: "cas", Namespace: "test", IsInstall: true}, nil)
	require.NoError(t, err)
	files, err := engine.Engine{Strict: true}.Render(chart, values)
	require.NoError(t, err)
	var documents []string
	for name, content := range files {
		if strings.HasSuffix(name, ".yaml") {
			for _, document := range regexp.MustCompile(`(?m)^---$`).Split(content, -1) {
				if strings.TrimSpace(document) != "" {
					documents = append(documents, document)
				}
			}
		}
	}
	return documents
}

// decode reads manifests with Kubernetes' own types, refusing what these do not know.
func decode(documents []string) (m manifests, err error) {
	m = manifests{map[string]*apps.Deployment{}, map[string]*batch.Job{}, map[string]*core.Service{}, map[string]*policy.PodDisruptionBudget{}, map[string]*networking.NetworkPolicy{}, map[string]*serviceMonitor{}}
	for _, document := range documents {
		var is struct {
			meta.TypeMeta `json:",inline"`
			Metadata      struct{ Name string } `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(document), &is); err != nil {
			return m, err
		}
		var into any
		name := strings.TrimPrefix(is.Metadata.Name, "cas-")
		switch is.APIVersion + " " + is.Kind {
		case "apps/v1 Deployment":
			m.deployments[name] = &apps.Deployment{}
			into = m.deployments[name]
		case "batch/v1 Job":
			m.jobs[name] = &batch.Job{}
			into = m.jobs[name]
		case "v1 Service":
			m.services[name] = &core.Service{}
			into = m.services[name]
		case "policy/v1 PodDisruptionBudget":
			m.budgets[name] = &policy.PodDisruptionBudget{}
			into = m.budgets[name]
		case "networking.k8s.io/v1 NetworkPolicy":
			m.policies[name] = &networking.NetworkPolicy{}
			into = m.policies[name]
		case "monitoring.coreos.com/v1 ServiceMonitor":
			m.monitors[name] = &serviceMonitor{}
			into = m.monitors[name]
		default:
			return m, fmt.Errorf("%s %s is not expected", is.APIVersion, is.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			return m, fmt.Errorf("%s %s: %w", is.Kind, name, err)
		}
	}
	return m, nil
}

func TestTheChartHasNothingThatHelmWarnsOf(t *testing.T) {
	t.Parallel()
	for _, message := range lint.All(chartDir, nil, "test", true).Messages {
		if message.Severity > support.InfoSev {
			t.Error(message)
		}
	}
}

// Catches a key that Kubernetes does not know and would leave out, such as a misspelt probe.
func TestTheChartIsReadByKubernetesOwnTypes(t *testing.T) {
	t.Parallel()
	documents := render(t, map[string]any{"serviceMonitor": map[string]any{"enabled": true}})
	m, err := decode(documents)
	require.NoError(t, err)
	names := []string{"console", "ingest", "projector"}
	for _, have := range [][]string{keys(m.deployments), keys(m.services), keys(m.budgets), keys(m.policies), keys(m.monitors)} {
		require.Equal(t, names, have)
	}
	require.Equal(t, []string{"migrate", "streams"}, keys(m.jobs))

	misspelt := slices.Clone(documents)
	for i := range misspelt {
		misspelt[i] = strings.ReplaceAll(misspelt[i], "readinessProbe:", "readynessProbe:")
	}
	_, err = decode(misspelt)
	require.ErrorContains(t, err, "readynessProbe")
}

func keys[V any](m map[string]V) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// pods are those of the services and of the jobs.
func (m *manifests) pods() map[string]core.PodTemplateSpec {
	all := map[string]core.PodTemplateSpec{}
	for name, d := range m.deployments {
		all[name] = d.Spec.Template
	}
	for name, j := range m.jobs {
		all[name] = j.Spec.Template
	}
	return all
}

// Catches a container that runs as root or can write to its own file system, and a secret that
// stands in the manifest.
func TestPodsRunAsNobodyAndHaveSecretsByReference(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, nil))
	require.NoError(t, err)
	secret := regexp.MustCompile(`(?i)secret|password|DATABASE_URL|CLIENT_ID`)
	for name, pod := range m.pods() {
		require.True(t, *pod.Spec.SecurityContext.RunAsNonRoot, name)
		require.Equal(t, core.SeccompProfileTypeRuntimeDefault, pod.Spec.SecurityContext.SeccompProfile.Type, name)
		require.False(t, *pod.Spec.AutomountServiceAccountToken, name)
		require.Len(t, pod.Spec.Containers, 1)
		c := pod.Spec.Containers[0]
		require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, name)
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
		require.Equal(t, []core.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, name)
		require.False(t, c.Resources.Limits.Memory().IsZero(), name)
		require.False(t, c.Resources.Requests.Cpu().IsZero(), name)
		for _, e := range c.Env {
			if secret.MatchString(e.Name) {
				require.NotNil(t, e.ValueFrom, "%s: %s", name, e.Name)
				require.NotNil(t, e.ValueFrom.SecretKeyRef, "%s: %s", name, e.Name)
			}
		}
		mounted := map[string]bool{}
		for _, v := range c.VolumeMounts {
			require.True(t, v.ReadOnly, name)
			mounted[v.Name] = true
		}
		for _, v := range pod.Spec.Volumes {
			require.True(t, mounted[v.Name], "%s mounts %s", name, v.Name)
		}
	}
}

// Catches a probe of the wrong path (liveness that asks what the service depends on restarts it for
// others' outages), selectors that find no pod, and a stop that is cut short.
func TestServicesAreProbedFoundAndStoppedAsTheyShouldBe(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, map[string]any{"serviceMonitor": map[string]any{"enabled": true}}))
	require.NoError(t, err)
	for name, d := range m.deployments {
		pod := d.Spec.Template
		c := pod.Spec.Containers[0]
		require.Equal(t, "/health/liveness", c.LivenessProbe.HTTPGet.Path)
		require.Equal(t, "/health/readiness", c.ReadinessProbe.HTTPGet.Path)
		require.GreaterOrEqual(t, *pod.Spec.TerminationGracePeriodSeconds, int64(15))
		require.Zero(t, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue())
		require.GreaterOrEqual(t, *d.Spec.Replicas, int32(2))
		for what, selector := range map[string]map[string]string{
			"deployment": d.Spec.Selector.MatchLabels, "service": m.services[name].Spec.Selector,
			"budget": m.budgets[name].Spec.Selector.MatchLabels, "policy": m.policies[name].Spec.PodSelector.MatchLabels,
			"spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
		} {
			require.Subset(t, pod.Labels, selector, "%s of %s", what, name)
			require.Equal(t, name, selector["app.kubernetes.io/component"], what)
		}
		require.Subset(t, m.services[name].Labels, m.monitors[name].Spec.Selector.MatchLabels)
		require.Equal(t, "http", m.services[name].Spec.Ports[0].TargetPort.StrVal)
		require.Equal(t, "http", c.Ports[0].Name)
		require.Equal(t, 1, m.budgets[name].Spec.MaxUnavailable.IntValue())
		require.ElementsMatch(t, []networking.PolicyType{"Ingress", "Egress"}, m.policies[name].Spec.PolicyTypes)
	}
}

// Catches services that are installed before the streams are made, which none of them may make,
// and a migration of the stream's consumer beside that.
func TestJobsRunBeforeTheServicesOneAfterAnother(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, nil))
	require.NoError(t, err)
	weight := func(name string) int {
		n, err := strconv.Atoi(m.jobs[name].Annotations["helm.sh/hook-weight"])
		require.NoError(t, err)
		return n
	}
	for name, job := range m.jobs {
		require.Equal(t, "pre-install,pre-upgrade", job.Annotations["helm.sh/hook"], name)
		require.Equal(t, []string{name}, job.Spec.Template.Spec.Containers[0].Args)
		require.Equal(t, core.RestartPolicyNever, job.Spec.Template.Spec.RestartPolicy, name)
	}
	require.Less(t, weight("streams"), weight("migrate"))
}

// Catches a part with the credentials of one role and the inbox of another, to whom nothing would
// be answered, and a role that may not do what the part does: ingest makes no streams.
func TestEachPartHasARoleOfNATS(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, nil))
	require.NoError(t, err)
	roles, err := os.ReadFile("../../deploy/nats/roles.conf")
	require.NoError(t, err)
	want := map[string]string{"streams": "administrator", "migrate": "operator", "ingest": "ingest", "projector": "projector", "console": "console"}
	for name, pod := range m.pods() {
		c, env := pod.Spec.Containers[0], map[string]string{}
		for _, e := range c.Env {
			env[e.Name] = e.Value
		}
		prefix := env["NATS_INBOX_PREFIX"]
		require.Equal(t, "_INBOX_"+want[name], prefix, name)
		require.Contains(t, string(roles), `"`+prefix+`.>"`, name)
		require.Equal(t, "casdelius-nats-"+want[name], pod.Spec.Volumes[0].Secret.SecretName, name)
		require.Equal(t, c.VolumeMounts[0].MountPath, filepath.Dir(env["NATS_CREDS"]), name)
	}
	require.ElementsMatch(t, keys(want), keys(m.pods()))
}

// Catches a policy by which nobody reaches the console, and one by which the ingress reaches the
// other services too.
func TestTheIngressReachesTheConsoleAlone(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, nil))
	require.NoError(t, err)
	for name, p := range m.policies {
		var reachedBy []string
		require.Len(t, p.Spec.Ingress, 1)
		for _, peer := range p.Spec.Ingress[0].From {
			reachedBy = append(reachedBy, peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
		}
		want := []string{"monitoring"}
		if name == "console" {
			want = append(want, "ingress-controllers")
		}
		require.Equal(t, want, reachedBy, name)
		require.Equal(t, "http", p.Spec.Ingress[0].Ports[0].Port.StrVal)
	}
	require.Equal(t, []string{"console", "ingest", "projector"}, keys(m.policies))
}

// Catches a chart that cannot be installed without a console, for which a provider is needed.
func TestTheConsoleCanBeLeftOut(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, map[string]any{"console": nil}))
	require.NoError(t, err)
	for _, have := range [][]string{keys(m.deployments), keys(m.services), keys(m.budgets), keys(m.policies)} {
		require.Equal(t, []string{"ingest", "projector"}, have)
	}
}

// genericService has the keys of HMPPS's chart generic-service that ours sets; a misspelt one would
// be ignored there.
type genericService struct {
	GenericService struct {
		NameOverride       string `json:"nameOverride"`
		ServiceAccountName string `json:"serviceAccountName"`
		ReplicaCount       int    `json:"replicaCount"`
		Image              struct {
			Repository, Tag string
			Port            int
		} `json:"image"`
		ContainerArgs []string `json:"containerArgs"`
		Ingress       struct {
			Enabled             bool
			Host, TLSSecretName string
		} `json:"ingress"`
		PodSecurityContext  core.PodSecurityContext `json:"podSecurityContext"`
		SecurityContext     core.SecurityContext    `json:"securityContext"`
		LivenessProbe       core.Probe              `json:"livenessProbe"`
		ReadinessProbe      core.Probe              `json:"readinessProbe"`
		PodDisruptionBudget struct {
			Enabled      bool
			MinAvailable int
		} `json:"poddisruptionbudget"`
		CustomMetrics struct {
			Enabled                                  bool
			ScrapeInterval, MetricsPath, MetricsPort string
		} `json:"custommetrics"`
		Env              map[string]string            `json:"env"`
		NamespaceSecrets map[string]map[string]string `json:"namespace_secrets"`
		Volumes          []core.Volume                `json:"volumes"`
		VolumeMounts     []core.VolumeMount           `json:"volumeMounts"`
		Resources        core.ResourceRequirements    `json:"resources"`
	} `json:"generic-service"`
}

// The values for HMPPS's chart say what the chart of our own says.
func TestTheValuesForTheGenericChartSayTheSame(t *testing.T) {
	t.Parallel()
	m, err := decode(render(t, nil))
	require.NoError(t, err)
	for name, d := range m.deployments {
		content, err := os.ReadFile("../../deploy/helm/generic-service/values-" + name + ".yaml")
		require.NoError(t, err)
		var v genericService
		require.NoError(t, yaml.UnmarshalStrict(content, &v), name)
		generic, c := v.GenericService, d.Spec.Template.Spec.Containers[0]
		require.Equal(t, c.Args, generic.ContainerArgs, name)
		require.Equal(t, d.Spec.Template.Spec.SecurityContext.SeccompProfile, generic.SecurityContext.SeccompProfile, name)
		require.True(t, *generic.SecurityContext.ReadOnlyRootFilesystem && *generic.SecurityContext.RunAsNonRoot && !*generic.SecurityContext.AllowPrivilegeEscalation, name)
		require.Equal(t, *c.LivenessProbe, generic.LivenessProbe, name)
		require.Equal(t, *c.ReadinessProbe, generic.ReadinessProbe, name)
		require.Equal(t, c.Resources, generic.Resources, name)
		want, have := map[string]string{}, map[string]string{}
		for _, e := range c.Env {
			want[e.Name] = e.Value
			if e.ValueFrom != nil {
				want[e.Name] = e.ValueFrom.SecretKeyRef.Name + " " + e.ValueFrom.SecretKeyRef.Key
			}
		}
		for variable, value := range generic.Env {
			have[variable] = value
		}
		for secret, variables := range generic.NamespaceSecrets {
			for variable, key := range variables {
				have[variable] = secret + " " + key
			}
		}
		require.Equal(t, want, have, name)
		require.Equal(t, name == "console", generic.Ingress.Enabled, "pages are for people, all else for nobody outside the cluster")
		require.Equal(t, generic.Ingress.Enabled, want["CONSOLE_URL"] == "https://"+generic.Ingress.Host, name)
		require.Equal(t, c.VolumeMounts[0].MountPath, generic.VolumeMounts[0].MountPath)
		require.Equal(t, d.Spec.Template.Spec.Volumes[0].Secret.SecretName, generic.Volumes[0].Secret.SecretName)
	}
}
