package charts_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"

	"github.com/redkubes/otomi/charts"
)

// TestEmbedsWhatIsInTheFolder fails for a chart that embed.go does not list, and for a file that a pattern drops.
func TestEmbedsWhatIsInTheFolder(t *testing.T) {
	t.Parallel()
	onDisk := slices.DeleteFunc(names(t, os.DirFS(".")), func(name string) bool { return strings.HasSuffix(name, ".go") })
	require.Equal(t, onDisk, names(t, charts.FS))
	require.Contains(t, onDisk, "team/templates/_helpers.tpl")
	require.Contains(t, onDisk, "team/.helmignore")
}

func TestLintsCleanly(t *testing.T) {
	t.Parallel()
	for _, name := range chartNames(t) {
		result := lint.All(name, nil, "somewhere", true)
		for _, message := range result.Messages {
			require.Less(t, message.Severity, support.WarningSev, "%s: %s", name, message)
		}
	}
}

// Every object can be told from those of other releases, and every chart's defaults render.
func TestObjectsHaveStandardLabels(t *testing.T) {
	t.Parallel()
	extra := map[string]string{
		"raw":     "resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}]",
		"service": "{replicas: 2, env: {A: a}, secretEnv: {B: b}}",
		"team": "{name: alpha, editors: [e], viewers: [v], " +
			"network: {allowFrom: [a], allowTo: [b], internet: true}}",
	}
	for _, name := range chartNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := render(t, name, extra[name], "platform.otomi.io/v1/Team")
			require.NotEmpty(t, objects)
			for id, object := range objects {
				labels := at(object, "metadata", "labels").(map[string]any)
				for _, label := range []string{
					"helm.sh/chart", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by",
				} {
					require.NotEmpty(t, labels[label], "%s has no label %s", id, label)
				}
			}
		})
	}
}

func TestRawKeepsAnObjectsOwnLabels(t *testing.T) {
	t.Parallel()
	objects := render(t, "raw", `
resources:
  - apiVersion: v1
    kind: ConfigMap
    metadata: { name: a, labels: { app.kubernetes.io/name: mine } }
    data: { big: "1000000", text: "{{ not a template }}" }
templates:
  - |
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: {{ .Release.Name }}-b
`)
	require.Len(t, objects, 2)
	require.Equal(t, "mine", at(objects["ConfigMap/a"], "metadata", "labels", "app.kubernetes.io/name"))
	require.Equal(t, "it", at(objects["ConfigMap/a"], "metadata", "labels", "app.kubernetes.io/instance"))
	require.Equal(t, "{{ not a template }}", at(objects["ConfigMap/a"], "data", "text"))
	require.Contains(t, objects, "ConfigMap/it-b")
}

func TestTeamIsInTheCatalogueWhereThereIsOne(t *testing.T) {
	t.Parallel()
	const values = "{name: alpha, title: Team Alpha, contact: a@example.com, editors: [devs]}"
	require.NotContains(t, render(t, "team", values), "Team/alpha")
	team := render(t, "team", values, "platform.otomi.io/v1", "platform.otomi.io/v1/Team")["Team/alpha"]
	require.Equal(t, map[string]any{
		"title": "Team Alpha", "contact": "a@example.com", "namespace": "somewhere", "editors": []any{"devs"},
	}, team["spec"])

	text, err := charts.FS.ReadFile("team-crds/crds/teams.platform.otomi.io.yaml")
	require.NoError(t, err)
	var crd map[string]any
	require.NoError(t, yaml.UnmarshalStrict(text, &crd))
	version := at(crd, "spec", "versions").([]any)[0].(map[string]any)
	known := at(version, "schema", "openAPIV3Schema", "properties", "spec", "properties").(map[string]any)
	for key := range team["spec"].(map[string]any) {
		require.Contains(t, known, key, "an unknown key would be dropped by the server and differ for ever")
	}
}

