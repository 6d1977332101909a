package runlevels_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/charts"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/redkubes/otomi/runlevels"
	stack "github.com/redkubes/otomi/schema"
)

func TestEmbedsWhatIsInTheFolder(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var want, got []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") {
			want = append(want, entry.Name())
		}
	}
	embedded, err := runlevels.FS.ReadDir(".")
	require.NoError(t, err)
	for _, entry := range embedded {
		got = append(got, entry.Name())
	}
	require.Equal(t, want, got)
}

// A repository that says nothing has the platform and no teams.
func TestReleasesOfNoValues(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string][]string{
		"00-namespaces": {"otomi-system/namespace-platform"},
		"10-crds":       {"platform/team-crds"},
		"20-platform":   {"platform/platform"},
		"50-teams":      nil,
		"60-services":   nil,
	}, keys(evaluate(t, "{}")))
}

const example = `
cluster: { id: aws/demo, provider: aws, name: demo, domain: demo.aws.example.com, kubeContext: demo-admin }
platform:
  services:
    portal: { image: { repository: nginx, tag: "1" } }
teams:
  "on":
    services:
      "no": { image: { repository: nginx, tag: "1e3" }, env: { A: "{{ .Values }}", B: "true" } }
  alpha:
    title: "A: #1"
    services:
      web: { image: { repository: nginx, tag: "1" }, replicas: 3 }
      old: { image: { repository: nginx, tag: "1" }, enabled: false }
  bravo:
    enabled: false
    services:
      web: { image: { repository: nginx, tag: "1" } }
`

func TestReleasesOfTeamsAndServices(t *testing.T) {
	t.Parallel()
	levels := evaluate(t, example)
	require.Equal(t, map[string][]string{
		"00-namespaces": {
			"otomi-system/namespace-platform", "otomi-system/namespace-team-alpha", "-otomi-system/namespace-team-bravo",
			"otomi-system/namespace-team-on",
		},
		"10-crds":     {"platform/team-crds"},
		"20-platform": {"platform/platform", "platform/portal"},
		"50-teams":    {"team-alpha/team-alpha", "-team-bravo/team-bravo", "team-on/team-on"},
		"60-services": {"-team-alpha/old", "team-alpha/web", "-team-bravo/web", "team-on/no"},
	}, keys(levels), "a minus is installed: false")

	web := release(t, levels, "team-alpha/web")
	require.Equal(t, "../charts/service", web.Chart)
	require.Equal(t, 3.0, web.Values["replicas"])
	require.Equal(t, "alpha", web.Values["team"])
	require.Equal(t, map[string]string{
		"team": "alpha", "service": "web", "runlevel": "services",
		"name": "web", "namespace": "team-alpha", "chart": "service",
	}, web.Labels)
	require.Equal(t, "A: #1", release(t, levels, "team-alpha/team-alpha").Values["title"])
	odd := release(t, levels, "team-on/no").Values
	require.Equal(t, map[string]any{"repository": "nginx", "tag": "1e3"}, odd["image"])
	require.Equal(t, map[string]any{"A": "{{ .Values }}", "B": "true"}, odd["env"])
	require.Equal(t, map[string]any{
		"id": "aws/demo", "provider": "aws", "name": "demo", "domain": "demo.aws.example.com",
	}, release(t, levels, "platform/platform").Values["cluster"])
	require.Equal(t, []string{"platform/platform"}, release(t, levels, "platform/portal").Needs)
}

// An object that asks to be kept stays also where the user asks for it to go.
func TestDestroyDeletedNoNamespaceOfTheStack(t *testing.T) {
	t.Parallel()
	for _, level := range evaluate(t, example) {
		for _, r := range level.Releases {
			require.NotContains(t, fmt.Sprint(r.Values), "helm.sh/resource-policy", r.Key())
		}
	}
}

// With -l team=NAME a team is whole: its namespace, its quota, its services.
func TestATeamCanBeSelectedWhole(t *testing.T) {
	t.Parallel()
	var selected []string
	for _, level := range evaluate(t, example) {
		for _, r := range level.Releases {
			if r.Labels["team"] == "alpha" {
				selected = append(selected, r.Key())
			}
		}
	}
	require.Equal(t, []string{
		"otomi-system/namespace-team-alpha", "team-alpha/team-alpha", "team-alpha/old", "team-alpha/web",
	}, selected)
}

// A key that a runlevel hands to a chart is one that the chart knows, and its charts are there.
func TestChartsKnowTheValuesTheyGet(t *testing.T) {
	t.Parallel()
	for _, level := range evaluate(t, example) {
		for _, r := range level.Releases {
			name, found := strings.CutPrefix(r.Chart, "../charts/")
			require.True(t, found, r.Chart)
			text, err := charts.FS.ReadFile(name + "/values.yaml")
			require.NoError(t, err, r.Key())
			known, err := yaml.Decode(text)
			require.NoError(t, err)
			require.Subset(t, slices.Collect(maps.Keys(known.(map[string]any))), slices.Collect(maps.Keys(r.Values)), r.Key())
		}
	}
}

func keys(levels []runlevel.Level) map[string][]string {
	found := map[string][]string{}
	for _, level := range levels {
		found[level.Name] = nil
		for _, r := range level.Releases {
			key := r.Key()
			if !r.Installed {
				key = "-" + key
			}
			found[level.Name] = append(found[level.Name], key)
		}
	}
	return found
}

func release(t *testing.T, levels []runlevel.Level, key string) runlevel.Release {
	t.Helper()
	for _, level := range levels {
		for _, r := range level.Releases {
			if r.Key() == key {
				return r
			}
		}
	}
	require.Fail(t, "no release "+key)
	return runlevel.Release{}
}

func evaluate(t *testing.T, text string) []runlevel.Level {
	t.Helper()
	files, ds, err := runlevel.Files(source.Tree{FS: runlevels.FS}, ".")
	require.NoError(t, err)
	require.Empty(t, ds)
	evaluation, ds := runlevel.Evaluate(t.Context(), runlevel.Input{
		Files: files, FS: source.Inside(runlevels.FS), Stack: true, Values: values(t, text),
	})
	require.Empty(t, ds)
	return evaluation.Levels
}

// values are what a cluster has whose only layer is text: with the schema's defaults, and valid.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	compiled, ds, err := schema.Compile(source.Tree{FS: stack.FS}, "values.schema.yaml")
	require.NoError(t, err)
	require.Empty(t, ds)
	root, ds := yaml.Read([]byte(text), yaml.ReadOptions{File: "values.yaml", Map: true})
	require.Empty(t, ds)
	filled := compiled.Fill(root)
	require.Empty(t, compiled.Validate(filled))
	return filled.PlainMap()
}
