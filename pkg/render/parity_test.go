package render_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// sample is one archive of testdata: a chart in chart/, the release's values in values.yaml.
type sample struct {
	chart  *chart.Chart
	values map[string]any
	flags  []string
}

func readSample(t testing.TB, name string) sample {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	require.NoError(t, err)
	s := sample{values: map[string]any{}}
	files := fstest.MapFS{}
	for _, f := range archive.Files {
		switch {
		case strings.HasPrefix(f.Name, "chart/"):
			files["charts/sample/"+strings.TrimPrefix(f.Name, "chart/")] = &fstest.MapFile{Data: f.Data}
		case f.Name == "values.yaml":
			v, err := yaml.Decode(f.Data)
			require.NoError(t, err)
			s.values, _ = v.(map[string]any)
		case f.Name == "flags":
			s.flags = strings.Fields(string(f.Data))
		}
	}
	c, ds, err := chart.NewStore(source.Tree{FS: files}).Load(t.Context(), "sample", diag.Range{})
	require.NoError(t, err)
	require.Empty(t, ds)
	s.chart = c
	return s
}

func (s sample) request() render.Request {
	return render.Request{
		Release: runlevel.Release{Name: "web", Namespace: "team-alpha", Chart: "sample", Values: s.values},
		Chart:   s.chart,
		Upgrade: slices.Contains(s.flags, "upgrade"),
	}
}

func capabilities() render.Capabilities {
	return render.Capabilities{KubeVersion: "1.34", APIVersions: append(render.BuiltIn(), "example.com/v1")}
}

// TestParity compares each sample with what Helm's own action makes of it.
func TestParity(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/parity/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := readSample(t, name)

			var files []*loader.BufferedFile
			for _, f := range s.chart.Files {
				files = append(files, &loader.BufferedFile{Name: f.Name, Data: f.Data})
			}
			c, err := loader.LoadFiles(files)
			require.NoError(t, err)
			install := action.NewInstall(&action.Configuration{Log: t.Logf})
			install.ClientOnly, install.DryRun = true, true
			install.ReleaseName, install.Namespace = "web", "team-alpha"
			install.IsUpgrade = s.request().Upgrade
			install.KubeVersion, err = chartutil.ParseKubeVersion("1.34")
			require.NoError(t, err)
			install.APIVersions = chartutil.VersionSet{"example.com/v1"}
			values, _ := yaml.ToChart(s.values).(map[string]any)
			want, err := install.RunWithContext(t.Context(), c, values)
			require.NoError(t, err)

			r := render.New()
			// Twice, since a chart that is used a second time must not remember the first.
			for range 2 {
				got, ds, err := r.Render(t.Context(), s.request(), capabilities())
				require.NoError(t, err)
				require.False(t, ds.HasErrors(), "%v", ds)
				require.Equal(t, want.Manifest, got.Text)
				require.Equal(t, want.Info.Notes, got.Notes)
				require.Len(t, got.Hooks, len(want.Hooks))
				for i, h := range want.Hooks {
					require.Equal(t, h.Manifest, got.Hooks[i].Text)
					require.Equal(t, h.Path, got.Hooks[i].Source)
					require.Equal(t, h.Kind, got.Hooks[i].Kind)
					require.Equal(t, h.Name, got.Hooks[i].Name)
					require.Equal(t, h.Weight, got.Hooks[i].Weight)
					for k, e := range h.Events {
						require.Equal(t, manifest.Event(e), got.Hooks[i].Events[k])
					}
					require.Len(t, got.Hooks[i].DeletePolicies, len(h.DeletePolicies))
					for k, p := range h.DeletePolicies {
						require.Equal(t, manifest.DeletePolicy(p), got.Hooks[i].DeletePolicies[k])
					}
				}
				require.Len(t, got.CRDs, len(want.Chart.CRDObjects()))
				metadata, err := json.Marshal(want.Chart.Metadata)
				require.NoError(t, err)
				require.JSONEq(t, string(metadata), string(got.Chart.Metadata))
				require.Equal(t, want.Chart.Values, got.Chart.Values)
				require.Equal(t, want.Config, got.Values)
			}
		})
	}
}
