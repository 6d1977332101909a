package transform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/transform"
	"github.com/redkubes/otomi/pkg/yaml"
)

// manifests is a directory that is no chart. What follows from it was recorded with helmfile 1.7.2, its second line of
// "# Source:" apart.
var manifests = fstest.MapFS{
	"charts/dir/a.yaml": {Data: []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {t: "{{ .Values.x }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: own}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cr}
rules: []
`)},
	"charts/dir/sub/made.yaml.gotmpl": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}-made\"}\n")},
}

func TestADirectoryOfManifestsIsAChart(t *testing.T) {
	t.Parallel()
	carryOut := func(_ string, text []byte) (string, diag.Diagnostics) {
		return template.Execute(context.Background(), text, map[string]any{"Release": map[string]any{"Name": "web"}}, template.Options{})
	}
	made, ds, err := transform.Chart(context.Background(), manifests, "charts/dir", transform.DirectoryOptions{
		BuildOptions: transform.BuildOptions{Namespace: "apps"}, CarryOut: carryOut,
	})
	require.NoError(t, err)
	require.Empty(t, ds)
	r := render.New()
	req := rendered(t, r, made.Chart, runlevel.Release{Name: "web", Namespace: "apps"}, transform.Request{Namespace: made.Namespace})
	out, ds, err := transform.Apply(context.Background(), r, req)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, `---
# Source: dir/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: apps}
data: {t: "{{ .Values.x }}"}
---
# Source: dir/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: own}
---
# Source: dir/templates/sub/made.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: "web-made", namespace: apps}
---
# Source: dir/templates/a.yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cr, namespace: apps}
rules: []
`, out.Text)
	require.Equal(t, "1.0.0", out.Chart.Version)
}

func TestAKustomizationIsAChart(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"base/kustomization.yaml": {Data: []byte("resources: [cm.yaml]\n")},
		"base/cm.yaml":            {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {t: \"{{ untouched }}\"}\n")},
		"app/kustomization.yaml":  {Data: []byte("resources: [../base]\n")},
	}
	made, ds, err := transform.Chart(context.Background(), files, "./app/", transform.DirectoryOptions{
		BuildOptions: transform.BuildOptions{Namespace: "apps", Values: map[string]any{"namePrefix": "p-"}}, Version: "2.1.0",
	})
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Empty(t, made.Namespace, "kustomize gave it")
	req := rendered(t, render.New(), made.Chart, runlevel.Release{Name: "web", Namespace: "apps"}, transform.Request{})
	require.False(t, req.Needed())
	require.Equal(t, `---
# Source: app/templates/kustomized.yaml
apiVersion: v1
data:
  t: '{{ untouched }}'
kind: ConfigMap
metadata:
  name: p-cm
  namespace: apps
`, req.Rendered.Text)
	require.Equal(t, "2.1.0", req.Rendered.Chart.Version)
}

func TestADirectoryWithoutAnything(t *testing.T) {
	t.Parallel()
	_, ds, err := transform.Chart(context.Background(), fstest.MapFS{"app/README.md": {}}, "app", transform.DirectoryOptions{})
	require.NoError(t, err)
	require.True(t, ds.HasErrors())
	require.True(t, transform.HasChart(fstest.MapFS{"app/Chart.yaml": {}}, "app"))
	require.False(t, transform.HasChart(fstest.MapFS{"app/README.md": {}}, "app"))
}

func TestBuildEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	files := fstest.MapFS{"app/kustomization.yaml": {Data: []byte("resources: []\n")}}
	_, _, _, err := transform.Build(ctx, files, "app", transform.BuildOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestBasesThatMultiplyComeToAnEnd(t *testing.T) {
	t.Parallel()
	const depth = 40
	files := fstest.MapFS{}
	for i := range depth {
		for _, side := range []string{"l", "r"} {
			text := "nameSuffix: -" + side + "\n"
			if i > 0 {
				text += fmt.Sprintf("resources: [../../b%d/l, ../../b%d/r]\n", i-1, i-1)
			}
			files[fmt.Sprintf("b%d/%s/kustomization.yaml", i, side)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	top := fmt.Sprintf("b%d/l", depth-1)
	_, ds, _, err := transform.Build(context.Background(), files, top, transform.BuildOptions{})
	require.NoError(t, err)
	require.True(t, ds.HasErrors())
	require.Contains(t, ds[len(ds)-1].Detail, "Refer to fewer bases")
}

// conformance is where the cases for readers of helmfile state files are: beside the repository.
const conformance = "../../../shared/conformance"

// TestConformance carries out the cases that change a chart or its manifests, from the chart to the objects.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"rel-jsonpatch", "rel-adhoc-dep-local"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(conformance, "cases/C", id)
			text, err := os.ReadFile(filepath.Join(dir, "files/helmfile.yaml"))
			if err != nil {
				t.Skip("the shared cases are not beside this checkout: there is no " + dir)
			}
			var state struct {
				Releases []struct {
					Name, Namespace, Chart string
					JSONPatches            []map[string]any `json:"jsonPatches"`
					Dependencies           []struct{ Chart, Alias, Version string }
					Values                 []map[string]any
				}
			}
			require.NoError(t, yaml.DecodeInto(text, &state))
			in := state.Releases[0]
			fixtures := os.DirFS(filepath.Join(conformance, "fixtures"))
			c := loaded(t, fixtures, filepath.Clean(in.Chart))
			var additions []chart.Addition
			for _, d := range in.Dependencies {
				additions = append(additions, chart.Addition{Chart: loaded(t, fixtures, filepath.Clean(d.Chart)), Alias: d.Alias, Version: d.Version})
			}
			c, ds := chart.With(c, additions)
			require.Empty(t, ds)
			rel := runlevel.Release{Name: in.Name, Namespace: "default", JSONPatches: in.JSONPatches, Values: map[string]any{}}
			for _, v := range in.Values {
				rel.Values = v
			}
			r := render.New()
			out, ds, err := transform.Apply(context.Background(), r, rendered(t, r, c, rel, transform.Request{}))
			require.NoError(t, err)
			require.Empty(t, ds)
			require.Equal(t, expected(t, dir), objects(t, out))
		})
	}
}

func expected(t *testing.T, dir string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	require.NoError(t, err)
	var steps []struct{ Out []any }
	require.NoError(t, json.Unmarshal(text, &steps))
	return sorted(t, steps[0].Out)
}

// objects are those that helm template prints, with the values that the chart dump writes read.
func objects(t *testing.T, r manifest.Release) []string {
	t.Helper()
	var all []any
	add := func(o manifest.Object) {
		v, err := yaml.Decode([]byte(o.Text))
		require.NoError(t, err)
		if data, _ := v.(map[string]any)["data"].(map[string]any); data != nil {
			if text, ok := data["values"].(string); ok && strings.HasPrefix(text, "{") {
				var values any
				require.NoError(t, json.Unmarshal([]byte(text), &values))
				data["values"] = values
			}
		}
		all = append(all, v)
	}
	for _, o := range r.Objects {
		add(o)
	}
	for _, h := range r.Hooks {
		add(h.Object)
	}
	return sorted(t, all)
}

func sorted(t *testing.T, all []any) []string {
	t.Helper()
	out := make([]string, len(all))
	for i, v := range all {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		out[i] = string(text)
	}
	sort.Strings(out)
	return out
}