func TestTeamIsClosedUnlessItSaysOtherwise(t *testing.T) {
	t.Parallel()
	policies := func(values string) []string {
		var found []string
		for id := range render(t, "team", values) {
			if name, ok := strings.CutPrefix(id, "NetworkPolicy/"); ok {
				found = append(found, name)
			}
		}
		slices.Sort(found)
		return found
	}
	require.Equal(t, []string{"allow-dns", "allow-same-team", "default-deny"}, policies("name: alpha"))
	require.Equal(t, []string{"allow-dns", "allow-from", "allow-internet", "allow-same-team", "allow-to", "default-deny"},
		policies("{name: alpha, network: {allowFrom: [a], allowTo: [b], internet: true}}"))
	require.Empty(t, policies("{name: alpha, network: {isolated: false}}"))
}

// Helm hands numbers to a chart as floats; quantities and counts must not show it.
func TestAmountsAreTextOfWhatWasWritten(t *testing.T) {
	t.Parallel()
	quota := render(t, "team", "{name: alpha, quota: {cpu: 2, memory: 8Gi, pods: 1000000}}")["ResourceQuota/team"]
	require.Equal(t, map[string]any{
		"requests.cpu": "2", "requests.memory": "8Gi", "pods": "1000000",
		"services.loadbalancers": "0", "services.nodeports": "0",
	}, at(quota, "spec", "hard"))
	container := containers(render(t, "service", "{resources: {requests: {cpu: 0.5}}, port: 8080}")["Deployment/it"])[0]
	require.Equal(t, "0.5", at(container, "resources", "requests", "cpu"))
	require.Equal(t, 8080.0, container["ports"].([]any)[0].(map[string]any)["containerPort"])
}

func TestTeamBindsOnlyTheGroupsItHas(t *testing.T) {
	t.Parallel()
	objects := render(t, "team", "{name: alpha, viewers: [support, 'oidc:guests']}")
	require.NotContains(t, objects, "RoleBinding/team-editor")
	binding := objects["RoleBinding/team-viewer"]
	require.Equal(t, "team-viewer", at(binding, "roleRef", "name"))
	require.Len(t, binding["subjects"], 2)
	require.Contains(t, render(t, "platform", ""), "ClusterRole/team-viewer", "chart platform has the roles that team binds")
}

func TestServiceIsFitForARestrictedNamespace(t *testing.T) {
	t.Parallel()
	for _, deployment := range []map[string]any{
		render(t, "service", "")["Deployment/it"],
		render(t, "platform", "")["Job/preflight"],
	} {
		pod := at(deployment, "spec", "template", "spec").(map[string]any)
		require.Equal(t, true, at(pod, "securityContext", "runAsNonRoot"))
		require.Equal(t, "RuntimeDefault", at(pod, "securityContext", "seccompProfile", "type"))
		for _, container := range containers(deployment) {
			require.Equal(t, false, at(container, "securityContext", "allowPrivilegeEscalation"))
			require.Equal(t, true, at(container, "securityContext", "readOnlyRootFilesystem"))
			require.Equal(t, []any{"ALL"}, at(container, "securityContext", "capabilities", "drop"))
		}
	}
}

func TestServiceRestartsWhenItsEnvironmentChanges(t *testing.T) {
	t.Parallel()
	sum := func(values string) any {
		return at(render(t, "service", values)["Deployment/it"], "spec", "template", "metadata", "annotations", "checksum/env")
	}
	require.Equal(t, sum("env: {A: a}"), sum("{env: {A: a}, replicas: 3}"))
	require.NotEqual(t, sum("env: {A: a}"), sum("env: {A: b}"))
	require.NotEqual(t, sum("env: {A: a}"), sum("secretEnv: {A: a}"))
}

func TestANewChartVersionAloneRestartsNothing(t *testing.T) {
	t.Parallel()
	pod := at(render(t, "service", "")["Deployment/it"], "spec", "template").(map[string]any)
	require.NotContains(t, at(pod, "metadata", "labels"), "helm.sh/chart")
}

func TestServiceKeepsSecretsOutOfItsConfigMap(t *testing.T) {
	t.Parallel()
	objects := render(t, "service", "{env: {A: open}, secretEnv: {B: s3cret}}")
	require.Equal(t, map[string]any{"A": "open"}, objects["ConfigMap/it"]["data"])
	require.Equal(t, map[string]any{"B": "czNjcmV0"}, objects["Secret/it"]["data"])
	require.NotContains(t, render(t, "service", ""), "Secret/it")
	require.NotContains(t, render(t, "service", ""), "ConfigMap/it")
}

func TestServicePassesPodAnnotationsOn(t *testing.T) {
	t.Parallel()
	pod := at(render(t, "service", "podAnnotations: {playground.otomi.io/pod: pending}")["Deployment/it"], "spec", "template")
	require.Equal(t, "pending", at(pod.(map[string]any), "metadata", "annotations", "playground.otomi.io/pod"))
}

func TestServiceHasABudgetFromTwoPodsOn(t *testing.T) {
	t.Parallel()
	require.NotContains(t, render(t, "service", "replicas: 1"), "PodDisruptionBudget/it")
	require.Contains(t, render(t, "service", "replicas: 2"), "PodDisruptionBudget/it")
}

// The classes of chart platform and the words of a service's priority are one list.
func TestPrioritiesOfServicesExist(t *testing.T) {
	t.Parallel()
	classes := render(t, "platform", "")
	for _, priority := range []string{"low", "normal", "high"} {
		name := at(render(t, "service", "priority: "+priority)["Deployment/it"], "spec", "template", "spec", "priorityClassName")
		require.Contains(t, classes, "PriorityClass/"+name.(string))
	}
}

func TestPreflightRunsItsAccountFirst(t *testing.T) {
	t.Parallel()
	objects := render(t, "platform", "")
	weight := func(id string) any { return at(objects[id], "metadata", "annotations", "helm.sh/hook-weight") }
	require.Equal(t, "-10", weight("ServiceAccount/preflight"))
	require.Equal(t, "0", weight("Job/preflight"))
	require.NotContains(t, render(t, "platform", "preflight: {enabled: false}"), "Job/preflight")
}

// render returns the objects of a chart by KIND/NAME, for a release it in namespace somewhere.
func render(t *testing.T, name, values string, apiVersions ...string) map[string]map[string]any {
	t.Helper()
	c, err := loader.LoadDir(name)
	require.NoError(t, err)
	given, err := chartutil.ReadValues([]byte(values))
	require.NoError(t, err)
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.APIVersions = append(slices.Clone(capabilities.APIVersions), apiVersions...)
	all, err := chartutil.ToRenderValues(c, given,
		chartutil.ReleaseOptions{Name: "it", Namespace: "somewhere", Revision: 1, IsInstall: true}, capabilities)
	require.NoError(t, err)
	files, err := engine.Render(c, all)
	require.NoError(t, err)
	objects := map[string]map[string]any{}
	for file, text := range files {
		require.NotContains(t, text, "<no value>", file)
		if strings.HasSuffix(file, "NOTES.txt") {
			continue
		}
		for document := range strings.SplitSeq("\n"+text, "\n---\n") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			var object map[string]any
			require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object), "%s:\n%s", file, document)
			key := object["kind"].(string) + "/" + at(object, "metadata", "name").(string)
			require.NotContains(t, objects, key, "rendered twice")
			objects[key] = object
		}
	}
	return objects
}

func containers(object map[string]any) []map[string]any {
	var found []map[string]any
	for _, c := range at(object, "spec", "template", "spec", "containers").([]any) {
		found = append(found, c.(map[string]any))
	}
	return found
}

func at(tree map[string]any, keys ...string) any {
	var node any = tree
	for _, key := range keys {
		m, _ := node.(map[string]any)
		node = m[key]
	}
	return node
}

func chartNames(t *testing.T) []string {
	t.Helper()
	entries, err := charts.FS.ReadDir(".")
	require.NoError(t, err)
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func names(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	var found []string
	require.NoError(t, fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, name)
		}
		return err
	}))
	return found
}
